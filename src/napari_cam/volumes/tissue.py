"""Where there is tissue: the foreground of an image, in which masks may lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.volumes.foreground import METHODS
from napari_cam.volumes.volume import Volume

Method = Literal["kmeans", "otsu", "nonzero"]
Per = Literal["volume", "slice"]


def foreground(
    volume: Volume, method: Method = "kmeans", per: Per = "volume", axis: int | None = None
) -> NDArray[np.bool_]:
    """Return where an image shows something other than background.

    ``foreground(volume, "kmeans", per="slice")`` is what Syed et al. 2023 do, made sound: nothing
    wraps around at 8 bits, the background is what most of the border belongs to and not what one
    corner does, the two means are the exact optimum and not a random start's, what the tissue
    encloses belongs to it, and the result is a mask of its own, so that a tissue voxel of value 0
    stays tissue. The volume as a whole is the default because a slice of nothing but noise has two
    clusters too, and one of them would be called tissue.

    Parameters
    ----------
    volume
        The image; several channels are each stretched to [0, 1] and averaged. Voxels that are no
        numbers count as the smallest of their channel.
    method
        "kmeans" (above), "otsu" (the largest piece brighter than Otsu's cut of the image smoothed
        by one pixel, holes filled) or "nonzero" (what is not 0, holes filled).
    per
        "volume" for one decision, "slice" for one in each slice.
    axis
        Array axis (0, 1, 2) across which the slices lie; None for that of the acquisition.

    Returns
    -------
    NDArray
        Bool (z, y, x); empty where the image, or the slice, is flat.

    Raises
    ------
    MaskError
        Where the method, `per` or the axis is unknown, or a channel holds no number.
    """
    for name, word, words in (
        ("method", method, get_args(Method)),
        ("per", per, get_args(Per)),
        ("axis", axis, (None, 0, 1, 2)),
    ):
        if word not in words:
            known = ", ".join(map(repr, words))
            raise MaskError(f"The {name} of a foreground is one of {known}, not {word!r}.")
    find = METHODS[method]
    values = _numbers(np.asarray(volume.channels_first()))
    spacing = volume.spacing if volume.grid.units == "mm" else None
    if per == "volume":
        return find(values, spacing)
    across = volume.stack_axis if axis is None else axis
    in_plane = None if spacing is None else _without(spacing, across)
    slices = np.moveaxis(values, across + 1, 0)
    return np.stack([find(each, in_plane) for each in slices], axis=across)


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values` (c, z, y, x) with the smallest number of each channel for what is none."""
    known = np.isfinite(values)
    if known.all():
        return values
    empty = np.flatnonzero(~known.any(axis=(1, 2, 3)))
    if empty.size:
        raise MaskError(
            f"Channel {empty[0] + 1} of the image holds no finite number, so it has no foreground; "
            "check how the file was made."
        )
    least = np.where(known, values, np.inf).min(axis=(1, 2, 3), keepdims=True)
    return np.where(known, values, least)


def _without(spacing: Sequence[float], axis: int) -> list[float]:
    return [size for other, size in enumerate(spacing) if other != axis]
