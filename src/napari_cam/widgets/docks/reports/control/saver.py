"""Files and the clipboard: what is done with a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication, QFileDialog

from napari_cam.widgets.docks.saver import Saver

if TYPE_CHECKING:
    from napari_cam.widgets.docks.reports.state import ReportsState
    from napari_cam.widgets.docks.reports.views.result_pane import ResultPane

_FILES = ("report.html", "report.json", "table.csv")


class ReportSaver(Saver):
    """Writes and copies the latest report."""

    def __init__(self, state: ReportsState, pane: ResultPane) -> None:
        super().__init__(pane.say)
        self._state, self._pane = state, pane
        self._asked: Path | None = None  # whose files may be replaced, if the user says so
        pane.save_wanted.connect(self.save_as)
        pane.replace_wanted.connect(self.replace)
        pane.copy_wanted.connect(self.copy)
        state.finished_changed.connect(self._forget)

    def _forget(self) -> None:
        self._asked = None

    def save_as(self) -> None:
        """Ask for a folder and write the report there."""
        folder = QFileDialog.getExistingDirectory(self._pane, "Folder for the report")
        if folder:
            self.save(Path(folder))

    def save(self, folder: Path, overwrite: bool = False) -> None:
        """Write the report; where files of it are there already, ask first."""
        finished = self._state.finished
        if finished is None or self.running:
            return
        self.failed.emit("")
        there = [name for name in _FILES if (folder / name).exists()]
        if there and not overwrite:
            self._asked = folder
            self._pane.say(f"{', '.join(there)} is there already: {folder}", replace=True)
            return
        self._asked = None
        report = finished.report

        def write() -> Iterator[Path]:
            yield report.save(folder, overwrite)

        self._write(write)

    def replace(self) -> None:
        """Replace the files that were asked about."""
        if self._asked is not None:
            self.save(self._asked, overwrite=True)

    def _written(self, path: Path) -> str:
        return f"Written: {path}"

    def copy(self) -> None:
        """Put rows on the clipboard: the selected ones where there are several, else all shown."""
        finished, clipboard = self._state.finished, QApplication.clipboard()
        if finished is None or clipboard is None:
            return
        from napari_cam.reports.page.tables import tab_separated

        chosen: Any = self._pane.table.selected
        rows = chosen if len(chosen) > 1 else self._pane.table.shown
        clipboard.setText(tab_separated(finished.report.table.iloc[rows]))
        count = f"{len(rows)} row{'s' * (len(rows) != 1)}"
        self._pane.say(f"{count} on the clipboard, with tabs between the columns.")
