"""The Report: what came out, and how it is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from napari_cam.reports.page.contents import ReportContents
from napari_cam.reports.page.html import page_of
from napari_cam.reports.page.saving import save_report


@dataclass(frozen=True, eq=False, repr=False)
class Report(ReportContents):
    """The result of a comparison, to read, save and show.

    See :class:`ReportContents` for its attributes.
    """

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write table.csv, report.json, report.html and a folder of figures (SVG, PDF, PNG).

        All files are made before any is put in place, so an error leaves the folder unchanged. File
        names never contain names of subjects, classes or layers.

        Parameters
        ----------
        folder
            Target folder, created if it does not exist. Other files in it are kept.
        overwrite
            Whether to replace existing files of these names. The figures of the previous report, as
            listed in its report.json, are then removed.

        Returns
        -------
        Path
            The HTML page, report.html.

        Raises
        ------
        WriteError
            If a file exists already or the folder is not writable.
        """
        return save_report(self, Path(folder), overwrite)

    def html(self) -> str:
        """Return the report as one self-contained HTML page."""
        return page_of(self)

    def __repr__(self) -> str:
        return f"Report({self.kind}, {len(self.table)} rows, {len(self.figures)} figures)"
