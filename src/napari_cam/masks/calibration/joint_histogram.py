"""All combinations of thresholds at once: each voxel is read a single time.

A voxel passes the first k of the sorted cuts of a member and no more, so that for m members the
numbers (k_1, ..., k_m) say which ensembles hold it. Their histogram, cumulated along each member's
axis, counts every combination of cuts exactly; a loop over masks would compare, combine and count
the whole volume for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.masks.counts import Counts
from napari_cam.masks.ensembles.rule import EnsembleRule, decide, pick_by_size

Mask = NDArray[np.bool_]
_AT_ONCE = 2_000_000
"""Numbers of a histogram that are worked on together."""


@dataclass(frozen=True, eq=False)
class JointHistogram:
    """How many voxels of each image pass how many cuts of each member.

    Attributes
    ----------
    everything, reference
        (u, c+1, ..., c+1) int64, one axis for each member: all voxels, and those in the reference.
    """

    everything: NDArray[np.int64]
    reference: NDArray[np.int64]

    def sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (u,) voxels of each image, and those in its reference."""
        members = tuple(range(1, self.everything.ndim))
        return self.everything.sum(axis=members), self.reference.sum(axis=members)

    def counts(self, rule: EnsembleRule) -> Counts:
        """Return (u, c, ..., c) counts of the ensemble at every combination of cuts."""
        n, positive = (size.reshape(-1, *[1] * (self.everything.ndim - 1)) for size in self.sizes())
        block = max(1, _AT_ONCE // max(1, self.everything[0].size))
        found = [
            _found(self.everything[i : i + block], self.reference[i : i + block], rule)
            for i in range(0, len(n), block)
        ]
        predicted, tp = (np.concatenate(part) for part in zip(*found, strict=True))
        fp = predicted - tp
        return Counts(tp, fp, positive - tp, n - positive - fp)


def joint_histogram(
    values: Sequence[Sequence[NDArray[np.float32]]],
    references: Sequence[Mask],
    allowed: Sequence[Sequence[Mask | None]],
    cuts: NDArray[np.float32],
    strict: bool,
) -> JointHistogram:
    """Count the voxels of several images.

    Parameters
    ----------
    values
        For each image its members' values, arrays of one shape.
    references
        For each image the reference.
    allowed
        For each image and member where its mask may lie; None for everywhere.
    cuts
        (c,) ascending.
    strict
        True where a value must exceed a cut, False where reaching it is enough.
    """
    n_members = len(values[0])
    shape = (len(values), *[len(cuts) + 1] * n_members)
    everything, reference = np.zeros((2, *shape), np.int64)
    for unit, (image, truth, places) in enumerate(zip(values, references, allowed, strict=True)):
        code = _joint_code(image, places, cuts, strict)
        everything[unit] = _histogram(code, shape[1:])
        reference[unit] = _histogram(code[truth], shape[1:])
    return JointHistogram(everything, reference)


def _joint_code(
    image: Sequence[NDArray[np.float32]],
    places: Sequence[Mask | None],
    cuts: NDArray[np.float32],
    strict: bool,
) -> NDArray[np.unsignedinteger]:
    """Return for each voxel one number out of how many cuts of each member it passes."""
    base = len(cuts) + 1
    kind = np.min_scalar_type(base ** len(image) - 1)
    code: NDArray[np.unsignedinteger] | None = None
    for values, place in zip(image, places, strict=True):
        passed = _passed(values, cuts, strict)
        if place is not None:
            passed *= place
        if code is None:
            code = passed.astype(kind, copy=False)
        else:
            code *= base
            code += passed
    assert code is not None  # noqa: S101 - an ensemble has members
    return code


def _passed(values: NDArray[np.float32], cuts: NDArray[np.float32], strict: bool) -> NDArray[Any]:
    """Return how many of the cuts each value passes; NaN passes none."""
    above = np.greater if strict else np.greater_equal
    # An image at a time stays in the cache, where a comparison per cut beats a search per voxel.
    flag = above(values, cuts[0])
    passed: NDArray[Any] = flag.astype(np.min_scalar_type(len(cuts)))
    for cut in cuts[1:]:
        above(values, cut, out=flag)
        passed += flag.view(np.uint8)  # of one type, as is the sum: no conversion
    return passed


def _histogram(code: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return how often each code occurs, by the members' axes."""
    found = np.bincount(code.ravel(), minlength=math.prod(shape))
    return np.asarray(found.reshape(shape), np.int64)


def _found(
    everything: NDArray[np.int64], reference: NDArray[np.int64], rule: EnsembleRule
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (u, c, ..., c) voxels in the ensemble, and those of them in the reference."""
    both = np.stack([everything, reference])
    above = _above(both)
    sizes = [part[0] for part in above]
    if rule.operator in ("smallest", "largest"):
        chosen, exists = pick_by_size(np.stack(np.broadcast_arrays(*sizes)), rule)
        result = sum(part * ((chosen == i) & exists) for i, part in enumerate(above))
    else:
        takes_part = [(size > 0) | (rule.empty == "keep") for size in sizes]
        result = _by_votes(both, takes_part, rule)
    predicted, tp = result
    return predicted, tp


def _above(both: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return for each member how many voxels pass its cuts, along its own axis (2, u, 1, c, 1)."""
    members = range(2, both.ndim)
    result = []
    for axis in members:
        others = tuple(other for other in members if other != axis)
        result.append(_cumulated(both.sum(axis=others, keepdims=True), axis, voted=True))
    return result


def _cumulated(counts: NDArray[np.int64], axis: int, voted: bool) -> NDArray[np.int64]:
    """Return along an axis of c+1 how many voxels pass each of the c cuts, or do not."""
    total = np.cumsum(counts, axis=axis)
    below = np.take(total, range(counts.shape[axis] - 1), axis=axis)
    return np.take(total, [-1], axis=axis) - below if voted else below


def _by_votes(
    both: NDArray[np.int64], takes_part: Sequence[Mask], rule: EnsembleRule
) -> NDArray[np.int64]:
    """Add up the voxels with the votes for which the rule decides."""
    voters = reduce(np.add, [part.astype(np.int64) for part in takes_part])
    result: NDArray[np.int64] = np.zeros((2, *voters.shape), np.int64)
    for votes, counted in _patterns(both, ()):
        first, seen = np.zeros((), bool), np.zeros((), bool)
        for vote, part in zip(votes, takes_part, strict=True):
            first, seen = first | (part & ~seen & vote), seen | part
        held = decide(np.array(sum(votes)), voters, first, rule)
        if held.any():
            result += counted * held
    return result


def _patterns(
    counts: NDArray[np.int64], votes: tuple[bool, ...]
) -> Iterator[tuple[tuple[bool, ...], NDArray[np.int64]]]:
    """Yield each way for the members to vote, and how many voxels vote so (2, u, c, ..., c)."""
    axis = 2 + len(votes)
    if axis == counts.ndim:
        yield votes, counts
        return
    for voted in (False, True):
        yield from _patterns(_cumulated(counts, axis, voted), (*votes, voted))
