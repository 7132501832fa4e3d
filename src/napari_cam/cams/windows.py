"""How a unit that is larger than a network takes is cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from operator import index
from typing import Any, Literal, SupportsIndex, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam import checks
from napari_cam.errors import PreparationError

Weights = Literal["gaussian", "constant"]
# As MONAI and nnU-Net: the standard deviation is an eighth of the window.
_SIGMA = 0.125
# The smallest weight, so that what no other window shows is still shown by this one.
_LEAST = 1e-3


@dataclass(frozen=True)
class Windows:
    """How a unit is cut into windows.

    Attributes
    ----------
    size
        Window size in pixels along each axis of the network's input: one number, or one per axis. A
        smaller unit is padded with zeros at its end.
    overlap
        Share of a window that its neighbour covers too, at least 0 and below 1.
    weights
        "gaussian": pixels near a window's centre count more, with a standard deviation of an eighth
        of the window, as in MONAI and nnU-Net. "constant": all pixels count the same.
    margin
        Pixels along a window's edges that are not used, except at the unit's own edges.

    Notes
    -----
    The stride of a layer is the number of input pixels per pixel of its map. If a window does not
    start at a multiple of the stride, the layer samples other positions. The step between windows
    is therefore rounded down to a multiple of the largest stride among the target layers. The last
    window ends at the unit's end; it is aligned too if the unit's length minus the window's is such
    a multiple.
    """

    size: int | tuple[int, ...]
    overlap: float = 0.5
    weights: Weights = "gaussian"
    margin: int = 0

    def __post_init__(self) -> None:
        given: Any = self.size
        try:
            sizes = tuple(map(index, (given,) if isinstance(given, SupportsIndex) else given))
        except TypeError as error:
            raise PreparationError(
                f"A window's size is a whole number or one per axis, not {given!r}."
            ) from error
        if not sizes or min(sizes) < 1:
            raise PreparationError(f"A window has at least one pixel along each axis, not {given}.")
        checks.number(self.overlap, "The overlap of windows", PreparationError, least=0, below=1)
        if self.weights not in get_args(Weights):
            raise PreparationError(
                f"Windows are weighted 'gaussian' or 'constant', not '{self.weights}'."
            )
        pixels = "a whole number of pixels"
        checks.whole(self.margin, "The margin of windows", PreparationError, wanted=pixels)
        if not 0 <= 2 * self.margin < min(sizes):
            raise PreparationError(
                f"A margin of {self.margin} leaves nothing of a window of {given} pixels."
            )
        object.__setattr__(self, "size", sizes[0] if len(sizes) == 1 else sizes)

    @classmethod
    def of(cls, given: Any) -> Windows | None:
        """Return windows unchanged, or build them from a size; None stays None."""
        return given if given is None or isinstance(given, Windows) else cls(given)

    def shape(self, ndim: int) -> tuple[int, ...]:
        """Return the window's size along each of `ndim` axes."""
        sizes = (self.size,) * ndim if isinstance(self.size, int) else self.size
        if len(sizes) != ndim:
            raise PreparationError(
                f"The window {self.size} has {len(sizes)} axes but the network's input {ndim}."
            )
        return sizes

    def starts(self, length: int, size: int, stride: int = 1) -> list[int]:
        """Return the windows' start positions along an axis: evenly spaced, the last at the end."""
        if length <= size:
            return [0]
        step = int((size - 2 * self.margin) * (1 - self.overlap))
        step = max(1, step // stride * stride if step > stride else min(step, stride))
        count = ceil((length - size) / step)
        return [*(n * step for n in range(count)), length - size]

    def weight(self, start: int, size: int, length: int) -> Tensor:
        """Return the weight of each pixel of a window along one axis, (size,) float32."""
        places = torch.arange(size, dtype=torch.float32)
        values = torch.ones(size)
        if self.weights == "gaussian":
            away = (places - (size - 1) / 2) / (_SIGMA * size)
            values = torch.exp(-0.5 * away**2).clamp(min=_LEAST)
        if start > 0:
            values[: self.margin] = 0
        if start + size < length:
            values[size - self.margin :] = 0
        return values


@dataclass(frozen=True)
class WindowPlace:
    """One window: in which image of a batch, which box, and how much each of its pixels counts."""

    image: int
    box: tuple[Any, ...]
    weight: Tensor


def window_places(
    windows: Windows, shape: Sequence[int], size: Sequence[int], strides: Sequence[int]
) -> list[WindowPlace]:
    """Return the windows of a batch of `shape` (n, c, *s), image after image."""
    whole = shape[2:]
    starts = [windows.starts(*each) for each in zip(whole, size, strides, strict=True)]
    found = []
    for corner in product(*starts):
        weight = torch.ones(())
        for start, n, length in zip(corner, size, whole, strict=True):
            weight = weight[..., None] * windows.weight(start, n, length)
        box = tuple(slice(start, start + n) for start, n in zip(corner, size, strict=True))
        found.append((box, weight))
    return [WindowPlace(image, box, weight) for image in range(shape[0]) for box, weight in found]


def first_window(batch: Tensor, windows: Windows) -> Tensor:
    """Return the first window (1, c, *w) of a batch, for questions about the network."""
    size = windows.shape(batch.ndim - 2)
    missing = [max(0, n - m) for n, m in zip(size, batch.shape[2:], strict=True)]
    return padded_at_end(batch, missing)[(slice(0, 1), slice(None), *(slice(0, n) for n in size))]


def padded_at_end(values: Tensor, missing: Sequence[int]) -> Tensor:
    """Return values with so many zeros at the end of their last axes."""
    return F.pad(values, [pad for gap in reversed(missing) for pad in (0, gap)])
