"""Pixel sets M whose score a segmentation CAM explains (M in Rheude et al. 2024, eq. 5).

Those here are given on the image's grid: a mask, a label, a box, a point. Others are read from the
network's unperturbed output (:mod:`napari_cam.cams.targets.output_regions`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cam.errors import TargetError
from napari_cam.units import slab

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says about n images, for a region to choose from.

    Attributes
    ----------
    output
        (n, c, *o) the network's logits, detached.
    predicted
        (n, *o) bool, where the explained class is the network's choice.
    probability
        (n, *o) of the explained class.
    given
        (n, *o) bool, a region on the image's grid as it lies in the output.
    places
        (n, ndim) int64, a point's pixel in the output; -1 in images where it does not lie.
    """

    output: Tensor
    predicted: Tensor
    probability: Tensor
    given: Tensor | None = None
    places: NDArray[np.int64] | None = None


class Region(ABC):
    """A set of pixels."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the words that say where, after the class: "where p > 0.5"."""

    @abstractmethod
    def choose(self, prediction: Prediction) -> Tensor:
        """Return the set, bool (n, *o)."""

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Return the set on an image's grid, None where it is not given there.

        Raises
        ------
        TargetError
            Where it does not fit a grid of `shape`.
        """
        del shape, stack_axis
        return None

    @property
    def point(self) -> tuple[int, ...] | None:
        """The one pixel of the image's grid that it asks about, if so."""
        return None

    def facts(self) -> dict[str, Any]:
        """Return what it is, as plain JSON."""
        return {"region": self.label}


class GridRegion(Region):
    """A region that is given on the image's grid."""

    def choose(self, prediction: Prediction) -> Tensor:
        """Return the region as it lies in the output."""
        if prediction.given is None:
            raise TargetError("This region lies on the image's grid; explain it with an image.")
        return prediction.given


@dataclass(frozen=True, eq=False)
class Painted(GridRegion):
    """The pixels of a mask.

    Attributes
    ----------
    values
        Bool (z, y, x) on the volume's grid; for :func:`napari_cam.raw_cams` (*s) or (n, *s) on the
        input's.
    name
        What people read.
    """

    values: Any = field(repr=False)
    name: str = "mask"
    digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = _array(self.values)
        if values.dtype != bool and not np.isin(values, (0, 1)).all():
            raise TargetError(
                "A mask holds True and False (or 0 and 1); for one label of several give "
                "Labelled(values, label)."
            )
        _freeze(self, values != 0)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__["digest"] == self.digest

    def __hash__(self) -> int:
        return hash((type(self), self.digest))

    @property
    def label(self) -> str:
        """Return where."""
        return f"in {self.name}"

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Return the mask."""
        del stack_axis
        mask: Mask = self.values
        if shape == (1, *mask.shape):
            return mask[None]  # a picture is a volume of one slice
        if mask.shape != shape:
            raise TargetError(
                f"The region's mask has shape {mask.shape} but the image {shape}; give one on the "
                "image's own grid."
            )
        return mask

    def facts(self) -> dict[str, Any]:
        """Return what it is: its digest and size, as its name may be anyone's."""
        return {"region": "mask", "sha256": self.digest, "voxels": int(self.values.sum())}


@dataclass(frozen=True, eq=False, init=False)
class Labelled(Painted):
    """The pixels of one label of a labels array, (z, y, x) as for :class:`Painted`."""

    number: int = 1

    def __init__(self, values: Any, number: int = 1, name: str = "") -> None:
        labels = _array(values)
        if labels.dtype.kind not in "biu":
            raise TargetError(f"A labels array holds whole numbers, not {labels.dtype}.")
        object.__setattr__(self, "number", index(number))
        object.__setattr__(self, "name", name or f"label {number}")
        _freeze(self, labels == number)

    def facts(self) -> dict[str, Any]:
        """Return what it is."""
        return {**super().facts(), "region": "label", "label": self.number}


Range = tuple[int | None, int | None]


