"""Masks that follow the slider, until they are kept or painted into."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.units import by_unit
from napari_cam.widgets.docks.cam.state import CamState, ShownHeatmap, ShownMask
from napari_cam.widgets.layers.colormaps import mask_colormap
from napari_cam.widgets.layers.cutting import Cut, MaskRequest, cut_heatmap, cut_slice
from napari_cam.widgets.layers.derived_layers import mask_to_layer
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import image_axes
from napari_cam.widgets.layers.position import slice_on_screen
from napari_cam.widgets.layers.records import layer_provenance
from napari_cam.widgets.layers.watcher import Watcher
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtCore import QObject

_PAUSE_MS = 80  # the slider rests for so long before the whole volume is cut


class Masker:
    """Cuts the chosen heatmap: the slice on screen at once, the volume when the slider rests."""

    cut = Signal(object)  # a mask of which the whole, or the slice on screen, is as asked for
    kept = Signal(object)  # a mask that somebody paints into, from now on
    painted = Signal(object)  # a mask that is no longer live, whose voxels have changed
    failed = Signal(str)

    def __init__(self, viewer: Any, state: CamState, parent: QObject) -> None:
        self._viewer = viewer
        self._state = state
        self._follower = Follower(parent, _cut, self._show, self.failed.emit, _PAUSE_MS)

    def make(self, shown: ShownHeatmap, request: MaskRequest) -> None:
        """Add a labels layer with the mask of a heatmap; from then on it follows the slider."""
        if self._state.live_mask(shown) is None:
            self._follower.want(_Wish(shown, request, None), now=True, about=shown)

    def follow(self, shown: ShownHeatmap, request: MaskRequest) -> None:
        """Bring a heatmap's live mask up to date; nothing happens where it has none."""
        mask = self._state.live_mask(shown)
        if mask is None:
            return
        before, mask.due, mask.cut_at = mask.due, request, None
        try:
            self.cut_shown(mask)
        except NapariCamError as error:
            mask.due = before  # the mask stays as it is
            self.failed.emit(str(error))
            return
        self._follower.want(_Wish(shown, request, mask), about=shown)

    def renew(self) -> None:
        """Bring all live masks up to date after their heatmaps changed."""
        for mask in self._state.masks:
            if mask.live:
                self.follow(mask.cut_from, mask.due or mask.request)

    def keep(self, shown: ShownHeatmap) -> None:
        """Leave the mask as it is, for editing."""
        mask = self._state.live_mask(shown)
        layer = None if mask is None else mask.layer()
        if mask is None or layer is None:
            return
        self.finish(mask)
        mask.live = False
        self._viewer.layers.selection.active = layer
        self._state.results_changed.emit()

    def finish(self, mask: ShownMask) -> None:
        """Cut the whole volume of a mask of which only the slice on screen is up to date."""
        request = mask.due
        if request is None:
            return
        try:
            for cut in cut_heatmap(mask.cut_from.result.heatmap, request):
                self._write(mask, request, cut)
        except NapariCamError as error:
            self.failed.emit(str(error))

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._follower.drop()

    def cut_shown(self, mask: ShownMask) -> None:
        """Cut the slice on screen of a mask that is due, where it can be cut by itself.

        Raises
        ------
        NapariCamError
            Where the rule does not suit the heatmap.
        """
        layer, heatmap = mask.layer(), mask.cut_from.result.heatmap
        if mask.due is None or layer is None or not mask.live:
            return
        values = layer_to_volume(layer).values  # a view of the layer's own
        place = slice_on_screen(self._viewer, layer, image_axes(layer))
        plain = isinstance(values, np.ndarray) and layer.data.shape == heatmap.values.shape
        if place is not None and plain:
            axis, index = place
            cut = cut_slice(heatmap, index, mask.due, axis)
            if cut is not None:
                by_unit(values, axis)[index] = cut
                mask.cut_at = place
                layer.refresh()
        # else the whole volume follows soon, and the slice with it
        self.cut.emit(mask)

    def _show(self, wish: _Wish, cut: Cut) -> None:
        if not any(wish.cut_from is shown for shown in self._state.heatmaps):
            return  # its heatmap was removed
        mask = self._state.live_mask(wish.cut_from)
        if mask is not None:
            self._write(mask, wish.request, cut)
        elif wish.mask is None:
            self._add(wish.cut_from, wish.request, cut)
        # else the mask was kept, painted into or removed in the meantime

    def _write(self, mask: ShownMask, request: MaskRequest, cut: Cut) -> None:
        layer = mask.layer()
        if layer is None:
            return
        data, attributes, _ = self._layer_data(mask.cut_from, cut)
        layer.data[...] = data  # no undo step: a live preview is no edit
        layer.metadata = attributes["metadata"]
        mask.request, mask.due = request, None
        self.cut.emit(mask)  # it is measured while it is drawn
        layer.refresh()

    def _add(self, shown: ShownHeatmap, request: MaskRequest, cut: Cut) -> None:
        data, attributes, kind = self._layer_data(shown, cut)
        layer = Layer.create(
            data, {**attributes, "colormap": mask_colormap(), "opacity": 0.9}, kind
        )
        layer.contour = 1  # the heatmap below stays visible
        mask = ShownMask(shown, request, weakref.ref(layer))
        layer.events.labels_update.connect(lambda _event=None: self._on_touched(mask))
        layer.events.paint.connect(lambda _event=None: self._on_painted(mask))
        self._viewer.add_layer(layer)
        self._state.masks.append(mask)
        mask.watch = Watcher(self._viewer, layer, lambda: self._on_drawn(mask))
        self._state.results_changed.emit()
        self.cut.emit(mask)

    def _layer_data(self, shown: ShownHeatmap, cut: Cut) -> tuple[Any, dict[str, Any], str]:
        source, axes = shown.beside
        facts = layer_provenance(shown.result.heatmap, source, kind="mask", threshold=cut.threshold)
        name = f"mask of {shown.title}"
        return mask_to_layer(cut.mask, source, name, facts, axes=axes)

    def _on_touched(self, mask: ShownMask) -> None:
        """Keep the mask from the first dab of a stroke on, which goes on until the mouse is up."""
        mask.edited = True
        if mask.live:
            mask.live = False
            self._state.results_changed.emit()
            self.kept.emit(mask)

    def _on_drawn(self, mask: ShownMask) -> None:
        """Tell of strokes, undone ones and other programs' edits; not of the slider's."""
        if not mask.live:
            self.painted.emit(mask)

    def _on_painted(self, mask: ShownMask) -> None:
        """Bring the rest of the mask up to date, under the stroke that has just ended."""
        self._on_touched(mask)
        layer = mask.layer()
        if mask.due is not None and layer is not None:
            layer.undo()
            self.finish(mask)
            layer.redo()


@dataclass(frozen=True, eq=False)
class _Wish:
    """A heatmap to cut, and the live mask to cut it for; None for a mask yet to be made."""

    cut_from: ShownHeatmap
    request: MaskRequest
    mask: ShownMask | None


def _cut(wish: _Wish) -> Iterator[Cut]:
    return cut_heatmap(wish.cut_from.result.heatmap, wish.request)
