"""One case scored against its reference: every map at every threshold, unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.counts import Counts
from napari_cam.masks.pairs import counts_with, pack
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.cut_maps import (
    CURVE,
    HEADLINE,
    ONLY_MASK,
    axis_of,
    chosen_rules,
    cut_maps,
    hard,
    region_of,
)
from napari_cam.reports.cases.map_names import Map, MapName
from napari_cam.reports.localisation import energy_inside, peak_inside
from napari_cam.reports.overlap.metrics import (
    average_precision,
    soft_overlap,
    surface_distances,
)
from napari_cam.reports.overlap.pictures import PictureTaker
from napari_cam.reports.overlap.scores import (
    Floats,
    MapScores,
    OverlapScores,
    OverlapSettings,
)
from napari_cam.reports.scores.case_scores import CaseScores, scores_of
from napari_cam.units import by_unit

THRESHOLDS: tuple[str, ...] = (*CURVE, "otsu", "quantile:0.9", "quantile:0.95")
"""The thresholds of Sci Rep 2023, 13:2574 (0.1 to 0.9) and of Kang et al. 2021."""

SURFACE = ("hd95", "assd")
SOFT = ("soft_iou", "soft_dice", "average_precision", "peak_inside", "energy_inside")


@dataclass(frozen=True)
class Scoring:
    """How maps are scored: :class:`OverlapSettings` with the rules themselves."""

    rules: tuple[ThresholdRule, ...]
    headline: ThresholdRule
    strict: bool
    soft: bool
    surfaces: bool

    @property
    def settings(self) -> OverlapSettings:
        """The same in plain words."""
        names = tuple(rule.name for rule in self.rules)
        return OverlapSettings(names, self.headline.name, self.strict, self.soft, self.surfaces)


def scoring_of(
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = THRESHOLDS,
    headline: ThresholdRule | str = HEADLINE,
    strict: bool = True,
    soft: bool = True,
    surfaces: bool = True,
) -> Scoring:
    """Return how maps are scored, from what :func:`reference_report` takes."""
    return Scoring(*chosen_rules(thresholds, headline), bool(strict), bool(soft), bool(surfaces))


def score_overlap(case: Case, *, pictures: bool = True, **settings: Any) -> CaseScores:
    """Score one case for the overlap report; see :func:`scoring_of` for the settings."""
    return score_maps(case, scoring_of(**settings), pictures)


def score_maps(
    case: Case, how: Scoring, pictures: bool, tick: Callable[[], None] | None = None
) -> CaseScores:
    """Score every map of a case, one in memory at a time.

    Parameters
    ----------
    case, how
        What is scored, and how.
    pictures
        Whether what figures show of it is kept.
    tick
        Called after each map; an exception in it ends the scoring.
    """
    taker = PictureTaker(case, how.headline, how.strict) if pictures else None
    maps: list[MapScores] = []
    models: set[str] = set()
    seen: NDArray[np.bool_] | None = None
    for name, item in case.named():
        maps.append(score_map(case, name, item, how))
        if taker is not None:
            taker.take(name, item)
        if isinstance(item, Heatmap):
            model = item.provenance.get("model")
            if isinstance(model, Mapping) and model.get("sha256"):
                models.add(str(model["sha256"]))
            seen = item.inside if seen is None else seen & item.inside
        if tick is not None:
            tick()
    unseen = (0, 0)
    if seen is not None:
        reference = hard(case.reference_values())
        unseen = int(np.count_nonzero(reference & ~seen)), int(np.count_nonzero(reference))
    kept = None if taker is None else taker.kept()
    content = OverlapScores(case.subject, tuple(maps), tuple(sorted(models)), unseen, kept)
    return scores_of("overlap", how.settings, content)


def score_map(case: Case, name: MapName, item: Map, how: Scoring) -> MapScores:
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
    masks = cut_maps(item, how.rules, how.strict, case.foreground, name.label)
    units = by_unit(region, axis)
    use = np.flatnonzero(units.any(axis=tuple(range(1, units.ndim))))
    found = counts_with(pack(masks.values(), axis), pack([reference], axis), pack([region], axis))
    grid = item.grid if isinstance(item, Heatmap) else case.grid
    asked = (how.headline.name, ONLY_MASK) if how.surfaces else ()
    measured = tuple(place for place, each in enumerate(masks) if each in asked)
    # Of a mask that lies nowhere in space there are no distances.
    surface = [
        dict.fromkeys(SURFACE, np.nan)
        if grid is None
        else surface_distances(masks[each] & region, reference & region, grid)
        for place, each in enumerate(masks)
        if place in measured
    ]
    return MapScores(
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
