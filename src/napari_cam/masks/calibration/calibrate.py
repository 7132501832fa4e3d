"""Thresholds of an ensemble, chosen together on cases with masks and judged on others.

Ostrowski et al. 2024, section III-C: every combination of thresholds from 0 to 1 in steps of 0.1,
the best on the training masks. So masks of training cases are used; what comes out is no longer
supervision by image labels alone. Here the choice is repeated without each fold of groups in turn
and judged on that fold; only this counts as a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.calibration.counting import Box, CountedCase, Counting, Mask, counted_case
from napari_cam.masks.calibration.result import Calibration, Choice, FoldChoice
from napari_cam.masks.choices import Empty, Operator, TiedVotes, Ties
from napari_cam.masks.ensembles.boxes import box_facts
from napari_cam.masks.ensembles.members import UnitAxis
from napari_cam.masks.ensembles.rule import EnsembleRule
from napari_cam.masks.overlap_scores import Tally, checked
from napari_cam.provenance import stamp
from napari_cam.statistics.folds import fold_of_groups

THRESHOLDS = tuple(n / 10 for n in range(11))
EVERYWHERE = "everywhere"

Boxes = Box | Sequence[Box] | Mapping[str, Box | Sequence[Box]]

# Scores of one overlap may differ by rounding.
_EQUAL = 1e-12


def calibrate(
    members: Iterable[Mapping[Any, Heatmap]],
    references: Iterable[Mask],
    groups: Sequence[Any],
    operator: Operator = "and",
    metric: str = "iou_pooled_foreground",
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    strict: bool = True,
    boxes: Boxes = None,
    folds: int | Mapping[Any, int] | None = None,
    seed: int = 0,
    ties: Ties = "first",
    empty: Empty = "keep",
    tied_votes: TiedVotes = "out",
    unit_axis: UnitAxis = "members",
    both_empty: float = np.nan,
) -> Calibration:
    """Choose the thresholds of an ensemble's members jointly and evaluate the choice out of fold.

    The counts are exact: for each combination of thresholds they equal those of
    :func:`napari_cam.binarize` with ``Fixed`` cuts followed by :func:`napari_cam.combine`. Voxels
    that no member's network saw are not counted.

    Parameters
    ----------
    members
        One mapping per case (volume): its members' heatmaps by name, in [0, 1], as ``explain``
        returns them. All cases use the same names. Cases are read one after the other, so a
        generator works too.
    references
        One true mask per case, (z, y, x) bool.
    groups
        One group per case, such as the patient. Cases of one group never appear in both the
        training and the test set of a fold. The record holds the number of groups, not their names.
    operator
        As in :func:`napari_cam.combine`, except STAPLE, which cannot be computed from voxel counts.
    metric
        The metric to maximise, one of :data:`napari_cam.masks.overlap_scores.METRICS`. Ties go to
        the smallest sum of thresholds, then to the first box, then to the lowest threshold of the
        first member.
    thresholds
        Candidate thresholds for each member, in [0, 1].
    strict
        True for >, False for >=.
    boxes
        The region that masks may occupy: one for all cases, or one per case. Or several of these by
        name; each fold then chooses a box together with the thresholds. Members are restricted to
        the box before they are combined.
    folds
        Number of folds that groups are randomly assigned to, or the fold of each group. None leaves
        out one group at a time.
    seed
        Seed of the random assignment to folds.
    ties, empty, tied_votes, unit_axis
        As in :func:`napari_cam.combine`.
    both_empty
        The score of an image whose reference and prediction are both empty: 0, 1, or NaN. NaN
        excludes such images from means, and the result reports how many there were.

    Returns
    -------
    Calibration
        The choice of each fold with its result on the cases left out, the pooled out-of-fold
        result, the in-sample best ("oracle"), the whole grid, and baselines: the scores of
        predicting nothing, everything, or the box alone.

    Raises
    ------
    MaskError
        If cases do not match each other, an option is unknown, or the metric is undefined on the
        training cases of a fold.
    StatisticsError
        If the groups cannot be divided into the folds.

    Examples
    --------
    >>> import napari_cam as nc
    >>> from napari_cam.sample.phantom import phantom
    >>> model = nc.load_sample_model()
    >>> fillets = [phantom(seed) for seed in (20_000, 20_001)]
    >>> methods = ["gradcam", "layercam"]
    >>> heatmaps = [nc.explain(model, each.volume, methods, "damaged") for each in fillets]
    >>> truth = [fillet.damage > 0.5 for fillet in fillets]
    >>> found = nc.calibrate(heatmaps, truth, groups=["a", "b"], operator="and")
    >>> iou = found.out_of_fold["iou_pooled_foreground"]  # the result to report
    >>> mask = found.combine(heatmaps[0]).mask  # uses the thresholds chosen on all cases
    """
    rule = EnsembleRule(operator, ties, empty, tied_votes)
    if rule.operator == "staple":
        raise MaskError("STAPLE cannot be calibrated by counting; choose another operator.")
    metric = checked(metric)
    by_name = _boxes(boxes, len(groups))
    counting = Counting(rule, _cuts(thresholds), strict, by_name, unit_axis, both_empty)
    choosing = _Choosing(counting, metric)
    fold_of = fold_of_groups(groups, folds, seed)
    cases = _counted(counting, members, references, len(groups))
    everything = Tally.total([case.grid for case in cases])
    results = [choosing.fold(number, cases, fold_of) for number in sorted(set(fold_of))]
    places = {choice.fold: place for choice, place, _ in results}
    judged = [case.grid.at(places[fold]) for case, fold in zip(cases, fold_of, strict=True)]
    held_out = Tally.total(judged)
    images = sum(case.images for case in cases)
    return Calibration(
        members=cases[0].members,
        rule=rule,
        strict=strict,
        metric=metric,
        thresholds=tuple(counting.cuts.tolist()),
        boxes=tuple(by_name),
        unit_axis=unit_axis,
        grid=everything.score(metric, both_empty),
        fold_grids=np.stack([grid for _, _, grid in results]),
        folds=tuple(choice for choice, _, _ in results),
        out_of_fold=held_out.scores(both_empty),
        oracle=choosing.choice(choosing.best(everything), everything),
        baselines=_baselines(cases, both_empty),
        case_scores=tuple(tally.scores(both_empty) for tally in judged),
        cases=len(cases),
        images=images,
        undefined_images=images - int(held_out.images),
        provenance=stamp(
            kind="calibration",
            ensemble={**rule.facts(), "unit_axis": unit_axis},
            members=cases[0].members,
            metric=metric,
            strict=strict,
            thresholds=counting.cuts,
            boxes={name: _facts(box) for name, box in by_name.items()},
            cases=len(cases),
            groups=len(set(groups)),
            folds=len(results),
            seed=seed if isinstance(folds, int) else None,
            both_empty=both_empty,
        ),
    )


class _Choosing:
    """How the best of all combinations is chosen."""

    def __init__(self, counting: Counting, metric: str) -> None:
        self._counting = counting
        self._metric = metric

    def best(self, tally: Tally) -> tuple[int, ...]:
        """Return the place (box, threshold of each member) of the highest score."""
        scores = tally.score(self._metric, self._counting.both_empty)
        if np.isnan(scores).all():
            raise MaskError(
                f"{self._metric} is undefined on the training cases, as nothing is in their masks "
                "and nothing was found; give cases with something to find."
            )
        sums = np.round(_sums(self._counting.cuts, scores.ndim - 1), 9)[None]
        equal = scores >= np.nanmax(scores) - _EQUAL
        # The first of equals: the box comes first, then the members from low thresholds to high.
        place = np.where(equal, sums, np.inf).argmin()
        return tuple(int(n) for n in np.unravel_index(place, scores.shape))

    def choice(self, place: tuple[int, ...], tally: Tally) -> Choice:
        """Return the thresholds and the box at a place, and how they score in `tally`."""
        return Choice(
            thresholds=tuple(float(self._counting.cuts[n]) for n in place[1:]),
            box=tuple(self._counting.boxes)[place[0]],
            scores=tally.at(place).scores(self._counting.both_empty),
        )

    def fold(
        self, number: int, cases: Sequence[CountedCase], fold_of: Sequence[int]
    ) -> tuple[FoldChoice, tuple[int, ...], NDArray[np.float64]]:
        """Return what is chosen without a fold, its place, and the training grid."""
        inside = [case.grid for case, own in zip(cases, fold_of, strict=True) if own == number]
        outside = [case.grid for case, own in zip(cases, fold_of, strict=True) if own != number]
        training = Tally.total(outside)
        place = self.best(training)
        choice = FoldChoice(
            fold=number,
            cases=len(inside),
            training=self.choice(place, training),
            held_out=Tally.total([grid.at(place) for grid in inside]).scores(
                self._counting.both_empty
            ),
        )
        return choice, place, training.score(self._metric, self._counting.both_empty)


def _counted(
    counting: Counting, members: Iterable[Any], references: Iterable[Any], n_groups: int
) -> list[CountedCase]:
    """Read the cases one after the other."""
    cases: list[CountedCase] = []
    nothing = object()
    for number, (maps, reference) in enumerate(zip_longest(members, references, fillvalue=nothing)):
        if maps is nothing or reference is nothing or number >= n_groups:
            raise MaskError(
                f"Case {number + 1} lacks its heatmaps, its reference or its group; "
                "give one of each for every case."
            )
        known = cases[0].members if cases else None
        cases.append(counted_case(counting, maps, reference, number, known))
    if len(cases) != n_groups:
        raise MaskError(f"There are {n_groups} groups for {len(cases)} cases; give one for each.")
    return cases


def _baselines(cases: Sequence[CountedCase], both_empty: float) -> dict[str, dict[str, float]]:
    return {
        name: Tally.total([case.baselines[name] for case in cases]).scores(both_empty)
        for name in cases[0].baselines
    }


def _cuts(thresholds: Sequence[float]) -> NDArray[np.float64]:
    """Return the thresholds in ascending order, each once."""
    try:
        cuts = np.unique(np.asarray(thresholds, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise MaskError(f"Thresholds are numbers from 0 to 1, not {thresholds!r}.") from error
    if cuts.size == 0 or not (np.isfinite(cuts).all() and cuts.min() >= 0 and cuts.max() <= 1):
        raise MaskError(f"Thresholds are numbers from 0 to 1, not {thresholds!r}.")
    return cuts


def _sums(cuts: NDArray[np.float64], n_members: int) -> NDArray[np.float64]:
    """Return the sum of thresholds at every combination (c, ..., c)."""
    return np.asarray(sum(np.meshgrid(*[cuts] * n_members, indexing="ij")))


def _boxes(boxes: Any, n_cases: int) -> dict[str, Any]:
    """Return boxes by name; a box is one for all cases, or a sequence of one for each."""
    named = _named_boxes(boxes)
    for box in named.values():
        if isinstance(box, (list, tuple)) and len(box) != n_cases:
            raise MaskError(f"There are {len(box)} boxes for {n_cases} cases; give one for each.")
    return named


def _named_boxes(boxes: Any) -> dict[str, Any]:
    if boxes is None:
        return {EVERYWHERE: None}
    if not isinstance(boxes, Mapping):
        return {"box": boxes}
    if not boxes:
        raise MaskError("There are no boxes to choose from; give at least one, or None.")
    return {str(name): box for name, box in boxes.items()}


def _facts(box: Any) -> Any:
    """Return what a box is; where each case has its own only their kinds, as they may be many."""
    if not isinstance(box, (list, tuple)):
        return box_facts(box)
    kinds = {(box_facts(each) or {"kind": EVERYWHERE})["kind"] for each in box}
    return {"kind": "one for each case", "kinds": sorted(kinds)}
