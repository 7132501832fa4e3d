"""A table of two columns: what a mask covers in the slice on screen, and in the whole volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.work.figures import Figures

_ROWS = ("covers", "connected pieces", "volume", "IoU with the reference", "Dice")
_VOLUME = 3
_DUE = "…"
_SLICE, _WHOLE = 1, 2


class FiguresBox(QWidget):
    """Shows figures; "…" stands for those that are being computed."""

    def __init__(self) -> None:
        super().__init__()
        describe(self, "size")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 2, 0, 2)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(0, 1)
        self._cells = {
            (row, column): self._added(row, column)
            for row in range(len(_ROWS) + 1)
            for column in range(3)
        }
        for row, title in enumerate(_ROWS, 1):
            self._cells[row, 0].setText(title)
        self._cells[0, _WHOLE].setText("whole")
        self.show_reference(False)
        self.show_slice(None, "")
        self.show_whole(None)

    def _added(self, row: int, column: int) -> QLabel:
        cell = QLabel()
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        cell.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        if row == 0 or column == 0:
            cell.setStyleSheet("color: #9aa3af;")
        else:
            cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._grid.addWidget(cell, row, column)
        return cell

    def show_slice(self, figures: Figures | None, name: str) -> None:
        """Show the figures of a slice, None while they are due; no column without a name."""
        before = self._cells[0, _SLICE].text()
        self._cells[0, _SLICE].setText(name)
        if bool(before) != bool(name):
            self.show_reference(self._compared)
        self._fill(_SLICE, figures)

    def show_whole(self, figures: Figures | None) -> None:
        """Show the figures of the whole volume, None while they are due."""
        self._fill(_WHOLE, figures)

    def show_reference(self, there: bool) -> None:
        """Show the rows of the overlap with a reference, or do not."""
        self._compared = there
        sliced = bool(self._cells[0, _SLICE].text())
        for (row, column), cell in self._cells.items():
            cell.setVisible(self._shown(row) and (column != _SLICE or sliced))

    def _shown(self, row: int) -> bool:
        return self._compared or row <= _VOLUME

    def _fill(self, column: int, figures: Figures | None) -> None:
        if figures is not None:
            self._cells[_VOLUME, 0].setText(f"{_ROWS[_VOLUME - 1]} ({figures.unit})")
        texts = (_DUE,) * len(_ROWS) if figures is None else figures.texts
        for row, text in enumerate(texts, 1):
            self._cells[row, column].setText(text)

    def shown(self, name: str) -> tuple[str, ...]:
        """Return what stands below "slice" or "whole", for those who read it."""
        column = _SLICE if name == "slice" else _WHOLE
        rows = range(1, len(_ROWS) + 1)
        return tuple(self._cells[row, column].text() for row in rows if self._shown(row))
