"""Where there is tissue: the foreground of an image, one function per method.

Lengths (smoothing, filters) are in pixels of the finest axis; along coarser axes they shrink in
proportion where the voxel size is known, so that thick slices are not smeared into each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_cam.errors import MaskError
from napari_cam.volumes.choices import TISSUE_PER, TISSUES, TissueMethod, TissuePer
from napari_cam.volumes.volume import Volume

Mask = NDArray[np.bool_]


def foreground(
    volume: Volume,
    method: TissueMethod = "kmeans",
    per: TissuePer = "volume",
    axis: int | None = None,
) -> NDArray[np.bool_]:
    """Return the mask of an image's foreground, such as tissue.

    ``foreground(volume, "kmeans", per="slice")`` follows Syed et al. 2023, with five corrections:
    values do not wrap around at 8 bits; the background is the cluster of most border pixels, not of
    one corner; the two means are the exact optimum, not the result of a random start; holes in the
    tissue belong to the tissue; and the result is a separate mask, so a tissue voxel of value 0
    stays tissue. The default is one decision for the whole volume, because a slice of pure noise
    also has two clusters, and one of them would be called tissue.

    Parameters
    ----------
    volume
        The image. Several channels are each stretched to [0, 1] and averaged. NaN voxels count as
        the smallest value of their channel.
    method
        "kmeans" (above), "otsu" (the largest piece above Otsu's cut of the image smoothed by one
        pixel, holes filled) or "nonzero" (all voxels other than 0, holes filled).
    per
        "volume" for one decision, "slice" for one per slice.
    axis
        Array axis (0, 1, 2) across which the slices lie; None for the acquisition axis.

    Returns
    -------
    NDArray
        Bool (z, y, x). Empty if the image is flat; with ``per="slice"``, flat slices are empty.

    Raises
    ------
    MaskError
        If the method, `per` or the axis is unknown, or a channel contains no number.

    Examples
    --------
    >>> import napari_cam as nc
    >>> tissue = nc.foreground(nc.load_sample_volume())
    >>> tissue.shape, tissue.dtype
    ((22, 96, 128), dtype('bool'))
    """
    TISSUES.checked(method)
    TISSUE_PER.checked(per)
    if axis not in (None, 0, 1, 2):
        raise MaskError(f"The axis of a foreground is one of None, 0, 1, 2, not {axis!r}.")
    find = METHODS[method]
    values = _numbers(np.asarray(volume.channels_first()))
    spacing = volume.spacing if volume.grid.units == "mm" else None
    if per == "volume":
        return find(values, spacing)
    across = volume.stack_axis if axis is None else axis
    in_plane = None if spacing is None else volume.grid.spacing_within(across)
    slices = np.moveaxis(values, across + 1, 0)
    return np.stack([find(each, in_plane) for each in slices], axis=across)


def otsu(values: NDArray[Any], spacing: Sequence[float] | None = None) -> Mask:
    """Return the largest piece brighter than Otsu's threshold of the smoothed image (sigma 1).

    Parameters
    ----------
    values
        Image (c, *s); several channels are each stretched to [0, 1] and averaged.
    spacing
        Pixel size along the axes, None where unknown.

    Returns
    -------
    Mask
        Bool (*s), holes filled; empty for a flat image.
    """
    grey = _grey(values)
    if grey.max() == grey.min():
        return np.zeros(grey.shape, dtype=bool)
    smooth = ndimage.gaussian_filter(grey, _scaled(1.0, spacing, grey.ndim))
    return fill_holes(largest_piece(smooth > threshold_otsu(smooth)))


def kmeans(values: NDArray[Any], spacing: Sequence[float] | None = None) -> Mask:
    """Return the tissue after Syed et al. 2023: two clusters of the compressed, closed image.

    Square root, scaled to the range of 8 bits; maximum over 7 pixels; minimum over 9 (their four
    erosions by 3); Gaussian with sigma 2; two means. Four things differ from their code: nothing
    wraps around at 8 bits, the background is the cluster that most of the border (not one corner)
    belongs to, the two means are the exact optimum rather than a random start's, and of the tissue
    the largest piece is kept, with its holes filled.

    Parameters
    ----------
    values
        Image (c, *s); several channels are each stretched to [0, 1] and averaged.
    spacing
        Pixel size along the axes, None where unknown.

    Returns
    -------
    Mask
        Bool (*s), the largest piece with its holes filled; empty for a flat image.
    """
    grey = _grey(values)
    if grey.max() == grey.min():
        return np.zeros(grey.shape, dtype=bool)
    levels = 255 * np.sqrt(grey)
    for filtered, reach in ((ndimage.maximum_filter, 3.0), (ndimage.minimum_filter, 4.0)):
        width = [2 * round(pixels) + 1 for pixels in _scaled(reach, spacing, grey.ndim)]
        levels = filtered(levels, size=width)
    levels = ndimage.gaussian_filter(levels, _scaled(2.0, spacing, grey.ndim))
    if levels.max() == levels.min():
        return np.zeros(grey.shape, dtype=bool)
    bright = levels > two_means_cut(levels)
    border_is_bright = bright[border(grey.shape)].mean() > 0.5
    return fill_holes(largest_piece(~bright if border_is_bright else bright))


def nonzero(values: NDArray[Any], spacing: Sequence[float] | None = None) -> Mask:  # noqa: ARG001
    """Return where any channel of `values` (c, *s) is not 0, holes filled."""
    return fill_holes((values != 0).any(axis=0))


METHODS: dict[str, Callable[[NDArray[Any], Sequence[float] | None], Mask]] = {
    "otsu": otsu,
    "kmeans": kmeans,
    "nonzero": nonzero,
}


def largest_piece(mask: Mask) -> Mask:
    """Return the largest connected piece (over faces); the first of equals."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def fill_holes(mask: Mask) -> Mask:
    """Return the mask with everything that it encloses on all sides.

    An axis of one pixel has no sides: a single slice is filled in its plane.
    """
    flat = mask.squeeze()
    labels, count = ndimage.label(~flat)
    if count == 0:
        return mask
    open_labels = np.zeros(count + 1, dtype=bool)
    open_labels[labels[border(flat.shape)]] = True
    open_labels[0] = False
    return np.asarray(~open_labels[labels]).reshape(mask.shape)


