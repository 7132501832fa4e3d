"""Which phantoms are trained, validated and tested on, and which slices of them count as what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cam.sample.phantom import Phantom, phantom

CLASS_NAMES = ("healthy", "damaged")
DAMAGED_SHARE = 0.03
"""A slice is damaged where damage above 0.5 takes at least this share of its tissue."""

HEALTHY, DAMAGED, AMBIGUOUS = 0, 1, -1

VOXEL_CLASSES = ("background", "tissue", "damaged")
DAMAGED_ABOVE = 0.5
"""A voxel is damaged where its damage lies above this."""


@dataclass(frozen=True)
class Cohort:
    """Phantoms of consecutive seeds; every fourth is healthy.

    Attributes
    ----------
    first_seed
        The cohorts' seeds lie far apart, so that no fillet is in two of them.
    n
        Number of phantoms, where nothing else is asked.
    """

    first_seed: int
    n: int

    def phantoms(self, n: int | None = None) -> Iterator[Phantom]:
        """Yield the first `n` phantoms (all where None), one at a time."""
        for place in range(self.n if n is None else n):
            yield phantom(self.first_seed + place, damaged=place % 4 != 3)


TRAINING = Cohort(0, 96)
VALIDATION = Cohort(10_000, 24)
TEST = Cohort(20_000, 64)


def slice_labels(one: Phantom) -> NDArray[np.int64]:
    """Return the class of each slice (z,): healthy, damaged, or -1 for ambiguous.

    Healthy is a slice without any damage, damaged one with at least `DAMAGED_SHARE`; what lies
    between is neither trained nor tested on.
    """
    share = (one.damage > DAMAGED_ABOVE).sum(axis=(1, 2)) / np.maximum(
        one.tissue.sum(axis=(1, 2)), 1
    )
    labels = np.full(len(share), AMBIGUOUS, dtype=np.int64)
    labels[one.damage.max(axis=(1, 2)) == 0] = HEALTHY
    labels[share >= DAMAGED_SHARE] = DAMAGED
    return labels


def voxel_labels(one: Phantom) -> NDArray[np.int64]:
    """Return the class of each voxel (z, y, x), an index into `VOXEL_CLASSES`."""
    labels = one.tissue.astype(np.int64)
    labels[one.damage > DAMAGED_ABOVE] = VOXEL_CLASSES.index("damaged")
    return labels
