"""Random walker: unlabelled voxels go to the seeds that a walk along like intensities meets first.

Grady, IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768-1783, as scikit-image solves it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_cam.labels.classes import UNLABELLED

_OUTSIDE = -1
_TOLERANCE = 1e-4  # of the conjugate gradients' residual


def random_walk(
    image: NDArray[np.float64],
    labels: NDArray[np.uint8],
    spacing: Sequence[float],
    beta: float,
    certainty: float,
    foreground: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return the labels with unlabelled voxels filled in where one class is likely enough.

    Neighbours i and j are joined by exp(-beta ((g_i - g_j) / h)^2), where h is their distance
    (Grady's eq. 1 with the distance that scikit-image adds). A connected piece with seeds of
    fewer than two classes stays as it is: every walk from it would end at the same class,
    whatever the image.

    Parameters
    ----------
    image
        (*s) in standard deviations, two or three axes.
    labels
        (*s) uint8, 0 unlabelled.
    spacing
        Distance of neighbours along each axis, 1 for the nearest.
    beta
        How much an edge of one standard deviation hinders.
    certainty
        From 0 to 1: a voxel is labelled where the likeliest class has more than this probability.
    foreground
        (*s) bool, where may be walked; what lies outside stays as it is.
    """
    marks = labels.astype(np.int32)
    if foreground is not None:
        marks[~foreground] = _OUTSIDE
    _leave_out_undecidable(marks)
    codes = np.unique(marks[marks > 0])
    spread = float(image.std())
    if not codes.size or spread == 0:
        return labels.copy()
    with warnings.catch_warnings():
        # The only warning left: rounding put a probability beyond [0, 1], which argmax bears.
        warnings.simplefilter("ignore", UserWarning)
        probability = random_walker(
            image,
            marks,
            beta=10 * beta * spread,  # scikit-image divides by ten standard deviations
            mode="cg_j",
            tol=_TOLERANCE,
            return_full_prob=True,
            spacing=tuple(spacing),
        )
    walked = (marks == UNLABELLED) & (probability.max(axis=0) > certainty)
    filled = labels.copy()
    filled[walked] = codes[probability.argmax(axis=0)[walked]]
    return filled


def _leave_out_undecidable(marks: NDArray[np.int32]) -> None:
    """Put outside every connected piece without a voxel to decide, or without a choice of two."""
    pieces, n_pieces = ndimage.label(marks != _OUTSIDE)
    n_codes = int(marks.max(initial=0)) + 1
    present = np.zeros((n_pieces + 1, n_codes), bool)
    inside = marks != _OUTSIDE
    present[pieces[inside], marks[inside]] = True
    decidable = present[:, UNLABELLED] & (present[:, 1:].sum(axis=1) >= 2)
    marks[~decidable[pieces]] = _OUTSIDE
