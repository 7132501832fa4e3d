"""The image that a dock is about, and which layers lie on it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray
from psygnal import Signal

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.grid import SAME_PLACE, Grid, displacement
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
    """The image that a dock is about: one layer, or several as channels.

    Attributes
    ----------
    references
        The layers; weak, so that a removed one can go.
    axes
        What their axes mean.
    grid
        Where its voxels lie.
    slice_axis
        The axis of (z, y, x) along which its slices lie.
    """

    references: tuple[weakref.ReferenceType[Image], ...]
    axes: ImageAxes
    grid: Grid
    slice_axis: int

    @classmethod
    def of(cls, *layers: Image, channel_axis: int | None = None) -> Picture:
        """Look at image layers; `channel_axis` holds the channels of a single one that has such.

        Raises
        ------
        VolumeError
            Where the first is no volume.
        """
        first = layers[0]
        axes = image_axes(first, channel_axis)
        stack_axis = facts_of(first).get("stack_axis", 0)
        return cls(
            tuple(weakref.ref(layer) for layer in layers),
            axes,
            layer_grid(first, axes),
            stack_axis if stack_axis in (0, 1, 2) else 0,
        )

    def reference(self) -> Image | None:
        """Return the first layer, None where it is gone."""
        return self.references[0]()

    @property
    def layers(self) -> list[Image]:
        """The layers.

        Raises
        ------
        VolumeError
            Where one is gone.
        """
        layers = [layer for each in self.references if (layer := each()) is not None]
        if len(layers) < len(self.references):
            raise VolumeError("The image was removed from the viewer; choose another one.")
        return layers

    @property
    def layer(self) -> Image:
        """The first layer, beside which results are laid.

        Raises
        ------
        VolumeError
            Where one is gone.
        """
        return self.layers[0]

    @property
    def n_slices(self) -> int:
        """How many slices it has."""
        return self.grid.shape[self.slice_axis]

    def volume(self, viewer: Any) -> Volume:
        """Return its voxels, of a time series the point on screen.

        Raises
        ------
        VolumeError
            Where a layer is gone, or the layers are no volume.
        """
        layers = self.layers
        return layer_to_volume(layers, channel_axis=self.axes.channel, time=self.time(viewer))

    def time(self, viewer: Any) -> int | None:
        """Return the point of a time series that is on screen, None where it is none."""
        if self.axes.time is None:
            return None
        data = self.layer.data[0] if self.layer.multiscale else self.layer.data
        return shown_index(viewer, self.layer, self.axes.time, int(data.shape[self.axes.time]))

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


class PictureState:
    """What every dock knows: its picture.

    Attributes
    ----------
    picture
        The image; None where there is none, and then `no_picture` says why.
    """

    picture_changed = Signal()

    def __init__(self, no_picture: str = NO_PICTURE) -> None:
        self.picture: Picture | None = None
        self.no_picture = no_picture

    @property
    def missing(self) -> str:
        """Why nothing can be done, "" where all is there."""
        return self.no_picture if self.picture is None else ""

    def set_picture(self, picture: Picture | None, problem: str = "") -> None:
        """Take another image, or none and the sentence that says why."""
        self.picture, self.no_picture = picture, problem
        self.picture_changed.emit()


def images(layers: Iterable[Any]) -> list[Image]:
    """Return the layers that a dock can be about: images that nothing of ours made."""
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


def read_mask(layer: Labels) -> NDArray[np.bool_]:
    """Return (z, y, x) what a labels layer marks, a copy: of seeds the classes, else all but 0."""
    labels = volume_view(layer.data, image_axes(layer))
    marked = np.asarray(labels != 0)
    background = background_in(layer) if is_seeds(layer) else None
    if background is not None:
        marked &= labels != background
    return cast("NDArray[np.bool_]", marked)
