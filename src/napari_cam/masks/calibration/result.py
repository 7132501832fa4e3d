"""What a calibration found: choices per fold, the out-of-fold result, the whole grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap, label_of
from napari_cam.masks.binarize import MaskSet, binarize
from napari_cam.masks.ensembles.boxes import BoxFilter, box_mask
from napari_cam.masks.ensembles.combine import Ensemble, combine
from napari_cam.masks.ensembles.members import UnitAxis
from napari_cam.masks.ensembles.rule import EnsembleRule
from napari_cam.masks.rules import Fixed
from napari_cam.provenance import plain


@dataclass(frozen=True)
class Choice:
    """Thresholds and a box, and how they score on the cases they were chosen on.

    Attributes
    ----------
    thresholds
        One for each member.
    box
        The box's name.
    scores
        Every metric, in-sample.
    """

    thresholds: tuple[float, ...]
    box: str
    scores: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class FoldChoice:
    """What was chosen without a fold, and how it scores there.

    Attributes
    ----------
    fold
        The fold's number.
    cases
        How many cases it holds.
    training
        The choice, with its scores on all other folds.
    held_out
        Every metric on the fold itself.
    """

    fold: int
    cases: int
    training: Choice
    held_out: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Thresholds of an ensemble's members, chosen jointly.

    Attributes
    ----------
    members
        Names of the members, in the order of the grid's axes.
    rule
        The operator and its options.
    strict
        True if a voxel must exceed a threshold.
    metric
        The metric that was maximised.
    thresholds
        (c,) the candidate thresholds.
    boxes
        Names of the candidate boxes.
    unit_axis
        Axis of the units in which members are compared by size, as in :func:`napari_cam.combine`.
    grid
        (b, c, ..., c) the metric on all cases for each box and combination of thresholds
        (in-sample).
    fold_grids
        (f, b, c, ..., c) the same metric on the training cases of each fold.
    folds
        The choice of each fold and its result on the cases left out.
    out_of_fold
        Every metric over all cases. Each case is evaluated with the thresholds that were chosen
        without its fold. This is the result to report.
    oracle
        The best choice on all cases: the thresholds to use on new cases. Its scores are in-sample
        and therefore too optimistic.
    baselines
        Every metric for predicting "empty", "full" or the "box only".
    case_scores
        Every metric of each single case, out of fold. Use them for intervals and paired
        comparisons.
    cases, images
        Number of cases and images used.
    undefined_images
        Number of images whose reference and out-of-fold prediction are both empty; they are
        excluded from image means.
    provenance
        How it was made, as plain JSON.
    """

    members: tuple[str, ...]
    rule: EnsembleRule
    strict: bool
    metric: str
    thresholds: tuple[float, ...]
    boxes: tuple[str, ...]
    unit_axis: UnitAxis
    grid: NDArray[np.float64] = field(repr=False)
    fold_grids: NDArray[np.float64] = field(repr=False)
    folds: tuple[FoldChoice, ...] = field(repr=False)
    out_of_fold: Mapping[str, float]
    oracle: Choice
    baselines: Mapping[str, Mapping[str, float]] = field(repr=False)
    case_scores: tuple[Mapping[str, float], ...] = field(repr=False)
    cases: int
    images: int
    undefined_images: int
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def training_grid(self) -> NDArray[np.float64]:
        """(b, c, ..., c) mean of the training grids over folds, as in figure 6 of the paper."""
        defined = ~np.isnan(self.fold_grids)
        total = np.where(defined, self.fold_grids, 0).sum(axis=0)
        n = defined.sum(axis=0)
        return np.asarray(np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0))

    def masks(
        self, heatmaps: Mapping[Any, Heatmap], box: BoxFilter | NDArray[np.bool_] | None = None
    ) -> dict[str, MaskSet]:
        """Threshold the members' heatmaps of a new case with the thresholds chosen on all cases.

        Parameters
        ----------
        heatmaps
            The case's heatmaps, by member name.
        box
            The region that masks may occupy in this case. Use the box that was chosen (see
            ``oracle.box``).

        Raises
        ------
        MaskError
            If a member is missing.
        """
        named = {label_of(key): heatmap for key, heatmap in heatmaps.items()}
        missing = [name for name in self.members if name not in named]
        if missing:
            raise MaskError(
                f"There is no heatmap '{missing[0]}'; the ensemble was calibrated for "
                f"{', '.join(self.members)}."
            )
        return {
            name: binarize(
                named[name],
                Fixed(threshold),
                self.strict,
                foreground=box_mask(box, named[name].grid),
            )
            for name, threshold in zip(self.members, self.oracle.thresholds, strict=True)
        }

    def combine(
        self, heatmaps: Mapping[Any, Heatmap], box: BoxFilter | NDArray[np.bool_] | None = None
    ) -> Ensemble:
        """Make the ensemble of a new case; the parameters are those of :meth:`masks`."""
        return combine(
            self.masks(heatmaps, box),
            self.rule.operator,
            ties=self.rule.ties,
            empty=self.rule.empty,
            tied_votes=self.rule.tied_votes,
            unit_axis=self.unit_axis,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a table of the out-of-fold result, the oracle, the baselines and each fold."""
        rows = [
            {"what": "out of fold", **self.out_of_fold},
            {"what": "oracle (in-sample)", **_chosen(self.oracle), **self.oracle.scores},
        ]
        rows += [{"what": name, **scores} for name, scores in self.baselines.items()]
        for each in self.folds:
            rows.append({"what": f"fold {each.fold}", **_chosen(each.training), **each.held_out})
            rows.append(
                {
                    "what": f"fold {each.fold}, training (in-sample)",
                    **_chosen(each.training),
                    **each.training.scores,
                }
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON; undefined numbers are null."""
        facts: dict[str, Any] = plain(
            {
                **self.provenance,
                "boxes_by_name": self.boxes,
                "images": self.images,
                "undefined_images": self.undefined_images,
                "out_of_fold": self.out_of_fold,
                "oracle": {**_chosen(self.oracle), "in_sample": self.oracle.scores},
                "baselines": self.baselines,
                "per_fold": [
                    {
                        "fold": each.fold,
                        "cases": each.cases,
                        **_chosen(each.training),
                        "training_in_sample": each.training.scores,
                        "held_out": each.held_out,
                    }
                    for each in self.folds
                ],
                "per_case_out_of_fold": self.case_scores,
                "grid_axes": ["box", *self.members],
                "grid_in_sample": self.grid,
                "training_grid": self.training_grid,
            }
        )
        return facts


def _chosen(choice: Choice) -> dict[str, Any]:
    return {"thresholds": choice.thresholds, "box": choice.box}
