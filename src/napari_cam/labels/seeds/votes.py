"""How a heatmap votes on a class: where it is present, where it is absent, and where neither.

The two comparisons are those of :func:`napari_cam.binarize`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap, where_predicted
from napari_cam.labels.choices import NEGATIVES, Negatives
from napari_cam.masks.binarize import ONLY, binarize
from napari_cam.masks.rules import Fixed, ThresholdRule, rule_from_text
from napari_cam.normalize import Renormalize, renormalized
from napari_cam.provenance import plain
from napari_cam.units import any_by_unit


@dataclass(frozen=True)
class Voting:
    """How heatmaps vote.

    Attributes
    ----------
    high, low
        Above the one lies the class, below the other it does not.
    gate
        Whether units for which the network predicts another class hold nothing of this one.
    negatives
        What such a unit is instead: background, or unlabelled.
    normalize
        How heatmaps are normalised before they are cut.
    strict
        True for > high and < low, False for >= and <=.
    """

    high: ThresholdRule
    low: ThresholdRule
    gate: bool
    negatives: Negatives
    normalize: Renormalize
    strict: bool

    def __post_init__(self) -> None:
        NEGATIVES.checked(self.negatives)
        high, low = self.high, self.low
        if isinstance(high, Fixed) and isinstance(low, Fixed) and low.value > high.value:
            raise MaskError(
                f"The low cut {low.value:g} lies above the high cut {high.value:g}; "
                "give low <= high."
            )

    def vote(self, heatmap: Heatmap, foreground: NDArray[np.bool_] | None, name: str) -> Vote:
        """Return what `heatmap` says of the class `name`, where it may say something."""
        _check_one_class(heatmap, name)
        scaled = renormalized(heatmap, self.normalize)
        rejected = self._rejected(scaled)
        asked = ~rejected if foreground is None else ~rejected & foreground
        above = binarize(scaled, self.high, self.strict, asked)
        reached = binarize(scaled, self.low, not self.strict, asked)
        present = above[ONLY]
        known = asked & scaled.inside & scaled.per_unit(scaled.valid)
        known &= ~np.isnan(_per_voxel(scaled, reached.cuts[ONLY])) & ~np.isnan(scaled.values)
        absent = known & ~reached[ONLY]
        both = present & absent  # rules may choose a low cut above the high one
        present, absent = present & ~both, absent & ~both
        if self.negatives == "background":
            absent |= rejected & scaled.inside
        facts = {
            "cuts": {
                "high": _plain_cuts(above.cuts[ONLY]),
                "low": _plain_cuts(reached.cuts[ONLY]),
            },
            "heatmap": dict(heatmap.provenance),
        }
        return Vote(present, absent, scaled, _units(scaled, rejected), facts)

    def _rejected(self, heatmap: Heatmap) -> NDArray[np.bool_]:
        """Return (z, y, x) True in units for which the network predicts another class."""
        if not self.gate or not _gateable(heatmap):
            return np.zeros(heatmap.values.shape, bool)
        return ~where_predicted(heatmap)


@dataclass(frozen=True, eq=False)
class Vote:
    """What one heatmap says of one class.

    Attributes
    ----------
    present, absent
        (z, y, x) bool: the class is here; it is not. Never both.
    heatmap
        What was cut, normalised anew.
    rejected
        (u,) bool, the units for which the network predicts another class.
    facts
        The cuts and what made the heatmap, as plain JSON.
    """

    present: NDArray[np.bool_] = field(repr=False)
    absent: NDArray[np.bool_] = field(repr=False)
    heatmap: Heatmap = field(repr=False)
    rejected: NDArray[np.bool_]
    facts: dict[str, Any] = field(repr=False)


def as_rule(cut: ThresholdRule | str | float, which: str) -> ThresholdRule:
    """Return the rule that a number, a text or a rule means.

    Raises
    ------
    MaskError
        Where it means none.
    """
    if isinstance(cut, ThresholdRule):
        return cut
    if isinstance(cut, str):
        try:
            return Fixed(float(cut))
        except ValueError:
            return rule_from_text(cut)
    if not checks.is_number(cut):
        raise MaskError(
            f"The {which} cut is a number from 0 to 1 or a threshold rule, not {cut!r}."
        )
    return Fixed(float(cut))


def _gateable(heatmap: Heatmap) -> bool:
    """Whether it is known which class is explained, and so whether another one is predicted."""
    return bool((heatmap.class_index >= 0).any())


def _check_one_class(heatmap: Heatmap, name: str) -> None:
    explained = heatmap.class_index[heatmap.class_index >= 0]
    if explained.size and (explained != explained[0]).any():
        raise MaskError(
            f"The heatmap for '{name}' explains another class in each slice (the predicted one), "
            "which cannot be seeds of one class; explain one class by name."
        )


def _per_voxel(heatmap: Heatmap, cuts: NDArray[Any]) -> NDArray[Any]:
    """Return cuts in a shape that broadcasts against the voxels, be they per unit or per voxel."""
    return cuts if cuts.ndim == heatmap.values.ndim else heatmap.per_unit(cuts)


def _plain_cuts(cuts: NDArray[Any]) -> Any:
    return plain(cuts) if cuts.ndim == 1 else "per voxel"


def _units(heatmap: Heatmap, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (u,) whether `flags` hold in what was explained of each unit."""
    return any_by_unit(flags & heatmap.inside, heatmap.unit_axis)
