"""Step 2: which network is asked, by which methods, about which class, at which layer."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
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
from napari_cam.widgets.docks.cam.views.layer_table import LayerTable
from napari_cam.widgets.docks.cam.views.method_list import MethodList
from napari_cam.widgets.docks.cam.views.region_box import RegionBox
from napari_cam.widgets.networks import MODEL_FILES, SAMPLES

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo
    from napari_cam.widgets.networks import Network

_SAMPLES = [("Sample: healthy or damaged", None), ("Sample: damaged voxels (U-Net)", None)]
_NO_LAYER = "The ticked methods map the input itself; no layer is chosen."
_LEAST_CARD, _MOST_CARD = 120, 240


class NetworkStep(QWidget):
    """Which network, methods, class and layer."""

    network_wanted = Signal(str, object)  # source, architecture
    changed = Signal()
    chosen = Signal()  # by the user

    def __init__(self, method: str, model_folder: str) -> None:
        super().__init__()
        self._folder = model_folder
        self._sources = list(SAMPLES)
        self.network = combo("network", _SAMPLES)
        self.open = button("open_network", "Open…", self.choose_file)
        self.architecture = QLineEdit()
        self.architecture.setPlaceholderText("found from the weights")
        describe(self.architecture, "architecture")
        self.card = QTextEdit()
        describe(self.card, "card")
        self.methods = MethodList(method)
        self.method_help = QLabel()
        self.method_help.setWordWrap(True)
        self.class_id = combo("class")
        self.region = RegionBox()
        self.region.setVisible(False)
        self.layers = LayerTable()
        self.hint = Hint()
        self.card.setReadOnly(True)
        self.card.setFixedHeight(_LEAST_CARD)
        self._lay_out()
        self.network.currentIndexChanged.connect(lambda _index: self._ask())
        self.architecture.editingFinished.connect(self._on_architecture)
        self.methods.itemChanged.connect(lambda _item: self._on_method())
        self.methods.currentRowChanged.connect(lambda _row: self._help())
        self.class_id.currentTextChanged.connect(lambda _text: self._choose())
        self.region.changed.connect(self._choose)
        self.layers.itemSelectionChanged.connect(self._choose)

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
        layout.addWidget(self.layers.title)
        layout.addWidget(self.layers)

    @property
    def source(self) -> str:
        """The chosen network: "sample" or a path."""
        return self._sources[self.network.currentIndex()]

    @property
    def missing(self) -> str:
        """What is still to be chosen, "" for nothing."""
        if not self.methods.chosen:
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
            self.layers.show_layers(())
            return
        self.card.setHtml(as_table(network.model.card.describe()))
        self._fit_card()
        self.region.setVisible(network.model.card.task == "segmentation")
        if self.methods.count() == 0:
            self.methods.fill(network.methods)
            self._help()
        self._fill_classes(network.model.card.class_names)
        self.layers.show_layers(network.layers)
        self.changed.emit()

    def _fit_card(self) -> None:
        document = self.card.document()
        if document is not None:
            document.setTextWidth(max(self.card.viewport().width(), 280))  # type: ignore[union-attr]
            height = int(document.size().height()) + 6
            self.card.setFixedHeight(min(max(height, _LEAST_CARD), _MOST_CARD))

    def _on_method(self) -> None:
        needed = not self.methods.chosen or any(each.needs_layer for each in self.methods.chosen)
        allow(self.layers, "" if needed else _NO_LAYER)
        self._help()
        self._choose()

    def _choose(self) -> None:
        self.changed.emit()
        self.chosen.emit()

    def _help(self) -> None:
        method = self.methods.current
        if method is not None:
            cost = " Slow: it runs the network many times." if method.slow else ""
            self.method_help.setText(f"{method.title}: {method.summary}.{cost}")

    def show_layers(self, layers: tuple[LayerInfo, ...]) -> None:
        """Show how large the maps of the layers are for another input; what is chosen stays."""
        if layers != self.layers.listed:
            self.layers.renew(layers)
            self.changed.emit()

    def _fill_classes(self, names: tuple[str, ...]) -> None:
        entries: list[tuple[str, Any]] = [("predicted", None)]
        refill(self.class_id, entries + [(name, name) for name in names])
        # Classes without names are called by their number, and only the network knows how many.
        with quiet(self.class_id):
            self.class_id.setEditable(not names)


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
