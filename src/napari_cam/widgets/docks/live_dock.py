"""A dock's own life: it stops when it leaves napari's window, and goes on when it is put back."""

from __future__ import annotations

import weakref
from abc import abstractmethod

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class LiveDock(QWidget):
    """What every dock of this plugin is."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def _end_with_window(self) -> None:
        """Stop when the window is closed, which destroys the dock without taking it out first."""
        myself = weakref.ref(self)
        self.destroyed.connect(lambda: _shut(myself()))

    def event(self, a0: QEvent | None) -> bool:
        """Close when napari takes the dock out of its window, open when it is put back."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.shut()
            elif self._closed:
                self._closed = False
                self._start_again()
        return bool(super().event(a0))

    def shut(self) -> None:
        """Stop everything and let go of the viewer; nothing arrives any more."""
        if not self._closed:
            self._closed = True
            self._stop()

    @abstractmethod
    def _stop(self) -> None:
        """Drop what is under way and let go of the viewer."""

    @abstractmethod
    def _start_again(self) -> None:
        """Follow the viewer again."""


def _shut(dock: LiveDock | None) -> None:
    if dock is not None:
        dock.shut()
