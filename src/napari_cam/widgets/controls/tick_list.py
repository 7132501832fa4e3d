"""A list of layers to tick; what is ticked stays so while layers come, go and are renamed."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_cam.widgets.controls.parts import quiet
from napari_cam.widgets.controls.tooltips import describe


class TickList(QListWidget):
    """Layers by name, each with a tick."""

    ticked = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        describe(self, name)
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self._layers: list[weakref.ReferenceType[Any]] = []
        self.itemChanged.connect(lambda _item: self.ticked.emit())
        self._fit()

    def show_layers(self, layers: Sequence[Any], ticked: Sequence[Any]) -> None:
        """List layers; those that are among `ticked` (by identity) have a tick."""
        with quiet(self):
            self.clear()
            self._layers = [weakref.ref(layer) for layer in layers]
            for layer in layers:
                item = QListWidgetItem(str(layer.name))
                item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
                on = any(layer is each for each in ticked)
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
                self.addItem(item)
        self._fit()

    @property
    def layers(self) -> list[Any]:
        """The listed layers that are still there."""
        return [layer for reference in self._layers if (layer := reference()) is not None]

    @property
    def chosen(self) -> list[Any]:
        """The ticked layers that are still there."""
        found = []
        for row, reference in enumerate(self._layers):
            item, layer = self.item(row), reference()
            on = item is not None and item.checkState() == Qt.CheckState.Checked
            if on and layer is not None:
                found.append(layer)
        return found

    def tick(self, layer: Any, on: bool = True) -> None:
        """Set the tick of a layer."""
        for row, reference in enumerate(self._layers):
            item = self.item(row)
            if reference() is layer and item is not None:
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def _fit(self) -> None:
        rows = min(max(self.count(), 2), 5)
        self.setFixedHeight(rows * max(self.sizeHintForRow(0), 20) + 6)
