"""Step 5: files, and the same job as a script or as commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    ask_where,
    button,
    column,
    combo,
    form,
    refill,
)

_KINDS = {"NIfTI (*.nii.gz *.nii)": ".nii.gz", "TIFF (*.tif *.tiff)": ".tif"}
_EXTENSIONS = (".nii", ".nii.gz", ".tif", ".tiff", ".ome.tif", ".ome.tiff")


class SaveStep(QWidget):
    """What to save and where, what to copy."""

    save_wanted = Signal()
    copy_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.result = combo("result")
        self.save = button("save", "Save as …", self.save_wanted.emit)
        self.python = button(
            "copy_python", "Copy as Python", lambda: self.copy_wanted.emit("python")
        )
        self.command = button(
            "copy_command", "Copy as command", lambda: self.copy_wanted.emit("command")
        )
        self.hint = Hint()
        self.done = QLabel()
        self.done.setWordWrap(True)
        self.done.setVisible(False)
        layout = column(self)
        rows = form()
        rows.addRow("What", self.result)
        layout.addLayout(rows)
        layout.addWidget(self.hint)
        layout.addWidget(self.save)
        copies = QHBoxLayout()
        copies.addWidget(self.python)
        copies.addWidget(self.command)
        layout.addLayout(copies)
        layout.addWidget(self.done)

    def show_results(self, titles: Sequence[str], missing: str) -> None:
        """List what can be saved, or say what is missing."""
        # The heatmaps and masks come and go by themselves, the latest last.
        kept = self.result.currentText()
        chosen = titles.index(kept) if kept in titles else len(titles) - 1
        grown = len(titles) > self.result.count()
        refill(self.result, [(t, None) for t in titles], len(titles) - 1 if grown else chosen)
        for control in (self.result, self.save, self.python, self.command):
            allow(control, missing)
        self.hint.say(missing)

    def show_done(self, text: str) -> None:
        """Say what was written or copied."""
        self.done.setText(text)
        self.done.setVisible(bool(text))

    def ask_path(self, name: str) -> tuple[Path, bool] | None:
        """Ask where to write, and whether that may replace a file; None for not at all."""
        return ask_where(self, "Save", name, _KINDS, _EXTENSIONS)
