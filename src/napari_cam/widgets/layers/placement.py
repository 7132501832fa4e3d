"""Where napari shows voxels: one world for all images of a patient.

The world's axes are (S, P, L) in mm, so that a canvas shows anterior up and the patient's left at
the right in axial slices, and images of one patient lie over each other. An array is at most
transposed. Directions stand in the signs of the scale: an affine that permutes axes stops napari
0.9 while it draws ("Singular matrix"), and it slices oblique affines wrongly in 2D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import obliquity
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from napari_cam.grid import Grid

if TYPE_CHECKING:
    from napari.layers import Layer

WORLD_AXES = ("S", "P", "L")
"""The directions in which the world's axes of patient volumes grow."""
PLAIN_AXES = ("z", "y", "x")
"""The names of the axes where there is no patient."""

# (R, A, S) -> (S, P, L), and (x, y, z) -> (z, y, x) where there is no patient. Both undo themselves
# but for the order of the axes.
_PATIENT = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
_PLAIN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
_OBLIQUE_DEGREES = 0.05

Matrix = NDArray[np.float64]


def grid_to_world(grid: Grid) -> Matrix:
    """Return (4, 4) index (z, y, x, 1) -> world (S, P, L, 1), or (z, y, x, 1) without a patient."""
    matrix = np.eye(4)
    matrix[:3] = (_PLAIN if grid.orientation is None else _PATIENT) @ grid.affine[:3]
    return matrix


def shown_world(grid: Grid) -> Matrix:
    """Return the (4, 4) that napari shows: the true one, or its diagonal part where oblique.

    The diagonal part has the true voxel sizes and the true centre of the volume.
    """
    true = grid_to_world(grid)
    signs = np.where(np.diag(true)[:3] < 0, -1.0, 1.0)
    centre = (np.array(grid.shape) - 1) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(signs * np.array(grid.spacing))
    matrix[:3, 3] = true[:3, :3] @ centre + true[:3, 3] - matrix[:3, :3] @ centre
    return matrix


def oblique_degrees(grid: Grid) -> float:
    """Return the largest angle between a volume's axes and the world's; 0 where none is seen."""
    angle = float(np.rad2deg(obliquity(grid.affine)).max())
    return angle if angle > _OBLIQUE_DEGREES else 0.0


def placement(grid: Grid) -> dict[str, Any]:
    """Return what a layer needs to lie where `grid` says: scale, translate, labels and units."""
    matrix = shown_world(grid)
    return {
        "scale": tuple(np.diag(matrix)[:3].tolist()),
        "translate": tuple(matrix[:3, 3].tolist()),
        "axis_labels": PLAIN_AXES if grid.orientation is None else WORLD_AXES,
        "units": (grid.units,) * 3,
    }


def layer_world(layer: Layer, axes: Sequence[int]) -> Matrix:
    """Return (n + 1, n + 1) index along `axes` of a layer -> its world along the same axes."""
    origin = np.array(layer.data_to_world((0,) * layer.ndim), dtype=np.float64)
    columns = [
        np.array(layer.data_to_world(step), dtype=np.float64) - origin
        for step in np.eye(layer.ndim)[list(axes)]
    ]
    n = len(axes)
    matrix = np.eye(n + 1)
    matrix[:n, :n] = np.array(columns).T[list(axes)]
    matrix[:n, n] = origin[list(axes)]
    return matrix


def level_world(world: Matrix, finest: Sequence[int], level: Sequence[int]) -> Matrix:
    """Return the world of a coarser level whose voxels tile those of the finest one."""
    factor = np.array(finest, dtype=np.float64) / np.array(level, dtype=np.float64)
    step = np.diag([*factor, 1.0])
    step[:-1, -1] = (factor - 1) / 2
    return world @ step


def grid_of_world(
    world: Matrix, shape: tuple[int, int, int], units: Sequence[Any], patient: bool
) -> Grid:
    """Return the grid of a layer's own transform.

    Parameters
    ----------
    world
        (4, 4) index (z, y, x, 1) -> world.
    shape
        Voxels along (z, y, x).
    units
        One pint unit, or name, per axis.
    patient
        Whether the world is (S, P, L).

    Raises
    ------
    VolumeError
        Where the transform gives voxels no size.
    """
    factors = _in_mm(units)
    scaled = world.copy()
    if factors is not None:
        scaled[:3] *= factors[:, None]
    affine = np.eye(4)
    affine[:3] = (_PATIENT if patient else _PLAIN).T @ scaled[:3]
    orientation = "".join(str(code) for code in aff2axcodes(affine)) if patient else None
    return Grid(shape, affine, orientation, "pixel" if factors is None else "mm")


def _in_mm(units: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return mm per unit for each axis, None where one is no length."""
    import pint

    registry = pint.get_application_registry()
    factors = []
    for unit in units:
        length = registry.Quantity(1.0, str(unit))
        if not length.is_compatible_with("mm"):
            return None
        factors.append(float(length.to("mm").magnitude))
    return np.array(factors)
