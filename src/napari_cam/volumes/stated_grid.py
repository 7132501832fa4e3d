"""Grids as plain JSON, and what a file of ours cannot say of its grid.

TIFF has no place for an origin or directions, and NIfTI always has a patient. The record beside a
result says both, so that it lies where it was made when it is opened again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.grid import SAME_PLACE, Grid
from napari_cam.volumes.volume import Volume

_SAME_SIZE = 1e-2  # so far, as a share, may a file's voxel size lie from its record's


def grid_facts(grid: Grid) -> dict[str, Any]:
    """Return a grid as plain JSON, for `stated_grid`."""
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "orientation": grid.orientation,
        "units": grid.units,
    }


def stated_grid(facts: Mapping[str, Any]) -> Grid | None:
    """Return the grid that metadata states; None where it states none, or none that is one."""
    stated = facts.get("image_grid", facts)
    if not isinstance(stated, Mapping) or "affine" not in stated:
        return None
    try:
        z, y, x = (int(n) for n in stated["shape"])
        affine, orientation = np.array(stated["affine"]), stated["orientation"]
        return Grid((z, y, x), affine, orientation, "mm" if stated["units"] == "mm" else "pixel")
    except (KeyError, TypeError, ValueError, VolumeError):
        return None


def on_stated_grid(volume: Volume, stated: Grid | None) -> Volume:
    """Return a file's volume on the grid that the record beside it states.

    Parameters
    ----------
    volume
        As the file alone tells.
    stated
        The record's grid; None where it states none.

    Returns
    -------
    Volume
        `volume` itself where the record says nothing more, or is of another file.
    """
    if stated is None:
        return volume
    grid, tolerance = volume.grid, SAME_PLACE * min(stated.spacing)
    if grid.orientation is not None:
        # The file's axes may be in another order than those that were written: only the box counts.
        if stated.orientation is not None or np.abs(_box(grid) - _box(stated)).max() > tolerance:
            return volume
        return replace(volume, grid=Grid(grid.shape, grid.affine, None, stated.units))
    if grid.shape != stated.shape or grid.units != stated.units:
        return volume
    if grid.units == "mm" and not np.allclose(grid.spacing, stated.spacing, rtol=_SAME_SIZE):
        return volume
    return replace(volume, grid=stated)


def _box(grid: Grid) -> NDArray[np.float64]:
    """Return the (2, 3) lowest and highest coordinates of a grid's outermost voxels."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    places = grid.world(corners)
    return np.array([places.min(axis=0), places.max(axis=0)])
