"""The methods of step 2: each with a tick, the slow ones last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_cam.widgets.controls.parts import fit_rows, quiet
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari_cam.widgets.networks import MethodHelp

_NAME = Qt.ItemDataRole.UserRole
_SLOW = "Slow: run the network many times"


class MethodList(QListWidget):
    """Methods to tick.

    Parameters
    ----------
    first
        The name of the method that is ticked at first.
    """

    def __init__(self, first: str) -> None:
        super().__init__()
        describe(self, "methods")
        self._first = first
        self._help_of: dict[str, MethodHelp] = {}

    @property
    def chosen(self) -> list[MethodHelp]:
        """The ticked methods."""
        items = [self.item(row) for row in range(self.count())]
        return [
            self._help_of[item.data(_NAME)]
            for item in items
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]

    @property
    def current(self) -> MethodHelp | None:
        """The method that was clicked last."""
        item = self.currentItem()
        return None if item is None else self._help_of.get(item.data(_NAME))

    def fill(self, methods: Sequence[MethodHelp]) -> None:
        """List the methods there are."""
        self._help_of = {method.name: method for method in methods}
        with quiet(self):
            for slow in (False, True):
                alike = [method for method in methods if method.slow == slow]
                if slow and alike:
                    self._add_title(_SLOW)
                for method in alike:
                    self._add(method)
        fit_rows(self, self.count(), self.sizeHintForRow(0))

    def _add(self, method: MethodHelp) -> None:
        item = QListWidgetItem(method.title)
        item.setData(_NAME, method.name)
        slow = " Slow: it runs the network many times." if method.slow else ""
        item.setToolTip(f"{method.summary}. {method.reference}{slow}")
        on = method.name == self._first
        item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.addItem(item)
        if on:
            self.setCurrentItem(item)

    def _add_title(self, title: str) -> None:
        item = QListWidgetItem(title)
        item.setFlags(Qt.ItemFlag.NoItemFlags)  # nothing to tick or to choose
        self.addItem(item)
