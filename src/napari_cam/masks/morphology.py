"""Masks grown and shrunk by a ball in millimetres, and taken apart into connected pieces.

The ball holds the voxels whose centres lie within its radius, whatever their shape. They are found
by exact squared distances, axis by axis and no further than the radius, which for the usual radii
of a few pixels is several times as fast as a distance transform of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.masks.choices import Connectivity

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]


def opened(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return what of a mask a ball fits into.

    Beyond the image's edge anything may lie, so nothing is taken away from there.

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
    """Return a mask with the gaps that a ball does not fit into.

    Beyond the image's edge there is nothing to close a gap with; across an axis of one voxel there
    is no beyond. For the parameters see :func:`opened`.
    """
    if not mask.any():
        return mask
    box = _box(mask, [0] * mask.ndim)  # which a closing never leaves
    margin = [m if n > 1 else 0 for m, n in zip(_margin(radius, spacing), mask.shape, strict=True)]
    grown = dilated(np.pad(mask[box], [(n, n) for n in margin]), radius, spacing)
    inner = tuple(slice(n, size - n) for n, size in zip(margin, grown.shape, strict=True))
    result = np.zeros_like(mask)
    result[box] = eroded(grown, radius, spacing)[inner]
    return result


def eroded(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return the voxels further than `radius` from all others; there are none beyond the edge."""
    if not mask.any() or mask.all():
        return mask
    box = _box(mask, [1] * mask.ndim)  # holds the nearest voxel outside the mask
    result = np.zeros_like(mask)
    result[box] = ~_within(~mask[box], radius, spacing)
    return result


def dilated(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return the voxels within `radius` of the mask."""
    if not mask.any() or mask.all():
        return mask
    box = _box(mask, _margin(radius, spacing))
    result = np.zeros_like(mask)
    result[box] = _within(mask[box], radius, spacing)
    return result


def _within(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Return the voxels whose squared distance to the nearest one of the mask is small enough."""
    reach = _reached(radius, spacing)
    squares = np.where(mask, np.float32(0), np.float32(np.inf))
    for axis, size in enumerate(spacing):
        # The least over all axes is the least along this one of the least along those before.
        before, after = np.moveaxis(squares, axis, 0), np.moveaxis(squares.copy(), axis, 0)
        for steps in range(1, min(int(reach / size), len(before) - 1) + 1):
            further = np.float32((steps * size) ** 2)
            np.minimum(after[steps:], before[:-steps] + further, out=after[steps:])
            np.minimum(after[:-steps], before[steps:] + further, out=after[:-steps])
        squares = np.moveaxis(after, 0, axis)
    return np.asarray(squares <= reach**2)


def _margin(radius: float, spacing: Spacing) -> list[int]:
    """Return for each axis how many voxels hold the ball's reach and one more."""
    return [int(_reached(radius, spacing) / size) + 1 for size in spacing]


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


def pieces(mask: Mask, connectivity: Connectivity = "faces") -> tuple[NDArray[np.int32], int]:
    """Return the connected pieces of `mask` (*s), numbered from 1, and how many there are."""
    around = ndimage.generate_binary_structure(mask.ndim, _reach(connectivity, mask.ndim))
    labels, count = ndimage.label(mask, around)
    return np.asarray(labels, dtype=np.int32), int(count)


def pieces_by_size(
    mask: Mask,
    connectivity: Connectivity,
    choose: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
) -> Mask:
    """Return the pieces that `choose` keeps by their numbers of voxels."""
    labels, count = pieces(mask, connectivity)
    if count == 0:
        return mask
    keep = np.zeros(count + 1, dtype=bool)
    keep[1:] = choose(np.bincount(labels.ravel(), minlength=count + 1)[1:])
    return np.asarray(keep[labels])


def first_largest(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose the piece with the most voxels, of equals the first."""
    return np.asarray(np.arange(counts.size) == counts.argmax())


def pieces_touching(mask: Mask, other: Mask, connectivity: Connectivity) -> Mask:
    """Return the pieces of `mask` (*s) that overlap `other` (*s) or lie against it."""
    labels, count = pieces(mask, connectivity)
    around = ndimage.generate_binary_structure(mask.ndim, _reach(connectivity, mask.ndim))
    keep = np.zeros(count + 1, dtype=bool)
    keep[labels[ndimage.binary_dilation(other, around)]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def _reach(connectivity: Connectivity, ndim: int) -> int:
    return 1 if connectivity == "faces" else ndim
