"""Going through a volume unit by unit.

A unit is one explained image: a slice for a 2D network, the whole volume for a 3D one. `axis` is
always the array axis (0, 1, 2) along which the units lie, None where the volume is the one unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def n_units(shape: tuple[int, ...], axis: int | None) -> int:
    """Return how many units a volume of a shape (z, y, x) has."""
    return 1 if axis is None else shape[axis]


def by_unit(values: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """Return a view (u, *s) of `values` (z, y, x), units first; what is written goes through."""
    return values[None] if axis is None else np.moveaxis(values, axis, 0)


def per_unit(values: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """Reshape (u,) `values` so that they broadcast against (z, y, x)."""
    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = -1
    return values.reshape(shape)


def axes_within(axis: int | None) -> tuple[int, ...]:
    """Return the axes of (z, y, x) that lie within a unit: those to take a sum or a mean over."""
    return tuple(other for other in range(3) if other != axis)


def any_by_unit(flags: NDArray[np.bool_], axis: int | None) -> NDArray[np.bool_]:
    """Return (u,) whether a flag (z, y, x) is set anywhere in each unit."""
    return np.asarray(flags.any(axis=axes_within(axis))).reshape(-1)


def count_by_unit(mask: NDArray[Any], axis: int | None) -> NDArray[np.int64]:
    """Return (u,) how many voxels of `mask` (z, y, x) are set in each unit."""
    counts = np.count_nonzero(mask, axis=axes_within(axis))
    return np.asarray(counts, np.int64).reshape(-1)


def slab(axis: int, index: int) -> tuple[slice, slice, slice]:
    """Return what picks one slice across `axis` out of (z, y, x), and keeps the axis."""
    place = [slice(None)] * 3
    place[axis] = slice(index, index + 1)
    return place[0], place[1], place[2]
