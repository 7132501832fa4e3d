"""Step 2: which network is asked, by which methods, about which class, at which layer."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTableWidget,
    QTableWidgetItem,
    QTextEdit,
    QWidget,
)

from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    button,
    column,
    combo,
    form,
    quiet,
    refill,
)
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.cam.views.region_box import RegionBox
from napari_cam.widgets.networks import MODEL_FILES, SAMPLES

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo
    from napari_cam.widgets.networks import MethodHelp, Network

_NAME = Qt.ItemDataRole.UserRole
_SAMPLES = [("Sample: healthy or damaged", None), ("Sample: damaged voxels (U-Net)", None)]
_SLOW = "Slow: run the network many times"
_NO_LAYER = "The ticked methods map the input itself; no layer is chosen."
_STRIDE, _LEVEL = 2, 4  # columns; segmentation networks show their levels in place of strides
_ROW = 24
_LEAST, _MOST = 6, 12  # rows of a list that are seen at once
_LEAST_CARD, _MOST_CARD = 120, 240


class NetworkStep(QWidget):
    """Which network, methods, class and layer."""

    network_wanted = Signal(str, object)  # source, architecture
    changed = Signal()
    chosen = Signal()  # by the user

    def __init__(self, method: str, model_folder: str) -> None:
        super().__init__()
        self._first_method = method
        self._folder = model_folder
        self._sources = list(SAMPLES)
        self._help_of: dict[str, MethodHelp] = {}
        self._layers: tuple[LayerInfo, ...] = ()
        self._default_layers: tuple[str, ...] = ()
        self.network = combo("network", _SAMPLES)
        self.open = button("open_network", "Open…", self.choose_file)
        self.architecture = QLineEdit()
        self.architecture.setPlaceholderText("found from the weights")
        describe(self.architecture, "architecture")
        self.card = QTextEdit()
        describe(self.card, "card")
        self.methods = QListWidget()
        describe(self.methods, "methods")
        self.method_help = QLabel()
        self.method_help.setWordWrap(True)
        self.class_id = combo("class")
        self.region = RegionBox()
        self.region.setVisible(False)
        self.layers = QTableWidget(0, 5)
        describe(self.layers, "layers")
        self.layers_title = QLabel("Target layer")
        self.layers_title.setWordWrap(True)
        self.hint = Hint()
        self._style()
        self._lay_out()
        self.network.currentIndexChanged.connect(lambda _index: self._ask())
        self.architecture.editingFinished.connect(self._on_architecture)
        self.methods.itemChanged.connect(lambda _item: self._on_method())
        self.methods.currentRowChanged.connect(lambda _row: self._help())
        self.class_id.currentTextChanged.connect(lambda _text: self._choose())
        self.region.changed.connect(self._choose)
        self.layers.itemSelectionChanged.connect(self._choose)

    def _style(self) -> None:
        self.card.setReadOnly(True)
        self.card.setFixedHeight(_LEAST_CARD)
        self.layers.setHorizontalHeaderLabels(["layer", "map", "stride", "channels", "level"])
        self.layers.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.layers.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        numbers = self.layers.verticalHeader()
        if numbers is not None:
            numbers.setVisible(False)
            numbers.setDefaultSectionSize(_ROW)
        self.layers.setWordWrap(False)
        self.layers.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.layers.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def _lay_out(self) -> None:
        layout = column(self)
        row = QHBoxLayout()
        row.addWidget(self.network, 1)
        row.addWidget(self.open)
        layout.addLayout(row)
        self.rows = form()
        self.rows.addRow("Architecture", self.architecture)
        self.rows.setRowVisible(self.architecture, False)
        layout.addLayout(self.rows)
        layout.addWidget(self.hint)
        layout.addWidget(self.card)
        layout.addWidget(QLabel("Methods"))
        layout.addWidget(self.methods)
        layout.addWidget(self.method_help)
        below = form()
        below.addRow("Class", self.class_id)
        layout.addLayout(below)
        layout.addWidget(self.region)
        layout.addWidget(self.layers_title)
        layout.addWidget(self.layers)

    @property
    def source(self) -> str:
        """The chosen network: "sample" or a path."""
        return self._sources[self.network.currentIndex()]

    @property
    def chosen_methods(self) -> tuple[str, ...]:
        """Names of the ticked methods."""
        items = [self.methods.item(row) for row in range(self.methods.count())]
        return tuple(
            str(item.data(_NAME))
            for item in items
            if item is not None and item.checkState() == Qt.CheckState.Checked
        )

    @property
    def chosen_help(self) -> list[MethodHelp]:
        """What is known of the ticked methods."""
        return [self._help_of[name] for name in self.chosen_methods]

    @property
    def listed_layers(self) -> tuple[LayerInfo, ...]:
        """The layers of the table."""
        return self._layers

    @property
    def missing(self) -> str:
        """What is still to be chosen, "" for nothing."""
        if not self.chosen_methods:
            return "Tick at least one method in step 2."
        missing = "" if self.region.isHidden() else self.region.missing
        return f"Step 2: {missing}" if missing else ""

    @property
    def chosen_class(self) -> str | int | None:
        """The class by name or index, None for the predicted one."""
        if self.class_id.isEditable():
            text = self.class_id.currentText().strip()
            return int(text) if text.isdecimal() else (None if text in ("", "predicted") else text)
        chosen: str | int | None = self.class_id.currentData()
        return chosen

    @property
    def chosen_layers(self) -> tuple[str, ...]:
        """Names of the selected layers; empty for the network's default."""
        rows = sorted({index.row() for index in self.layers.selectedIndexes()})
        items = [self.layers.item(row, 0) for row in rows]
        names = tuple(str(item.data(_NAME)) for item in items if item is not None)
        return () if names == self._default_layers else names

    def choose_file(self) -> None:
        """Ask for a model file and take it."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a network", self._folder, MODEL_FILES)
        if path:
            self._folder = str(Path(path).parent)
            self.open_file(path)

    def open_file(self, path: str) -> None:
        """Take the network of a file."""
        if path in self._sources:
            self.network.setCurrentIndex(self._sources.index(path))
            self._ask()
            return
        self._sources.append(path)
        with quiet(self.network):
            self.network.addItem(Path(path).name)
            self.network.setCurrentIndex(len(self._sources) - 1)
            self.architecture.clear()
        self._ask()

    def _on_architecture(self) -> None:
        if self.architecture.isModified():
            self.architecture.setModified(False)
            self._ask()

    def _ask(self) -> None:
        named = self.architecture.text().strip() or None
        self.network_wanted.emit(self.source, named if self.source not in SAMPLES else None)

    def show_loading(self) -> None:
        """Say that a network is on its way."""
        self.hint.say("")
        self.card.setPlainText("The network is being loaded …")

    def show_network(self, network: Network | None, problem: str) -> None:
        """Show a network's card and fill what can be asked of it; `problem` where there is none."""
        self.rows.setRowVisible(self.architecture, self.source not in SAMPLES)
        self.hint.say(problem or (network.problem if network is not None else ""))
        if network is None:
            self.card.setPlainText("No network.")
            refill(self.class_id, [])
            self._fill_layers(())
            return
        self.card.setHtml(as_table(network.model.card.describe()))
        self._fit_card()
        self.region.setVisible(network.model.card.task == "segmentation")
        if self.methods.count() == 0:
            self._fill_methods(network)
        self._fill_classes(network.model.card.class_names)
        self._fill_layers(network.layers)
        self.changed.emit()

    def _fit_card(self) -> None:
        document = self.card.document()
        if document is not None:
            document.setTextWidth(max(self.card.viewport().width(), 280))  # type: ignore[union-attr]
            height = int(document.size().height()) + 6
            self.card.setFixedHeight(min(max(height, _LEAST_CARD), _MOST_CARD))

    def _fill_methods(self, network: Network) -> None:
        self._help_of = {method.name: method for method in network.methods}
        with quiet(self.methods):
            for method in sorted(network.methods, key=lambda method: method.slow):
                if method.slow and not self._titled(_SLOW):
                    self._add_title(_SLOW)
                self._add_method(method)
        _fit(self.methods, self.methods.count(), self.methods.sizeHintForRow(0))
        self._help()

    def _add_method(self, method: MethodHelp) -> None:
        item = QListWidgetItem(method.title)
        item.setData(_NAME, method.name)
        slow = " Slow: it runs the network many times." if method.slow else ""
        item.setToolTip(f"{method.summary}. {method.reference}{slow}")
        on = method.name == self._first_method
        item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.methods.addItem(item)
        if on:
            self.methods.setCurrentItem(item)

    def _titled(self, title: str) -> bool:
        return bool(self.methods.findItems(title, Qt.MatchFlag.MatchExactly))

    def _add_title(self, title: str) -> None:
        item = QListWidgetItem(title)
        item.setFlags(Qt.ItemFlag.NoItemFlags)  # nothing to tick or to choose
        self.methods.addItem(item)

    def _on_method(self) -> None:
        needed = not self.chosen_methods or any(each.needs_layer for each in self.chosen_help)
        allow(self.layers, "" if needed else _NO_LAYER)
        self._help()
        self._choose()

    def _choose(self) -> None:
        self.changed.emit()
        self.chosen.emit()

    def _help(self) -> None:
        item = self.methods.currentItem()
        method = None if item is None else self._help_of.get(item.data(_NAME))
        if method is not None:
            cost = " Slow: it runs the network many times." if method.slow else ""
            self.method_help.setText(f"{method.title}: {method.summary}.{cost}")

    def _fill_classes(self, names: tuple[str, ...]) -> None:
        entries: list[tuple[str, Any]] = [("predicted", None)]
        refill(self.class_id, entries + [(name, name) for name in names])
        # Classes without names are called by their number, and only the network knows how many.
        with quiet(self.class_id):
            self.class_id.setEditable(not names)

    def show_layers(self, layers: tuple[LayerInfo, ...]) -> None:
        """Show how large the maps of the layers are for another input; what is chosen stays."""
        if layers == self._layers:
            return
        chosen = self.chosen_layers
        self._fill_layers(layers)
        with quiet(self.layers):
            if chosen:
                self.layers.clearSelection()
            self.layers.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
            for row, info in enumerate(layers):
                if info.name in chosen:
                    self.layers.selectRow(row)
            self.layers.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.changed.emit()

    def _fill_layers(self, layers: tuple[LayerInfo, ...]) -> None:
        self._layers = layers
        self._default_layers = tuple(info.name for info in layers if info.default)
        title = "Target layer"
        if layers:
            sizes = (round(n * s) for n, s in zip(layers[0].shape, layers[0].stride, strict=True))
            title += f" (maps of an input of {' × '.join(map(str, sizes))} pixels)"
        self.layers_title.setText(title)
        levels = any(info.level for info in layers)
        self.layers.setColumnHidden(_LEVEL, not levels)
        self.layers.setColumnHidden(_STRIDE, levels)
        _fit(self.layers, len(layers), _ROW, 30)
        with quiet(self.layers):
            self.layers.setRowCount(len(layers))
            for row, info in enumerate(layers):
                self._fill_row(row, info)
            self.layers.clearSelection()
            for row, info in enumerate(layers):
                if info.default:
                    self.layers.selectRow(row)
                    self.layers.scrollToItem(self.layers.item(row, 0))

    def _fill_row(self, row: int, info: LayerInfo) -> None:
        shape = " × ".join(str(n) for n in info.shape)
        stride = " × ".join(dict.fromkeys(f"{s:.3g}" for s in info.stride))
        mark = "  ★" if info.default else ""
        words = (info.name + mark, shape, stride, str(info.channels), info.level)
        for place, text in enumerate(words):
            item = QTableWidgetItem(text)
            item.setData(_NAME, info.name)
            star = "★ the default. " if info.default else ""
            star += f"Stride {stride}. " if info.level else ""
            item.setToolTip(f"{star}{info.kind}{': ' + info.note if info.note else ''}")
            self.layers.setItem(row, place, item)


def _fit(view: QAbstractItemView, count: int, height: int, more: int = 0) -> None:
    """Make a list as high as its rows, within reason; it scrolls where there are more."""
    view.setFixedHeight(min(max(count, _LEAST), _MOST) * height + more + 8)


def as_table(description: str) -> str:
    """Return a card's description, "key   value" in columns, as HTML that wraps."""
    rows: list[tuple[str, str]] = []
    for line in description.splitlines():
        key, value = line[:14].strip(), html.escape(line[14:].strip())
        if key:
            rows.append((html.escape(key), value))
        elif rows:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]}<br>{value}")
    cells = (f"<tr><td><b>{k}</b>&nbsp;&nbsp;</td><td>{v}</td></tr>" for k, v in rows)
    return f"<table>{''.join(cells)}</table>"
