"""Notices when a labels layer has changed: strokes, fills, undo, other programs' edits."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels


class Watcher:
    """Watches one labels layer.

    napari tells of a stroke by `labels_update`. Of an undo, and of other programs that write into
    the data and draw it anew, it tells by `set_data`, as of every step of the slider: what is drawn
    because the sliders moved is no change.

    Parameters
    ----------
    viewer
        Whose sliders move.
    layer
        The layer; held weakly.
    then
        Called after each change.
    """

    def __init__(self, viewer: Any, layer: Labels, then: Callable[[], object]) -> None:
        self._viewer = viewer
        self._layer = weakref.ref(layer)
        self._then = then
        self._seen_at = self._place()
        layer.events.labels_update.connect(self._on_stroke)
        layer.events.set_data.connect(self._on_drawn)

    @property
    def layer(self) -> Labels | None:
        """The layer, None where it is gone."""
        return self._layer()

    def end(self) -> None:
        """Watch no more."""
        layer = self._layer()
        if layer is not None:
            layer.events.labels_update.disconnect(self._on_stroke)
            layer.events.set_data.disconnect(self._on_drawn)

    def _place(self) -> tuple[Any, ...]:
        dims = self._viewer.dims
        return tuple(dims.point), tuple(dims.order), dims.ndisplay

    def _on_stroke(self, _event: Any = None) -> None:
        self._then()

    def _on_drawn(self, _event: Any = None) -> None:
        before, self._seen_at = self._seen_at, self._place()
        if before == self._seen_at:
            self._then()
