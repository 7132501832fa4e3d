"""Going through a volume: which slices the masks disagree on, and which a person has looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.units import by_unit

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Disagreement:
    """How much masks disagree, slice by slice.

    Attributes
    ----------
    disputed
        (u,) voxels on which not all agree.
    share
        (u,) their share of the voxels that any mask holds, 0 to 1; 0 where none holds one. For
        two masks it is 1 - IoU.
    axis
        Array axis along which the u slices lie.
    """

    disputed: NDArray[np.int64]
    share: NDArray[np.float64]
    axis: int

    def slices(self, above: float = 0.0) -> tuple[int, ...]:
        """Return the slices whose share of disputed voxels exceeds `above`, in their order."""
        return tuple(np.flatnonzero(self.share > above).tolist())

    @property
    def worst(self) -> tuple[int, ...]:
        """The slices with disputed voxels, most disputed voxels first."""
        order = np.argsort(-self.disputed, kind="stable")
        return tuple(int(place) for place in order if self.disputed[place])


def disagreement(
    masks: Mapping[Any, NDArray[np.bool_]] | Sequence[NDArray[np.bool_]], axis: int = 0
) -> Disagreement:
    """Return where two or more masks disagree, slice by slice.

    Parameters
    ----------
    masks
        (z, y, x) bool each, such as a :class:`napari_cam.MaskSet`.
    axis
        Array axis along which the slices lie.

    Raises
    ------
    MaskError
        Where there are fewer than two masks, or they have other types or shapes.
    """
    names = list(masks) if isinstance(masks, Mapping) else range(len(masks))
    if len(names) < 2:
        raise MaskError(f"It takes two masks to disagree, and {len(names)} were given.")
    every = _checked(masks[names[0]], None).copy()
    some = every.copy()
    for name in names[1:]:
        mask = _checked(masks[name], every.shape)
        every &= mask
        some |= mask
    return _by_slice(some & ~every, some, axis)


def disagreement_of_spread(
    spread: NDArray[Any], above: float = 0.0, share: NDArray[Any] | None = None, axis: int = 0
) -> Disagreement:
    """Return where the spread of a consensus exceeds a limit, slice by slice.

    Parameters
    ----------
    spread
        (z, y, x), 0 where all members agree.
    above
        Which spread is agreement still.
    share
        (z, y, x), the share of members voting; disputed voxels are then a share of
        those that any member holds, without it of all voxels.
    axis
        Array axis along which the slices lie.

    Raises
    ------
    MaskError
        Where the arrays have different shapes or no axis `axis`.
    """
    spread = np.asarray(spread)
    some = np.ones(spread.shape, bool) if share is None else np.asarray(share) > 0
    if some.shape != spread.shape:
        raise MaskError(
            f"The spread has shape {spread.shape} but the share {some.shape}; "
            "give those of one consensus."
        )
    return _by_slice(spread > above, some, axis)


def _checked(given: Any, shape: tuple[int, ...] | None) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.asarray(given)
    if mask.dtype != np.bool_ or (shape is not None and mask.shape != shape):
        wanted = "boolean arrays" if shape is None else f"boolean arrays of one shape ({shape})"
        raise MaskError(f"Masks are {wanted}, not {mask.dtype} of shape {mask.shape}.")
    return mask


def _by_slice(disputed: NDArray[np.bool_], some: NDArray[np.bool_], axis: int) -> Disagreement:
    if not 0 <= axis < disputed.ndim:
        raise MaskError(f"Masks of shape {disputed.shape} have no axis {axis}; give 0, 1 or 2.")
    across = tuple(each for each in range(disputed.ndim) if each != axis)
    count = np.asarray(np.count_nonzero(disputed, axis=across), np.int64)
    held = np.asarray(np.count_nonzero(some, axis=across), np.int64)
    share = np.divide(count, held, out=np.zeros(len(count)), where=held > 0)
    return Disagreement(count, share, axis)


def next_slice(slices: Sequence[int], current: int) -> int | None:
    """Return the first of `slices` after `current`; None where there is none."""
    return min((each for each in slices if each > current), default=None)


def previous_slice(slices: Sequence[int], current: int) -> int | None:
    """Return the last of `slices` before `current`; None where there is none."""
    return max((each for each in slices if each < current), default=None)


@dataclass(frozen=True)
class Reviewed:
    """Which slices of a labels image a person has ticked as looked at.

    Each tick remembers the labels that were seen, so that a later change shows. Frozen: each
    method returns what follows.

    Attributes
    ----------
    n_slices
        How many slices there are.
    axis
        Array axis along which they lie.
    seen
        Slice -> digest of the labels that were ticked.
    """

    n_slices: int
    axis: int = 0
    seen: Mapping[int, str] = field(default_factory=dict)

    @property
    def slices(self) -> tuple[int, ...]:
        """The ticked slices, in their order."""
        return tuple(sorted(self.seen))

    @property
    def open(self) -> tuple[int, ...]:
        """The slices without a tick, in their order."""
        return tuple(each for each in range(self.n_slices) if each not in self.seen)

    def tick(self, place: int, labels: NDArray[Any]) -> Reviewed:
        """Return the state in which slice `place` of `labels` (z, y, x) is ticked.

        Raises
        ------
        MaskError
            Where there is no such slice.
        """
        self._check(labels)
        if not 0 <= place < self.n_slices:
            raise MaskError(
                f"There is no slice {place} to tick; there are {self.n_slices}, "
                f"0 to {self.n_slices - 1}."
            )
        return replace(self, seen={**self.seen, int(place): _digest(labels, place, self.axis)})

    def untick(self, place: int) -> Reviewed:
        """Return the state in which slice `place` is not ticked."""
        return replace(self, seen={each: seen for each, seen in self.seen.items() if each != place})

    def changed(self, labels: NDArray[Any]) -> tuple[int, ...]:
        """Return the ticked slices whose labels are other than those that were seen.

        Raises
        ------
        MaskError
            Where the labels have another number of slices.
        """
        self._check(labels)
        return tuple(
            each for each in self.slices if self.seen[each] != _digest(labels, each, self.axis)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ticks as plain JSON, for `from_json`."""
        return {
            "version": _VERSION,
            "n_slices": self.n_slices,
            "axis": self.axis,
            "slices": [{"slice": each, "labels": self.seen[each]} for each in self.slices],
        }

    @classmethod
    def from_json(cls, facts: Any) -> Reviewed:
        """Return the ticks that `to_json` stated.

        Raises
        ------
        MaskError
            Where `facts` states no ticks.
        """
        try:
            if facts["version"] != _VERSION:
                raise ValueError("version")
            n_slices, axis = int(facts["n_slices"]), int(facts["axis"])
            seen = {int(each["slice"]): str(each["labels"]) for each in facts["slices"]}
            if n_slices < 0 or axis not in (0, 1, 2) or not set(seen) <= set(range(n_slices)):
                raise ValueError("range")
        except (KeyError, TypeError, ValueError) as error:
            raise MaskError(
                "The record of reviewed slices cannot be read; tick them anew."
            ) from error
        return cls(n_slices, axis, seen)

    def _check(self, labels: NDArray[Any]) -> None:
        if labels.ndim <= self.axis or labels.shape[self.axis] != self.n_slices:
            raise MaskError(
                f"The labels have shape {labels.shape}, but {self.n_slices} slices along axis "
                f"{self.axis} are reviewed; they are other labels."
            )


def _digest(labels: NDArray[Any], place: int, axis: int) -> str:
    """Return a digest of one slice, the same for the same codes in any integer type."""
    codes = np.ascontiguousarray(by_unit(labels, axis)[place], dtype="<i8")
    return blake2b(codes.tobytes(), digest_size=8).hexdigest()
