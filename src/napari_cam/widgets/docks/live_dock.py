"""A dock's own life: it stops when it leaves napari's window, and goes on when it is put back."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_cam.widgets.controls.parts import Hint

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QShowEvent

    from napari_cam.widgets.controls.shortcuts import Shortcuts


class LiveDock(QWidget):
    """What every dock of this plugin is: it follows the viewer's layers while it is in the window.

    Parameters
    ----------
    viewer
        The viewer whose layers are followed.

    Attributes
    ----------
    problem
        The line that says what went wrong.
    shortcuts
        The dock's keys; None where it has none.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._closed = False
        self._following = False
        self.problem = Hint("#ff6060")
        self.shortcuts: Shortcuts | None = None

    def _begin(self) -> None:
        """Follow the viewer from now on, once all parts are there."""
        for emitter, callback in self._heard():
            emitter.connect(callback)
        # A window that is closed destroys the dock without taking it out first.
        myself = weakref.ref(self)
        self.destroyed.connect(lambda: _shut(myself()))
        self.follow_layers()

    def _heard(self) -> list[tuple[Any, Callable[..., object]]]:
        """Return the viewer's events that the dock hears, each with what it calls."""
        layers = self._viewer.layers.events
        changes = (layers.inserted, layers.removed, layers.reordered, layers.renamed)
        return [(change, self.follow_layers) for change in changes]

    def event(self, a0: QEvent | None) -> bool:
        """Close when napari takes the dock out of its window, open when it is put back."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.shut()
            elif self._closed:
                self._closed = False
                for emitter, callback in self._heard():
                    emitter.connect(callback)
                self._start_again()
        return bool(super().event(a0))

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802
        """Take the keys of the window."""
        if self.shortcuts is not None:
            self.shortcuts.take()
        super().showEvent(a0)

    def shut(self) -> None:
        """Stop everything and let go of the viewer; nothing arrives any more."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        for emitter, callback in self._heard():
            emitter.disconnect(callback)
        if self.shortcuts is not None:
            self.shortcuts.end()

    def follow_layers(self, _event: Any = None) -> None:
        """Follow the viewer's layers."""
        if self._closed or self._following:
            return
        self._following = True
        try:
            self._list_layers()
        finally:
            self._following = False
        self._allow()

    def fail(self, sentence: str) -> None:
        """Say what went wrong, in the dock and as a notification; "" for nothing."""
        self.problem.say(sentence)
        if sentence:
            show_error(sentence)

    @abstractmethod
    def _list_layers(self) -> None:
        """List the layers that the viewer has now."""

    @abstractmethod
    def _allow(self) -> None:
        """Enable what can be done now, and say what is missing for the rest."""

    @abstractmethod
    def _stop(self) -> None:
        """Drop what is under way."""

    @abstractmethod
    def _start_again(self) -> None:
        """Go on, as the viewer is followed again."""


def _shut(dock: LiveDock | None) -> None:
    if dock is not None:
        dock.shut()
