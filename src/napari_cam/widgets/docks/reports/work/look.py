"""What a row, a cell of a matrix or a point of a curve is about, and the masks behind it. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap, one_slice
from napari_cam.masks.counts import iou
from napari_cam.masks.rules import Fixed, ThresholdRule
from napari_cam.reports.cases import MapName, plainest
from napari_cam.reports.page.overlay import overlay_labels
from napari_cam.units import by_unit, slab
from napari_cam.widgets.docks.reports.work.request import Compared, Finished

ONLY_A, ONLY_B, BOTH = 1, 2, 3
_LONGEST = 60
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """What is to be looked at.

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
class Seen:
    """The masks of a look.

    Attributes
    ----------
    labels
        (z, y, x): of an overlap 1 TP, 2 TN, 3 FP, 4 FN; of a pair 1 the first alone, 2 the second
        alone, 3 both; 0 where voxels do not count.
    pair
        Whether it is a pair of maps.
    look
        What was looked at, the pair found.
    text
        What is shown, in words.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    pair: bool
    look: Look
    text: str


def look_of_row(finished: Finished, row: int) -> Look | None:
    """Return what a row of the report's table is about; None where it is about no map."""
    cells = finished.report.table.iloc[row]
    place = whole(cells["unit"])
    threshold = _threshold(finished, cells)
    a, b = _name(cells, "a"), _name(cells, "b")
    maps = finished.compared.maps
    if a in maps:
        return Look(place, a, b if b in maps else None, threshold)
    if finished.report.kind != "agreement":
        return None if place is None else Look(place, None, None, threshold)
    joined = among(maps, str(cells["metric"]), a)
    return Look(place, None, None, threshold, joined) if len(joined) > 1 else None


def whole(cell: Any) -> int | None:
    """Return a count of the report's table, None where it holds none."""
    return None if str(cell) in ("<NA>", "nan", "None") else int(cell)


def _name(cells: Any, side: str) -> MapName:
    method, backbone, layer = (str(cells[f"{part}_{side}"]) for part in _PARTS)
    return MapName(method, backbone, layer)


_PARTS = ("method", "backbone", "layer")


def _threshold(finished: Finished, cells: Any) -> str:
    """Return the rule of a row; of the best in hindsight the one that it was."""
    named = str(cells["threshold_a"])
    if named in finished.compared.rules:
        return named
    chosen = finished.report.provenance.get("chosen", {}).get(_name(cells, "a").label, {})
    return str(chosen.get(named, ""))


def among(maps: Any, metric: str, fixed: MapName) -> tuple[MapName, ...]:
    """Return the maps that a condition of phi_m (network fixed) or phi_c (method fixed) joins."""
    called = plainest(maps)
    if "phi_m" in metric:
        return tuple(
            name
            for name, word in called.items()
            if (word.backbone, word.layer) == (fixed.backbone, fixed.layer)
        )
    return tuple(
        name
        for name, word in called.items()
        if (word.method, word.layer) == (fixed.method, fixed.layer)
    )


def seen(asked: tuple[Compared, Look]) -> Iterator[Seen | None]:
    """Yield the masks of a look; None where it compares none.

    Raises
    ------
    MaskError
        Where a rule does not suit a heatmap.
    """
    compared, look = asked
    if look.among:
        look = _least_alike(compared, look)
    if look.a is not None and look.b is not None:
        yield _pair(compared, look, look.a, look.b)
    elif look.a is not None and compared.reference is not None:
        yield _overlap(compared, look, look.a, compared.reference)
    else:
        yield None


def rule_of(compared: Compared, look: Look) -> ThresholdRule:
    """Return the rule of a look, else the one shown first; half where a report has none."""
    rules = compared.rules
    return rules.get(look.threshold) or rules.get(compared.headline) or Fixed(0.5)


