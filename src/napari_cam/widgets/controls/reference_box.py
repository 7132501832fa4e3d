"""Which labels masks are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QLineEdit

from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import Hint
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari.layers import Labels

_NO_NUMBERS = "Labels are whole numbers from 1 with commas between them, such as 1, 3."


class ReferenceBox:
    """The reference and its labels: rows of a form.

    Parameters
    ----------
    rows
        The form.
    name
        Of the list; the labels are `name` with "_labels" after it.
    """

    changed = Signal()

    def __init__(self, rows: QFormLayout, name: str = "reference") -> None:
        self._rows = rows
        self._shown = True
        self.list = LayerCombo(name, [("none", "")])
        self.numbers = QLineEdit()
        self.numbers.setPlaceholderText("all but 0")
        describe(self.numbers, f"{name}_labels")
        self.hint = Hint()
        rows.addRow("Reference", self.list.box)
        rows.addRow("Its labels", self.numbers)
        rows.addRow(self.hint)
        self._on_changed()
        self.list.box.currentIndexChanged.connect(lambda _index: self._on_changed())
        self.numbers.editingFinished.connect(self._on_changed)

    def show_rows(self, on: bool) -> None:
        """Show the rows, or hide them."""
        self._shown = on
        self._rows.setRowVisible(self.list.box, on)
        self._on_changed()

    def _on_changed(self) -> None:
        self._rows.setRowVisible(self.numbers, self._shown and self.list.layer is not None)
        self.hint.say("" if self._numbers is not None else _NO_NUMBERS)
        self.changed.emit()

    @property
    def _numbers(self) -> tuple[int, ...] | None:
        """The labels that count, () for all but 0; None where the text names none."""
        words = [word for word in self.numbers.text().replace(",", " ").split() if word]
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            return None
        return tuple(sorted({int(word) for word in words}))

    @property
    def chosen(self) -> tuple[Labels, tuple[int, ...]] | None:
        """The layer and which of its labels count, () for all but 0; None for no comparison."""
        layer, numbers = self.list.layer, self._numbers
        return None if layer is None or numbers is None else (layer, numbers)

    def follow(self, layers: Iterable[Labels]) -> None:
        """List these layers."""
        if self.list.follow(layers):
            self._on_changed()
