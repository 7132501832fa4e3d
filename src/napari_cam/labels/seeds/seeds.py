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
    """Labels for training a network.

    Attributes
    ----------
    labels
        (z, y, x) uint8: 0 unlabelled (ignore), 1 background, 2 and up the classes.
    classes
        The meaning of the codes.
    grid
        Where the voxels lie.
    provenance
        How the seeds were made, as plain JSON.

    Raises
    ------
    MaskError
        If the labels do not fit the grid or contain a code without a class.
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
        """Number of voxels by class name; "unlabelled" counts those without a class."""
        counted = np.bincount(self.labels.ravel(), minlength=256)
        named = {each.name: int(counted[each.code]) for each in self.classes}
        return {**named, "unlabelled": int(counted[UNLABELLED])}

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the seeds were made."""
        return tuple(str(note) for note in self.provenance.get("notes", ()))
