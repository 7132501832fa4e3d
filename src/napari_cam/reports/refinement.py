"""Does a refinement bring masks nearer to references? Asked of cases that chose nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.masks.counts import Counts, counts
from napari_cam.provenance import plain, stamp
from napari_cam.statistics.bootstrap import cluster_bootstrap
from napari_cam.statistics.folds import deal_groups

Metric = Literal["dice", "iou"]
Masks = Iterable[NDArray[np.bool_]]

_RESAMPLES = 2000
_ALPHA = 0.05


@dataclass(frozen=True)
class Fold:
    """One round of choosing: what the other groups chose for these.

    Attributes
    ----------
    groups
        The groups that were left out of the choice, and judged by it.
    before, after
        The settings that were best on all others.
    """

    groups: tuple[Hashable, ...]
    before: Any
    after: Any


@dataclass(frozen=True)
class RefinementGain:
    """By how much a refinement raises the overlap with references.

    Attributes
    ----------
    metric
        "dice" or "iou", over the voxels of all cases together.
    before, after, gain
        Out of fold: without the refinement, with it, and their difference.
    interval
        95 % interval of the gain, whole groups drawn anew. The choices are not made anew in each
        draw, so that it holds for the settings that were chosen.
    accepted
        Whether the whole interval lies above zero.
    folds
        What was chosen for whom.
    oracle
        The same three numbers with the settings that are best on the very cases they are judged
        by: what could be reached at most, and no evidence.
    n_cases, n_groups
        How many cases and groups were compared.
    provenance
        What was compared, as plain JSON.
    """

    metric: Metric
    before: float
    after: float
    gain: float
    interval: tuple[float, float]
    accepted: bool
    folds: tuple[Fold, ...]
    oracle: Mapping[str, Any]
    n_cases: int
    n_groups: int
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        low, high = self.interval
        verdict = "an improvement" if self.accepted else "not shown to be an improvement"
        return (
            f"{self.metric} {self.before:.3f} -> {self.after:.3f}, {self.gain:+.3f} "
            f"({low:+.3f} to {high:+.3f}) out of fold: {verdict}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        facts: dict[str, Any] = plain(asdict(self))
        return facts


def refinement_gain(
    before: Masks | Mapping[Any, Masks],
    after: Masks | Mapping[Any, Masks],
    references: Sequence[NDArray[np.bool_]],
    groups: Sequence[Hashable],
    *,
    metric: Metric = "dice",
    folds: int = 5,
    seed: int = 0,
) -> RefinementGain:
    """Return how much the overlap with references improves by refining masks.

    Both sides may be given in several settings (cuts, parameters of the refinement). For each fold
    of groups, each side uses its own setting with the highest overlap on all other groups, so a
    refinement cannot win just by shifting the cut. Ties go to the first setting.

    Parameters
    ----------
    before, after
        One mask (z, y, x) bool per case, in the order of the references; or such masks by setting.
        Each iterable is read once, so generators need to hold only one mask at a time.
    references
        The true masks (z, y, x) bool.
    groups
        One group per case (subject, fillet). Cases of one group are in one fold and are resampled
        together.
    metric
        "dice" or "iou".
    folds
        Number of folds; use the number of groups to leave one group out at a time.
    seed
        Seed of the folds and of the resampling.

    Raises
    ------
    MaskError
        If the numbers of masks differ, masks do not fit their references, or all references are
        empty.
    StatisticsError
        If there are fewer groups than folds or fewer than two folds.
    """
    if metric not in get_args(Metric):
        raise MaskError(f"A gain is measured in dice or iou, not '{metric}'.")
    member, names = _members(groups, references)
    sides = [_counted(side, references) for side in (before, after)]
    parts = deal_groups(range(len(names)), folds, seed)
    chosen = [np.zeros((len(references), 3), np.int64) for _ in sides]
    rounds = []
    for part in parts:
        held_out = np.isin(member, part)
        best = [_best(settings, ~held_out, metric) for settings in sides]
        for place, (setting, settings) in enumerate(zip(best, sides, strict=True)):
            chosen[place][held_out] = settings[setting][held_out]
        rounds.append(Fold(tuple(names[each] for each in part), *best))
    totals = [_per_group(each, member, len(names)) for each in chosen]
    value = [float(_overlap(each.sum(axis=0), metric)) for each in totals]
    interval = _interval(totals, metric, seed)
    everyone = np.ones(len(references), bool)
    ideal = [_best(settings, everyone, metric) for settings in sides]
    reached = [
        float(_overlap(settings[setting].sum(axis=0), metric))
        for settings, setting in zip(sides, ideal, strict=True)
    ]
    return RefinementGain(
        metric=metric,
        before=value[0],
        after=value[1],
        gain=value[1] - value[0],
        interval=interval,
        accepted=interval[0] > 0,
        folds=tuple(rounds),
        oracle={
            "before": reached[0],
            "after": reached[1],
            "gain": reached[1] - reached[0],
            "setting_before": ideal[0],
            "setting_after": ideal[1],
        },
        n_cases=len(references),
        n_groups=len(names),
        provenance=stamp(
            kind="refinement gain",
            metric=metric,
            folds=folds,
            seed=seed,
            resamples=_RESAMPLES,
            settings={"before": len(sides[0]), "after": len(sides[1])},
        ),
    )


def _members(
    groups: Sequence[Hashable], references: Sequence[Any]
) -> tuple[NDArray[np.int64], list[Hashable]]:
    """Return the group (n,) of each case as a number, and what the groups are called."""
    if len(groups) != len(references):
        raise MaskError(
            f"There are {len(references)} references but {len(groups)} groups; "
            "say of each case whose it is."
        )
    if not any(np.any(each) for each in references):
        raise MaskError("No reference holds a voxel, so that there is no overlap to gain.")
    names = list(dict.fromkeys(groups))
    return np.array([names.index(each) for each in groups]), names


def _counted(side: Any, references: Sequence[NDArray[np.bool_]]) -> dict[Any, NDArray[np.int64]]:
    """Return by setting the true positives, false positives and false negatives (n, 3)."""
    settings = side if isinstance(side, Mapping) else {None: side}
    if not settings:
        raise MaskError("There are no masks to compare; give at least one setting.")
    found = {}
    for setting, masks in settings.items():
        rows = []
        for place, mask in enumerate(masks):
            if place == len(references):
                raise MaskError(f"There are more masks than the {len(references)} references.")
            counted = counts(mask, references[place])
            rows.append((counted.tp, counted.fp, counted.fn))
        if len(rows) != len(references):
            raise MaskError(
                f"There are {len(rows)} masks for {len(references)} references; give one each."
            )
        found[setting] = np.array(rows, np.int64)
    return found


def _overlap(counted: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
    """Return the overlap (*s) of counts (*s, 3)."""
    tp, fp, fn = np.moveaxis(counted, -1, 0)
    summed = Counts(tp, fp, fn, np.zeros_like(tp))
    return summed.dice() if metric == "dice" else summed.iou()


def _best(settings: Mapping[Any, NDArray[np.int64]], use: NDArray[np.bool_], metric: Metric) -> Any:
    """Return the setting with the highest overlap over the cases to `use`, the first of equals."""
    scores = [float(_overlap(rows[use].sum(axis=0), metric)) for rows in settings.values()]
    return list(settings)[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))]


def _per_group(
    rows: NDArray[np.int64], member: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    totals = np.zeros((n_groups, rows.shape[1]), np.int64)
    np.add.at(totals, member, rows)
    return totals


def _interval(
    totals: Sequence[NDArray[np.int64]], metric: Metric, seed: int
) -> tuple[float, float]:
    """Return the interval of after - before over groups (g, 3) drawn anew."""

    def gain(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        before, after = (_overlap(weights @ each, metric) for each in totals)
        return after - before

    found = cluster_bootstrap(
        gain, len(totals[0]), resamples=_RESAMPLES, confidence=1 - _ALPHA, seed=seed
    )
    return found.low, found.high