def _overlap(compared: Compared, look: Look, a: MapName, reference: Mask) -> Seen:
    item = compared.maps[a]
    mask = _cut(compared, item, look)
    region = _region(compared, [item])
    labels = overlay_labels(mask, reference, region)
    text = f"{_short(compared, a)}{_at(compared, item, look)} beside the reference"
    number = _iou_text(compared, look, mask & region, reference & region)
    return Seen(labels, False, look, f"{text}: {number}.")


def _pair(compared: Compared, look: Look, a: MapName, b: MapName) -> Seen:
    region = _region(compared, [*compared.maps.values()])
    one, two = (_cut(compared, compared.maps[name], look) & region for name in (a, b))
    labels = (one * np.uint8(ONLY_A) + two * np.uint8(ONLY_B)).astype(np.uint8)
    text = f"{_short(compared, a)} and {_short(compared, b)}{_at(compared, compared.maps[a], look)}"
    least = " (the pair that agrees least)" if look.among else ""
    return Seen(labels, True, look, f"{text}{least}: {_iou_text(compared, look, one, two)}.")


def _cut(compared: Compared, item: Any, look: Look) -> Mask:
    """Return the mask of a map at the threshold of a look."""
    from napari_cam.reports.overlap.scores import cut_maps

    if not isinstance(item, Heatmap):
        return np.asarray(item)
    rule = rule_of(compared, look)
    masks = cut_maps(item, [rule], compared.request.strict, compared.foreground)
    return masks[rule.name]


def _region(compared: Compared, items: Sequence[Any]) -> Mask:
    """Return where voxels count: foreground that all networks saw."""
    region: Mask = np.ones(compared.request.grid.shape, bool)
    if compared.foreground is not None:
        region &= compared.foreground
    for item in items:
        if isinstance(item, Heatmap):
            region &= item.inside
    return region


def _least_alike(compared: Compared, look: Look) -> Look:
    """Return the look at that pair of the maps which agrees least in the slice, or over all."""
    masks = {name: _part(compared, name, look) for name in look.among}
    pairs = list(combinations(look.among, 2))
    scores = [iou(masks[a], masks[b]) for a, b in pairs]
    place = int(np.argmin(np.where(np.isnan(scores), np.inf, scores)))
    a, b = pairs[place]
    return Look(look.unit, a, b, look.threshold, look.among)


def _part(compared: Compared, name: MapName, look: Look) -> Mask:
    """Return the mask of a map in the slice of a look, or in the whole."""
    item, rule = compared.maps[name], rule_of(compared, look)
    axis = compared.unit_axis_of(name)
    region = _region(compared, [*compared.maps.values()])
    if look.unit is None or axis is None:
        return _cut(compared, item, look) & region
    inside = region[slab(axis, look.unit)]
    if not isinstance(item, Heatmap) or rule.scope != "unit":
        return _cut(compared, item, look)[slab(axis, look.unit)] & inside
    from napari_cam.reports.overlap.scores import cut_maps

    foreground = compared.foreground
    within = None if foreground is None else foreground[slab(axis, look.unit)]
    one = one_slice(item, look.unit)
    return cut_maps(one, [rule], compared.request.strict, within)[rule.name] & inside


def _iou_text(compared: Compared, look: Look, a: Mask, b: Mask) -> str:
    axis = compared.unit_axis_of(look.a)
    where = "IoU of the volume"
    if look.unit is not None and axis is not None:
        a, b = (by_unit(each, axis)[look.unit] for each in (a, b))
        where = f"IoU of slice {look.unit}"
    value = iou(a, b)
    return f"{where} undefined, both are empty" if np.isnan(value) else f"{where} {value:.3f}"


def _at(compared: Compared, item: Any, look: Look) -> str:
    return f" at {rule_of(compared, look).name}" if isinstance(item, Heatmap) else ""


def _short(compared: Compared, name: MapName) -> str:
    from napari_cam.reports.page.tables import printable

    text = printable(plainest(compared.maps)[name].label)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
