"""Which slice is on screen, and how to go to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_cam.widgets.layers.layer_axes import ImageAxes


def bare(item: Any) -> Any:
    """Return a layer itself, not the proxy that napari hands to plugins: identity matters here."""
    return getattr(item, "__wrapped__", item)


def layer_axis(axes: ImageAxes, volume_axis: int | None) -> int | None:
    """Return the layer's axis that a volume's axis (0, 1, 2 = z, y, x) is; None for no such one."""
    if volume_axis is None:
        return None
    place = volume_axis - (3 - len(axes.spatial))
    return axes.spatial[place] if place >= 0 else None


def shown_index(viewer: Any, layer: Layer, axis: int | None, length: int) -> int:
    """Return which of `length` places along a layer's axis the viewer's sliders stand at.

    `length` is less than the layer's own where a coarser level of it is meant.
    """
    if axis is None:
        return 0
    coordinates = layer.world_to_data(viewer.dims.point)
    share = length / _length(layer, axis)
    return int(np.clip(np.rint((coordinates[axis] + 0.5) * share - 0.5), 0, length - 1))


def slice_on_screen(viewer: Any, layer: Layer, axes: ImageAxes) -> tuple[int, int] | None:
    """Return which slice of a layer the 2D view shows: the volume's axis across it, and its place.

    None where there is no one slice: in 3D, and of a picture.
    """
    if viewer.dims.ndisplay != 2 or len(axes.spatial) < 3:
        return None
    first = viewer.dims.ndim - layer.ndim
    hidden = [axis for axis in axes.spatial if axis + first in viewer.dims.not_displayed]
    if len(hidden) != 1:
        return None
    index = shown_index(viewer, layer, hidden[0], _length(layer, hidden[0]))
    return axes.spatial.index(hidden[0]), index


def show_index(viewer: Any, layer: Layer, axis: int | None, index: int, length: int) -> None:
    """Move the viewer's sliders so that place `index` of `length` along a layer's axis is shown."""
    if axis is None:
        return
    coordinates = np.array(layer.world_to_data(viewer.dims.point), dtype=float)
    coordinates[axis] = (index + 0.5) * _length(layer, axis) / length - 0.5
    world = layer.data_to_world(tuple(coordinates))
    first = viewer.dims.ndim - len(world)
    viewer.dims.set_point(list(range(first, viewer.dims.ndim)), [float(value) for value in world])


def put_on_slider(viewer: Any, layer: Layer, axis: int | None) -> None:
    """Turn the 2D view so that the slider walks along a layer's axis."""
    if axis is None or viewer.dims.ndisplay != 2:
        return
    world_axis = viewer.dims.ndim - layer.ndim + axis
    if world_axis in viewer.dims.displayed:
        others = [other for other in range(viewer.dims.ndim) if other != world_axis]
        viewer.dims.order = (*others[:-2], world_axis, *others[-2:])


def neighbour(flags: Any, index: int, step: int) -> int | None:
    """Return the next place after `index`, in the direction of `step`, where `flags` (u,) hold."""
    places = np.flatnonzero(flags)
    after = places[places > index] if step > 0 else places[places < index][::-1]
    return int(after[0]) if len(after) else None


def _length(layer: Layer, axis: int) -> int:
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return int(data.shape[axis])
