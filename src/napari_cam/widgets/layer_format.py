"""How volumes, heatmaps and masks look as napari layers, and how they come back from them.

The only file that knows. Layers travel as napari's layer data tuples (data, attributes, type), so
that readers, docks and scripts add them in the same way. ``layer.metadata["napari_cam"]`` is plain
JSON; ``layer.metadata["napari_cam_volume"]`` is the :class:`Volume` itself with the header and the
identity of its source, which stays in memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, VolumeError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.provenance import plain, stamp
from napari_cam.volumes.heatmap_files import heatmap_of_facts, map_facts
from napari_cam.volumes.volume import Volume, check_numeric
from napari_cam.widgets.colormaps import DEFAULT_COLORMAP, heatmap_colormap
from napari_cam.widgets.world import (
    WORLD_AXES,
    grid_of_world,
    layer_world,
    level_world,
    oblique_degrees,
    placement,
    shown_world,
)

if TYPE_CHECKING:
    from napari.layers import Layer

FACTS = "napari_cam"
"""Key of a layer's metadata: plain JSON on what it shows and what made it."""
VOLUME = "napari_cam_volume"
"""Key of a layer's metadata: the Volume it belongs to, in memory only."""
MAX_VOXELS = 1 << 27
"""A multiscale image is explained at its finest level of at most so many voxels (128 Mi)."""

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

