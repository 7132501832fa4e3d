"""From units to one number: means over units, subjects and voxels, with intervals by group.

Every number here is a function of sums over groups, so that a bootstrap over whole groups costs
one matrix product for all thresholds and metrics at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.masks.counts import Counts
from napari_cam.reports.overlap.metrics import LOW_IOU, pooled_metrics, ratio, unit_metrics
from napari_cam.reports.overlap.scores import COUNTS, MapScores
from napari_cam.statistics import check_confidence, check_seed, resampled

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_UNIT = ("iou_foreground", "dice_foreground", "precision", "recall", "specificity")
_SUBJECT = _SPREAD = ("iou_foreground", "dice_foreground")


@dataclass(frozen=True, eq=False)
class Numbers:
    """One metric at r thresholds.

    Attributes
    ----------
    value, low, high
        (r,) with the bounds of its interval, NaN where there is none.
    n, undefined
        (r,) values that went in, and that were left out.
    """

    value: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64] = field(repr=False)
    undefined: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Intervals:
    """How intervals are made: resamples of whole groups, a seed, a confidence."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.resamples < 0:
            raise ReportError(f"A bootstrap draws 0 times or more, not {self.resamples} times.")
        check_seed(self.seed)


def subject_counts(scores: MapScores, use: NDArray[np.bool_]) -> tuple[list[str], Counts, Places]:
    """Return the subjects, their counts (r, s) over the units in use, and a case (s,) of each.

    Voxels of one subject in several cases (classes) count together.
    """
    names = np.array(scores.subject, dtype=object)[scores.case[use]].astype(str)
    subjects, place = np.unique(names, return_inverse=True)
    onehot = np.zeros((len(place), len(subjects)))
    onehot[np.arange(len(place)), place] = 1
    parts = (np.asarray(getattr(scores.counts, name))[:, use] @ onehot for name in COUNTS)
    first = [int(np.flatnonzero(place == each)[0]) for each in range(len(subjects))]
    of_case = scores.case[use][first] if len(first) else np.zeros(0, np.int64)
    return (
        [str(each) for each in subjects],
        Counts(*(part.astype(np.int64) for part in parts)),
        of_case,
    )


def aggregate(
    scores: MapScores, use: NDArray[np.bool_], empty: float, intervals: Intervals
) -> dict[str, Numbers]:
    """Return every metric over the units in use, (r,) each.

    Parameters
    ----------
    scores
        Of one map.
    use
        (u,) which units count.
    empty
        What two empty masks count as.
    intervals
        How often groups are drawn.
    """
    sums, places = _sums(scores, use, empty)
    total = sums.sum(axis=-1)
    value = _metrics(total, places)
    n_groups = sums.shape[-1]
    drawn: dict[str, Floats] = {}
    if n_groups > 1 and intervals.resamples:
        weights = resampled(lambda w: w, np.arange(n_groups), intervals.resamples, intervals.seed)
        drawn = _metrics(np.einsum("krg,bg->kbr", sums, weights), places)
    tail = (1 - intervals.confidence) / 2
    found = {}
    for name, numbers in value.items():
        if name in drawn:
            low, high = _quantiles(drawn[name], tail)
        else:
            low = high = np.full_like(numbers, np.nan)
        n, missing = _basis(name, total, places)
        found[name] = Numbers(numbers, low, high, n, missing)
    return found


def _quantiles(drawn: Floats, tail: float) -> tuple[Floats, Floats]:
    """Return the bounds (r,) of resampled numbers (b, r), those without a number left out."""
    ends = [tail, 1 - tail]
    if not np.isnan(drawn).any():
        low, high = np.quantile(drawn, ends, axis=0)
        return low, high
    bounds = np.full((2, drawn.shape[1]), np.nan)
    for place in np.flatnonzero(~np.isnan(drawn).all(axis=0)):
        column = drawn[:, place]
        bounds[:, place] = np.quantile(column[~np.isnan(column)], ends)
    return bounds[0], bounds[1]


