"""Comparisons: the ticked methods, or one layer for each level of the network, side by side."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from psygnal import Signal

from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.position import bare

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.control.explainer import Explainer
    from napari_cam.widgets.docks.cam.state import ShownHeatmap
    from napari_cam.widgets.docks.cam.work.request import Request
    from napari_cam.widgets.networks import MethodHelp

_NO_METHOD = "Tick a method that explains a layer: the ticked ones map the input itself."
_LINKED = ("contrast_limits", "colormap", "gamma")
_GRID = ("enabled", "stride", "shape", "spacing")
_SPACING = 0.02  # of a cell
_FONT = 9  # points: many cells are small


class Comparer:
    """Starts the run that a comparison needs, and lays out what comes of it."""

    failed = Signal(str)

    def __init__(self, viewer: Any, explainer: Explainer) -> None:
        self._explainer = explainer
        self.tiler = Tiler(viewer)
        self._waiting = False
        self._levels: dict[str, str] = {}  # by the name of their layer
        explainer.explained.connect(self._on_explained)
        explainer.ended.connect(self._on_ended)

    def methods(self, make_request: Callable[[Volume], Request], whole: bool) -> None:
        """Show the ticked methods side by side."""
        self._start(make_request, whole)

    def levels(
        self,
        make_request: Callable[[Volume], Request],
        whole: bool,
        layers: Sequence[LayerInfo],
        methods: Sequence[MethodHelp],
    ) -> None:
        """Show one layer for each level side by side, with a row for each method."""
        chosen = tuple(method.name for method in methods if method.needs_layer)
        if not chosen:
            self.failed.emit(_NO_METHOD)
            return
        levels = {info.name: info.level for info in one_per_level(layers)}
        self._start(
            lambda volume: replace(make_request(volume), layers=tuple(levels), methods=chosen),
            whole,
            levels,
        )

    def _start(
        self,
        make_request: Callable[[Volume], Request],
        whole: bool,
        levels: dict[str, str] | None = None,
    ) -> None:
        self.tiler.leave()
        self._levels = levels or {}
        self._waiting = True
        self._explainer.start(make_request, whole)

    def _on_explained(self, heatmaps: list[ShownHeatmap]) -> None:
        if not self._waiting:
            return
        self._waiting = False
        methods = {each.result.parts[0] for each in heatmaps}
        layers = {each.result.parts[1] for each in heatmaps}
        labels = []
        for each in heatmaps:
            at = self._levels.get(each.result.parts[1], each.result.parts[1])
            title = [] if self._levels and len(methods) == 1 else [each.result.title]
            labels.append(", ".join([*title, *([at] if len(layers) > 1 else [])]))
        rows = len(methods) > 1 and len(heatmaps) == len(methods) * len(layers)
        self.tiler.enter(heatmaps, labels, len(layers) if rows and len(layers) > 1 else None)

    def _on_ended(self, _summary: str, _problem: str) -> None:
        self._waiting = False


@dataclass(frozen=True, eq=False)
class _Before:
    """What the window looked like before: all of it comes back."""

    grid: dict[str, Any]
    visible: list[tuple[Layer, bool]]
    limits: list[tuple[Image, tuple[float, float]]]
    active: Layer | None


class Tiler:
    """Puts heatmaps side by side into napari's grid, and the window back as it was."""

    changed = Signal(bool)

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._before: _Before | None = None
        self._heatmaps: list[weakref.ReferenceType[Image]] = []
        self._copies: list[Image] = []

    @property
    def shown(self) -> bool:
        """Whether heatmaps lie side by side."""
        return self._before is not None

    def enter(
        self, results: Sequence[ShownHeatmap], labels: Sequence[str], columns: int | None = None
    ) -> None:
        """Show each heatmap over its image in a cell of its own.

        Parameters
        ----------
        results
            Of one image, in reading order.
        labels
            What the cells are called.
        columns
            Cells in a row; None for about as many as rows.
        """
        self.leave()
        layers = self._viewer.layers
        named = {
            label: layer
            for shown, label in zip(results, labels, strict=True)
            if (layer := shown.layer()) is not None
        }
        if not named:
            return
        images, heatmaps = results[0].picture.layers, list(named.values())
        grid = self._viewer.canvas.grid
        everything = [bare(layer) for layer in layers]
        self._before = _Before(
            {name: getattr(grid, name) for name in _GRID},
            [(layer, layer.visible) for layer in everything],
            [(layer, tuple(layer.contrast_limits)) for layer in heatmaps],
            bare(layers.selection.active),
        )
        self._heatmaps = [weakref.ref(layer) for layer in heatmaps]
        for layer in everything:
            layer.visible = any(layer is each for each in heatmaps)
        self._lay(images, named)
        self._link(heatmaps)
        layers.selection.active = heatmaps[0]
        # Every cell takes as many layers, counted from the first one on.
        grid.stride, grid.spacing = len(images) + 1, _SPACING
        grid.shape = (-1, -1 if columns is None else columns)
        grid.enabled = True
        self._viewer.reset_view()
        layers.events.removed.connect(self._on_removed)
        self.changed.emit(True)

    def _lay(self, images: list[Image], heatmaps: dict[str, Image]) -> None:
        """Put each heatmap behind copies of its image, all in front of the other layers."""
        layers, place = self._viewer.layers, 0
        for label, heatmap in heatmaps.items():
            for number, image in enumerate(images):
                copy = self._copy(image, label)
                layers.insert(place, copy)
                copy.name_overlay.visible = number == 0
                copy.name_overlay.font_size = _FONT
                place += 1
            layers.move(layers.index(heatmap), place)
            place += 1

    def _copy(self, image: Image, name: str) -> Image:
        data, attributes, kind = image.as_layer_data_tuple()
        metadata = {FACTS: {"kind": "copy"}}  # nothing to explain
        more = {"name": name, "metadata": metadata, "visible": True}
        copy = Layer.create(data, {**attributes, **more}, kind)
        self._copies.append(copy)
        return copy

    def _link(self, heatmaps: list[Image]) -> None:
        low = min(float(layer.contrast_limits[0]) for layer in heatmaps)
        high = max(float(layer.contrast_limits[1]) for layer in heatmaps)
        for layer in heatmaps:
            layer.contrast_limits = (low, high)
        self._viewer.layers.link_layers(heatmaps, _LINKED)

    def leave(self) -> None:
        """Put the window back as it was; what was made in the meantime stays."""
        before, self._before = self._before, None
        if before is None:
            return
        layers = self._viewer.layers
        layers.events.removed.disconnect(self._on_removed)
        grid = self._viewer.canvas.grid
        for name, value in before.grid.items():
            setattr(grid, name, value)
        for copy in self._copies:
            if copy in layers:
                layers.remove(copy)
        self._copies.clear()
        here = [layer for each in self._heatmaps if (layer := each()) in layers]
        layers.unlink_layers(here, _LINKED)
        for heatmap, limits in before.limits:
            heatmap.contrast_limits = limits
        place = 0
        for layer, visible in before.visible:
            if layer in layers:
                layer.visible = visible
                layers.move(layers.index(layer), place)
                place += 1
        if before.active in layers:
            layers.selection.active = before.active
        self._viewer.reset_view()
        self.changed.emit(False)

    def _on_removed(self, event: Any) -> None:
        """Leave the grid where one of its layers goes: the cells would no longer fit."""
        gone = bare(event.value)
        mine = [*self._copies, *(each() for each in self._heatmaps)]
        if any(gone is layer for layer in mine):
            self.leave()


def one_per_level(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Return one layer of each level, the last of its maps, from the encoder to the decoder.

    What lies beside the bottleneck at its resolution is no level of its own.
    """
    deepest = next((info.shape for info in layers if info.level == "bottleneck"), None)
    found: dict[str, LayerInfo] = {}
    for info in layers:
        if info.level == "bottleneck" or (info.level and info.shape != deepest):
            found[info.level] = info
    return list(found.values())
