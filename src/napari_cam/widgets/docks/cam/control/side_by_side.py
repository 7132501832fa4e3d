"""Heatmaps side by side in napari's grid, each over its image, with one scale of colours."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from psygnal import Signal

from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.position import bare

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.state import Made

_LINKED = ("contrast_limits", "colormap", "gamma")
_GRID = ("enabled", "stride", "shape", "spacing")
_SPACING = 0.02  # of a cell
_FONT = 9  # points: many cells are small


@dataclass(frozen=True, eq=False)
class _Before:
    """What the window looked like before: all of it comes back."""

    grid: dict[str, Any]
    visible: list[tuple[Layer, bool]]
    limits: list[tuple[Image, tuple[float, float]]]
    active: Layer | None


class SideBySide:
    """Puts heatmaps into the cells of the grid, and the window back as it was."""

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
        self, results: Sequence[Made], labels: Sequence[str], columns: int | None = None
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
            for made, label in zip(results, labels, strict=True)
            if (layer := made.layer()) is not None
        }
        if not named:
            return
        images, heatmaps = results[0].picked.alive(), list(named.values())
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
