"""What the matrix and the curves of a report show, and what is behind each of their points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.reports.cases import MapName, plainest
from napari_cam.widgets.docks.reports.work.look import Look, among, whole
from napari_cam.widgets.docks.reports.work.request import Finished

_OVERLAP = {
    "iou_foreground_unit_mean": "IoU, mean over slices",
    "dice_foreground_unit_mean": "Dice, mean over slices",
    "precision_unit_mean": "precision, mean over slices",
    "recall_unit_mean": "recall, mean over slices",
    "iou_pooled_foreground": "IoU of all voxels together",
}
_PHI = {
    "phi_m_unit_mean": "agreement of methods (phi_m), mean over slices",
    "phi_c_unit_mean": "agreement of networks (phi_c), mean over slices",
}
_SHORT = {
    "iou_foreground_unit_mean": "IoU",
    "dice_foreground_unit_mean": "Dice",
    "precision_unit_mean": "precision",
    "recall_unit_mean": "recall",
    "iou_pooled_foreground": "IoU",
    "phi_m_unit_mean": "phi_m",
    "phi_c_unit_mean": "phi_c",
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
    look: Look

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


def matrices_of(finished: Finished) -> list[Matrix]:
    """Return the matrices of a report: of agreement every pair, of overlap maps by threshold."""
    if finished.report.kind == "agreement":
        return _pair_matrices(finished)
    return [_as_matrix(curves) for curves in curves_of(finished)]


def _as_matrix(curves: Curves) -> Matrix:
    points = {
        (row, column): point
        for row, line in enumerate(curves.points.values())
        for column, point in enumerate(line)
        if point is not None
    }
    return Matrix(curves.title, tuple(curves.points), curves.thresholds, points)


def _pair_matrices(finished: Finished) -> list[Matrix]:
    names = _in_order(finished)
    labels = tuple(_plain_labels(names).values())
    found = []
    for threshold in _thresholds(finished):
        rows = finished.report.select(metric=_PAIRS, threshold_a=threshold)
        points = _pairs(rows, names, threshold)
        found.append(Matrix(f"IoU of every pair at {threshold}", labels, labels, points))
    found.sort(key=lambda each: not each.title.endswith(f"at {finished.compared.headline}"))
    ranks = finished.report.select(metric=_RANKS)
    if ranks["value"].notna().any():
        points = _pairs(ranks, names, finished.compared.headline)
        found.append(
            Matrix("rank correlation of every pair of heatmaps", labels, labels, points, -1.0)
        )
    return found


def _pairs(rows: Any, names: Sequence[MapName], threshold: str) -> dict[tuple[int, int], Point]:
    place = {name: number for number, name in enumerate(names)}
    points = {}
    for row in rows.to_dict("records"):
        a, b = _name(row, "a"), _name(row, "b")
        if a in place and b in place:
            look = Look(None, a, b, threshold)
            points[place[a], place[b]] = points[place[b], place[a]] = _point(row, look)
    return points


def _in_order(finished: Finished) -> list[MapName]:
    """Return the maps so that those that agree stand together, as the report has them."""
    order = {label: n for n, label in enumerate(finished.report.provenance.get("order", ()))}
    return sorted(finished.compared.maps, key=lambda name: order.get(name.label, len(order)))


def _plain_labels(names: Sequence[MapName]) -> dict[MapName, str]:
    """Return what maps are called in charts, all different."""
    plain = {name: word.label for name, word in plainest(names).items()}
    return plain if len({*plain.values()}) == len(plain) else {n: n.label for n in names}


def curves_of(finished: Finished) -> list[Curves]:
    """Return the curves of a report: a number for each map, or condition, and threshold."""
    table = finished.report.table
    agreement = finished.report.kind == "agreement"
    thresholds = _thresholds(finished)
    found = []
    for metric, title in (_PHI if agreement else _OVERLAP).items():
        rows = table[
            (table["metric"] == metric)
            & (table["level"] == "cohort")
            & table["threshold_a"].isin(thresholds)
        ]
        if "scored" in rows:
            rows = rows[rows["scored"].isin(["all", ""]) | rows["scored"].isna()]
        if not len(rows):
            continue
        lines: dict[str, list[Point | None]] = {}
        names = _plain_labels([*finished.compared.maps])
        for row in rows.to_dict("records"):
            name, threshold = _name(row, "a"), str(row["threshold_a"])
            label = _condition(metric, name) if agreement else names.get(name, name.label)
            line = lines.setdefault(label, [None] * len(thresholds))
            look = _phi_look(finished, metric, name, threshold) if agreement else None
            look = look or Look(None, name, None, threshold)
            line[thresholds.index(threshold)] = _point(row, look)
        found.append(Curves(title, _SHORT[metric], tuple(thresholds), lines))
    return found


def _condition(metric: str, name: MapName) -> str:
    return name.label or ("all methods" if "phi_m" in metric else "all networks")


def _phi_look(finished: Finished, metric: str, name: MapName, threshold: str) -> Look | None:
    maps = among(finished.compared.maps, metric, name)
    return Look(None, None, None, threshold, maps) if len(maps) > 1 else None


def _thresholds(finished: Finished) -> list[str]:
    """Return the rules' names in the order in which they were asked for."""
    known = dict.fromkeys(finished.report.table["threshold_a"].tolist())
    return [name for name in finished.compared.rules if name in known]


def _point(row: Mapping[Any, Any], look: Look) -> Point:
    return Point(
        float(row["value"]),
        float(row["ci_low"]),
        float(row["ci_high"]),
        whole(row["n"]) or 0,
        look,
    )


def _name(row: Mapping[Any, Any], side: str) -> MapName:
    return MapName(*(str(row[f"{part}_{side}"]) for part in ("method", "backbone", "layer")))


def bare_threshold(threshold: str) -> str:
    """Return "0.5" of "fixed(0.5)": most thresholds are numbers; other names stay."""
    if threshold.startswith("fixed(") and threshold.endswith(")"):
        return threshold[len("fixed(") : -1]
    return threshold
