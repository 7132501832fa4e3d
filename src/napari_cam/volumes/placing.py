"""The same voxels with other axes: labels of one file on the grid of another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import SAME_PLACE, Grid, check_same_place


def on_grid(values: NDArray[Any], grid: Grid, target: Grid, what: str = "labels") -> NDArray[Any]:
    """Return values with the axes, directions and extent of another grid of the same voxels.

    Nothing is resampled: axes are exchanged and turned round, and what `target` has beyond `grid`
    is 0. So labels drawn on a NIfTI file lie on the DICOM series it was made from.

    Parameters
    ----------
    values
        (z, y, x) on `grid`.
    grid, target
        Where they lie, and where they shall. Where one of the two has no patient, shapes alone
        are compared.
    what
        What they are to the user, for messages.

    Raises
    ------
    MaskError
        Where the two do not share their voxels, or values other than 0 lie outside of `target`.
    """
    if grid.orientation is None or target.orientation is None:
        check_same_place(f"What holds the {what}", grid, "the image", target, MaskError, False)
    if grid.fits(target):
        return values
    axes, signs, offset = _mapping(grid, target, what)
    turned = values.transpose([axes.index(axis) for axis in range(3)])
    # For each axis of the target: the direction of its counterpart, and where that one begins.
    directions = [signs[axes.index(axis)] for axis in range(3)]
    turned = turned[tuple(slice(None, None, direction) for direction in directions)]
    low = [
        int(offset[axis]) - (n - 1 if direction < 0 else 0)
        for axis, (n, direction) in enumerate(zip(turned.shape, directions, strict=True))
    ]
    return _pasted(turned, low, target.shape, what)


def _mapping(grid: Grid, target: Grid, what: str) -> tuple[list[int], list[int], NDArray[Any]]:
    """Return for each axis of `grid` that of `target`, its sign, and where voxel 0 lies there."""
    to_target = np.linalg.inv(target.affine) @ grid.affine
    linear = to_target[:3, :3].copy()
    for axis in range(3):
        if grid.shape[axis] == 1:  # its voxels' size along this axis says nothing
            linear[:, axis] /= np.abs(linear[:, axis]).max()
    axes = [int(axis) for axis in np.abs(linear).argmax(axis=0)]
    rounded = np.rint(linear)
    # How far the corners come to lie from voxels of the target.
    corner = np.array(grid.shape) - 1
    drift = np.abs(linear - rounded) @ corner
    offset = to_target[:3, 3]
    off = np.abs(offset - np.rint(offset)) + drift
    if sorted(axes) != [0, 1, 2] or np.abs(rounded).sum() != 3 or off.max() > SAME_PLACE:
        raise MaskError(
            f"The {what} lie at another place or in voxels of another size than the image; "
            "resample them to the image's grid first."
        )
    signs = [int(rounded[target_axis, axis]) for axis, target_axis in enumerate(axes)]
    return axes, signs, np.rint(offset)


def _pasted(
    values: NDArray[Any], low: list[int], shape: tuple[int, int, int], what: str
) -> NDArray[Any]:
    """Return an array of `shape` that holds `values` from index `low` on."""
    if tuple(values.shape) == shape and not any(low):
        return np.ascontiguousarray(values)
    inner, outer = [], []
    for start, n, size in zip(low, values.shape, shape, strict=True):
        first, end = max(start, 0), min(start + n, size)
        inner.append(slice(first - start, max(end - start, first - start)))
        outer.append(slice(first, max(end, first)))
    result = np.zeros(shape, values.dtype)
    result[tuple(outer)] = values[tuple(inner)]
    if np.count_nonzero(result) != np.count_nonzero(values):
        raise MaskError(
            f"Some of the {what} lie outside of the image; give the image they were drawn on."
        )
    return result
