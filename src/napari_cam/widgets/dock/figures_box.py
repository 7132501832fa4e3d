"""A table of two rows: what a mask covers in the slice on screen, and in the whole volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_cam.widgets.dock.tooltips import describe

if TYPE_CHECKING:
    from napari_cam.widgets.dock.figures import Figures

_COLUMNS = ("covers", "pieces", "volume", "IoU", "Dice")
_DUE = "…"
_SLICE, _WHOLE = 1, 2


class FiguresBox(QWidget):
    """Shows figures; "…" stands for those that are being computed."""

    def __init__(self) -> None:
        super().__init__()
        describe(self, "size")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 2, 0, 2)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(2)
        self._cells: dict[tuple[int, int], QLabel] = {}
        for row in range(3):
            for place in range(len(_COLUMNS) + 1):
                self._add(row, place)
        for place, title in enumerate(_COLUMNS, 1):
            self._cells[0, place].setText(title)
            self._grid.setColumnStretch(place, 1)
        self._cells[_WHOLE, 0].setText("whole")
        self.show_reference(False)
        self.show_slice(None, "")
        self.show_whole(None)

    def _add(self, row: int, place: int) -> None:
        cell = QLabel()
        side = Qt.AlignmentFlag.AlignLeft if place == 0 else Qt.AlignmentFlag.AlignRight
        cell.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        if row == 0 or place == 0:
            cell.setStyleSheet("color: #9aa3af;")
        else:
            cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._cells[row, place] = cell
        self._grid.addWidget(cell, row, place)

    def show_slice(self, figures: Figures | None, name: str) -> None:
        """Show the figures of a slice, None while they are due; no row without a name."""
        there = bool(self._cells[_SLICE, 0].text())
        self._cells[_SLICE, 0].setText(name)
        if there != bool(name):
            self.show_reference(self._compared)
        self._fill(_SLICE, figures)

    def show_whole(self, figures: Figures | None) -> None:
        """Show the figures of the whole volume, None while they are due."""
        self._fill(_WHOLE, figures)

    def show_reference(self, there: bool) -> None:
        """Show the columns of the overlap with a reference, or do not."""
        self._compared = there
        sliced = bool(self._cells[_SLICE, 0].text())
        for (row, place), cell in self._cells.items():
            cell.setVisible(self._shown(place) and (row != _SLICE or sliced))

    def _shown(self, place: int) -> bool:
        return self._compared or place <= 3

    def _fill(self, row: int, figures: Figures | None) -> None:
        texts = (_DUE,) * len(_COLUMNS) if figures is None else figures.texts
        for place, text in enumerate(texts, 1):
            self._cells[row, place].setText(text)

    def row(self, name: str) -> tuple[str, ...]:
        """Return what stands in the row "slice" or "whole", for those who read it."""
        number = _SLICE if name == "slice" else _WHOLE
        places = range(1, len(_COLUMNS) + 1)
        return tuple(self._cells[number, place].text() for place in places if self._shown(place))
