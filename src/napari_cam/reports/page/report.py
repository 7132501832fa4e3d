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
    """The outcome of a comparison, to be read, saved and shown.

    What it holds is described at :class:`ReportContents`.
    """

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write table.csv, report.json, report.html and a folder of figures (SVG, PDF, PNG).

        Everything is made before anything is put in place, so that an error leaves the folder as
        it was. File names never hold names of subjects, classes or layers.

        Parameters
        ----------
        folder
            Made where it does not exist; other files in it stay.
        overwrite
            Whether files of these names may be replaced. Figures of the report before, which its
            report.json lists, are then removed.

        Returns
        -------
        Path
            The page, report.html.

        Raises
        ------
        WriteError
            Where a file exists already or the folder cannot be written.
        """
        return save_report(self, Path(folder), overwrite)

    def html(self) -> str:
        """Return the report as one page that needs nothing else: no network, no other file."""
        return page_of(self)

    def __repr__(self) -> str:
        return f"Report({self.kind}, {len(self.table)} rows, {len(self.figures)} figures)"
