"""The numbers of one map of one subject, unit by unit, and of all subjects side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import MaskKey, binarize
from napari_cam.masks.counts import Counts
from napari_cam.masks.pairs import counts_with, pack
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases import Case, Map, MapName
from napari_cam.reports.localisation import energy_inside, peak_inside
from napari_cam.reports.overlap.metrics import (
    average_precision,
    soft_overlap,
    surface_distances,
)
from napari_cam.units import by_unit

ONLY_MASK = "mask"
"""The threshold of what was given as a mask already."""

COUNTS = ("tp", "fp", "fn", "tn")
SURFACE = ("hd95", "assd")
SOFT = ("soft_iou", "soft_dice", "average_precision", "peak_inside", "energy_inside")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What one map reached in u units of one or more subjects, at r thresholds.

    Attributes
    ----------
    name
        Which map.
    thresholds
        (r,) names of the rules.
    case, unit
        (u,) number of the case, and of the unit within its volume.
    subject, group, class_name
        (c,) of each case.
    correct
        (u,) 1 where the network classified the unit rightly, 0 where not, -1 unknown.
    counts
        tp, fp, fn, tn as arrays (r, u).
    soft
        Numbers without a threshold by name, (u,).
    surface
        "hd95", "assd", (s, c) of whole volumes at `surface_at` thresholds.
    surface_at
        Places of the thresholds at which surfaces were measured.
    voxel_ml
        (c,) millilitres of a voxel; NaN where the image states no size.
    """

    name: MapName
    thresholds: tuple[str, ...]
    case: NDArray[np.int64]
    unit: NDArray[np.int64]
    subject: tuple[str, ...]
    group: tuple[str, ...]
    class_name: tuple[str, ...]
    correct: NDArray[np.int8]
    counts: Counts = field(repr=False)
    soft: Mapping[str, Floats] = field(repr=False)
    surface: Mapping[str, Floats] = field(repr=False)
    surface_at: tuple[int, ...]
    voxel_ml: Floats

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Return the scores of one map over several cases, numbered in their order."""
        first = parts[0]
        starts = np.cumsum([0, *(len(part.subject) for part in parts)])
        places = [part.case + at for part, at in zip(parts, starts, strict=False)]
        counted = ([getattr(part.counts, name) for part in parts] for name in COUNTS)
        return cls(
            name=first.name,
            thresholds=first.thresholds,
            case=np.concatenate(places),
            unit=np.concatenate([part.unit for part in parts]),
            subject=tuple(each for part in parts for each in part.subject),
            group=tuple(each for part in parts for each in part.group),
            class_name=tuple(each for part in parts for each in part.class_name),
            correct=np.concatenate([part.correct for part in parts]),
            counts=Counts(*(np.concatenate(each, axis=1) for each in counted)),
            soft={key: np.concatenate([part.soft[key] for part in parts]) for key in first.soft},
            surface={
                key: np.concatenate([part.surface[key] for part in parts], axis=1)
                for key in first.surface
            },
            surface_at=first.surface_at,
            voxel_ml=np.concatenate([part.voxel_ml for part in parts]),
        )


@dataclass(frozen=True)
class Scoring:
    """How maps are scored.

    Attributes
    ----------
    rules
        Thresholds; masks that are given as such have none.
    strict
        True where a voxel must exceed its cut.
    surface_at
        Names of the rules at which surface distances are measured.
    soft
        Whether average precision and soft overlap are computed, which takes the longest.
    """

    rules: tuple[ThresholdRule, ...]
    strict: bool = True
    surface_at: tuple[str, ...] = ()
    soft: bool = True


def score(case: Case, name: MapName, item: Map, how: Scoring) -> Scores:
    """Compare one map of a case with its reference.

    Voxels count where they are foreground and the network saw them; units without any such voxel
    are left out.

    Raises
    ------
    ReportError
        Where the case has no reference.
    MaskError
        Where a rule does not suit the heatmap.
    """
    given = case.reference_values()
    reference = hard(given)
    region = region_of(case, item)
    axis = axis_of(case, item)
    masks = cut_maps(item, how.rules, how.strict, case.foreground)
    units = by_unit(region, axis)
    use = np.flatnonzero(units.any(axis=tuple(range(1, units.ndim))))
    found = counts_with(pack(masks.values(), axis), pack([reference], axis), pack([region], axis))
    grid = item.grid if isinstance(item, Heatmap) else case.grid
    asked = (*how.surface_at, ONLY_MASK) if how.surface_at else ()
    measured = tuple(place for place, each in enumerate(masks) if each in asked)
    # Of a mask that lies nowhere in space there are no distances.
    surface = [
        dict.fromkeys(SURFACE, np.nan)
        if grid is None
        else surface_distances(masks[each] & region, reference & region, grid)
        for place, each in enumerate(masks)
        if place in measured
    ]
    return Scores(
        name=name,
        thresholds=tuple(masks),
        case=np.zeros(len(use), np.int64),
        unit=use,
        subject=(case.subject,),
        group=(case.group,),
        class_name=(case.class_name,),
        correct=correct_units(case, item, by_unit(reference & region, axis))[use],
        counts=Counts(
            *(np.asarray(part)[:, use] for part in (found.tp, found.fp, found.fn, found.tn))
        ),
        soft=_soft(item, given, region, axis, use) if how.soft else {},
        surface={
            key: np.array([each[key] for each in surface]).reshape(len(surface), 1)
            for key in SURFACE
        },
        surface_at=measured,
        voxel_ml=np.array([_voxel_ml(grid)]),
    )


def hard(reference: NDArray[Any]) -> NDArray[np.bool_]:
    """Return what lies in a reference that may be given as shares."""
    return np.asarray(reference if reference.dtype == np.bool_ else reference > 0.5, dtype=bool)


class CutMaps(Mapping[str, NDArray[np.bool_]]):
    """The masks of one map by the names of their thresholds, each computed on access."""

    def __init__(self, masks: Mapping[Any, NDArray[np.bool_]], keys: Mapping[str, Any]) -> None:
        self._masks = masks
        self._keys = keys

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        """Compute the mask at a threshold."""
        return self._masks[self._keys[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def cut_maps(
    item: Map,
    rules: Sequence[ThresholdRule],
    strict: bool,
    foreground: NDArray[np.bool_] | None,
) -> CutMaps:
    """Cut a heatmap at all thresholds; a mask stays what it is, as the only one."""
    if not isinstance(item, Heatmap):
        return CutMaps({0: item}, {ONLY_MASK: 0})
    masks = binarize(item, list(rules), strict, foreground)
    return CutMaps(masks, {key.rule.name: key for key in masks if isinstance(key, MaskKey)})


def region_of(case: Case, item: Map) -> NDArray[np.bool_]:
    """Return where voxels of a map count: foreground that the network saw."""
    if not isinstance(item, Heatmap):
        return np.ones(item.shape, bool) if case.foreground is None else case.foreground
    return item.inside if case.foreground is None else item.inside & case.foreground


def axis_of(case: Case, item: Map) -> int | None:
    """Return along which axis the units of a map lie."""
    return item.unit_axis if isinstance(item, Heatmap) else case.unit_axis


def correct_units(case: Case, item: Map, reference: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return for each unit 1 where the network classified it rightly, 0 where not, -1 unknown."""
    n = len(reference)
    if case.correct is not None:
        stated = np.asarray(case.correct, dtype=bool)
        if stated.shape not in ((), (1,), (n,)):
            raise ReportError(
                f"'{case.subject}' says of {stated.size} units whether they were classified "
                f"rightly but has {n}; give one for each, or one for all."
            )
        return np.broadcast_to(stated, (n,)).astype(np.int8)
    if not isinstance(item, Heatmap):
        return np.full(n, -1, np.int8)
    present = reference.any(axis=tuple(range(1, reference.ndim)))
    known = (item.class_index >= 0) & (item.predicted_index >= 0)
    right = (item.predicted_index == item.class_index) == present
    return np.where(known, right, -1).astype(np.int8)


