"""What a row, a cell of a matrix or a point of a curve compares, and the masks behind it. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap, one_slice
from napari_cam.masks.counts import iou
from napari_cam.masks.rules import Fixed, ThresholdRule
from napari_cam.reports.cases.map_names import MapName, plainest
from napari_cam.reports.page.overlay import overlay_labels
from napari_cam.units import by_unit, slab
from napari_cam.widgets.docks.reports.work.request import ReportInput

if TYPE_CHECKING:
    from napari_cam.reports.page.report import Report

ONLY_A, ONLY_B, BOTH = 1, 2, 3
_LONGEST = 60
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """What one number of a report compares.

    Attributes
    ----------
    unit
        Which slice; None for the one on screen.
    a, b
        The map, and the one beside it; None for the reference, or for none.
    threshold
        Name of the rule; "" for the one shown first.
    among
        Maps of which a mean over pairs was taken: of them the pair that agrees least is shown.
    """

    unit: int | None = None
    a: MapName | None = None
    b: MapName | None = None
    threshold: str = ""
    among: tuple[MapName, ...] = ()


@dataclass(frozen=True, eq=False)
class Overlay:
    """The masks of a comparison, laid over each other.

    Attributes
    ----------
    labels
        (z, y, x): of an overlap 1 TP, 2 TN, 3 FP, 4 FN; of a pair 1 the first alone, 2 the second
        alone, 3 both; 0 where voxels do not count.
    pair
        Whether it is a pair of maps.
    text
        What is shown, in words.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    pair: bool
    text: str


def comparison_of_row(report: Report, given: ReportInput, row: int) -> Comparison | None:
    """Return what a row of the report's table compares; None where it is about no map."""
    cells = report.table.iloc[row]
    place = whole(cells["unit"])
    a, b = map_name(cells, "a"), map_name(cells, "b")
    threshold = _threshold(report, given, str(cells["threshold_a"]), a)
    maps = given.maps
    if a in maps:
        return Comparison(place, a, b if b in maps else None, threshold)
    if report.kind != "agreement":
        return None if place is None else Comparison(place, None, None, threshold)
    joined = joined_maps(maps, str(cells["metric"]), a)
    return Comparison(place, None, None, threshold, joined) if len(joined) > 1 else None


def whole(cell: Any) -> int | None:
    """Return a count of the report's table, None where it holds none."""
    return None if str(cell) in ("<NA>", "nan", "None") else int(cell)


def map_name(cells: Any, side: str) -> MapName:
    """Return which map stands at a side, "a" or "b", of a row of the report's table."""
    return MapName(*(str(cells[f"{part}_{side}"]) for part in ("method", "backbone", "layer")))


def _threshold(report: Report, given: ReportInput, named: str, a: MapName) -> str:
    """Return the rule of a row; of the best in hindsight the one that it was."""
    if named in given.rules:
        return named
    chosen = report.provenance.get("chosen", {}).get(a.label, {})
    return str(chosen.get(named, ""))


def joined_maps(maps: Any, metric: str, fixed: MapName) -> tuple[MapName, ...]:
    """Return the maps that a condition of phi_m (network fixed) or phi_c (method fixed) joins."""

    def condition(name: MapName) -> tuple[str, str]:
        return (name.backbone if "phi_m" in metric else name.method, name.layer)

    return tuple(
        name for name, word in plainest(maps).items() if condition(word) == condition(fixed)
    )


def overlay(asked: tuple[ReportInput, Comparison]) -> Iterator[Overlay | None]:
    """Yield the masks of a comparison; None where it compares none.

    Raises
    ------
    MaskError
        Where a rule does not suit a heatmap.
    """
    given, comparison = asked
    if comparison.among:
        comparison = _least_alike(given, comparison)
    if comparison.a is not None and comparison.b is not None:
        yield _pair(given, comparison, comparison.a, comparison.b)
    elif comparison.a is not None and given.reference is not None:
        yield _overlap(given, comparison, comparison.a, given.reference)
    else:
        yield None


def rule_of(given: ReportInput, comparison: Comparison) -> ThresholdRule:
    """Return the rule of a comparison, else the one shown first; half where a report has none."""
    rules = given.rules
    return rules.get(comparison.threshold) or rules.get(given.headline) or Fixed(0.5)


