"""Heatmaps and masks as layers beside the layer that they are of, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, VolumeError
from napari_cam.heatmap import Heatmap
from napari_cam.volumes.heatmap_files import heatmap_of_facts
from napari_cam.widgets.layers.colormaps import DEFAULT_COLORMAP, heatmap_colormap
from napari_cam.widgets.layers.layer_axes import (
    FACTS,
    GREY,
    ImageAxes,
    LayerData,
    facts_of,
    image_axes,
    layer_grid,
    values_of,
)
from napari_cam.widgets.layers.placement import layer_world
from napari_cam.widgets.layers.records import layer_provenance

if TYPE_CHECKING:
    from napari.layers import Layer


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
        **GREY,
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
