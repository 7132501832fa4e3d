"""Arrays read at the voxels of another grid, through the world in which both lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid

Matrix = NDArray[np.float64]

_ROUNDING = 1e-6  # of a voxel


def index_map(source: Grid, target: Grid) -> Matrix:
    """Return (4, 4) index (z, y, x, 1) of `target` -> index of `source` at the same place.

    Raises
    ------
    VolumeError
        Where one has a patient frame and the other none, or they are measured in other units.
    """
    framed = (source.orientation is None) == (target.orientation is None)
    if not framed or source.units != target.units:
        raise VolumeError(
            f"{source.described()} and {target.described()} share no world; give both a patient "
            "frame and mm, or neither."
        )
    found: Matrix = np.linalg.inv(source.affine) @ target.affine
    return found


def regrid(
    values: NDArray[Any], places: Matrix, shape: tuple[int, int, int], linear: bool
) -> NDArray[Any]:
    """Read an array at the voxels of another grid.

    Beyond the outermost centres the outermost value holds as far as the voxel reaches. Farther out
    lies nothing: zero. Where the other grid is coarser its voxels are read at their centres.

    Parameters
    ----------
    values
        (z, y, x).
    places
        From :func:`index_map`.
    shape
        Of the other grid.
    linear
        True for numbers, which come back as float32; False for labels and masks, whose nearest
        voxel is taken.
    """
    matrix, offset = places[:3, :3], places[:3, 3]
    if linear:
        kept = np.asarray(values, np.float32)
        read = affine_transform(kept, matrix, offset, shape, order=1, mode="nearest")
        read[~covered(values.shape, places, shape)] = 0
        return np.asarray(read)
    plain = np.asarray(values)
    codes = plain.view(np.uint8) if plain.dtype == np.bool_ else plain
    found = affine_transform(codes, matrix, offset, shape, order=0, mode="grid-constant", cval=0)
    return np.asarray(found.view(np.bool_) if plain.dtype == np.bool_ else found)


def covered(
    source_shape: tuple[int, ...], places: Matrix, shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Return (z, y, x) of the other grid: whether a voxel's centre lies in a voxel of `source`."""
    result = np.ones(shape, bool)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    for row, length in zip(places[:3], source_shape, strict=True):
        at = row[0] * z + row[1] * y + row[2] * x + row[3]
        result &= (at >= -0.5 - _ROUNDING) & (at <= length - 0.5 + _ROUNDING)
    return result