def _soft(
    item: Map,
    given: NDArray[Any],
    region: NDArray[np.bool_],
    axis: int | None,
    use: NDArray[np.int64],
) -> dict[str, Floats]:
    """Return what needs no threshold, NaN in units without a reference to point at.

    Soft overlap is of heatmaps in [0, 1] alone, energy and average precision of any but signed
    ones; a unit without evidence points nowhere, which is a miss.
    """
    found = {name: np.full(len(use), np.nan) for name in SOFT}
    if not isinstance(item, Heatmap):
        return found
    parts = [by_unit(each, axis) for each in (item.values, given, region)]
    for place, unit in enumerate(use):
        heat, shares, inside = (part[unit] for part in parts)
        heat, shares = heat[inside], shares[inside]
        true = hard(shares)
        if item.kind == "unit":
            for name, value in soft_overlap(heat, shares).items():
                found[name][place] = value
        if not true.any():
            continue
        found["average_precision"][place] = average_precision(heat, true)
        found["peak_inside"][place] = bool(item.valid[unit]) and peak_inside(heat, true)
        if item.kind != "signed":
            found["energy_inside"][place] = energy_inside(heat, true)
    return found


def _voxel_ml(grid: Grid | None) -> float:
    if grid is None or grid.units != "mm":
        return float("nan")
    return grid.voxel_volume / 1000
