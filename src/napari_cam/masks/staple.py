"""STAPLE: the mask that several members most probably saw, and how far each is to be trusted.

Warfield, Zou and Wells, IEEE Trans. Med. Imaging 23 (2004) 903-921, by ITK's expectation
maximisation through SimpleITK. Its prior is the mean share of the members' voxels, so it depends on
how much empty space is counted: keep it within the tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError

Mask = NDArray[np.bool_]

_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Staple:
    """What STAPLE found.

    Attributes
    ----------
    probability
        (z, y, x) float32 that a voxel belongs to the true mask; 0 where nothing was estimated.
    sensitivity, specificity
        (u, m) of each member, NaN where members agree (or are left out) and nothing was estimated.
    iterations
        (u,) steps taken.
    """

    probability: NDArray[np.float32] = field(repr=False)
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    iterations: NDArray[np.int64]

    @property
    def mask(self) -> Mask:
        """Where the probability exceeds one half; the estimate's rounding decides nothing."""
        return np.asarray(self.probability > 0.5 + _ROUNDING)

    def facts(self) -> dict[str, Any]:
        """Return the estimates as plain JSON."""
        return {
            "sensitivity": self.sensitivity.tolist(),
            "specificity": self.specificity.tolist(),
            "iterations": self.iterations.tolist(),
        }


def staple(
    masks: Sequence[Mask],
    unit_axis: int | None = None,
    within: Mask | None = None,
    empty: Literal["keep", "skip"] = "keep",
    iterations: int = 1000,
) -> Staple:
    """Estimate the true mask behind several.

    Parameters
    ----------
    masks
        m masks (z, y, x) bool.
    unit_axis
        Axis along which each unit is estimated by itself; None for one estimate.
    within
        (z, y, x) bool, the voxels that count; None for all.
    empty
        Whether members without a voxel in a unit count as having seen that nothing is there.
    iterations
        The most that may be taken.

    Raises
    ------
    MaskError
        Where `iterations` is below 1.
    """
    if iterations < 1:
        raise MaskError(f"STAPLE takes at least one iteration, not {iterations}.")
    shape = masks[0].shape
    along = 0 if unit_axis is None else unit_axis
    n_units = 1 if unit_axis is None else shape[unit_axis]
    probability = np.zeros(shape, np.float32)
    estimates = np.full((2, n_units, len(masks)), np.nan)
    steps = np.zeros(n_units, np.int64)
    for unit in range(n_units):
        place: tuple[Any, ...] = () if unit_axis is None else (*[slice(None)] * along, unit)
        counted = np.ones(shape, bool)[place] if within is None else within[place]
        votes = np.stack([mask[place][counted] for mask in masks])
        part = votes.any(axis=1) if empty == "skip" else np.ones(len(masks), bool)
        found, known, steps[unit] = _estimate(votes[part], iterations)
        estimates[:, unit, part] = known
        probability[place][counted] = found
    return Staple(probability, estimates[0], estimates[1], steps)


def _estimate(
    votes: NDArray[np.bool_], iterations: int
) -> tuple[NDArray[Any], NDArray[np.float64], int]:
    """Return for votes (m, n) the probability (n,), (2, m) sensitivity and specificity, and steps.

    ITK divides by zero where no member, or every one, votes for every voxel; then, as where all
    agree, there is nothing to estimate: the members are the truth.
    """
    unknown = np.full((2, len(votes)), np.nan)
    if votes.size == 0 or (votes == votes[0]).all():
        return (votes[0] if len(votes) else np.zeros(votes.shape[1])), unknown, 0
    import SimpleITK

    sitk: Any = SimpleITK
    method = sitk.STAPLEImageFilter()
    method.SetForegroundValue(1)
    method.SetMaximumIterations(iterations)
    images = [sitk.GetImageFromArray(row.astype(np.uint8)[None]) for row in votes]
    found = sitk.GetArrayFromImage(method.Execute(images))[0]
    known = np.array([method.GetSensitivity(), method.GetSpecificity()])
    return found, known, int(method.GetElapsedIterations())
