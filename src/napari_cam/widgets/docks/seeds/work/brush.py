"""How large the brush is in mm.

napari's brush is round in the layer's scale: a size of b covers floor(b/2) + 1/2 voxels of the
finest axis that is painted on, and proportionally fewer of the others (in napari 0.9.2 a size of 9
painted 9 x 7 voxels of 0.5 x 0.75 mm). A layer whose voxel size stands in an affine alone has a
scale of 1, and there the brush is round in voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cam.grid import Grid


def brush_radii(size: float, scale: Sequence[float], spacing: Sequence[float]) -> tuple[float, ...]:
    """Return how far a brush reaches along each axis that it paints.

    Parameters
    ----------
    size
        napari's brush size.
    scale
        Of the layer along the axes that are painted.
    spacing
        Size of a voxel along the same axes, in the unit of the result.
    """
    radius = np.floor(size / 2) + 0.5
    steps = np.abs(np.asarray(scale, dtype=float))
    voxels = radius * steps.min() / steps
    return tuple((voxels * np.asarray(spacing, dtype=float)).tolist())


def brush_size(radius: float, scale: Sequence[float], spacing: Sequence[float]) -> int:
    """Return the brush size whose smallest reach comes closest to `radius`; 1 at least."""
    unit = min(brush_radii(1, scale, spacing)) * 2  # how much a voxel more adds
    return 2 * max(0, round(radius / unit - 0.5)) + 1


def painted(
    layer: Labels, displayed: Sequence[int], spatial: Sequence[int], grid: Grid
) -> tuple[list[float], list[float]]:
    """Return scale and spacing along the axes that a layer's brush paints.

    Parameters
    ----------
    layer
        The labels that are painted on.
    displayed
        Which of the layer's axes are on screen.
    spatial
        The layer's axes (z, y, x), or (y, x).
    grid
        Where the voxels lie.
    """
    sizes = dict(zip(spatial, grid.spacing[3 - len(spatial) :], strict=True))
    axes = sorted(sizes)
    if layer.n_edit_dimensions < layer.ndim:
        axes = [axis for axis in axes if axis in displayed]
    return [float(layer.scale[axis]) for axis in axes], [sizes[axis] for axis in axes]
