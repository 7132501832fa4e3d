"""The rows of a report: filters above, the table below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_cam.widgets.controls.parts import combo, refill
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.reports.views.table_model import RowsModel

if TYPE_CHECKING:
    from napari_cam.widgets.docks.reports.work.tabulating import Column

FILTERS = {
    "level": "every level",
    "metric": "every metric",
    "map": "every map",
    "threshold_a": "every threshold",
}
_ROW = 22
_NARROWEST, _WIDEST = 52, 280  # pixels of a column
_LONGEST = 40  # letters of an entry of a filter


class TablePane(QWidget):
    """A table that sorts by a click on a title and tells which row is looked at."""

    row_chosen = Signal(int)  # number of the report's row

    def __init__(self) -> None:
        super().__init__()
        self.model = RowsModel(self)
        self.filters = {key: combo(f"filter_{key}") for key in FILTERS}
        self.count = QLabel()
        self.view = QTableView()
        describe(self.view, "report_table")
        self.view.setModel(self.model)
        self._style()
        row = QHBoxLayout()
        for box in self.filters.values():
            row.addWidget(box, 1)
        row.addWidget(self.count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        for key, box in self.filters.items():
            box.currentIndexChanged.connect(lambda _index, key=key: self._on_filter(key))
        chosen = self.view.selectionModel()
        if chosen is not None:
            chosen.currentRowChanged.connect(self._on_row)
        self.view.clicked.connect(lambda index: self._tell(index))
        self._chosen = -1

    def _style(self) -> None:
        view = self.view
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setStyleSheet(
            "QTableView { alternate-background-color: rgba(128, 128, 128, 30); }"
            "QTableView::item { padding-left: 5px; padding-right: 5px; }"
        )
        view.setWordWrap(False)
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        numbers, header = view.verticalHeader(), view.horizontalHeader()
        if numbers is not None and header is not None:
            numbers.setVisible(False)
            numbers.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            numbers.setDefaultSectionSize(_ROW)
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            header.setHighlightSections(False)
            header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        view.setSortingEnabled(True)

    def show_columns(self, columns: tuple[Column, ...], wanted: Mapping[str, str]) -> None:
        """Show another report, at first the rows that say what is wanted, or all if none does."""
        header = self.view.horizontalHeader()
        if header is not None:
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.model.show_columns(columns, wanted)
        if not self.model.rowCount():
            self.model.show_columns(columns, {})
        by_key = {column.key: column for column in columns}
        for key, box in self.filters.items():
            words = (by_key[key].words or ()) if key in by_key else ()
            entries = [(FILTERS[key], None), *((_short(word), word) for word in words if word)]
            refill(box, entries, max(box_place(entries, self.model.wanted.get(key)), 0))
            box.setVisible(len(entries) > 2)
        self._fit(columns)
        self._say()
        self._chosen = -1
        self.view.scrollToTop()

    def _hide_silent(self) -> None:
        """Hide columns that say nothing in the rows that are shown."""
        rows = self.model.rows
        for place, column in enumerate(self.model.columns):
            self.view.setColumnHidden(place, not column.says(rows) and column.key != "value")

    def choose(self, key: str, word: str | None) -> None:
        """Filter by a word of a column, as if it was chosen from its list; None for all."""
        box = self.filters[key]
        entries = [(box.itemText(n), box.itemData(n)) for n in range(box.count())]
        place = box_place(entries, word)
        if place >= 0:
            box.setCurrentIndex(place)

    def _on_filter(self, key: str) -> None:
        self.model.want(key, self.filters[key].currentData())
        self._chosen = -1
        self._say()

    def _on_row(self, index: QModelIndex, _before: QModelIndex) -> None:
        self._tell(index)

    def _tell(self, index: QModelIndex) -> None:
        if not index.isValid():
            return
        row = int(self.model.rows[index.row()])
        if row != self._chosen:
            self._chosen = row
            self.row_chosen.emit(row)

    @property
    def shown(self) -> NDArray[np.intp]:
        """The report's rows that are shown, in their order."""
        return self.model.rows

    @property
    def selected(self) -> NDArray[np.intp]:
        """The report's rows that are selected, in the order in which they are shown."""
        chosen = self.view.selectionModel()
        places = [] if chosen is None else sorted(each.row() for each in chosen.selectedRows())
        return self.model.rows[np.array(places, dtype=np.intp)]

    def _say(self) -> None:
        self._hide_silent()
        shown, total = self.model.rowCount(), self.model.total
        text = f"{total:,} rows" if shown == total else f"{shown:,} of {total:,} rows"
        self.count.setText(text.replace(",", "\u202f"))

    def _fit(self, columns: tuple[Column, ...]) -> None:
        """Make columns as wide as what stands in them, within reason."""
        metrics = self.view.fontMetrics()
        for place, column in enumerate(columns):
            words = ("0.00000",) if column.words is None else column.words
            longest = max((*words, column.title + "  ▾"), key=len)
            width = metrics.horizontalAdvance(longest[: 2 * _LONGEST]) + 24
            self.view.setColumnWidth(place, min(max(width, _NARROWEST), _WIDEST))


def box_place(entries: list[tuple[str, str | None]], word: str | None) -> int:
    """Return which entry stands for a word, -1 for none."""
    return next((place for place, entry in enumerate(entries) if entry[1] == word), -1)


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST else f"{word[: _LONGEST - 1]}…"
