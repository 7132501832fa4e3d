"""Labels layers that lie on the grid of an image or heatmap, voxel by voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cam.errors import MaskError
from napari_cam.grid import SAME_PLACE, displacement
from napari_cam.widgets.layers.foregrounds import LabelSet
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.placement import layer_world
from napari_cam.widgets.layers.position import bare

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_cam.grid import Grid
    from napari_cam.volumes.volume import Volume


def label_set_on(
    layer: Labels, grid: Grid, source: Layer, numbers: tuple[int, ...] = ()
) -> LabelSet:
    """Return the labels of a layer that lies on `grid`, or just where `source` lies.

    Parameters
    ----------
    layer
        The labels layer; its voxels are not copied.
    grid
        Of the heatmap.
    source
        The layer that shows the heatmap or its image.
    numbers
        Which labels are meant; empty for all but 0.

    Raises
    ------
    VolumeError
        Where the layer is no volume.
    MaskError
        Where it lies elsewhere.
    """
    labels = layer_to_volume(layer)
    if not lies_on(layer, labels, grid, source):
        raise MaskError(
            f"The labels layer '{layer.name}' does not lie on the heatmap's own grid; choose "
            "another, or resample it."
        )
    path = layer.source.path
    return LabelSet(labels.values, numbers, str(path) if path else None)


def lies_on(layer: Labels, labels: Volume, grid: Grid, source: Layer) -> bool:
    """Whether a layer's voxels, `labels`, are those of `grid`.

    They are also where the layer shows as many voxels at the very place of `source`.
    """
    if labels.shape != grid.shape:
        return False
    if labels.grid.same_as(grid):
        return True
    other: Any = bare(source)
    if other.ndim != layer.ndim:
        return False
    axes = range(layer.ndim)
    steps = [n - 1 for n in layer.data.shape]  # an axis of one place has no step to compare
    return displacement(layer_world(other, axes), layer_world(layer, axes), steps) <= SAME_PLACE
