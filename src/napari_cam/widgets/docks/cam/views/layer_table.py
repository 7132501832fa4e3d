"""The target layers of step 2: how large their maps are, which is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableWidget, QTableWidgetItem

from napari_cam.widgets.controls.parts import fit_rows, quiet
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo

_COLUMNS = ["layer", "map", "stride", "channels", "level"]
_STRIDE, _LEVEL = 2, 4  # segmentation networks show their levels in place of strides
_ROW, _HEADER = 24, 30


class LayerTable(QTableWidget):
    """Layers to select.

    Attributes
    ----------
    title
        What stands above the table.
    listed
        The layers in it.
    """

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        describe(self, "layers")
        self.title = QLabel("Target layer")
        self.title.setWordWrap(True)
        self.listed: tuple[LayerInfo, ...] = ()
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        numbers = self.verticalHeader()
        if numbers is not None:
            numbers.setVisible(False)
            numbers.setDefaultSectionSize(_ROW)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the selected layers; empty for the network's default."""
        rows = sorted({index.row() for index in self.selectedIndexes()})
        names = tuple(self.listed[row].name for row in rows)
        return () if names == tuple(info.name for info in self.listed if info.default) else names

    def renew(self, layers: tuple[LayerInfo, ...]) -> None:
        """List the same layers for another input; what is selected stays."""
        chosen = self.chosen
        self.show_layers(layers)
        with quiet(self):
            if chosen:
                self.clearSelection()
            self.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
            for row, info in enumerate(layers):
                if info.name in chosen:
                    self.selectRow(row)
            self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)

    def show_layers(self, layers: tuple[LayerInfo, ...]) -> None:
        """List layers and select the default."""
        self.listed = layers
        title = "Target layer"
        if layers:
            sizes = (round(n * s) for n, s in zip(layers[0].shape, layers[0].stride, strict=True))
            title += f" (maps of an input of {' × '.join(map(str, sizes))} pixels)"
        self.title.setText(title)
        levels = any(info.level for info in layers)
        self.setColumnHidden(_LEVEL, not levels)
        self.setColumnHidden(_STRIDE, levels)
        fit_rows(self, len(layers), _ROW, _HEADER)
        with quiet(self):
            self.setRowCount(len(layers))
            for row, info in enumerate(layers):
                self._fill_row(row, info)
            self.clearSelection()
            for row, info in enumerate(layers):
                if info.default:
                    self.selectRow(row)
                    self.scrollToItem(self.item(row, 0))

    def _fill_row(self, row: int, info: LayerInfo) -> None:
        shape = " × ".join(str(n) for n in info.shape)
        stride = " × ".join(dict.fromkeys(f"{s:.3g}" for s in info.stride))
        mark = "  ★" if info.default else ""
        words = (info.name + mark, shape, stride, str(info.channels), info.level)
        for place, text in enumerate(words):
            item = QTableWidgetItem(text)
            star = "★ the default. " if info.default else ""
            star += f"Stride {stride}. " if info.level else ""
            item.setToolTip(f"{star}{info.kind}{': ' + info.note if info.note else ''}")
            self.setItem(row, place, item)
