"""The image that is annotated, and which layers lie on it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.grid import SAME_PLACE, Grid, displacement
from napari_cam.heatmap import Heatmap
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import (
    ImageAxes,
    facts_of,
    image_axes,
    layer_grid,
    volume_view,
)
from napari_cam.widgets.layers.placement import layer_world
from napari_cam.widgets.layers.position import bare, layer_axis, show_index, shown_index
from napari_cam.widgets.layers.records import background_in, is_derived, is_heatmap, is_seeds

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume

NO_PICTURE = (
    "There is no image: open one with File > Open, or try "
    "File > Open Sample > Class activation maps."
)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image layer as it is annotated.

    Attributes
    ----------
    reference
        The layer; weak, so that a removed one can go.
    axes
        What its axes mean.
    grid
        Where its voxels lie.
    slice_axis
        The axis of (z, y, x) along which its slices lie.
    """

    reference: weakref.ReferenceType[Image]
    axes: ImageAxes
    grid: Grid
    slice_axis: int

    @classmethod
    def of(cls, layer: Image) -> Picture:
        """Look at an image layer.

        Raises
        ------
        VolumeError
            Where it is no volume.
        """
        axes = image_axes(layer)
        stack_axis = facts_of(layer).get("stack_axis", 0)
        return cls(
            weakref.ref(layer),
            axes,
            layer_grid(layer, axes),
            stack_axis if stack_axis in (0, 1, 2) else 0,
        )

    @property
    def layer(self) -> Image:
        """The layer.

        Raises
        ------
        VolumeError
            Where it is gone.
        """
        layer = self.reference()
        if layer is None:
            raise VolumeError("The image was removed from the viewer; choose another one.")
        return layer

    @property
    def n_slices(self) -> int:
        """How many slices it has."""
        return self.grid.shape[self.slice_axis]

    def volume(self, viewer: Any) -> Volume:
        """Return its voxels, of a time series the point on screen.

        Raises
        ------
        VolumeError
            Where the layer is gone.
        """
        layer, time = self.layer, None
        if self.axes.time is not None:
            data = layer.data[0] if layer.multiscale else layer.data
            time = shown_index(viewer, layer, self.axes.time, int(data.shape[self.axes.time]))
        return layer_to_volume(layer, channel_axis=self.axes.channel, time=time)

    def shown(self, viewer: Any, axis: int | None = None) -> int:
        """Return which place along an axis of (z, y, x) is on screen; None for the slices'."""
        along = self.slice_axis if axis is None else axis
        place = layer_axis(self.axes, along)
        return shown_index(viewer, self.layer, place, self.grid.shape[along])

    def show(self, viewer: Any, index: int) -> None:
        """Put a slice on screen."""
        axis = layer_axis(self.axes, self.slice_axis)
        show_index(viewer, self.layer, axis, index, self.n_slices)

    def holds(self, layer: Layer) -> bool:
        """Whether another layer's voxels are this image's, one by one."""
        try:
            axes = image_axes(layer)
            grid = layer_grid(layer, axes)
        except NapariCamError:
            return False
        if grid.shape != self.grid.shape or axes.time is not None:
            return False
        return grid.same_as(self.grid) or self._lies_like(layer, axes)

    def _lies_like(self, layer: Layer, axes: ImageAxes) -> bool:
        """Whether two layers are shown at one place, whatever their files say of obliquity."""
        mine = self.layer
        if mine.multiscale or len(axes.spatial) != len(self.axes.spatial):
            return False
        shape = self.grid.shape[-len(axes.spatial) :]
        here, there = layer_world(mine, self.axes.spatial), layer_world(layer, axes.spatial)
        return displacement(here, there, shape) <= SAME_PLACE


def images(layers: Iterable[Any]) -> list[Image]:
    """Return the layers that can be annotated: images that nothing of ours made."""
    found = (bare(layer) for layer in layers)
    return [each for each in found if isinstance(each, Image) and not is_derived(each)]


def heatmaps_on(picture: Picture, layers: Iterable[Any]) -> list[Image]:
    """Return the layers of heatmaps that lie on an image."""
    found = (bare(layer) for layer in layers)
    return [
        each
        for each in found
        if isinstance(each, Image) and is_heatmap(each) and picture.holds(each)
    ]


def labels_on(picture: Picture, layers: Iterable[Any]) -> list[Labels]:
    """Return the labels layers that lie on an image."""
    found = (bare(layer) for layer in layers)
    return [
        each
        for each in found
        if isinstance(each, Labels) and not each.multiscale and picture.holds(each)
    ]


def shapes_of(layers: Iterable[Any]) -> list[Shapes]:
    """Return the layers of drawn shapes."""
    return [layer for layer in map(bare, layers) if isinstance(layer, Shapes)]


def read_heatmap(layer: Image) -> Heatmap:
    """Return the heatmap that a layer shows, its values shared with the layer."""
    return layer_to_heatmap(layer)


def read_mask(layer: Labels) -> NDArray[np.bool_]:
    """Return (z, y, x) what a labels layer marks, a copy: of seeds the classes, else all but 0."""
    labels = volume_view(layer.data, image_axes(layer))
    marked = np.asarray(labels != 0)
    background = background_in(layer) if is_seeds(layer) else None
    if background is not None:
        marked &= labels != background
    return cast("NDArray[np.bool_]", marked)
