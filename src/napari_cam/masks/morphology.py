"""Masks grown and shrunk by a ball in millimetres.

The ball holds the voxels whose centres lie within its radius, whatever their shape; an exact
distance transform finds them, so that its size costs nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]


def opened(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return what of `mask` (*s) a ball fits into; nothing is taken away from the image's edge.

    Parameters
    ----------
    mask
        Bool (*s).
    radius
        Radius of the ball, in the unit of the spacing.
    spacing
        Voxel size along the axes, which are taken to be at right angles.
    """
    return dilated(eroded(mask, radius, spacing), radius, spacing)


def closed(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return `mask` (*s) with the gaps that a ball does not fit into; see :func:`opened`."""
    return eroded(dilated(mask, radius, spacing), radius, spacing)


def eroded(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return the voxels further than `radius` from all others; there are none beyond the edge."""
    if not mask.any() or mask.all():
        return mask
    box = _box(mask, [1] * mask.ndim)  # holds the nearest voxel outside the mask
    result = np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(mask[box], sampling=spacing)
    result[box] = distance > _reached(radius, spacing)
    return result


def dilated(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return the voxels within `radius` of the mask."""
    if not mask.any() or mask.all():
        return mask
    margin = [int(_reached(radius, spacing) / size) + 1 for size in spacing]
    box = _box(mask, margin)
    result = np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(~mask[box], sampling=spacing)
    result[box] = distance <= _reached(radius, spacing)
    return result


def _reached(radius: float, spacing: Spacing) -> float:
    """Return the radius with room for the rounding noise of stated voxel sizes."""
    return radius + 1e-3 * min(spacing)


def _box(mask: Mask, margin: list[int]) -> tuple[slice, ...]:
    """Return the smallest box around a mask that is not empty, with a margin, within the array."""
    box = []
    for axis, (n, more) in enumerate(zip(mask.shape, margin, strict=True)):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        found = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(0, int(found[0]) - more), min(n, int(found[-1]) + more + 1)))
    return tuple(box)
