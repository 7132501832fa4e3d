"""Seeds: labels of three kinds (class, background, unlabelled) made from heatmaps, to be edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.classes import UNLABELLED, LabelClasses


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
