"""The one resize of this project: linear, half-pixel centres, each axis on its own.

Pixel i of n covers the interval [i, i+1] of an axis of length n and its centre is at i + 1/2.
Scaling maps the whole interval [0, n_in] onto [0, n_out], so a cell's centroid stays where it was;
beyond the outermost centres the outermost value holds. This is what ``align_corners=False`` does in
torch and what OpenCV does, in any number of dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class AxisMap:
    """How one axis of an image was carried into a network's input.

    A point at edge coordinate e of the image (0 <= e <= `n_from`) lies at ``e * scale + offset``
    of the input (0 <= . <= `n_to`). Crops and pads are offsets, resizes are scales.
    """

    n_from: int
    n_to: int
    scale: float = 1.0
    offset: float = 0.0

    def then(self, n_to: int, scale: float = 1.0, offset: float = 0.0) -> AxisMap:
        """Return this map followed by another step onto an axis of `n_to` pixels."""
        return AxisMap(self.n_from, n_to, self.scale * scale, self.offset * scale + offset)

    def centres(self) -> NDArray[np.float64]:
        """Return for each pixel of the image the place of its centre in the input (n_from,)."""
        return (np.arange(self.n_from, dtype=np.float64) + 0.5) * self.scale + self.offset

    def seen(self) -> NDArray[np.bool_]:
        """Return for each pixel of the image whether its centre lies in the input (n_from,)."""
        centres = self.centres()
        return (centres >= 0) & (centres <= self.n_to)


def linear_weights(places: NDArray[np.float64], n: int) -> csr_array:
    """Return the weights (len(places), n) that read an axis of `n` pixels at edge coordinates."""
    index = np.clip(places - 0.5, 0, n - 1)
    low = np.minimum(index.astype(np.int64), max(n - 2, 0))
    share = (index - low).astype(np.float32)
    rows = np.arange(len(places))
    # Where n is 1 both neighbours are the one pixel, and their shares add up.
    columns = np.concatenate([low, np.minimum(low + 1, n - 1)])
    values = np.concatenate([1 - share, share])
    return csr_array((values, (np.tile(rows, 2), columns)), shape=(len(places), n))


def resize_weights(n_in: int, n_out: int, antialias: bool = False) -> csr_array:
    """Return the weights (n_out, n_in) that resize an axis.

    With `antialias` a smaller output averages over a triangle as wide as one of its pixels on
    each side (as Pillow and torchvision do), so that no input pixel is skipped.
    """
    step = n_in / n_out
    centres = (np.arange(n_out, dtype=np.float64) + 0.5) * step
    if not antialias or n_out >= n_in:
        return linear_weights(centres, n_in)
    distance = np.abs((np.arange(n_in) + 0.5)[None] - centres[:, None]) / step
    triangle = np.clip(1 - distance, 0, None)
    weights = triangle / triangle.sum(axis=1, keepdims=True)
    return csr_array(weights.astype(np.float32))


def apply_weights(values: NDArray[Any], weights: Sequence[csr_array]) -> NDArray[np.float32]:
    """Apply one weight matrix (out, in) to each of the last ``len(weights)`` axes of `values`.

    The matrices are sparse, as a pixel has few neighbours. A dense product would also start BLAS
    threads, which keep the cores busy for a while after it and so slow the network down.
    """
    result = np.asarray(values, dtype=np.float32)
    first = result.ndim - len(weights)
    for axis, matrix in enumerate(weights, start=first):
        moved = np.moveaxis(result, axis, 0)
        read = matrix @ moved.reshape(moved.shape[0], -1)
        result = np.moveaxis(read.reshape(-1, *moved.shape[1:]), 0, axis)
    return np.ascontiguousarray(result)


def resize(
    values: NDArray[Any], shape: Sequence[int], antialias: bool = False
) -> NDArray[np.float32]:
    """Resize the last ``len(shape)`` axes of `values` to `shape` (float32)."""
    sizes = zip(values.shape[-len(shape) :], shape, strict=True)
    return apply_weights(values, [resize_weights(n, m, antialias) for n, m in sizes])


def carry_back(maps: NDArray[Any], axes: Sequence[AxisMap]) -> NDArray[np.float32]:
    """Read maps (..., *f), stretched over a network's input, at the pixels of the image (..., *s).

    `axes` says for each spatial axis how the image was carried into the input. Where the network
    did not see a pixel the nearest border value stands; mask it with :meth:`AxisMap.seen`.
    """
    weights = [
        linear_weights(axis.centres() * (n / axis.n_to), n)
        for axis, n in zip(axes, maps.shape[-len(axes) :], strict=True)
    ]
    return apply_weights(maps, weights)
