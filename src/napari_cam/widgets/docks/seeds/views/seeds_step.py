"""Step 3: classes, two cuts, and what becomes of a proposal."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QWidget

from napari_cam.labels.choices import CONFLICTS, MODES
from napari_cam.normalize import RENORMALIZE
from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    button,
    column,
    combo,
    form,
    slider,
)
from napari_cam.widgets.controls.tick_list import TickList
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.seeds.views.class_table import ClassTable

NEW_LAYER = "a new layer"
OF_HEATMAPS = "ticked heatmaps"
_TABLE = "Table of classes (*.csv)"


class SeedsStep(QWidget):
    """Everything about seeds but painting them."""

    changed = Signal()
    layer_wanted = Signal()
    heatmaps_ticked = Signal()
    add_wanted = Signal()
    remove_wanted = Signal()
    import_wanted = Signal()
    export_wanted = Signal()
    preview_wanted = Signal()
    commit_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.seeds = LayerCombo("seeds_layer", [(NEW_LAYER, None)])
        self.classes = ClassTable()
        self.add = button("add_class", "Add", self.add_wanted.emit)
        self.remove = button("remove_class", "Remove", self.remove_wanted.emit)
        self.take = button("import_classes", "Import …", self.import_wanted.emit)
        self.give = button("export_classes", "Export …", self.export_wanted.emit)
        self.heatmaps_title = QLabel()
        self.heatmaps = TickList("class_heatmaps")
        self.proposal = LayerCombo("proposal", [(OF_HEATMAPS, None)], "'{}' as the chosen class")
        self.high = slider("high_cut", 0.6)
        self.low = slider("low_cut", 0.2)
        self.conflict = combo("conflict", CONFLICTS.entries)
        self.normalize = combo("seeds_normalize", RENORMALIZE.entries)
        self.gate = QCheckBox("only where the class is predicted")
        describe(self.gate, "seeds_gate")
        self.gate.setChecked(True)
        self.preview = button("preview_seeds", "Preview", self.preview_wanted.emit)
        self.mode = combo("commit_mode", MODES.entries)
        self.slice_only = QCheckBox("this slice only")
        describe(self.slice_only, "slice_only")
        self.commit = button("commit", "Commit (Shift+F6)", self.commit_wanted.emit)
        self.hint = Hint()
        self.notes = Hint("#a0a8b4")
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setVisible(False)
        self._lay_out()
        self._wire()

    def _lay_out(self) -> None:
        layout = column(self)
        top = form()
        top.addRow("Seeds layer", self.seeds.box)
        layout.addLayout(top)
        layout.addWidget(self.classes)
        buttons = QHBoxLayout()
        for each in (self.add, self.remove, self.take, self.give):
            buttons.addWidget(each)
        layout.addLayout(buttons)
        layout.addWidget(self.heatmaps_title)
        layout.addWidget(self.heatmaps)
        self.rows = form()
        self.rows.addRow("Proposal of", self.proposal.box)
        self.rows.addRow("Class above", self.high)
        self.rows.addRow("Background below", self.low)
        self.rows.addRow("Where classes meet", self.conflict)
        self.rows.addRow("Stretched over", self.normalize)
        layout.addLayout(self.rows)
        layout.addWidget(self.gate)
        layout.addWidget(self.hint)
        layout.addWidget(self.preview)
        layout.addWidget(self.notes)
        modes = form()
        modes.addRow("Commit to", self.mode)
        layout.addLayout(modes)
        last = QHBoxLayout()
        last.addWidget(self.commit, 1)
        last.addWidget(self.slice_only)
        layout.addLayout(last)
        layout.addWidget(self.said)

    def _wire(self) -> None:
        self.seeds.box.currentIndexChanged.connect(lambda _index: self.layer_wanted.emit())
        self.heatmaps.ticked.connect(self.heatmaps_ticked.emit)
        for box in (self.proposal.box, self.conflict, self.normalize):
            box.currentIndexChanged.connect(lambda _index: self._on_changed())
        self.gate.toggled.connect(lambda _on: self._on_changed())
        self.high.valueChanged.connect(lambda _value: self._on_changed())
        self.low.valueChanged.connect(lambda _value: self._on_changed())

    def _on_changed(self) -> None:
        of_heatmaps = self.proposal.box.currentIndex() <= 0
        for row in (self.high, self.low, self.conflict, self.normalize):
            self.rows.setRowVisible(row, of_heatmaps)
        for widget in (self.gate, self.heatmaps, self.heatmaps_title, self.preview):
            widget.setVisible(of_heatmaps)
        self.changed.emit()

    def show_state(self, missing: str, no_heatmap: str, removable: str) -> None:
        """Enable the controls, or say what is missing.

        Parameters
        ----------
        missing
            Why nothing can be done at all, "" where it can.
        no_heatmap
            Why nothing can be proposed.
        removable
            Why the chosen class cannot go.
        """
        always: tuple[QWidget, ...] = (
            self.seeds.box, self.classes, self.add, self.take, self.give, self.heatmaps,
            self.proposal.box,
        )  # fmt: skip
        proposing: tuple[QWidget, ...] = (
            self.high, self.low, self.conflict, self.normalize, self.gate, self.preview,
            self.mode, self.slice_only, self.commit,
        )  # fmt: skip
        for control in always:
            allow(control, missing)
        allow(self.remove, missing or removable)
        for control in proposing:
            allow(control, missing or no_heatmap)
        self.hint.say(missing or no_heatmap)

    def show_notes(self, text: str) -> None:
        """Say what a proposal left out and why."""
        self.notes.say(text)

    def say(self, text: str) -> None:
        """Say what was committed."""
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def ask_table(self) -> Path | None:
        """Ask for a table of classes to read."""
        text, _ = QFileDialog.getOpenFileName(self, "Import classes", "", _TABLE)
        return Path(text) if text else None

    def ask_new_table(self) -> tuple[Path, bool] | None:
        """Ask where to write the table of classes, and whether what is there may be replaced."""
        text, _ = QFileDialog.getSaveFileName(self, "Export classes", "classes.csv", _TABLE)
        if not text:
            return None
        path = Path(text)
        if path.suffix:
            return path, path.exists()  # the dialog has asked
        return path.with_suffix(".csv"), False