@dataclass(frozen=True)
class Box(GridRegion):
    """A box: per axis (start, stop) as in Python's slices, on the image's grid; None is open."""

    ranges: tuple[Range, ...]

    def __post_init__(self) -> None:
        try:
            ranges = tuple(
                (None if a is None else index(a), None if b is None else index(b))
                for a, b in self.ranges
            )
        except (TypeError, ValueError) as error:
            raise TargetError(
                f"A box is (start, stop) for each axis, such as ((3, 5), (0, 64), (10, 40)), not "
                f"{self.ranges!r}."
            ) from error
        if any((a or 0) < 0 or (b is not None and b <= (a or 0)) for a, b in ranges):
            raise TargetError("A box begins at 0 or later and ends after its beginning.")
        object.__setattr__(self, "ranges", ranges)

    @property
    def label(self) -> str:
        """Return where."""
        spans = (f"{'' if a is None else a}:{'' if b is None else b}" for a, b in self.ranges)
        return f"in box {', '.join(spans)}"

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Return the box as a mask."""
        del stack_axis
        ranges = _padded(self.ranges, shape, (None, None), "box")
        for (start, _), length in zip(ranges, shape, strict=True):
            if (start or 0) >= length:
                raise TargetError(f"The region's box lies outside the image of shape {shape}.")
        mask = np.zeros(shape, dtype=bool)
        mask[tuple(slice(*span) for span in ranges)] = True
        return mask


@dataclass(frozen=True)
class Slice(GridRegion):
    """One slice, counted along the axis across which the network or the scanner slices."""

    number: int

    @property
    def label(self) -> str:
        """Return where."""
        return f"in slice {self.number}"

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Return the slice as a mask."""
        if not 0 <= self.number < shape[stack_axis]:
            raise TargetError(
                f"There is no slice {self.number}; the image has {shape[stack_axis]}, from 0 on."
            )
        mask = np.zeros(shape, dtype=bool)
        mask[slab(stack_axis, self.number)] = True
        return mask


@dataclass(frozen=True)
class Point(Region):
    """One pixel, (z, y, x) on the image's grid: the pixel of the output in which it lies."""

    at: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", whole_point(self.at))

    @property
    def label(self) -> str:
        """Return where."""
        return f"at {point_words(self.at)}"

    @property
    def point(self) -> tuple[int, ...] | None:
        """The pixel."""
        return self.at

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Check that the point lies in the image."""
        del stack_axis
        check_point(self.at, shape)
        return None

    def choose(self, prediction: Prediction) -> Tensor:
        """Return the pixel, nothing in the images where it does not lie."""
        chosen = torch.zeros_like(prediction.predicted)
        if prediction.places is None:
            raise TargetError("A point lies on the image's grid; explain it with an image.")
        for image, place in zip(chosen, prediction.places, strict=True):
            if min(place) >= 0:
                image[tuple(map(int, place))] = True
        return chosen


def _array(values: Any) -> NDArray[Any]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim not in (2, 3, 4):
        raise TargetError(f"A region's array is (z, y, x) or (y, x), not of shape {array.shape}.")
    return array


def _freeze(region: Painted, mask: NDArray[Any]) -> None:
    """Keep a copy of the mask that nobody changes, and its digest, by which regions compare."""
    kept = np.array(mask, dtype=bool)
    kept.setflags(write=False)
    digest = hashlib.sha256(f"{kept.shape}".encode())
    digest.update(np.packbits(kept).data)
    object.__setattr__(region, "values", kept)
    object.__setattr__(region, "digest", digest.hexdigest())


def whole_point(point: Any) -> tuple[int, ...]:
    """Return a point as whole numbers.

    Raises
    ------
    TargetError
        Where it is none.
    """
    try:
        return tuple(index(place) for place in point)
    except TypeError as error:
        raise TargetError(f"A point is given by whole numbers (z, y, x), not {point!r}.") from error


def point_words(point: Sequence[int]) -> str:
    """Return a point as text: "3,40,12"."""
    return ",".join(map(str, point))


def _padded(given: tuple[Any, ...], shape: tuple[int, ...], first: Any, what: str) -> Any:
    """Return what is given per axis; for (y, x) of an image of one slice with `first` before it."""
    if len(given) == len(shape) - 1 and shape[0] == 1:
        return (first, *given)
    if len(given) != len(shape):
        raise TargetError(
            f"The region's {what} has {len(given)} axes but the image {len(shape)}, {shape}."
        )
    return given


def check_point(at: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise a :class:`TargetError` where a point lies outside an image."""
    point = _padded(at, shape, 0, "point")
    if not all(0 <= place < length for place, length in zip(point, shape, strict=True)):
        raise TargetError(f"The point {point_words(at)} lies outside the image of shape {shape}.")


def full_point(at: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a point with all the axes of an image: (y, x) of a picture is (0, y, x)."""
    point: tuple[int, ...] = _padded(at, shape, 0, "point")
    return point
