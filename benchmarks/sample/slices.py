"""Slices of the sample's fillets, prepared and labelled for the networks to train on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Orient, Rescale, Slices
from napari_cam.sample.cohort import (
    AMBIGUOUS,
    VOXEL_CLASSES,
    Cohort,
    slice_labels,
    voxel_labels,
)

PREPARATION = Preparation(
    (
        Orient("IPL"),
        Slices("acquisition"),
        Rescale(low_percentile=0.5, high_percentile=99.5),
        Channels("as_is", count=1),
    )
)
# Neighbouring slices of one fillet resemble each other; every third says nearly as much as all.
SLICE_STEP = 3


@dataclass(frozen=True, eq=False)
class LabelledSlices:
    """Slices of a cohort, as a network takes them.

    Attributes
    ----------
    images
        (n, 1, y, x) float32, prepared.
    labels
        (n,) or (n, y, x) int64.
    subjects
        (n,) the phantom each slice is of.
    """

    images: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    subjects: list[str] = field(repr=False)


def labelled_slices(cohort: Cohort, n: int | None = None) -> LabelledSlices:
    """Prepare the slices of a cohort's first `n` phantoms; ambiguous ones are left out."""
    images, labels, subjects = [], [], []
    for one in cohort.phantoms(n):
        classes = slice_labels(one)
        kept = np.flatnonzero(classes != AMBIGUOUS)
        images.append(PREPARATION.bind(one.volume).batch(kept.tolist()))
        labels.append(classes[kept])
        subjects += [f"phantom {one.seed}"] * len(kept)
    return LabelledSlices(np.concatenate(images), np.concatenate(labels), subjects)


def labelled_pixels(cohort: Cohort, n: int | None = None) -> LabelledSlices:
    """Prepare some slices of a cohort's first `n` phantoms, with the class of each pixel."""
    n_classes = len(VOXEL_CLASSES)
    images, labels, subjects = [], [], []
    for one in cohort.phantoms(n):
        kept = range(one.seed % SLICE_STEP, one.volume.shape[0], SLICE_STEP)
        prepared, truth = PREPARATION.bind(one.volume), voxel_labels(one)
        images.append(prepared.batch(kept))
        labels.append(sum(c * prepared.mask_batch(truth == c, kept) for c in range(1, n_classes)))
        subjects += [f"phantom {one.seed}"] * len(kept)
    return LabelledSlices(np.concatenate(images), np.concatenate(labels), subjects)
