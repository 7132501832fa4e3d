"""Heatmaps as layers of the viewer: added beside their image, renewed as slices come in.

Heatmaps that were opened from files, or made by a script, become like fresh ones here.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QTimer

from napari_cam.errors import NapariCamError
from napari_cam.provenance import map_words
from napari_cam.widgets.docks.cam.state import OF_A_DOCK, CamState, ShownHeatmap
from napari_cam.widgets.docks.cam.work.request import Request
from napari_cam.widgets.docks.cam.work.running import Result
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.picture import Picture
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import is_heatmap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Image

    from napari_cam.volumes.volume import Volume

_MOMENT_MS = 15


@dataclass(frozen=True, eq=False)
class RunInput:
    """What a run was asked, of which image.

    Attributes
    ----------
    picture, volume
        The image: its layers, and its voxels.
    request
        What was asked.
    class_names
        Of the network.
    """

    picture: Picture
    volume: Volume
    request: Request
    class_names: tuple[str, ...]


class Presenter:
    """The only one to add and to renew the layers of heatmaps."""

    def __init__(self, viewer: Any, state: CamState) -> None:
        self._viewer = viewer
        self._state = state

    def has(self, layer: Layer | None) -> bool:
        """Whether a layer is in the viewer."""
        return layer is not None and any(bare(other) is layer for other in self._viewer.layers)

    def add(
        self, asked: RunInput, result: Result, name: str, visible: bool, exploring: bool = False
    ) -> ShownHeatmap:
        """Add a layer for a heatmap; `visible` in a moment."""
        source = asked.picture.layer
        data, attributes, kind = heatmap_to_layer(
            result.heatmap, source, name, axes=asked.picture.axes
        )
        layer = Layer.create(data, {**attributes, "visible": False}, kind)
        OF_A_DOCK.add(layer)
        self._viewer.add_layer(layer)
        if visible:
            self._show_soon(layer)
        shown = ShownHeatmap(
            result,
            asked.picture,
            asked.volume,
            asked.request,
            asked.class_names,
            weakref.ref(layer),
            exploring,
        )
        self._state.add(shown)
        return shown

    def _show_soon(self, layer: Layer) -> None:
        """Show a new layer in a moment of its own.

        To add a layer and to draw it for the first time take napari a tenth of a second each.
        """
        added = weakref.ref(layer)

        def show() -> None:
            layer = added()
            if self.has(layer) and layer is not None:
                layer.visible = True

        QTimer.singleShot(_MOMENT_MS, show)

    def renew(
        self, shown: ShownHeatmap, asked: RunInput, result: Result, finished: bool = True
    ) -> None:
        """Show what has come since; nothing happens where the user has removed the layer."""
        layer = shown.layer()
        if layer is None or not self.has(layer):
            return
        shown.picture, shown.volume = asked.picture, asked.volume
        shown.class_names = asked.class_names
        self.update(shown, result, layer, asked.request, finished)
        self._state.add(shown)

    def update(
        self,
        shown: ShownHeatmap,
        result: Result,
        layer: Image,
        request: Request,
        finished: bool = True,
    ) -> None:
        """Give a layer the values of a heatmap."""
        like, axes = shown.beside
        data, attributes, _ = heatmap_to_layer(result.heatmap, like, layer.name, axes=axes)
        layer.data = data
        if finished or shown.request != request:
            layer.metadata = attributes["metadata"]
        if shown.request.normalize != request.normalize or result.heatmap.kind != "unit":
            layer.contrast_limits_range = attributes["contrast_limits"]
            layer.contrast_limits = attributes["contrast_limits"]
        shown.result, shown.request = result, request


def take_opened(state: CamState, layers: Iterable[Any]) -> None:
    """Take the heatmaps among `layers` that no dock has made."""
    known = {id(shown.layer()) for shown in state.heatmaps}
    for layer in map(bare, layers):
        if id(layer) in known or not is_heatmap(layer) or layer in OF_A_DOCK:
            continue
        opened = opened_heatmap(layer)
        if opened is not None:
            state.heatmaps.append(opened)


def opened_heatmap(layer: Image) -> ShownHeatmap | None:
    """Return what a layer's metadata says it shows; None where it no longer fits its data."""
    try:
        picture = Picture.of(layer)
        heatmap = layer_to_heatmap(layer, picture.axes)
        volume = layer_to_volume(layer)
    except NapariCamError:
        return None
    one, two, three = (word or "opened" for word in map_words(heatmap.provenance))
    no_scores = np.zeros((len(heatmap.valid), 0), np.float32)
    return ShownHeatmap(
        Result((one, two, three), str(layer.name), heatmap, no_scores),
        picture,
        volume,
        Request(heatmap=str(layer.source.path or "")),
        (),
        weakref.ref(layer),
    )
