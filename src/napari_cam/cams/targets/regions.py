"""Pixel sets M whose score a segmentation CAM explains (M in Rheude et al. 2024, eq. 5).

Some are given on the image's grid (a mask, a label, a box, a point), others are read from the
network's unperturbed output (what it predicts, a component of that, a probability).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_cam.errors import TargetError
from napari_cam.units import slab

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
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
    def choose(self, view: View) -> Tensor:
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


@dataclass(frozen=True)
class Everything(Region):
    """All pixels."""

    @property
    def label(self) -> str:
        """Return where."""
        return "everywhere"

    def choose(self, view: View) -> Tensor:
        """Return all pixels."""
        return torch.ones_like(view.predicted)


@dataclass(frozen=True)
class Predicted(Region):
    """The pixels where the class is the network's own choice (argmax)."""

    @property
    def label(self) -> str:
        """Return where: nothing is said, as this is what is meant unless something else is."""
        return ""

    def choose(self, view: View) -> Tensor:
        """Return the class's predicted pixels."""
        return view.predicted

    def facts(self) -> dict[str, Any]:
        """Return what it is."""
        return {"region": "predicted"}


@dataclass(frozen=True)
class Probability(Region):
    """The pixels where the class's probability is above a number in [0, 1)."""

    above: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.above < 1:
            raise TargetError(
                f"A probability threshold is at least 0 and below 1, not {self.above}."
            )

    @property
    def label(self) -> str:
        """Return where."""
        return f"where p > {self.above:g}"

    def choose(self, view: View) -> Tensor:
        """Return the pixels above the threshold."""
        return view.probability > self.above


@dataclass(frozen=True)
class Component(Region):
    """One connected component of the predicted pixels: the largest, or the one at a point.

    Pixels that share an edge (in 3D a face) are connected. A 2D network's components lie in one
    slice.

    Attributes
    ----------
    at
        (z, y, x) on the image's grid; None for the largest component of each unit.
    """

    at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.at is not None:
            object.__setattr__(self, "at", _whole(self.at, "A point"))

    @property
    def label(self) -> str:
        """Return where."""
        if self.at is None:
            return "largest component"
        return f"component at {_words(self.at)}"

    @property
    def point(self) -> tuple[int, ...] | None:
        """The pixel whose component is meant."""
        return self.at

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Check that the point lies in the image."""
        del stack_axis
        if self.at is not None:
            _check_point(self.at, shape)
        return None

    def choose(self, view: View) -> Tensor:
        """Return the component of each image; nothing where the point is not predicted so."""
        found = [self._one(image, place) for image, place in self._pairs(view)]
        return torch.from_numpy(np.stack(found)).to(view.predicted.device)

    def _pairs(self, view: View) -> list[tuple[Mask, tuple[int, ...] | None]]:
        images = view.predicted.cpu().numpy()
        if self.at is None or view.places is None:
            return [(image, None) for image in images]
        places = [tuple(map(int, place)) for place in view.places]
        return list(zip(images, places, strict=True))

    def _one(self, predicted: Mask, place: tuple[int, ...] | None) -> Mask:
        parts, count = ndimage.label(predicted)
        if place is None:
            sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
            wanted = int(sizes.argmax()) + 1 if count else 0
        else:
            wanted = int(parts[place]) if min(place) >= 0 else 0
        return np.asarray(parts == wanted) & predicted


@dataclass(frozen=True)
class Chosen(Region):
    """The pixels that a function chooses: logits (n, c, *o) -> bool (n, *o)."""

    function: Callable[[Tensor], Any]

    @property
    def label(self) -> str:
        """Return where."""
        return f"where {getattr(self.function, '__name__', 'chosen').strip('<>')}"

    def choose(self, view: View) -> Tensor:
        """Return what the function chooses."""
        chosen = torch.as_tensor(self.function(view.output), device=view.output.device)
        if chosen.shape != view.predicted.shape:
            raise TargetError(
                f"The function that chooses a region returned shape {tuple(chosen.shape)} for "
                f"logits {tuple(view.output.shape)}; it must return {tuple(view.predicted.shape)}."
            )
        return chosen.bool()


class Given(Region):
    """A region that is given on the image's grid."""

    def choose(self, view: View) -> Tensor:
        """Return the region as it lies in the output."""
        if view.given is None:
            raise TargetError("This region lies on the image's grid; explain it with an image.")
        return view.given


@dataclass(frozen=True, eq=False)
class Painted(Given):
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
class Box(Given):
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
class Slice(Given):
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
        object.__setattr__(self, "at", _whole(self.at, "A point"))

    @property
    def label(self) -> str:
        """Return where."""
        return f"at {_words(self.at)}"

    @property
    def point(self) -> tuple[int, ...] | None:
        """The pixel."""
        return self.at

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Check that the point lies in the image."""
        del stack_axis
        _check_point(self.at, shape)
        return None

    def choose(self, view: View) -> Tensor:
        """Return the pixel, nothing in the images where it does not lie."""
        chosen = torch.zeros_like(view.predicted)
        if view.places is None:
            raise TargetError("A point lies on the image's grid; explain it with an image.")
        for image, place in zip(chosen, view.places, strict=True):
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


def _whole(point: Any, what: str) -> tuple[int, ...]:
    try:
        return tuple(index(place) for place in point)
    except TypeError as error:
        raise TargetError(f"{what} is given by whole numbers (z, y, x), not {point!r}.") from error


def _words(point: Sequence[int]) -> str:
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


def _check_point(at: tuple[int, ...], shape: tuple[int, ...]) -> None:
    point = _padded(at, shape, 0, "point")
    if not all(0 <= place < length for place, length in zip(point, shape, strict=True)):
        raise TargetError(f"The point {_words(at)} lies outside the image of shape {shape}.")


def full_point(at: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a point with all the axes of an image: (y, x) of a picture is (0, y, x)."""
    point: tuple[int, ...] = _padded(at, shape, 0, "point")
    return point
