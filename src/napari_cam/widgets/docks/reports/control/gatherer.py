"""Layers as a report compares them: read in the window's thread, nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_cam.errors import MaskError, NapariCamError, VolumeError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.reports.cases.map_names import MapName, name_of
from napari_cam.volumes.regridding import Matrix, index_map
from napari_cam.widgets.docks.reports.work.aligning import SourceMap
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import facts_of, image_axes, layer_grid
from napari_cam.widgets.layers.picture import Picture, read_mask
from napari_cam.widgets.layers.placement import layer_world
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import is_heatmap, told_apart

COMPARISON = "comparison"
"""The kind of the layers that show what a report compared; they are no maps themselves."""


def judgeable(layers: Iterable[Any]) -> list[Any]:
    """Return the layers that can be judged: heatmaps and labels, but for our own comparisons."""
    found = (bare(layer) for layer in layers)
    return [
        each
        for each in found
        if (isinstance(each, Image) and is_heatmap(each)) or _is_plain_labels(each)
    ]


def labels_layers(layers: Iterable[Any]) -> list[Labels]:
    """Return the labels layers that can be a reference or a foreground, wherever they lie."""
    return [each for each in map(bare, layers) if _is_plain_labels(each)]


def _is_plain_labels(layer: Any) -> bool:
    if not isinstance(layer, Labels) or layer.multiscale:
        return False
    return bool(facts_of(layer).get("kind") != COMPARISON)


def is_cam(layer: Any) -> bool:
    """Whether a layer shows what a CAM method made, not a consensus or mean of such maps."""
    return isinstance(layer, Image) and is_heatmap(layer) and bool(facts_of(layer).get("method"))


class Gatherer:
    """Reads layers as a report on an image compares them.

    Parameters
    ----------
    picture
        The image.
    resample
        Whether layers on other grids are brought onto the image's; else they are refused.
    """

    def __init__(self, picture: Picture, resample: bool) -> None:
        self._picture, self._resample = picture, resample

    def maps(self, layers: Sequence[Any], own_names: bool) -> dict[MapName, SourceMap]:
        """Return layers as maps by name.

        Parameters
        ----------
        layers
            Heatmaps and labels.
        own_names
            Whether maps are called as their layers. Else they are called by what made them, as
            names of layers often are names of files, and those may be names of patients.

        Raises
        ------
        NapariCamError
            Where a layer lies elsewhere, or no longer fits what its metadata says.
        """
        places = [self._place_of(layer) for layer in layers]
        items = [_read_map(layer) for layer in layers]
        sources = [SourceMap(item, place) for item, place in zip(items, places, strict=True)]
        return dict(zip(_names_of(layers, items, own_names), sources, strict=True))

    def labels(self, layer: Labels, numbers: tuple[int, ...], what: str) -> SourceMap:
        """Return where labels are, a copy; of seeds the classes where no numbers are given.

        Raises
        ------
        NapariCamError
            Where the layer lies elsewhere, or holds none of the labels.
        """
        place = self._place_of(layer)
        if numbers:
            mask = np.isin(np.asarray(layer_to_volume(layer).values), numbers)
        else:
            mask = read_mask(layer)
        if not mask.any():
            which = f" label {', '.join(map(str, numbers))}" if numbers else " label at all"
            raise MaskError(f"The {what} '{layer.name}' holds no{which}; choose another.")
        return SourceMap(mask, place)

    def _place_of(self, layer: Any) -> Matrix | None:
        """Return index of the image -> index of a layer, None where they are the same.

        Raises
        ------
        VolumeError
            Where the layer lies on another grid that it may not be resampled from, or is no
            volume.
        """
        axes, mine = image_axes(layer), self._picture
        if axes.time is not None:
            raise VolumeError(
                f"The layer '{layer.name}' has time points; make one point of it a layer of its "
                "own."
            )
        if mine.holds(layer):
            return None
        grid = layer_grid(layer, axes)
        if not self._resample:
            raise VolumeError(
                f"The layer '{layer.name}' lies on {grid.described()} but the image on "
                f"{mine.grid.described()}; tick 'Resample what lies on another grid', or choose "
                "another layer."
            )
        try:
            return index_map(grid, mine.grid)
        except VolumeError as error:
            return _as_shown(mine, layer, grid, error)


def _as_shown(picture: Picture, layer: Any, grid: Grid, error: NapariCamError) -> Matrix:
    """Return the map between grids of different frames, as the viewer shows them together."""
    mine, theirs = picture.axes, image_axes(layer)
    shown = picture.layer
    if len(mine.spatial) != 3 or len(theirs.spatial) != 3 or shown.multiscale:
        raise VolumeError(
            f"The layer '{layer.name}' lies on {grid.described()} but the image on "
            f"{picture.grid.described()}, which share no world; choose another layer."
        ) from error
    world = layer_world(layer, theirs.spatial)
    found: Matrix = np.linalg.inv(world) @ layer_world(shown, mine.spatial)
    return found


def _read_map(layer: Any) -> Any:
    """Return the heatmap of a layer, its values shared, or (z, y, x) bool what labels mark."""
    return layer_to_heatmap(layer) if isinstance(layer, Image) else read_mask(layer)


def _names_of(layers: Sequence[Any], items: Sequence[Any], own_names: bool) -> list[MapName]:
    """Return a different name for each layer."""
    stated = [_stated(layer, item) for layer, item in zip(layers, items, strict=True)]
    if own_names:
        words = told_apart(str(layer.name) for layer in layers)
        return [MapName(word, name.backbone) for word, name in zip(words, stated, strict=True)]
    if len(set(stated)) < len(stated):  # such as one method asked about several classes
        stated = [_with_target(name, layer) for name, layer in zip(stated, layers, strict=True)]
    methods: dict[tuple[str, str], list[str]] = {}
    result = []
    for name in stated:
        known = methods.setdefault((name.backbone, name.layer), [])
        known[:] = told_apart([*known, name.method])
        result.append(MapName(known[-1], name.backbone, name.layer))
    return result


def _stated(layer: Any, item: Any) -> MapName:
    facts = facts_of(layer)
    if isinstance(item, Heatmap) and facts.get("method"):
        return name_of("heatmap", item)
    words = {"mask": "mask", "seeds": "seeds", "heatmap": "heatmap"}
    return MapName(words.get(str(facts.get("kind")), "labels"))


def _with_target(name: MapName, layer: Any) -> MapName:
    target = facts_of(layer).get("target")
    return MapName(f"{name.method} / {target}", name.backbone, name.layer) if target else name
