"""From stored axes to the order (z, y, x) in which this project keeps the axes of a patient."""

from __future__ import annotations

import nibabel
import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid


def patient_grid(
    affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[Grid, tuple[int, int, int]]:
    """Return the grid with axes in the order (z, y, x), and the stored axis of each.

    Parameters
    ----------
    affine
        (4, 4) stored index -> RAS mm, invertible.
    shape
        Number of voxels along the stored axes.

    Returns
    -------
    Grid
        Axes transposed so that z lies closest to inferior-superior, y to anterior-posterior and x
        to left-right; no direction is flipped.
    tuple of int
        For each of (z, y, x) the stored axis it comes from.
    """
    world_axes = nibabel.io_orientation(affine)[:, 0].tolist()
    z, y, x = (int(world_axes.index(world)) for world in (2, 1, 0))
    letters = nibabel.aff2axcodes(affine)
    grid = Grid(
        shape=(shape[z], shape[y], shape[x]),
        affine=affine[:, [z, y, x, 3]],
        orientation=letters[z] + letters[y] + letters[x],
    )
    return grid, (z, y, x)
