"""STAPLE: the mask that several members most probably saw, and how far each is to be trusted.

Warfield, Zou and Wells, IEEE Trans. Med. Imaging 23 (2004) 903-921, without their Markov field, as
ITK has it: the prior is the mean share of the members' voxels, and so depends on how much empty
space is counted (keep it within the tissue). Voxels with the same votes have the same probability,
so that the expectation maximisation runs over the votes that occur, at most 2^m, in place of
millions of voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.masks.choices import Empty
from napari_cam.units import by_unit

Mask = NDArray[np.bool_]

_ROUNDING = 1e-6
_SETTLED = 1e-9
"""Once sensitivities and specificities change by less, the estimate is done."""


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
    empty: Empty = "keep",
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
    checks.whole(iterations, "The number of STAPLE's iterations", MaskError, least=1)
    shape = masks[0].shape
    probability = np.zeros(shape, np.float32)
    units = by_unit(probability, unit_axis)
    estimates = np.full((2, len(units), len(masks)), np.nan)
    steps = np.zeros(len(units), np.int64)
    for unit, estimated in enumerate(units):
        counted: Any = ... if within is None else by_unit(within, unit_axis)[unit]
        votes = np.stack([by_unit(mask, unit_axis)[unit][counted].ravel() for mask in masks])
        part = votes.any(axis=1) if empty == "skip" else np.ones(len(masks), bool)
        found, known, steps[unit] = _estimate(votes[part], iterations)
        estimates[:, unit, part] = known
        estimated[counted] = found.reshape(estimated[counted].shape)
    return Staple(probability, estimates[0], estimates[1], steps)


def _estimate(votes: Mask, iterations: int) -> tuple[NDArray[Any], NDArray[np.float64], int]:
    """Return for votes (m, n) the probability (n,), (2, m) sensitivity and specificity, and steps.

    Where all members agree there is nothing to estimate: they are the truth.
    """
    if votes.size == 0 or (votes == votes[0]).all():
        agreed = votes[0] if len(votes) else np.zeros(votes.shape[1])
        return agreed, np.full((2, len(votes)), np.nan), 0
    patterns, place, n = _patterns(votes)
    prior = (patterns * n).sum() / (n.sum() * len(votes))
    w = patterns.mean(axis=0)
    known = np.full((2, len(votes)), np.nan)
    step = 0
    for step in range(1, iterations + 1):  # noqa: B007 - how many it took is told
        before = known
        true, false = n * w, n * (1 - w)
        p = np.where(patterns, true, 0).sum(axis=1) / true.sum()  # eq. 18
        q = np.where(patterns, 0, false).sum(axis=1) / false.sum()  # eq. 19
        a = _logarithm(np.where(patterns, p[:, None], 1 - p[:, None])).sum(axis=0)  # eq. 14
        b = _logarithm(np.where(patterns, 1 - q[:, None], q[:, None])).sum(axis=0)  # eq. 15
        w = expit(a - b + np.log(prior / (1 - prior)))
        known = np.stack([p, q])
        if np.abs(known - before).max() < _SETTLED:
            break
    return w[place], known, step


def _logarithm(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(x), for products of many members that would vanish; of 0 a very low number."""
    return np.asarray(np.log(np.maximum(x, 1e-300)))


def _patterns(votes: Mask) -> tuple[Mask, NDArray[np.int64], NDArray[np.int64]]:
    """Return the votes (m, k) that occur in (m, n), which (n,) each voxel has, how often (k,)."""
    packed = np.packbits(votes, axis=0)
    code = packed[0].astype(np.int64)
    if len(packed) <= 2:  # up to 16 members: a table is quicker than sorting
        code = code * 256 + (packed[1] if len(packed) == 2 else 0)
        occurring = np.flatnonzero(np.bincount(code, minlength=1 << 16))
        number = np.zeros(1 << 16, np.int64)
        number[occurring] = np.arange(len(occurring))
        place = number[code]
    else:
        _, place = np.unique(packed, axis=1, return_inverse=True)
        place = place.ravel()
    n = np.bincount(place)
    example = np.zeros(len(n), np.int64)
    example[place] = np.arange(len(place))
    return votes[:, example], place, n