# napari takes a last axis of length 3 or 4 for colours unless told.
_GREY = {"rgb": False, "multiscale": False}
_COLOURS = ("red", "green", "blue")


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
        attributes = {"name": name, "metadata": metadata, **place, **_GREY, **_window(volume)}
        return [(volume.values, attributes, "image")]
    if volume.channel_names == _COLOURS and volume.values.dtype == np.uint8:
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
            **_GREY,
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
        **_GREY,
        **_window(first),
    }
    return points, attributes, "image"


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
        Where the layer has too few or too many axes.
    """
    stated = _facts(layer).get("layer_axes")
    if isinstance(stated, Sequence) and {*stated} <= {*range(layer.ndim)}:
        return ImageAxes(tuple(stated))
    levels = layer.data if getattr(layer, "multiscale", False) else [layer.data]
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
    values, names = _values(layer, axes, time)
    check_numeric(values.dtype)
    grid = layer_grid(layer, axes)
    known = layer.metadata.get(VOLUME)
    if isinstance(known, Volume) and known.grid is grid:
        if known.values.ndim == values.ndim and _same_voxels(layer, known):
            return known
        return replace(known, values=values, channel_names=names)
    stack_axis = _facts(layer).get("stack_axis", 0)
    stack_axis = stack_axis if stack_axis in (0, 1, 2) else 0
    return Volume(values, grid, stack_axis=stack_axis, channel_names=names)


def _values(layer: Layer, axes: ImageAxes, time: int | None) -> tuple[Any, tuple[str, ...]]:
    """Return (z, y, x) or (c, z, y, x) without copying, and the names of the channels."""
    data = layer.data[axes.level] if getattr(layer, "multiscale", False) else layer.data
    order = list(axes.spatial)
    names: tuple[str, ...] = ()
    if getattr(layer, "rgb", False):
        data, names = data[..., :3], _COLOURS  # the fourth is opacity
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
    stated = volume.grid if isinstance(volume, Volume) else _stated_grid(_facts(layer))
    units = [layer.units[axis] for axis in axes.spatial]
    if len(axes.spatial) == 2:
        units = [units[0], *units]
    patient = tuple(layer.axis_labels)[-3:] == WORLD_AXES and len(axes.spatial) == 3
    own = grid_of_world(world, shape, units, patient)
    if stated is None or stated.shape != shape:
        return own
    moved = np.abs(_corners(shape) @ (world - shown_world(stated)).T).max()
    return stated if moved <= 1e-3 * min(stated.spacing) or own.same_as(stated) else own


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


def _corners(shape: Sequence[int]) -> NDArray[np.float64]:
    sides = np.array(np.meshgrid(*[(0, n) for n in shape])).reshape(3, -1).T
    return np.hstack([sides, np.ones((8, 1))])


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
    numbers = [_facts(layer).get("channel") for layer in layers]
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
        if not volume.grid.same_as(first.grid):
            raise VolumeError(
                f"The layers '{layers[0].name}' and '{layer.name}' lie on different grids; "
                "channels need the same shape, voxel size and place."
            )
    values = [volume.values for volume in volumes]
    if all(isinstance(each, np.ndarray) for each in values):
        stacked: Any = np.stack(values)
    else:
        import dask.array

        stacked = dask.array.stack([dask.array.asarray(each) for each in values])
    return replace(first, values=stacked, channel_names=tuple(layer.name for layer in layers))


def heatmap_to_layer(
    heatmap: Heatmap,
    like: Layer,
    name: str = "heatmap",
    metadata: Mapping[str, Any] | None = None,
    *,
    axes: ImageAxes | None = None,
    colormap: str = DEFAULT_COLORMAP,
) -> LayerData:
    """Return a heatmap as an image layer that lies where the layer it explains lies.

    Parameters
    ----------
    heatmap
        Values (z, y, x) on the grid of `like`, or of one of its levels.
    like
        The layer that was explained; its transform, units, labels and metadata are copied.
    name
        Of the new layer.
    metadata
        What made it, from `layer_provenance`; None for the heatmap's own.
    axes
        As `layer_to_volume` saw `like`; None for its last axes.
    colormap
        One of `HEATMAP_COLORMAPS`.

    Raises
    ------
    VolumeError
        Where the heatmap does not fit the layer.
    """
    facts = dict(metadata) if metadata is not None else layer_provenance(heatmap, like)
    limits = (0.0, 1.0)
    if heatmap.kind != "unit":
        finite = heatmap.values[np.isfinite(heatmap.values)]
        limits = (0.0, float(max(finite.max(initial=0), np.finfo(np.float32).tiny)))
    data, place = _placed(heatmap.values, like, axes)
    facts["layer_axes"] = place.pop("layer_axes")
    attributes = {
        "name": name,
        "colormap": heatmap_colormap(colormap),
        "contrast_limits": limits,
        "blending": "translucent",
        "metadata": {**_inherited(like), FACTS: facts},
        **place,
        **_GREY,
    }
    return data, attributes, "image"


def mask_to_layer(
    mask: NDArray[Any],
    like: Layer,
    name: str = "mask",
    metadata: Mapping[str, Any] | None = None,
    *,
    axes: ImageAxes | None = None,
) -> LayerData:
    """Return a mask or seeds (z, y, x) as a labels layer that lies where `like` lies.

    The voxels are a copy, for people to paint on: uint8, or more where there are over 255 labels.
    The other parameters are those of `heatmap_to_layer`.

    Raises
    ------
    MaskError
        Where the labels are no whole numbers, or negative.
    VolumeError
        Where the mask does not fit the layer.
    """
    if mask.dtype.kind not in "bui" or not 0 <= int(mask.min()) <= int(mask.max()) < 1 << 32:
        raise MaskError(
            "Labels are whole numbers from 0 to 4294967295; number the classes anew from 1."
        )
    dtype = np.min_scalar_type(int(mask.max()))
    facts = dict(metadata) if metadata is not None else layer_provenance(None, like, kind="mask")
    data, place = _placed(mask.astype(dtype), like, axes)
    facts["layer_axes"] = place.pop("layer_axes")
    attributes = {"name": name, "metadata": {**_inherited(like), FACTS: facts}, **place}
    return data, attributes, "labels"


def layer_provenance(
    heatmap: Heatmap | None,
    like: Layer,
    kind: str = "heatmap",
    threshold: Mapping[str, Any] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Return what made a derived layer, as plain JSON for ``metadata["napari_cam"]``.

    Parameters
    ----------
    heatmap
        The heatmap shown, or the one that a mask was cut from; None where there is none.
    like
        The layer that was explained.
    kind
        "heatmap", "mask" or "seeds".
    threshold
        Rule, cut and inequality that made a mask.
    **facts
        Whatever else is worth keeping.
    """
    made = {**(heatmap.provenance if heatmap is not None else stamp()), **facts}
    made.setdefault("time", stamp()["time"])
    model = made.get("model")
    stated: dict[str, Any] = {
        **made,
        "kind": kind,
        "version": made.get("version") or version("napari-cam"),
        "model_sha256": model.get("sha256") if isinstance(model, Mapping) else None,
        "target_layers": [made["layer"]] if "layer" in made else [],
        "normalisation": {"normalize": made.get("normalize"), "scale": made.get("scale")},
        "threshold": dict(threshold) if threshold is not None else None,
        "source_layer": like.name,
        "shape": heatmap.values.shape if heatmap is not None else None,
        "image_grid": _grid_facts(heatmap.grid) if heatmap is not None else _image_of(like),
    }
    for key in ("method", "target", "device", "precision", "seed"):
        stated.setdefault(key, None)
    if heatmap is not None and kind == "heatmap":
        stated["map"] = map_facts(heatmap)
    result: dict[str, Any] = plain(stated)
    return result


def layer_to_heatmap(layer: Layer, axes: ImageAxes | None = None) -> Heatmap:
    """Return the heatmap that a layer of ours shows, for saving and for masks.

    Raises
    ------
    VolumeError
        Where the layer is no heatmap of ours, or its data was replaced by another shape.
    """
    facts = _facts(layer)
    if facts.get("kind") != "heatmap" or not isinstance(facts.get("map"), Mapping):
        raise VolumeError(
            f"The layer '{layer.name}' is no heatmap that napari-cam made; choose one that is."
        )
    axes = axes or image_axes(layer)
    values, _ = _values(layer, axes, None)
    try:
        return heatmap_of_facts(np.asarray(values, np.float32), layer_grid(layer, axes), facts)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VolumeError(
            f"The layer '{layer.name}' no longer fits what its metadata says; compute it anew."
        ) from error


