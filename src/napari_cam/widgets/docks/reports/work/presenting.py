"""A finished report, and what the dock shows of it: worked out ahead, so that views only draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_cam.widgets.docks.reports.work.charting import Curves, Matrix, charts_of
from napari_cam.widgets.docks.reports.work.request import ReportInput
from napari_cam.widgets.docks.reports.work.tabulating import Column, columns_of

if TYPE_CHECKING:
    from napari_cam.reports.page.report import Report

_FIRST = {
    "overlap": {"level": "unit", "metric": "iou_foreground"},
    "agreement": {"level": "unit", "metric": "phi_m"},
    "faithfulness": {"level": "cohort"},
}


@dataclass(frozen=True, eq=False)
class ShownReport:
    """What is shown of a report.

    Attributes
    ----------
    title, notes, text
        Its title, what is to be known before the numbers, and the whole as text.
    verdicts
        How many of the notes are verdicts, which all have to be seen.
    columns, first
        Its table, and which rows are shown at first: those whose columns hold these words.
    matrices, curves, figures
        Its charts.
    has_maps
        Whether it has maps that can become layers.
    """

    title: str
    notes: tuple[str, ...]
    text: str = field(repr=False)
    verdicts: int
    columns: tuple[Column, ...] = field(repr=False)
    first: Mapping[str, str]
    matrices: list[Matrix] = field(repr=False)
    curves: list[Curves] = field(repr=False)
    figures: tuple[Any, ...] = field(repr=False)
    has_maps: bool


@dataclass(frozen=True, eq=False)
class FinishedReport:
    """A report, what it was made from, and what is shown of it."""

    report: Report
    given: ReportInput
    shown: ShownReport


def present(report: Report, given: ReportInput) -> FinishedReport:
    """Return a report with all that is shown of it."""
    from napari_cam.reports.page.tables import printable

    notes = [*report.notes, *([report.policy] if report.policy else [])]
    first = dict(_FIRST.get(report.kind, {}))
    if given.headline and "level" in first:
        first["threshold_a"] = given.headline
    matrices, curves = charts_of(report, given)
    shown = ShownReport(
        title=printable(report.title),
        notes=tuple(map(printable, notes)),
        text=report.summary(),
        verdicts=len(getattr(report, "verdicts", None) or {}),
        columns=columns_of(report.table),
        first=first,
        matrices=matrices,
        curves=curves,
        figures=report.figures,
        has_maps=bool(report.arrays),
    )
    return FinishedReport(report, given, shown)
