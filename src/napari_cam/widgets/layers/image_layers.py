"""Volumes as image layers, and what an image layer shows as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.grid import check_same_place
from napari_cam.provenance import plain
from napari_cam.volumes.stated_grid import grid_facts
from napari_cam.volumes.volume import Volume, check_numeric
from napari_cam.widgets.layers.layer_axes import (
    COLOURS,
    FACTS,
    GREY,
    MAX_VOXELS,
    VOLUME,
    LayerData,
    facts_of,
    image_axes,
    layer_grid,
    values_of,
)
from napari_cam.widgets.layers.placement import oblique_degrees, placement

if TYPE_CHECKING:
    from napari.layers import Layer


def volume_to_layer(volume: Volume, name: str = "image") -> LayerData:
    """Return a volume of one channel, or of three 8-bit colours, as one image layer.

    The layer's data is a view of ``volume.values``. An oblique volume is shown with its voxel size
    about its true centre, and keeps its true affine in the metadata.

    Raises
    ------
    VolumeError
        Where the volume has several channels that are no colours: see `volume_to_layers`.
    """
    layers = volume_to_layers(volume, name)
    if len(layers) > 1:
        raise VolumeError(
            f"The image has {len(layers)} channels, which are shown as one layer each; "
            "use volume_to_layers."
        )
    return layers[0]


def volume_to_layers(volume: Volume, name: str = "image") -> list[LayerData]:
    """Return a volume as image layers: one, or one for each channel that is no colour."""
    place = placement(volume.grid)
    facts = {**_image_facts(volume), "channel": None}
    metadata = {FACTS: facts, VOLUME: volume}
    if volume.values.ndim == 3:
        attributes = {"name": name, "metadata": metadata, **place, **GREY, **_window(volume)}
        return [(volume.values, attributes, "image")]
    if volume.channel_names == COLOURS and volume.values.dtype == np.uint8:
        colours = volume.values.transpose(1, 2, 3, 0)
        attributes = {"name": name, "rgb": True, "metadata": metadata, **place}
        return [(colours, attributes, "image")]
    layers: list[LayerData] = []
    for index, channel in enumerate(volume.channel_names):
        attributes = {
            "name": f"{name} ({channel})",
            "metadata": {FACTS: {**facts, "channel": index}, VOLUME: volume},
            "blending": "translucent" if index == 0 else "additive",
            **place,
            **GREY,
        }
        layers.append((volume.values[index], attributes, "image"))
    return layers


def _window(volume: Volume) -> dict[str, Any]:
    """Return the contrast limits that the scanner states, none where it states none."""
    return {"contrast_limits": volume.windows[0].limits} if volume.windows else {}


def time_series_to_layer(points: Any, first: Volume, name: str = "image") -> LayerData:
    """Return time points (t, z, y, x) on the grid of `first` as one layer with a time axis."""
    place = placement(first.grid)
    attributes = {
        "name": name,
        "scale": (1.0, *place["scale"]),
        "translate": (0.0, *place["translate"]),
        "axis_labels": ("t", *place["axis_labels"]),
        "units": ("pixel", *place["units"]),
        "metadata": {FACTS: {**_image_facts(first), "channel": None}, VOLUME: first},
        **GREY,
        **_window(first),
    }
    return points, attributes, "image"


def _image_facts(volume: Volume) -> dict[str, Any]:
    """Return what an image layer's metadata says of its volume, without the patient's identity."""
    facts = {
        "kind": "image",
        "version": version("napari-cam"),
        **grid_facts(volume.grid),
        "oblique_degrees": round(oblique_degrees(volume.grid), 3),
        "stack_axis": volume.stack_axis,
        "channel_names": list(volume.channel_names),
        "notes": list(volume.notes),
    }
    result: dict[str, Any] = plain(facts)
    return result


def layer_to_volume(
    layers: Layer | Sequence[Layer],
    channel_axis: int | None = None,
    time: int | None = None,
    max_voxels: int = MAX_VOXELS,
) -> Volume:
    """Return what an image layer, or several as channels, shows.

    An image that this plugin read comes back with the header and identity of its source; any other
    is made from the layer's data and transform. Lazy (Dask) data stays lazy.

    Parameters
    ----------
    layers
        One layer, or several on one grid: one per channel.
    channel_axis
        The axis of a layer's data that holds channels; None for none. Colours need none.
    time
        Which time point, for a layer with four axes of space and time.
    max_voxels
        Of a multiscale layer the finest level with at most so many voxels is taken.

    Raises
    ------
    VolumeError
        Where axes, time or data are not those of a volume, or the layers differ in their grids.
    """
    several = list(layers) if isinstance(layers, Sequence) else [layers]
    if not several:
        raise VolumeError("No layer was given; choose an image layer.")
    volumes = [_one_volume(layer, channel_axis, time, max_voxels) for layer in several]
    if len(volumes) == 1:
        return volumes[0]
    ours = _all_channels(several)
    return ours if ours is not None else _stacked(several, volumes)


def _one_volume(
    layer: Layer, channel_axis: int | None, time: int | None, max_voxels: int
) -> Volume:
    axes = image_axes(layer, channel_axis, max_voxels)
    values, names = values_of(layer, axes, time)
    check_numeric(values.dtype)
    grid = layer_grid(layer, axes)
    known = layer.metadata.get(VOLUME)
    if isinstance(known, Volume) and known.grid is grid:
        if known.values.ndim == values.ndim and _same_voxels(layer, known):
            return known
        return replace(known, values=values, channel_names=names)
    stack_axis = facts_of(layer).get("stack_axis", 0)
    stack_axis = stack_axis if stack_axis in (0, 1, 2) else 0
    return Volume(values, grid, stack_axis=stack_axis, channel_names=names)


def _same_voxels(layer: Layer, volume: Volume) -> bool:
    """Whether a layer still shows the very array of its volume."""
    values = volume.values
    rgb = getattr(layer, "rgb", False)
    return _same_array(layer.data, values.transpose(1, 2, 3, 0) if rgb else values)


def _same_array(data: Any, values: Any) -> bool:
    """Whether two arrays are the same view of the same memory."""
    if data is values:
        return True
    if not isinstance(data, np.ndarray) or not isinstance(values, np.ndarray):
        return False
    same: bool = data.__array_interface__ == values.__array_interface__
    return same


def _all_channels(layers: Sequence[Layer]) -> Volume | None:
    """Return the volume whose channels, all of them and in order, the layers are."""
    volume = layers[0].metadata.get(VOLUME)
    if not isinstance(volume, Volume) or volume.values.ndim != 4:
        return None
    numbers = [facts_of(layer).get("channel") for layer in layers]
    if numbers != list(range(volume.n_channels)):
        return None
    for number, layer in enumerate(layers):
        unchanged = (
            layer.metadata.get(VOLUME) is volume
            and _same_array(layer.data, volume.values[number])
            and layer_grid(layer, image_axes(layer)) is volume.grid
        )
        if not unchanged:
            return None
    return volume


def _stacked(layers: Sequence[Layer], volumes: Sequence[Volume]) -> Volume:
    first = volumes[0]
    for layer, volume in zip(layers, volumes, strict=True):
        if volume.values.ndim != 3:
            raise VolumeError(
                f"The layer '{layer.name}' has channels of its own; "
                "give layers of one channel each, or this one alone."
            )
        channel, known = f"The layer '{layer.name}'", f"'{layers[0].name}'"
        check_same_place(channel, volume.grid, known, first.grid, VolumeError)
    values = [volume.values for volume in volumes]
    if all(isinstance(each, np.ndarray) for each in values):
        stacked: Any = np.stack(values)
    else:
        import dask.array

        stacked = dask.array.stack([dask.array.asarray(each) for each in values])
    return replace(first, values=stacked, channel_names=tuple(layer.name for layer in layers))