def is_heatmap(layer: Layer) -> bool:
    """Whether a layer shows a heatmap of ours."""
    return _facts(layer).get("kind") == "heatmap"


def is_derived(layer: Layer) -> bool:
    """Whether a layer is a heatmap, mask or seeds of ours, rather than an image to explain."""
    return _facts(layer).get("kind") in ("heatmap", "mask", "seeds")


def _facts(layer: Layer) -> Mapping[str, Any]:
    facts = layer.metadata.get(FACTS)
    return facts if isinstance(facts, Mapping) else {}


def _image_facts(volume: Volume) -> dict[str, Any]:
    """Return what an image layer's metadata says of its volume, without the patient's identity."""
    facts = {
        "kind": "image",
        "version": version("napari-cam"),
        **_grid_facts(volume.grid),
        "oblique_degrees": round(oblique_degrees(volume.grid), 3) if volume.orientation else 0.0,
        "stack_axis": volume.stack_axis,
        "channel_names": list(volume.channel_names),
        "notes": list(volume.notes),
    }
    result: dict[str, Any] = plain(facts)
    return result


def _grid_facts(grid: Grid) -> dict[str, Any]:
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "orientation": grid.orientation,
        "units": grid.units,
    }


def _image_of(like: Layer) -> dict[str, Any] | None:
    """Return the grid that a layer's metadata states, for a layer derived from it."""
    grid = _stated_grid(_facts(like))
    return None if grid is None else _grid_facts(grid)


def _stated_grid(facts: Mapping[str, Any]) -> Grid | None:
    """Return the grid that metadata states; None where it states none, or none that is one."""
    stated = facts.get("image_grid", facts)
    if not isinstance(stated, Mapping) or "affine" not in stated:
        return None
    try:
        z, y, x = (int(n) for n in stated["shape"])
        affine, orientation = np.array(stated["affine"]), stated["orientation"]
        return Grid((z, y, x), affine, orientation, "mm" if stated["units"] == "mm" else "pixel")
    except (KeyError, TypeError, ValueError, VolumeError):
        return None


def _inherited(like: Layer) -> dict[str, Any]:
    return {key: value for key, value in like.metadata.items() if key != FACTS}


def _placed(
    values: NDArray[Any], like: Layer, axes: ImageAxes | None
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return (z, y, x) values for a layer beside `like`, and its transform and "layer_axes".

    napari lays the last axes of all layers over each other, so that axes of channels or time in
    front of space are left out. Where one lies between, the values are repeated along it.
    """
    axes = axes or image_axes(like, max_voxels=values.size)
    kept = list(range(min(axes.spatial), like.ndim))
    levels = like.data if getattr(like, "multiscale", False) else [like.data]
    finest = [int(levels[0].shape[axis]) for axis in kept]
    if len(axes.spatial) == 2 and values.shape[0] == 1:
        values = values[0]
    order = np.argsort(axes.spatial)
    values = values.transpose(order)
    for number, axis in enumerate(kept):
        if axis not in axes.spatial:
            values = np.repeat(np.expand_dims(values, number), finest[number], axis=number)
    shape = values.shape
    if len(shape) != len(kept) or any(n > m for n, m in zip(shape, finest, strict=False)):
        raise VolumeError(
            f"Values of shape {shape} do not fit the layer '{like.name}' of shape {tuple(finest)}; "
            "the layer has changed since: compute them anew."
        )
    place = _sub_placement(like, kept, shape, finest)
    return values, {**place, "layer_axes": [kept.index(axis) for axis in axes.spatial]}


def _sub_placement(
    like: Layer, kept: list[int], shape: Sequence[int], finest: Sequence[int]
) -> dict[str, Any]:
    """Return a layer's transform along its axes `kept`, for `shape` voxels in place of `finest`."""
    n, block = like.ndim, np.ix_(kept, kept)
    factor = np.array(finest, dtype=np.float64) / np.array(shape, dtype=np.float64)
    shear = np.asarray(like.shear, dtype=np.float64)
    if shear.ndim == 1 and len(kept) < n:
        full = np.eye(n)
        full[np.triu_indices(n, 1)] = shear
        shear = full[block][np.triu_indices(len(kept), 1)]
    elif shear.ndim == 2:
        shear = shear[block]
    affine = np.asarray(like.affine.affine_matrix)[np.ix_([*kept, n], [*kept, n])]
    # Voxels of a coarser level tile those of the finest, so their centres are shifted.
    linear = layer_world(like, kept)[:-1, :-1]
    shift = np.linalg.solve(affine[:-1, :-1], linear @ ((factor - 1) / 2))
    return {
        "scale": np.asarray(like.scale)[kept] * factor,
        "translate": np.asarray(like.translate)[kept] + shift,
        "rotate": np.asarray(like.rotate)[block],
        "shear": shear,
        "affine": affine,
        "units": tuple(like.units[axis] for axis in kept),
        "axis_labels": tuple(like.axis_labels[axis] for axis in kept),
    }
