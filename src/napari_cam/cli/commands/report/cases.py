"""What report commands read, the cases that are named, and what they leave, a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_cam.cli.folders import check_results
from napari_cam.cli.parsing import matching
from napari_cam.errors import ReportError

if TYPE_CHECKING:
    from napari_cam.reports.cases.case import Case
    from napari_cam.reports.page.report import Report


class NamedCases:
    """What the command line names, as cases that are read one at a time."""

    def __init__(
        self,
        heatmap: list[Path] | None,
        cohort: Path | None,
        reference: str | None,
        foreground: Path | None,
        needs_reference: bool,
    ) -> None:
        if (cohort is None) == (not heatmap):
            raise ReportError("Give heatmaps or folders of them, or --cohort with a table.")
        if cohort is not None and (reference or foreground):
            raise ReportError(
                "With --cohort the table's columns name reference and foreground; leave the "
                "options out."
            )
        self._paths = [each for path in heatmap or () for each in matching(path)]
        self._cohort, self._reference, self._foreground = cohort, reference, foreground
        self._needs_reference = needs_reference

    def cases(self) -> Iterator[Case]:
        """Yield the cases, each checked to have what the report needs."""
        from napari_cam.reports.cases.case_folders import folder_cases
        from napari_cam.reports.cases.case_table import read_cases

        if self._cohort is not None:
            found = read_cases(self._cohort)
        else:
            found = folder_cases(self._paths, self._reference, self._foreground)
        for case in found:
            if self._needs_reference and case.reference is None:
                raise ReportError(
                    f"The subject '{case.subject}' has no reference; give --reference, or a file "
                    "called reference beside its heatmaps."
                )
            yield case

    def count(self) -> int | None:
        """Return how many maps there are, where that is known without reading images."""
        return None if self._cohort or any(p.is_dir() for p in self._paths) else len(self._paths)


def check_report(out: Path, overwrite: bool) -> None:
    """Raise before anything is computed where the report could not be written."""
    if out.is_dir():
        check_results([out / "table.csv", out / "report.html"], overwrite)


def end_report(found: Report, out: Path, overwrite: bool) -> None:
    """Write a report and say what it says."""
    page = found.save(out, overwrite)
    typer.echo(found.summary())
    typer.echo(f"\n{page}")
