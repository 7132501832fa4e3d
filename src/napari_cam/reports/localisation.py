"""Does a heatmap point at the truth? Energy and peak, and what knowing nothing would score.

`energy_inside` is the proportion of Wang et al., Score-CAM (CVPR Workshops 2020), section 4.2,
with a mask in place of a box; `peak_inside` is the pointing game of Zhang et al., Top-down Neural
Attention by Excitation Backprop (IJCV 2018), section 5.1, without a tolerance. A score means
little alone: the baselines here say what a map without any network reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError


def energy_inside(heatmap: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    """Return the share of a heatmap's sum that lies where `truth` is True.

    Parameters
    ----------
    heatmap
        Non-negative numbers of any shape.
    truth
        Boolean, of the same shape.

    Returns
    -------
    float
        0 to 1; NaN where the heatmap holds no energy at all.

    Raises
    ------
    MaskError
        Where shapes differ, `truth` is not boolean, or the heatmap holds negative numbers or NaN.
    """
    _check(heatmap, truth)
    if not (heatmap >= 0).all():
        raise MaskError(
            "The heatmap holds negative numbers or NaN, which are no shares of energy; "
            "clip it at zero first."
        )
    total = float(heatmap.sum(dtype=np.float64))
    return float(heatmap[truth].sum(dtype=np.float64)) / total if total > 0 else float("nan")


def peak_inside(heatmap: NDArray[Any], truth: NDArray[np.bool_]) -> bool:
    """Return whether the heatmap's maximum, and every voxel tied with it, lies in `truth`.

    A flat map has no peak, so it never points inside (unless `truth` is everywhere).

    Raises
    ------
    MaskError
        Where shapes differ, `truth` is not boolean, or the heatmap holds NaN.
    """
    _check(heatmap, truth)
    top = heatmap.max()
    if np.isnan(top):
        raise MaskError("The heatmap holds NaN, so it has no peak; replace NaN by zero first.")
    return bool(truth[heatmap == top].all())


def area_share(truth: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> float:
    """Return the share of the foreground that `truth` takes: the energy inside of a flat map.

    NaN where the foreground is empty.

    Raises
    ------
    MaskError
        Where shapes differ or `truth` is not boolean.
    """
    _check(foreground, truth)
    return energy_inside(foreground.astype(np.float32), truth)


def centred_gaussian(foreground: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a Gaussian with the centroid and the spread of a foreground, zero outside of it.

    The heatmap of someone who knows where the object is and guesses its middle.

    Parameters
    ----------
    foreground
        Boolean, any number of axes.

    Raises
    ------
    MaskError
        Where the foreground is empty.
    """
    places = np.argwhere(foreground)
    if len(places) == 0:
        raise MaskError("The foreground is empty, so it has no middle.")
    centre, spread = places.mean(axis=0), np.maximum(places.std(axis=0), 0.5)
    squares = np.zeros(foreground.shape)
    for axis, (middle, sigma) in enumerate(zip(centre, spread, strict=True)):
        shape = [1] * foreground.ndim
        shape[axis] = -1
        squares = squares + (((np.arange(foreground.shape[axis]) - middle) / sigma) ** 2).reshape(
            shape
        )
    return (np.exp(-squares / 2) * foreground).astype(np.float32)


def image_intensity(image: NDArray[Any], foreground: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the image itself as a heatmap: its intensity above the foreground's darkest voxel.

    Zero outside of the foreground.

    Raises
    ------
    MaskError
        Where shapes differ or the foreground is empty or not boolean.
    """
    _check(image, foreground)
    if not foreground.any():
        raise MaskError("The foreground is empty, so the image has no intensity in it.")
    values = np.asarray(image, dtype=np.float32)
    return np.where(foreground, values - values[foreground].min(), 0).astype(np.float32)


def _check(heatmap: NDArray[Any], truth: NDArray[Any]) -> None:
    if heatmap.shape != truth.shape:
        raise MaskError(
            f"The heatmap has shape {heatmap.shape} but the truth {truth.shape}; "
            "compare them on one grid."
        )
    if truth.dtype != np.bool_:
        raise MaskError(
            f"The truth holds {truth.dtype}, not True and False; say which values count, "
            "for example damage > 0.5."
        )
