"""Steps that move pixels: voxel size, crop, pad, resize. Each keeps account of where they went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.sparse import csr_array

from napari_cam.models.preparation.steps import parameters
from napari_cam.models.preparation.steps.base import Array, Frame, GeometricStep, Mask, Move
from napari_cam.volumes.resample import apply_weights, resize_weights

Size = int | tuple[int, ...]


@dataclass(frozen=True)
class Spacing(GeometricStep):
    """Resample to a voxel size; the whole image stays in view.

    Attributes
    ----------
    mm
        Wanted pixel size along the unit's axes, (rows, columns) or (z, y, x); None keeps an axis.
        The number of pixels is ``size * spacing / mm``, rounded half up, at least 1.
    antialias
        Average over the skipped pixels where an axis becomes shorter.
    """

    name: ClassVar[str] = "spacing"
    mm: tuple[float | None, ...]
    antialias: bool = True

    def __post_init__(self) -> None:
        self._set(
            mm=parameters.numbers(self.name, "mm", self.mm, above=0, optional=True),
            antialias=parameters.flag(self.name, "antialias", self.antialias),
        )

    def check_ndim(self, ndim: int) -> None:
        """Raise where there is not one size per axis."""
        parameters.per_axis(self.name, "mm", self.mm, ndim)

    def move(self, frame: Frame) -> Move:
        """Return the resampling; refuse an image without a voxel size."""
        if frame.spacing is None:
            parameters.refuse(
                self.name,
                "the image states no voxel size in mm; give its spacing or remove the step.",
            )
        shape = tuple(
            n if mm is None else rounded(n * have / mm)
            for n, have, mm in zip(frame.shape, frame.spacing, self.mm, strict=True)
        )
        return Resample.to(frame, shape, self.antialias)


@dataclass(frozen=True)
class Crop(GeometricStep):
    """Cut out a window; what lies outside is not seen by the network.

    Attributes
    ----------
    size
        Pixels of the window, one number or one per axis.
    start
        Index of its first pixel per axis, or "centre" (``(n - size) // 2``).
    """

    name: ClassVar[str] = "crop"
    size: Size
    start: Literal["centre"] | tuple[int, ...] = "centre"

    def __post_init__(self) -> None:
        self._set(size=parameters.size(self.name, "size", self.size))
        if self.start != "centre":
            start: Any = self.start
            if isinstance(start, str):
                parameters.refuse(
                    self.name, f"start is 'centre' or one index per axis, not {start!r}."
                )
            self._set(start=parameters.counts(self.name, "start", start, low=0))

    def check_ndim(self, ndim: int) -> None:
        """Raise where size or start has another number of axes."""
        parameters.per_axis(self.name, "size", self.size, ndim)
        if self.start != "centre":
            parameters.per_axis(self.name, "start", self.start, ndim)

    def move(self, frame: Frame) -> Move:
        """Return the cut; refuse a window that reaches out of the image."""
        size = parameters.per_axis(self.name, "size", self.size, len(frame.shape))
        if self.start == "centre":
            start = tuple((n - m) // 2 for n, m in zip(frame.shape, size, strict=True))
        else:
            start = parameters.per_axis(self.name, "start", self.start, len(frame.shape))
        for n, m, first in zip(frame.shape, size, start, strict=True):
            if first < 0 or first + m > n:
                parameters.refuse(
                    self.name,
                    f"a window of {size} pixels does not fit into an image of {frame.shape}; "
                    "put a 'pad' step before it or crop less.",
                )
        return Reframe.to(frame, start, size)


@dataclass(frozen=True)
class Pad(GeometricStep):
    """Add a border, equally on both sides (an odd pixel at the end); never cuts anything off.

    Attributes
    ----------
    size
        Pixels at least wanted, one number or one per axis; longer axes stay as they are.
    multiple_of
        Lengthen each axis to a multiple of this (after `size`).
    mode
        What stands in the border: "constant" (`value`), "edge" or "reflect".
    value
        The constant.
    """

    name: ClassVar[str] = "pad"
    size: Size | None = None
    multiple_of: Size | None = None
    mode: Literal["constant", "edge", "reflect"] = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.size is None and self.multiple_of is None:
            parameters.refuse(self.name, "give size, multiple_of or both.")
        if self.size is not None:
            self._set(size=parameters.size(self.name, "size", self.size))
        if self.multiple_of is not None:
            self._set(multiple_of=parameters.size(self.name, "multiple_of", self.multiple_of))
        self._set(
            mode=parameters.choice(self.name, "mode", self.mode, ("constant", "edge", "reflect")),
            value=parameters.number(self.name, "value", self.value),
        )

    def check_ndim(self, ndim: int) -> None:
        """Raise where size or multiple_of has another number of axes."""
        for name in ("size", "multiple_of"):
            if getattr(self, name) is not None:
                parameters.per_axis(self.name, name, getattr(self, name), ndim)

    def move(self, frame: Frame) -> Move:
        """Return the enlargement."""
        ndim = len(frame.shape)
        least = parameters.per_axis(self.name, "size", self.size or 1, ndim)
        step = parameters.per_axis(self.name, "multiple_of", self.multiple_of or 1, ndim)
        shape = tuple(
            math.ceil(max(n, m) / k) * k for n, m, k in zip(frame.shape, least, step, strict=True)
        )
        start = tuple(-((m - n) // 2) for n, m in zip(frame.shape, shape, strict=True))
        return Reframe.to(frame, start, shape, self.mode, self.value)


@dataclass(frozen=True)
class Resize(GeometricStep):
    """Resize linearly with half-pixel centres; the whole image stays in view.

    Attributes
    ----------
    size
        Pixels wanted: one number or, with mode "exact", one per axis.
    mode
        "exact": every axis gets `size` (proportions may change); "shorter" / "longer": the shorter
        or longer axis gets `size` and the others follow in proportion, rounded half up.
    antialias
        Average over the skipped pixels where an axis becomes shorter (as Pillow does).
    """

    name: ClassVar[str] = "resize"
    size: Size
    mode: Literal["exact", "shorter", "longer"] = "exact"
    antialias: bool = True

    def __post_init__(self) -> None:
        self._set(
            size=parameters.size(self.name, "size", self.size),
            mode=parameters.choice(self.name, "mode", self.mode, ("exact", "shorter", "longer")),
            antialias=parameters.flag(self.name, "antialias", self.antialias),
        )
        if self.mode != "exact" and isinstance(self.size, tuple):
            parameters.refuse(self.name, f"mode '{self.mode}' takes one size, not {self.size}.")

    def check_ndim(self, ndim: int) -> None:
        """Raise where size has another number of axes."""
        parameters.per_axis(self.name, "size", self.size, ndim)

    def move(self, frame: Frame) -> Move:
        """Return the resampling."""
        size = parameters.per_axis(self.name, "size", self.size, len(frame.shape))
        if self.mode != "exact":
            leading = min(frame.shape) if self.mode == "shorter" else max(frame.shape)
            size = tuple(rounded(n * m / leading) for n, m in zip(frame.shape, size, strict=True))
        return Resample.to(frame, size, self.antialias)


def rounded(pixels: float) -> int:
    """Return a number of pixels: rounded half up, at least 1.

    Voxel sizes carry rounding noise of their file, which must not decide a tie.
    """
    return max(1, math.floor(round(pixels, 6) + 0.5))


@dataclass(frozen=True, eq=False)
class Resample:
    """Weights that resize images of one shape."""

    frame: Frame
    weights: tuple[csr_array, ...] | None

    @classmethod
    def to(cls, frame: Frame, shape: tuple[int, ...], antialias: bool) -> Resample:
        """Return the resampling of `frame` to `shape`; nothing happens where it has it already."""
        axes = tuple(
            axis.then(m, scale=m / n)
            for axis, n, m in zip(frame.axes, frame.shape, shape, strict=True)
        )
        spacing = frame.spacing and tuple(
            mm * n / m for mm, n, m in zip(frame.spacing, frame.shape, shape, strict=True)
        )
        weights = None
        if shape != frame.shape:
            pairs = zip(frame.shape, shape, strict=True)
            weights = tuple(resize_weights(n, m, antialias) for n, m in pairs)
        return cls(Frame(shape, spacing, axes), weights)

    def image(self, values: Array) -> Array:
        """Resize an image (c, *s)."""
        return values if self.weights is None else apply_weights(values, self.weights)

    def mask(self, mask: Mask) -> Mask:
        """Resize a mask (*s): True where at least half of the pixel is."""
        if self.weights is None:
            return mask
        return np.asarray(apply_weights(mask, self.weights) >= 0.5)


@dataclass(frozen=True, eq=False)
class Reframe:
    """A window that may cut off and may reach out of images of one shape."""

    frame: Frame
    inner: tuple[slice, ...]
    border: tuple[tuple[int, int], ...]
    mode: Literal["constant", "edge", "reflect"]
    value: float

    @classmethod
    def to(
        cls,
        frame: Frame,
        start: Sequence[int],
        shape: tuple[int, ...],
        mode: Literal["constant", "edge", "reflect"] = "constant",
        value: float = 0.0,
    ) -> Reframe:
        """Return the window of `shape` pixels whose first pixel is at index `start`."""
        windows = list(zip(frame.shape, start, shape, strict=True))
        return cls(
            Frame(
                shape,
                frame.spacing,
                tuple(
                    axis.then(m, offset=-first)
                    for axis, first, m in zip(frame.axes, start, shape, strict=True)
                ),
            ),
            tuple(slice(max(first, 0), min(first + m, n)) for n, first, m in windows),
            tuple((max(-first, 0), max(first + m - n, 0)) for n, first, m in windows),
            mode,
            value,
        )

    def image(self, values: Array) -> Array:
        """Cut or enlarge an image (c, *s)."""
        cut = values[(slice(None), *self.inner)]
        border = ((0, 0), *self.border)
        if not any(map(any, border)):
            return cut
        options: dict[str, Any] = {}
        if self.mode == "constant":
            options["constant_values"] = self.value
        return np.pad(cut, border, mode=self.mode, **options)

    def mask(self, mask: Mask) -> Mask:
        """Cut or enlarge a mask (*s); a border lies in no mask."""
        return np.pad(mask[self.inner], self.border)
