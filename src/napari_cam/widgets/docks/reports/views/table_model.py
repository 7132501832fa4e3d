"""The rows of a report for Qt: sorted and filtered by NumPy.

A proxy of Qt's would ask Python for every comparison, seconds for a hundred thousand rows.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

if TYPE_CHECKING:
    from napari_cam.widgets.docks.reports.work.tabulating import Column

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_NOWHERE = QModelIndex()


class RowsModel(QAbstractTableModel):
    """Columns of a report, of which some rows are shown in some order.

    Attributes
    ----------
    columns
        What is shown.
    rows
        (m,) numbers of the report's rows in the order in which they are shown.
    layers
        What the layers of maps are called, by the maps' names; told on hover.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns: tuple[Column, ...] = ()
        self.rows: NDArray[np.intp] = np.empty(0, np.intp)
        self.layers: Mapping[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._sorted: tuple[int, bool] | None = None

    def show_columns(self, columns: tuple[Column, ...], wanted: Mapping[str, str]) -> None:
        """Show another report, of it the rows whose columns hold what is wanted."""
        self.beginResetModel()
        self.columns, self._wanted, self._sorted = columns, dict(wanted), None
        self.rows = self._found()
        self.endResetModel()

    def want(self, key: str, word: str | None) -> None:
        """Show the rows whose column `key` says `word`; None for all."""
        self.beginResetModel()
        self._wanted.pop(key, None)
        if word is not None:
            self._wanted[key] = word
        self.rows = self._found()
        self.endResetModel()

    @property
    def wanted(self) -> Mapping[str, str]:
        """What the rows that are shown have in common, by column."""
        return dict(self._wanted)

    @property
    def total(self) -> int:
        """How many rows the report has."""
        return len(self.columns[0]) if self.columns else 0

    def _found(self) -> NDArray[np.intp]:
        keep = np.ones(self.total, bool)
        for column in self.columns:
            if column.key in self._wanted:
                keep &= column.holds(self._wanted[column.key])
        rows: NDArray[np.intp] = np.flatnonzero(keep)
        if self._sorted is not None:
            place, descending = self._sorted
            rows = self.columns[place].order(rows, descending)
        return rows

    # What Qt asks.

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Return how many rows are shown."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt shows of a cell."""
        if not index.isValid():
            return None
        column = self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(int(self.rows[index.row()]))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if column.words is not None else _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            text = column.text(int(self.rows[index.row()]))
            layer = f" (layer {self.layers[text]})" if text in self.layers else ""
            return f"<qt>{html.escape(text + layer)}</qt>"  # Qt takes what looks like it for HTML
        return None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the title of a column."""
        if orientation != Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return self.columns[section].title if section < len(self.columns) else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort the rows that are shown; what is undefined comes last either way."""
        if not 0 <= column < len(self.columns):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.rows
        self._sorted = column, order == Qt.SortOrder.DescendingOrder
        self.rows = self._found()
        held = self.persistentIndexList()
        if held:
            place = {int(row): number for number, row in enumerate(self.rows)}
            moved = [self.index(place[int(before[each.row()])], each.column()) for each in held]
            self.changePersistentIndexList(held, moved)
        self.layoutChanged.emit()
