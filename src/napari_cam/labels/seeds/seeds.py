"""Seeds: labels of three kinds (class, background, unlabelled) to be edited and trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.labels.classes import UNLABELLED, LabelClasses


@dataclass(frozen=True, eq=False)
class Seeds:
    """Labels for a network to be trained on.

    Attributes
    ----------
    labels
        (z, y, x) uint8: 0 unlabelled (ignore), 1 background, 2 and up the classes.
    classes
        What the codes mean.
    grid
        Where the voxels lie.
    provenance
        What made them, as plain JSON.

    Raises
    ------
    MaskError
        Where the labels do not lie on the grid or hold a code that no class has.
    """

    labels: NDArray[np.uint8]
    classes: LabelClasses
    grid: Grid
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape:
            raise MaskError(
                f"The labels have shape {self.labels.shape} but their grid {self.grid.shape}; "
                "give labels on the volume's grid."
            )
        if self.labels.dtype != np.uint8:
            raise MaskError(f"Seeds are uint8, not {self.labels.dtype}; convert them first.")
        unknown = sorted(set(np.unique(self.labels).tolist()) - {UNLABELLED, *self.classes.codes})
        if unknown:
            raise MaskError(
                f"The labels hold {unknown[0]}, which is no class; "
                f"there are {', '.join(str(code) for code in self.classes.codes)}."
            )

    @property
    def voxels(self) -> dict[str, int]:
        """How many voxels each class has, those of no class as "unlabelled"."""
        counted = np.bincount(self.labels.ravel(), minlength=256)
        named = {each.name: int(counted[each.code]) for each in self.classes}
        return {**named, "unlabelled": int(counted[UNLABELLED])}

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how they were made."""
        return tuple(str(note) for note in self.provenance.get("notes", ()))
