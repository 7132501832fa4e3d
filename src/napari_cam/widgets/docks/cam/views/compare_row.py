"""The part of step 3 that lays heatmaps side by side."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_cam.widgets.controls.parts import allow, button, combo

_SCOPES = [("this slice", False), ("all slices", True)]


class CompareRow(QWidget):
    """Which comparison, of what."""

    methods_wanted = Signal()
    levels_wanted = Signal()
    leave_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.methods = button("compare_methods", "Compare methods", self.methods_wanted.emit)
        self.levels = button("all_levels", "All levels", self.levels_wanted.emit)
        self.scope = combo("compare_scope", _SCOPES)
        self.leave = button("leave_grid", "Leave the grid", self.leave_wanted.emit)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.methods, 0, 0)
        layout.addWidget(self.levels, 0, 1)
        layout.addWidget(self.scope, 1, 0)
        layout.addWidget(self.leave, 1, 1)
        self._no_levels = ""
        self._missing = ""
        self.show_grid(False)

    @property
    def whole(self) -> bool:
        """Whether all slices are explained, not only the one on screen."""
        return bool(self.scope.currentData())

    def show_missing(self, missing: str) -> None:
        """Enable comparing, or say what is missing."""
        self._missing = missing
        allow(self.methods, missing)
        allow(self.levels, missing or self._no_levels)

    def show_levels(self, missing: str) -> None:
        """Say why the network has no levels, "" where it has."""
        self._no_levels = missing
        self.show_missing(self._missing)

    def show_grid(self, shown: bool) -> None:
        """Show whether the heatmaps lie side by side."""
        self.leave.setVisible(shown)
