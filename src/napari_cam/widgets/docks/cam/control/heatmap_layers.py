"""Heatmaps as layers of the viewer: added beside their image, renewed as slices come in."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QTimer

from napari_cam.widgets.docks.cam.state import OF_A_DOCK, DockState, Made, Picked
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer
from napari_cam.widgets.layers.position import bare

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.work.request import Request
    from napari_cam.widgets.docks.cam.work.running import Result

_MOMENT_MS = 15


@dataclass(frozen=True, eq=False)
class Asked:
    """What a run was asked, of which image.

    Attributes
    ----------
    picked, volume
        The image: its layers, and its voxels.
    request
        What was asked.
    class_names
        Of the network.
    """

    picked: Picked
    volume: Volume
    request: Request
    class_names: tuple[str, ...]


class HeatmapLayers:
    """The only one to add and to renew the layers of heatmaps."""

    def __init__(self, viewer: Any, state: DockState) -> None:
        self._viewer = viewer
        self._state = state

    def has(self, layer: Layer | None) -> bool:
        """Whether a layer is in the viewer."""
        return layer is not None and any(bare(other) is layer for other in self._viewer.layers)

    def add(
        self, asked: Asked, result: Result, name: str, visible: bool, exploring: bool = False
    ) -> Made:
        """Add a layer for a heatmap; `visible` in a moment."""
        source = asked.picked.first
        data, attributes, kind = heatmap_to_layer(
            result.heatmap, source, name, axes=asked.picked.axes
        )
        layer = Layer.create(data, {**attributes, "visible": False}, kind)
        OF_A_DOCK.add(layer)
        self._viewer.add_layer(layer)
        if visible:
            self._show_soon(layer)
        made = Made(
            result,
            asked.picked,
            asked.volume,
            asked.request,
            asked.class_names,
            weakref.ref(layer),
            exploring,
        )
        self._state.add(made)
        return made

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

    def renew(self, made: Made, asked: Asked, result: Result, finished: bool = True) -> None:
        """Show what has come since; nothing happens where the user has removed the layer."""
        layer = made.layer()
        if layer is None or not self.has(layer):
            return
        made.picked, made.volume = asked.picked, asked.volume
        made.class_names = asked.class_names
        self.update(made, result, layer, asked.request, finished)
        self._state.add(made)

    def update(
        self, made: Made, result: Result, layer: Image, request: Request, finished: bool = True
    ) -> None:
        """Give a layer the values of a heatmap."""
        like, axes = made.beside
        data, attributes, _ = heatmap_to_layer(result.heatmap, like, layer.name, axes=axes)
        layer.data = data
        if finished or made.request != request:
            layer.metadata = attributes["metadata"]
        if made.request.normalize != request.normalize or result.heatmap.kind != "unit":
            layer.contrast_limits_range = attributes["contrast_limits"]
            layer.contrast_limits = attributes["contrast_limits"]
        made.result, made.request = result, request