def _overlap(given: ReportInput, comparison: Comparison, a: MapName, reference: Mask) -> Overlay:
    item = given.maps[a]
    mask = _cut(given, item, comparison)
    region = _region(given, [item])
    labels = overlay_labels(mask, reference, region)
    text = f"{_short(given, a)}{_at(given, item, comparison)} beside the reference"
    number = _iou_text(given, comparison, mask & region, reference & region)
    return Overlay(labels, False, f"{text}: {number}.")


def _pair(given: ReportInput, comparison: Comparison, a: MapName, b: MapName) -> Overlay:
    region = _region(given, [*given.maps.values()])
    one, two = (_cut(given, given.maps[name], comparison) & region for name in (a, b))
    labels = (one * np.uint8(ONLY_A) + two * np.uint8(ONLY_B)).astype(np.uint8)
    text = f"{_short(given, a)} and {_short(given, b)}{_at(given, given.maps[a], comparison)}"
    least = " (the pair that agrees least)" if comparison.among else ""
    return Overlay(labels, True, f"{text}{least}: {_iou_text(given, comparison, one, two)}.")


def _cut(given: ReportInput, item: Any, comparison: Comparison) -> Mask:
    """Return the mask of a map at the threshold of a comparison."""
    from napari_cam.reports.cases.cut_maps import cut_maps

    if not isinstance(item, Heatmap):
        return np.asarray(item)
    rule = rule_of(given, comparison)
    masks = cut_maps(item, [rule], given.request.strict, given.foreground)
    return masks[rule.name]


def _region(given: ReportInput, items: Sequence[Any]) -> Mask:
    """Return where voxels count: foreground that all networks saw."""
    region: Mask = np.ones(given.request.grid.shape, bool)
    if given.foreground is not None:
        region &= given.foreground
    for item in items:
        if isinstance(item, Heatmap):
            region &= item.inside
    return region


def _least_alike(given: ReportInput, comparison: Comparison) -> Comparison:
    """Return the comparison of the pair that agrees least in the slice, or over all."""
    masks = {name: _part(given, name, comparison) for name in comparison.among}
    pairs = list(combinations(comparison.among, 2))
    scores = [iou(masks[a], masks[b]) for a, b in pairs]
    place = int(np.argmin(np.where(np.isnan(scores), np.inf, scores)))
    a, b = pairs[place]
    return Comparison(comparison.unit, a, b, comparison.threshold, comparison.among)


def _part(given: ReportInput, name: MapName, comparison: Comparison) -> Mask:
    """Return the mask of a map in the slice of a comparison, or in the whole."""
    item, rule = given.maps[name], rule_of(given, comparison)
    axis = given.unit_axis_of(name)
    region = _region(given, [*given.maps.values()])
    if comparison.unit is None or axis is None:
        return _cut(given, item, comparison) & region
    inside = region[slab(axis, comparison.unit)]
    if not isinstance(item, Heatmap) or rule.scope != "unit":
        return _cut(given, item, comparison)[slab(axis, comparison.unit)] & inside
    from napari_cam.reports.cases.cut_maps import cut_maps

    foreground = given.foreground
    within = None if foreground is None else foreground[slab(axis, comparison.unit)]
    one = one_slice(item, comparison.unit)
    return cut_maps(one, [rule], given.request.strict, within)[rule.name] & inside


def _iou_text(given: ReportInput, comparison: Comparison, a: Mask, b: Mask) -> str:
    axis = given.unit_axis_of(comparison.a)
    where = "IoU of the volume"
    if comparison.unit is not None and axis is not None:
        a, b = (by_unit(each, axis)[comparison.unit] for each in (a, b))
        where = f"IoU of slice {comparison.unit}"
    value = iou(a, b)
    return f"{where} undefined, both are empty" if np.isnan(value) else f"{where} {value:.3f}"


def _at(given: ReportInput, item: Any, comparison: Comparison) -> str:
    return f" at {rule_of(given, comparison).name}" if isinstance(item, Heatmap) else ""


def _short(given: ReportInput, name: MapName) -> str:
    from napari_cam.reports.page.tables import printable

    text = printable(plainest(given.maps)[name].label)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
