"""The list of classes: colour, label, name, and how many heatmaps each has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_cam.widgets.controls.parts import quiet
from napari_cam.widgets.controls.tooltips import describe

_COLOUR, _LABEL, _NAME, _HEATMAPS = range(4)


class ClassRow(NamedTuple):
    """A class as the list shows it: its label, name and colour, and how many heatmaps it has."""

    code: int
    name: str
    colour: str
    heatmaps: str


class ClassTable(QTableWidget):
    """Classes, one a row; names are edited in place, colours by a double click."""

    renamed = Signal(int, str)
    recoloured = Signal(int, str)
    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, 4)
        describe(self, "classes")
        self.setHorizontalHeaderLabels(["", "Label", "Name", "Heatmaps"])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        rows = self.verticalHeader()
        if rows is not None:
            rows.setVisible(False)
            rows.setDefaultSectionSize(22)
        header = self.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(_COLOUR, QHeaderView.ResizeMode.Fixed)
            header.setHighlightSections(False)
        self.setColumnWidth(_COLOUR, 22)
        self._codes: list[int] = []
        self.itemChanged.connect(self._on_changed)
        self.itemSelectionChanged.connect(self._on_picked)
        self.itemDoubleClicked.connect(self._on_double_click)

    def show_classes(self, classes: Sequence[ClassRow], code: int) -> None:
        """List classes, of which `code` is the chosen one."""
        with quiet(self):
            self.setRowCount(len(classes))
            self._codes = [each.code for each in classes]
            for row, each in enumerate(classes):
                self._fill(row, each)
            if code in self._codes:
                self.selectRow(self._codes.index(code))
        self.setFixedHeight(26 + 22 * min(max(len(classes), 2), 7))

    def _fill(self, row: int, each: ClassRow) -> None:
        fixed = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        swatch = QTableWidgetItem()
        swatch.setIcon(_swatch(each.colour))
        swatch.setData(Qt.ItemDataRole.UserRole, each.colour)
        swatch.setToolTip(f"{each.colour}; double click to choose another colour.")
        for column, item in (
            (_COLOUR, swatch),
            (_LABEL, QTableWidgetItem(str(each.code))),
            (_HEATMAPS, QTableWidgetItem(each.heatmaps)),
        ):
            item.setFlags(fixed)
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.setItem(row, column, item)
        self.setItem(row, _NAME, QTableWidgetItem(each.name))

    @property
    def code(self) -> int | None:
        """The label of the chosen class, None for no class."""
        row = self.currentRow()
        return self._codes[row] if 0 <= row < len(self._codes) else None

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == _NAME:
            self.renamed.emit(self._codes[item.row()], item.text().strip())

    def _on_picked(self) -> None:
        code = self.code
        if code is not None:
            self.picked.emit(code)

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        if item.column() != _COLOUR:
            return
        colour = QColorDialog.getColor(QColor(item.data(Qt.ItemDataRole.UserRole)), self)
        if colour.isValid():
            self.recoloured.emit(self._codes[item.row()], colour.name())


def _swatch(colour: str) -> QIcon:
    """Return a colour as an icon, which stays visible in a selected row."""
    picture = QPixmap(14, 14)
    picture.fill(QColor(colour))
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)
    return icon