def border(shape: tuple[int, ...]) -> Mask:
    """Return the outermost layer of pixels (along axes longer than one)."""
    mask = np.zeros(shape, dtype=bool)
    for axis, n in enumerate(shape):
        if n > 1:
            edge = np.moveaxis(mask, axis, 0)
            edge[0] = edge[-1] = True
    return mask if mask.any() else ~mask


def two_means_cut(values: NDArray[Any]) -> float:
    """Return the cut between the two clusters of numbers with the least squared distances."""
    ordered = np.sort(values, axis=None).astype(np.float64)
    n_low = np.arange(1, ordered.size)
    sum_low = np.cumsum(ordered)[:-1]
    total = ordered.sum()
    # Least within-cluster squares = most between-cluster squares.
    between = sum_low**2 / n_low + (total - sum_low) ** 2 / (ordered.size - n_low)
    between[ordered[1:] == ordered[:-1]] = -np.inf  # equal numbers belong together
    best = int(between.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2)


def _grey(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean of the channels, each stretched to [0, 1] (flat ones 0)."""
    axes = tuple(range(1, values.ndim))
    low = values.min(axis=axes, keepdims=True).astype(np.float64)
    span = values.max(axis=axes, keepdims=True) - low
    unit = (values - low) / np.where(span > 0, span, 1)
    return np.asarray(unit.mean(axis=0), dtype=np.float32)


def _scaled(pixels: float, spacing: Sequence[float] | None, ndim: int) -> list[float]:
    """Return a length along each axis; rounded, as files state voxel sizes with rounding noise."""
    if spacing is None:
        return [pixels] * ndim
    return [round(pixels * min(spacing) / size, 3) for size in spacing]


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
