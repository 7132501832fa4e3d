"""Guided filter: a heatmap smoothed within regions of the image, and not across their edges.

He, Sun and Tang, IEEE Trans. Pattern Anal. Mach. Intell. 35 (2013) 1397-1409.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def guided_filter(
    guide: NDArray[np.float64],
    values: NDArray[np.float64],
    radius: Sequence[int],
    epsilon: float,
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return values filtered by a guide, for any number of axes.

    In each window w_k the output is taken for a linear function of the guide I, fitted to the
    values p by ridge regression (eqs. 5, 6)::

        a_k = (mean_k(I p) - mean_k(I) mean_k(p)) / (var_k(I) + epsilon)
        b_k = mean_k(p) - a_k mean_k(I)

    and the windows that hold voxel i are averaged (eq. 8): q_i = mean_i(a) I_i + mean_i(b).
    Windows are boxes, cut off at the border and at what is not counted.

    Parameters
    ----------
    guide, values
        (*s).
    radius
        Of the box along each axis, in voxels; 0 leaves an axis alone.
    epsilon
        Variance of the guide below which a window counts as flat, in the guide's units squared.
    counted
        (*s) bool, the voxels that means are taken of and that are filtered; None for all. The
        others are 0.

    Returns
    -------
    ndarray
        (*s) float64.
    """
    use = np.ones(values.shape) if counted is None else counted.astype(np.float64)
    size = [2 * reach + 1 for reach in radius]

    def box(array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.uniform_filter(array, size, mode="constant"))

    share = box(use)
    share[use == 0] = 1  # never read
    mean_guide, mean_values = box(guide * use) / share, box(values * use) / share
    covariance = box(guide * values * use) / share - mean_guide * mean_values
    variance = box(guide * guide * use) / share - mean_guide * mean_guide
    slope = covariance / (np.maximum(variance, 0) + epsilon)
    offset = mean_values - slope * mean_guide
    filtered: NDArray[np.float64] = (box(slope * use) * guide + box(offset * use)) / share
    return filtered * use
