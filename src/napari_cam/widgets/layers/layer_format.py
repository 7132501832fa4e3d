"""How volumes, heatmaps and masks look as napari layers, and how they come back from them.

Together with what it imports (`layer_axes`, `layer_volume`, `world`) the only place that knows.
Layers travel as napari's layer data tuples (data, attributes, type), so that readers, docks and
scripts add them in the same way. ``layer.metadata["napari_cam"]`` is plain JSON;
``layer.metadata["napari_cam_volume"]`` is the :class:`Volume` itself with the header and the
identity of its source, which stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, VolumeError
from napari_cam.heatmap import Heatmap
from napari_cam.provenance import plain, stamp
from napari_cam.volumes.heatmap_files import heatmap_of_facts, map_facts
from napari_cam.volumes.stated_grid import grid_facts, stated_grid
from napari_cam.volumes.volume import Volume
from napari_cam.widgets.layers.colormaps import DEFAULT_COLORMAP, heatmap_colormap
from napari_cam.widgets.layers.layer_axes import (
    FACTS,
    MAX_VOXELS,
    VOLUME,
    ImageAxes,
    facts_of,
    image_axes,
    layer_grid,
    values_of,
)
from napari_cam.widgets.layers.layer_volume import layer_to_volume
from napari_cam.widgets.layers.world import layer_world, oblique_degrees, placement

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "FACTS",
    "MAX_VOXELS",
    "VOLUME",
    "ImageAxes",
    "LayerData",
    "heatmap_to_layer",
    "image_axes",
    "is_derived",
    "is_heatmap",
    "layer_grid",
    "layer_provenance",
    "layer_to_heatmap",
    "layer_to_volume",
    "mask_to_layer",
    "recorded",
    "time_series_to_layer",
    "volume_to_layer",
    "volume_to_layers",
]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

# napari takes a last axis of length 3 or 4 for colours unless told.
_GREY = {"rgb": False, "multiscale": False}
# What a layer's metadata says of the session, not of how the result was made. Names of layers
# often are names of files, and those may be names of patients.
_SESSION = ("source_layer", "image_grid", "layer_axes", "map", "shape", "grid")
_COLOURS = ("red", "green", "blue")


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
    /,
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
        "image_grid": grid_facts(heatmap.grid) if heatmap is not None else _image_of(like),
    }
    for key in ("method", "target", "device", "precision", "seed"):
        stated.setdefault(key, None)
    if heatmap is not None and kind == "heatmap":
        stated["map"] = map_facts(heatmap)
    result: dict[str, Any] = plain(stated)
    return result


def recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a layer's metadata says that belongs into the record beside a saved file.

    Everything but what holds for this session alone, such as the names of layers.
    """
    return {key: value for key, value in facts.items() if key not in _SESSION}


def layer_to_heatmap(layer: Layer, axes: ImageAxes | None = None) -> Heatmap:
    """Return the heatmap that a layer of ours shows, for saving and for masks.

    Raises
    ------
    VolumeError
        Where the layer is no heatmap of ours, or its data was replaced by another shape.
    """
    facts = facts_of(layer)
    if facts.get("kind") != "heatmap" or not isinstance(facts.get("map"), Mapping):
        raise VolumeError(
            f"The layer '{layer.name}' is no heatmap that napari-cam made; choose one that is."
        )
    axes = axes or image_axes(layer)
    values, _ = values_of(layer, axes, None)
    try:
        return heatmap_of_facts(np.asarray(values, np.float32), layer_grid(layer, axes), facts)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VolumeError(
            f"The layer '{layer.name}' no longer fits what its metadata says; compute it anew."
        ) from error


def is_heatmap(layer: Layer) -> bool:
    """Whether a layer shows a heatmap of ours."""
    return facts_of(layer).get("kind") == "heatmap"


def is_derived(layer: Layer) -> bool:
    """Whether a layer is a heatmap, mask, seeds or a copy of ours, not an image to explain."""
    return facts_of(layer).get("kind") in ("heatmap", "mask", "seeds", "copy")


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


def _image_of(like: Layer) -> dict[str, Any] | None:
    """Return the grid that a layer's metadata states, for a layer derived from it."""
    grid = stated_grid(facts_of(like))
    return None if grid is None else grid_facts(grid)


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
