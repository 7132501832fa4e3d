"""What the matrix and the curves of a report show, and what is behind each of their points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.reports.cases.map_names import MapName, plainest
from napari_cam.widgets.docks.reports.work.comparing import (
    Comparison,
    joined_maps,
    map_name,
    whole,
)
from napari_cam.widgets.docks.reports.work.request import ReportInput

if TYPE_CHECKING:
    from napari_cam.reports.page.report import Report

# The metrics that have curves: beside the axis, and in words.
_OVERLAP = {
    "iou_foreground_unit_mean": ("IoU", "IoU, mean over slices"),
    "dice_foreground_unit_mean": ("Dice", "Dice, mean over slices"),
    "precision_unit_mean": ("precision", "precision, mean over slices"),
    "recall_unit_mean": ("recall", "recall, mean over slices"),
    "iou_pooled_foreground": ("IoU", "IoU of all voxels together"),
}
_AGREEMENT = {
    "phi_m_unit_mean": ("phi_m", "agreement of methods (phi_m), mean over slices"),
    "phi_c_unit_mean": ("phi_c", "agreement of networks (phi_c), mean over slices"),
}
_RANKS = "spearman_pair_unit_mean"
_PAIRS = "iou_pair_unit_mean"


@dataclass(frozen=True, eq=False)
class Point:
    """One number of a chart: its interval, of how many, and what is behind it."""

    value: float
    low: float
    high: float
    n: int
    comparison: Comparison

    @property
    def text(self) -> str:
        """The number as it is told."""
        if np.isnan(self.value):
            return "undefined"
        known = "" if np.isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{known}, of {self.n} slice{'s' * (self.n != 1)}"


@dataclass(frozen=True, eq=False)
class Matrix:
    """Numbers in rows and columns.

    Attributes
    ----------
    title
        What they are.
    rows, columns
        Names.
    points
        (row, column) -> number; what is missing is undefined.
    low, high
        The ends of the scale of colours.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    points: Mapping[tuple[int, int], Point] = field(repr=False)
    low: float = 0.0
    high: float = 1.0

    @property
    def values(self) -> NDArray[np.float64]:
        """(r, c) the numbers, NaN where there is none."""
        found = np.full((len(self.rows), len(self.columns)), np.nan)
        for place, point in self.points.items():
            found[place] = point.value
        return found


@dataclass(frozen=True, eq=False)
class Curves:
    """Numbers by threshold, a curve for each map.

    Attributes
    ----------
    title, short
        What they are, in words and beside the axis.
    thresholds
        Names along the axis.
    points
        Curve -> a number for each threshold, None where there is none.
    """

    title: str
    short: str
    thresholds: tuple[str, ...]
    points: Mapping[str, Sequence[Point | None]] = field(repr=False)


def charts_of(report: Report, given: ReportInput) -> tuple[list[Matrix], list[Curves]]:
    """Return the matrices and the curves of a report.

    The matrices of agreement hold every pair of maps, all others what the curves show.
    """
    curves = _curves(report, given)
    if report.kind == "agreement":
        return _pair_matrices(report, given), curves
    return [_as_matrix(each) for each in curves], curves


def _as_matrix(curves: Curves) -> Matrix:
    points = {
        (row, column): point
        for row, line in enumerate(curves.points.values())
        for column, point in enumerate(line)
        if point is not None
    }
    return Matrix(curves.title, tuple(curves.points), curves.thresholds, points)


def _pair_matrices(report: Report, given: ReportInput) -> list[Matrix]:
    names = _in_order(report, given)
    labels = tuple(_plain_labels(names).values())
    found = []
    for threshold in _thresholds(report, given):
        rows = report.select(metric=_PAIRS, threshold_a=threshold)
        points = _pairs(rows, names, threshold)
        found.append(Matrix(f"IoU of every pair at {threshold}", labels, labels, points))
    found.sort(key=lambda each: not each.title.endswith(f"at {given.headline}"))
    ranks = report.select(metric=_RANKS)
    if ranks["value"].notna().any():
        points = _pairs(ranks, names, given.headline)
        found.append(
            Matrix("rank correlation of every pair of heatmaps", labels, labels, points, -1.0)
        )
    return found


def _pairs(rows: Any, names: Sequence[MapName], threshold: str) -> dict[tuple[int, int], Point]:
    place = {name: number for number, name in enumerate(names)}
    points = {}
    for row in rows.to_dict("records"):
        a, b = map_name(row, "a"), map_name(row, "b")
        if a in place and b in place:
            point = _point(row, Comparison(None, a, b, threshold))
            points[place[a], place[b]] = points[place[b], place[a]] = point
    return points


def _in_order(report: Report, given: ReportInput) -> list[MapName]:
    """Return the maps so that those that agree stand together, as the report has them."""
    order = {label: n for n, label in enumerate(report.provenance.get("order", ()))}
    return sorted(given.maps, key=lambda name: order.get(name.label, len(order)))


def _plain_labels(names: Sequence[MapName]) -> dict[MapName, str]:
    """Return what maps are called in charts, all different."""
    plain = {name: word.label for name, word in plainest(names).items()}
    return plain if len({*plain.values()}) == len(plain) else {n: n.label for n in names}


def _curves(report: Report, given: ReportInput) -> list[Curves]:
    """Return the curves of a report: a number for each map, or condition, and threshold."""
    thresholds, labels = _thresholds(report, given), _plain_labels([*given.maps])
    found = []
    for metric, (short, title) in (_AGREEMENT if report.kind == "agreement" else _OVERLAP).items():
        lines: dict[str, list[Point | None]] = {}
        for row in _rows(report.table, metric, thresholds).to_dict("records"):
            name, threshold = map_name(row, "a"), str(row["threshold_a"])
            label = labels.get(name, name.label)
            comparison = Comparison(None, name, None, threshold)
            if metric in _AGREEMENT:
                label, comparison = _condition(given, metric, name, threshold)
            line = lines.setdefault(label, [None] * len(thresholds))
            line[thresholds.index(comparison.threshold)] = _point(row, comparison)
        if lines:
            found.append(Curves(title, short, tuple(thresholds), lines))
    return found


def _rows(table: Any, metric: str, thresholds: Sequence[str]) -> Any:
    """Return the rows of a metric over everything that was scored."""
    wanted = (table["metric"] == metric) & (table["level"] == "cohort")
    rows = table[wanted & table["threshold_a"].isin(thresholds)]
    if "scored" in rows:
        rows = rows[rows["scored"].isin(["all", ""]) | rows["scored"].isna()]
    return rows


def _condition(
    given: ReportInput, metric: str, name: MapName, threshold: str
) -> tuple[str, Comparison]:
    """Return what a condition of phi_m or phi_c is called, and which maps it compares."""
    label = name.label or ("all methods" if "phi_m" in metric else "all networks")
    maps = joined_maps(given.maps, metric, name)
    if len(maps) > 1:
        return label, Comparison(None, None, None, threshold, maps)
    return label, Comparison(None, name, None, threshold)


def _thresholds(report: Report, given: ReportInput) -> list[str]:
    """Return the rules' names in the order in which they were asked for."""
    known = dict.fromkeys(report.table["threshold_a"].tolist())
    return [name for name in given.rules if name in known]


def _point(row: Mapping[Any, Any], comparison: Comparison) -> Point:
    value, low, high = (float(row[key]) for key in ("value", "ci_low", "ci_high"))
    return Point(value, low, high, whole(row["n"]) or 0, comparison)
