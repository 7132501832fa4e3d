"""What the axes, levels and metadata of a napari layer mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.grid import SAME_PLACE, Grid, displacement
from napari_cam.volumes.stated_grid import stated_grid
from napari_cam.volumes.volume import Volume
from napari_cam.widgets.layers.placement import (
    WORLD_AXES,
    grid_of_world,
    layer_world,
    level_world,
    shown_world,
)

if TYPE_CHECKING:
    from napari.layers import Layer

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""A layer as napari hands it around: data, attributes, kind."""
GREY = {"rgb": False, "multiscale": False}
"""Attributes of a layer without colours: napari takes a last axis of length 3 or 4 for them."""
FACTS = "napari_cam"
"""Key of a layer's metadata: plain JSON on what it shows and what made it."""
VOLUME = "napari_cam_volume"
"""Key of a layer's metadata: the Volume it belongs to, in memory only."""
MAX_VOXELS = 1 << 27
"""A multiscale image is explained at its finest level of at most so many voxels (128 Mi)."""

COLOURS = ("red", "green", "blue")
"""The channels of a layer of colours."""


@dataclass(frozen=True)
class ImageAxes:
    """What the axes of an image layer mean, and which of its levels is meant.

    Attributes
    ----------
    spatial
        The layer's axes (z, y, x), or (y, x) for a flat layer.
    channel, time
        Which axis holds channels or time points; None where none does.
    level
        Which level of a multiscale layer; 0, the finest, for all others.
    """

    spatial: tuple[int, ...]
    channel: int | None = None
    time: int | None = None
    level: int = 0


def facts_of(layer: Layer) -> Mapping[str, Any]:
    """Return what a layer's metadata says of it; empty where it is none of ours."""
    facts = layer.metadata.get(FACTS)
    return facts if isinstance(facts, Mapping) else {}


def image_axes(
    layer: Layer, channel_axis: int | None = None, max_voxels: int = MAX_VOXELS
) -> ImageAxes:
    """Return what a layer's axes mean: the last three are space, one more is time.

    A layer that was derived here says itself which of its axes are space.

    Parameters
    ----------
    layer
        An image (or labels) layer.
    channel_axis
        The axis of its data that holds channels, where one does. Colours need none.
    max_voxels
        Which level of a multiscale layer: the finest with at most so many voxels.

    Raises
    ------
    VolumeError
        Where the layer is empty, or has too few or too many axes.
    """
    stated = facts_of(layer).get("layer_axes")
    if isinstance(stated, Sequence) and {*stated} <= {*range(layer.ndim)}:
        return ImageAxes(tuple(stated))
    levels = layer.data if getattr(layer, "multiscale", False) else [layer.data]
    if 0 in levels[0].shape:
        raise VolumeError(f"The layer '{layer.name}' is empty (0 voxels); choose another.")
    axes = list(range(layer.ndim))
    if channel_axis is not None:
        if not -layer.ndim <= channel_axis < layer.ndim:
            raise VolumeError(
                f"The layer '{layer.name}' has {layer.ndim} axes, so that axis {channel_axis} "
                "cannot hold its channels; choose another."
            )
        axes.remove(channel_axis % layer.ndim)
    if not 2 <= len(axes) <= 4:
        raise VolumeError(
            f"The layer '{layer.name}' has {len(axes)} axes besides channels; a volume has two or "
            "three, and time one more: split the layer, or say which axis holds channels."
        )
    time = axes.pop(0) if len(axes) == 4 else None
    fitting = (
        index
        for index, level in enumerate(levels)
        if math.prod(int(level.shape[axis]) for axis in axes) <= max_voxels
    )
    channel = None if channel_axis is None else channel_axis % layer.ndim
    return ImageAxes(tuple(axes), channel, time, next(fitting, len(levels) - 1))


def values_of(layer: Layer, axes: ImageAxes, time: int | None) -> tuple[Any, tuple[str, ...]]:
    """Return (z, y, x) or (c, z, y, x) without copying, and the names of the channels."""
    data = layer.data[axes.level] if getattr(layer, "multiscale", False) else layer.data
    order = list(axes.spatial)
    names: tuple[str, ...] = ()
    if getattr(layer, "rgb", False):
        data, names = data[..., :3], COLOURS  # the fourth is opacity
        order.insert(0, layer.ndim)
    elif axes.channel is not None:
        order.insert(0, axes.channel)
        names = tuple(f"channel {n + 1}" for n in range(data.shape[axes.channel]))
    index: list[Any] = [slice(None)] * data.ndim
    for axis in range(layer.ndim):
        if axis == axes.time:
            index[axis] = _time_index(layer, time, data.shape[axis])
        elif axis not in order:
            index[axis] = slice(0, 1)  # what we derived is repeated along such an axis
    others = [axis for axis in range(data.ndim) if axis not in order]
    data = data[tuple(index)].transpose([*others, *order])[(0,) * len(others)]
    if len(axes.spatial) == 2:
        data = data[..., None, :, :]
    if isinstance(data, np.ndarray) and not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return data, names


def volume_view(data: Any, axes: ImageAxes) -> NDArray[Any]:
    """Return a layer's voxels as (z, y, x), without copying."""
    view: NDArray[Any] = np.asarray(data).transpose(axes.spatial)
    return view[None] if len(axes.spatial) == 2 else view


def _time_index(layer: Layer, time: int | None, n_times: int) -> slice:
    if time is None or not 0 <= time < n_times:
        raise VolumeError(
            f"The layer '{layer.name}' has {n_times} time points; choose one (0 to {n_times - 1})."
        )
    return slice(time, time + 1)


def layer_grid(layer: Layer, axes: ImageAxes) -> Grid:
    """Return where a layer's voxels lie.

    It is the true (perhaps oblique) grid of its metadata while the layer lies where that put it,
    else that of the layer's own transform.
    """
    shape, world = _level(layer, axes)
    volume = layer.metadata.get(VOLUME)
    stated = volume.grid if isinstance(volume, Volume) else stated_grid(facts_of(layer))
    units = [layer.units[axis] for axis in axes.spatial]
    if len(axes.spatial) == 2:
        units = [units[0], *units]
    patient = tuple(layer.axis_labels)[-3:] == WORLD_AXES and len(axes.spatial) == 3
    own = grid_of_world(world, shape, units, patient)
    if stated is None or stated.shape != shape:
        return own
    moved = displacement(shown_world(stated), world, shape) > SAME_PLACE
    return own if moved and not own.same_as(stated) else stated


def _level(layer: Layer, axes: ImageAxes) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return the shape (z, y, x) of a layer's chosen level and its (4, 4) world."""
    levels = layer.data if getattr(layer, "multiscale", False) else [layer.data]
    finest = [int(levels[0].shape[axis]) for axis in axes.spatial]
    chosen = [int(levels[axes.level].shape[axis]) for axis in axes.spatial]
    world = level_world(layer_world(layer, axes.spatial), finest, chosen)
    if len(chosen) == 2:
        flat, world = world, np.eye(4)
        world[1:, 1:] = flat
        chosen = [1, *chosen]
    return (chosen[0], chosen[1], chosen[2]), world
