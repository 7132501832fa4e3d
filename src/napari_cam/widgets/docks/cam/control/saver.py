"""What step 5 does: files are written, scripts and commands copied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_cam.errors import NapariCamError
from napari_cam.widgets.docks.cam.state import MadeMask
from napari_cam.widgets.docks.cam.work.saving import (
    Savable,
    as_text,
    file_name,
    savable,
    writing_job,
)
from napari_cam.widgets.docks.saver import Saver

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.control.masker import Masker
    from napari_cam.widgets.docks.cam.state import DockState
    from napari_cam.widgets.docks.cam.views.save_step import SaveStep


class ResultSaver(Saver):
    """Writes and copies the result that is chosen in step 5."""

    def __init__(self, state: DockState, masker: Masker, step: SaveStep) -> None:
        super().__init__(step.show_done)
        self._state = state
        self._masker = masker
        self._step = step
        step.save_wanted.connect(self.save_as)
        step.copy_wanted.connect(self.copy)

    def show(self, missing: str) -> None:
        """List what can be saved, or say what is missing."""
        self._step.show_results([title for title, _ in savable(self._state)], missing)

    def _chosen(self) -> Savable | None:
        items = savable(self._state)
        index = self._step.result.currentIndex()
        item = items[index][1] if 0 <= index < len(items) else None
        if isinstance(item, MadeMask):
            self._masker.finish(item)
        return item

    def save_as(self) -> None:
        """Ask where, and write the chosen result there."""
        item = self._chosen()
        asked = None if item is None else self._step.ask_path(file_name(item))
        if item is None or asked is None:
            return
        self.failed.emit("")
        try:
            job = writing_job(item, *asked)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        self._write(job)

    def _written(self, path: Path) -> str:
        return f"Written: {path}, with its .json beside it."

    def copy(self, kind: str) -> None:
        """Put the chosen result's script or command lines on the clipboard."""
        item = self._chosen()
        clipboard = QApplication.clipboard()
        if item is not None and clipboard is not None:
            clipboard.setText(as_text(item, kind))
            what = "script" if kind == "python" else "command lines"
            self._step.show_done(f"The {what} that make this again are on the clipboard.")
