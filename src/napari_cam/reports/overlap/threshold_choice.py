"""Which threshold would have been chosen without looking at the subjects it is judged on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.masks.counts import Counts
from napari_cam.reports.overlap.metrics import unit_metrics
from napari_cam.reports.overlap.scores import COUNTS, MapScores
from napari_cam.statistics.folds import deal_groups

OUT_OF_FOLD = "out-of-fold"
ORACLE = "oracle"


@dataclass(frozen=True)
class Choice:
    """What was chosen for one map.

    Attributes
    ----------
    by_fold
        Name of the threshold that the other folds chose for each fold; empty for one group.
    oracle
        The threshold that is best on what it is judged on.
    groups
        Groups in each fold.
    """

    by_fold: tuple[str, ...]
    oracle: str
    groups: tuple[tuple[str, ...], ...]

    def facts(self) -> dict[str, object]:
        """Return the choice as plain JSON; groups are counted, not named: they may be patients."""
        sizes = [len(fold) for fold in self.groups]
        return {"by_fold": list(self.by_fold), "oracle": self.oracle, "groups_by_fold": sizes}


def folds_of(groups: tuple[str, ...], folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Deal groups into folds of nearly one size; as many folds as groups where there are fewer.

    Raises
    ------
    ReportError
        Where fewer than two folds are asked for.
    """
    if folds < 2:
        raise ReportError(f"Choosing out of fold needs two folds or more, not {folds}.")
    names = sorted(set(groups))
    if len(names) < 2:
        return ()
    return tuple(deal_groups(names, min(folds, len(names)), seed))


def with_choices(
    scores: MapScores, folds: int, seed: int, empty: float
) -> tuple[MapScores, Choice | None]:
    """Return the scores with two more thresholds: chosen out of fold, and the oracle.

    The threshold of highest mean IoU over units wins, the first of equals. Out of fold it is chosen
    on the groups of all other folds; the oracle is chosen on the very units that it is judged on,
    which no one can do who has no reference. Out of fold needs two groups, and is left out for one.

    Parameters
    ----------
    scores
        Of one map; what was given as a mask has nothing to choose.
    folds, seed
        How groups are dealt.
    empty
        What two empty masks count as.
    """
    if len(scores.thresholds) < 2:
        return scores, None
    iou = unit_metrics(scores.counts, empty)["iou_foreground"]
    everything = np.ones(iou.shape[1], bool)
    best = _best(iou, everything)
    groups = folds_of(scores.group, folds, seed)
    of_unit = np.array(scores.group)[scores.case]
    chosen = np.zeros(iou.shape[1], np.int64)
    picked = []
    for fold in groups:
        held = np.isin(of_unit, fold)
        place = _best(iou, ~held)
        chosen[held] = place
        picked.append(scores.thresholds[place])
    more = [np.full(iou.shape[1], best)] + ([chosen] if groups else [])
    names = (ORACLE, *((OUT_OF_FOLD,) if groups else ()))
    counts = Counts(*(_gathered(getattr(scores.counts, name), more) for name in COUNTS))
    wider = replace(scores, thresholds=(*scores.thresholds, *names), counts=counts)
    return wider, Choice(tuple(picked), scores.thresholds[best], groups)


def _gathered(
    counted: int | NDArray[np.int64], chosen: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    array = np.asarray(counted)
    units = np.arange(array.shape[1])
    return np.concatenate([array, *(array[place, units][None] for place in chosen)])


def _best(iou: NDArray[np.float64], use: NDArray[np.bool_]) -> int:
    """Return which threshold has the highest mean IoU over the units in use."""
    known = ~np.isnan(iou) & use
    n = known.sum(axis=1)
    means = np.where(n > 0, np.where(known, iou, 0).sum(axis=1) / np.maximum(n, 1), -1.0)
    return int(np.argmax(means))
