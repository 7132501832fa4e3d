"""One click into the canvas, as a point of the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cam.widgets.layers.layer_axes import ImageAxes


class Picker:
    """Waits for one click into the canvas; Esc, or asking again, ends the wait."""

    picked = Signal(object)  # where, in the viewer's world
    waiting_changed = Signal(bool)

    def __init__(self, viewer: Any, parent: QWidget) -> None:
        self._viewer = viewer
        self._waiting = False
        self._paused: tuple[Any, Any] | None = None  # a layer and its mode
        self._escape = _Escape(parent, self.cancel)

    @property
    def waiting(self) -> bool:
        """Whether the next click counts."""
        return self._waiting

    def start(self) -> None:
        """Take the next click."""
        if not self._waiting:
            layer = self._viewer.layers.selection.active
            mode = str(getattr(layer, "mode", "pan_zoom"))
            if mode != "pan_zoom":  # the click is to paint nothing
                self._paused = (layer, mode)
                layer.mode = "pan_zoom"
            self._viewer.mouse_drag_callbacks.append(self._on_press)
            self._set(True)

    def cancel(self) -> None:
        """Take no click."""
        if self._waiting:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)
            if self._paused is not None:
                layer, mode = self._paused
                layer.mode, self._paused = mode, None
            self._set(False)

    def _set(self, waiting: bool) -> None:
        self._waiting = waiting
        self._escape.listen(waiting)
        self.waiting_changed.emit(waiting)

    def _on_press(self, _viewer: Any, event: Any) -> Iterator[None]:
        """Take a press and its release."""
        position = tuple(event.position)
        event.handled = True  # the view is not dragged
        yield
        while event.type == "mouse_move":
            event.handled = True
            yield
        self.cancel()
        self.picked.emit(position)


class _Escape(QObject):
    """Hears Esc wherever the focus is: canvas and dock may be windows of their own."""

    def __init__(self, parent: QWidget, on_escape: Callable[[], None]) -> None:
        super().__init__(parent)
        self._on_escape = on_escape

    def listen(self, on: bool) -> None:
        """Begin or end to listen."""
        application = QApplication.instance()
        if application is not None:
            (application.installEventFilter if on else application.removeEventFilter)(self)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        """Take the key and leave all else."""
        del a0
        if not isinstance(a1, QKeyEvent) or a1.type() != QEvent.Type.KeyPress:
            return False
        if a1.key() != Qt.Key.Key_Escape:
            return False
        self._on_escape()
        return True


def voxel_at(
    world: tuple[float, ...], layer: Image, axes: ImageAxes, shape: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """Return the voxel (z, y, x) of an image of `shape` at a place of the world, None outside.

    Parameters
    ----------
    world
        In the viewer's world, all its axes.
    layer, axes
        The image's layer and what its axes mean.
    shape
        (z, y, x) of the image as it is explained, which may be a coarser level of the layer.
    """
    place = np.asarray(layer.world_to_data(world), dtype=float)
    finest = layer.data[0].shape if layer.multiscale else layer.data.shape
    voxel = [0] * (3 - len(axes.spatial))  # a picture is a volume of one slice
    for axis, length in zip(axes.spatial, shape[3 - len(axes.spatial) :], strict=True):
        share = (place[axis] + 0.5) / finest[axis]
        if not 0 <= share < 1:
            return None
        voxel.append(int(share * length))
    z, y, x = voxel
    return z, y, x