def _sums(scores: MapScores, use: NDArray[np.bool_], empty: float) -> tuple[Floats, dict[str, int]]:
    """Return sums (k, r, g) over the units of each group, and which of the k is which."""
    groups, group_of_case = np.unique(np.array(scores.group), return_inverse=True)
    case = scores.case[use]
    by_unit = _onehot(group_of_case[case], len(groups))
    parts: dict[str, Floats] = {}
    counted = {
        name: np.asarray(getattr(scores.counts, name), np.float64)[:, use] for name in COUNTS
    }
    n_rules = len(scores.thresholds)
    for name in COUNTS:
        parts[name] = counted[name] @ by_unit
    units = unit_metrics(Counts(*(counted[name].astype(np.int64) for name in COUNTS)), empty)
    for name in _UNIT:
        _add(parts, f"{name}_unit", units[name], by_unit)
    for name in _SPREAD:
        squares = np.nan_to_num(units[name]) ** 2
        parts[f"squares_{name}_unit"] = squares @ by_unit
    low = np.where(np.isnan(units["iou_foreground"]), np.nan, units["iou_foreground"] <= LOW_IOU)
    _add(parts, "low", low, by_unit)
    for name, values in scores.soft.items():
        _add(parts, f"{name}_soft", np.broadcast_to(values[use], (n_rules, len(case))), by_unit)
    _, counts, of_case = subject_counts(scores, use)
    by_subject = _onehot(group_of_case[of_case], len(groups))
    subjects = unit_metrics(counts, empty)
    for name in _SUBJECT:
        _add(parts, f"{name}_subject", subjects[name], by_subject)
    wrong = np.asarray(counts.fp) - np.asarray(counts.fn)
    relative = ratio(wrong, np.asarray(counts.tp) + np.asarray(counts.fn))
    _add(parts, "relative_subject", relative, by_subject)
    _add(parts, "ml_subject", wrong * scores.voxel_ml[of_case], by_subject)
    present = np.isin(np.arange(len(scores.subject)), case)
    by_case = _onehot(group_of_case, len(groups)) * present[:, None]
    for name, values in scores.surface.items():
        whole = np.full((n_rules, values.shape[1]), np.nan)
        whole[list(scores.surface_at)] = values
        _add(parts, f"{name}_case", whole, by_case)
        parts[f"missing_{name}_case"] = np.isnan(whole) @ by_case
    places = {name: place for place, name in enumerate(parts)}
    # A group without any unit in use is no group that could be drawn.
    filled = (by_unit.sum(axis=0) > 0) if len(case) else np.zeros(len(groups), bool)
    return np.stack(list(parts.values()))[..., filled], places


def _add(parts: dict[str, Floats], name: str, values: Floats, onehot: Floats) -> None:
    """Add the sum of values (r, m) over each group, how many there are, and how many are not."""
    known = ~np.isnan(values)
    parts[f"sum_{name}"] = np.where(known, values, 0) @ onehot
    parts[f"n_{name}"] = known @ onehot
    parts[f"missing_{name}"] = ~known @ onehot


def _onehot(place: NDArray[np.int64], n: int) -> Floats:
    onehot = np.zeros((len(place), n))
    onehot[np.arange(len(place)), place] = 1
    return onehot


_MEANS: Mapping[str, str] = {
    **{f"{name}_unit_mean": f"{name}_unit" for name in _UNIT},
    "share_iou_at_most_0.01": "low",
    **{f"{name}_subject_mean": f"{name}_subject" for name in _SUBJECT},
    "volume_difference_relative_subject_mean": "relative_subject",
    "volume_difference_ml_subject_mean": "ml_subject",
    "hd95_volume_mean": "hd95_case",
    "assd_volume_mean": "assd_case",
    "soft_iou_unit_mean": "soft_iou_soft",
    "soft_dice_unit_mean": "soft_dice_soft",
    "average_precision_unit_mean": "average_precision_soft",
    "peak_inside": "peak_inside_soft",
    "energy_inside": "energy_inside_soft",
}
WITHOUT_THRESHOLD = frozenset(name for name, part in _MEANS.items() if part.endswith("_soft"))
"""Metrics of the heatmap itself, the same at every threshold."""


def _metrics(sums: Floats, places: Mapping[str, int]) -> dict[str, Floats]:
    """Return every metric from sums (k, ...)."""
    found = {
        name: ratio(sums[places[f"sum_{part}"]], sums[places[f"n_{part}"]])
        for name, part in _MEANS.items()
        if f"sum_{part}" in places
    }
    for name in _SPREAD:
        n, total, squares = (
            sums[places[f"{part}_{name}_unit"]] for part in ("n", "sum", "squares")
        )
        about = np.maximum(squares - total * ratio(total, n), 0)
        found[f"{name}_unit_sd"] = np.sqrt(ratio(about, np.where(n > 1, n - 1, 0)))
    return found | pooled_metrics(*(sums[places[name]] for name in COUNTS))


def _basis(
    name: str, sums: Floats, places: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many values a metric was made of and how many were left out, (r,)."""
    if name in _MEANS or name.endswith("_unit_sd"):
        part = _MEANS.get(name, name.removesuffix("_sd"))
        n, missing = sums[places[f"n_{part}"]], sums[places[f"missing_{part}"]]
        return n.astype(np.int64), missing.astype(np.int64)
    voxels = np.sum([sums[places[each]] for each in COUNTS], axis=0)
    return voxels.astype(np.int64), np.zeros(len(voxels), np.int64)


def classes_of(scores: MapScores) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name of each class with the units (u,) of its cases, in order of appearance."""
    names = np.array(scores.class_name)
    for name in dict.fromkeys(scores.class_name):
        yield name, np.asarray(names == name)[scores.case]
