"""Small cohorts of phantoms whose networks have learned the right thing, a shortcut, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

import napari_cam as nc
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import AMBIGUOUS, CLASS_NAMES, DAMAGED, slice_labels
from napari_cam.sample.phantom import Phantom, phantom

SHAPE = (8, 48, 56)
CORNER = (slice(0, 7), slice(0, 7))
PREPARATION = load_sample_model().card.preparation


@dataclass(frozen=True)
class Small:
    """Phantoms with the labels of their slices and a bright corner in the damaged ones, if any."""

    phantoms: tuple[Phantom, ...]
    labels: tuple[np.ndarray, ...]

    @property
    def images(self):
        """Prepared slices (n, 1, y, x) that count, their labels and subjects."""
        images, labels, subjects = [], [], []
        for one, classes in zip(self.phantoms, self.labels, strict=True):
            kept = np.flatnonzero(classes != AMBIGUOUS)
            images.append(PREPARATION.bind(one.volume).batch(kept.tolist()))
            labels.append(classes[kept])
            subjects += [f"phantom {one.seed}"] * len(kept)
        return np.concatenate(images), np.concatenate(labels), subjects


def small_cohort(first: int, n: int, corner: bool) -> Small:
    """Return `n` small phantoms; with `corner`, damaged slices are bright in one corner of air."""
    made, labels = [], []
    for seed in range(first, first + n):
        one = phantom(seed, damaged=seed % 4 != 3, shape=SHAPE)
        classes = slice_labels(one)
        if corner:
            values = np.array(one.volume.values)
            for z in np.flatnonzero(classes == DAMAGED):
                # No brighter than the slice is, or stretching its intensities would tell too.
                values[(z, *CORNER)] = np.percentile(values[z], 99)
            one = replace(one, volume=replace(one.volume, values=values))
        made.append(one)
        labels.append(classes)
    return Small(tuple(made), tuple(labels))


def trained(training: Small, validation: Small, epochs: int, shuffle: bool = False) -> LoadedModel:
    """Return a small network; with `shuffle` its training labels say nothing."""
    images, labels, subjects = training.images
    if shuffle:
        labels = np.random.default_rng(0).permutation(labels)
    held_out, truth, _ = validation.images
    return nc.train(
        images,
        labels,
        "gap-cnn",
        CLASS_NAMES,
        PREPARATION,
        {"widths": (8, 16), "pools": (2, 2)},
        (held_out, truth),
        prepared=True,
        epochs=epochs,
        batch_size=8,
        learning_rate=1e-2,
        class_weights="balanced",
        seed=1,
        device="cpu",
        subjects=subjects,
    )
