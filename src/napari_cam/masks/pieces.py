"""The connected pieces of a mask, and which of them to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Connectivity = Literal["faces", "corners"]
"""What is one piece: pixels that share faces, or also those that share corners."""


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
