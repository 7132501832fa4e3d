"""Maps and masks of layers, brought onto the image's grid. No Qt, no layers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.units import axes_within
from napari_cam.volumes.regridding import Matrix, covered, regrid

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SourceMap:
    """A heatmap or mask as its layer holds it: on the image's grid, or on one of its own.

    Attributes
    ----------
    item
        The heatmap, or (z, y, x) bool.
    places
        (4, 4) index of the image -> index of the item; None where they are the same.
    """

    item: Heatmap | Mask = field(repr=False)
    places: Matrix | None = None

    def aligned(self, grid: Grid, unit_axis: int) -> Any:
        """Return it on the image's grid: labels from the nearest voxel, heatmaps linearly.

        A heatmap that comes from elsewhere has other slices than the image; it gets those along
        `unit_axis`, and what the network said of its own slices is dropped.
        """
        if self.places is None:
            return self.item
        if isinstance(self.item, Heatmap):
            return _resampled(self.item, self.places, grid, unit_axis)
        return regrid(self.item, self.places, grid.shape, linear=False)


def _resampled(heatmap: Heatmap, places: Matrix, grid: Grid, unit_axis: int) -> Heatmap:
    values = regrid(heatmap.values, places, grid.shape, linear=True)
    inside = regrid(heatmap.inside, places, grid.shape, linear=False)
    inside &= covered(heatmap.values.shape, places, grid.shape)
    values[~inside] = 0
    whole = heatmap.unit_axis is None
    axis = None if whole else unit_axis
    within = axes_within(axis)
    low, high = values.min(axis=within).reshape(-1), values.max(axis=within).reshape(-1)
    units = len(low)
    classes = np.unique(heatmap.class_index)
    return replace(
        heatmap,
        values=values,
        raw_min=low,
        raw_max=high,
        valid=high > low,
        class_index=np.full(units, classes[0] if len(classes) == 1 else -1, np.int64),
        predicted_index=np.full(units, -1, np.int64),
        score=np.full(units, np.nan, np.float32),
        inside=inside,
        unit_axis=axis,
        grid=grid,
        provenance={**heatmap.provenance, "resampled": "linear, through world coordinates"},
    )
