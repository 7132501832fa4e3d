"""Which network is asked: rows of a form, for faithfulness alone."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QSpinBox, QWidget

from napari_cam.widgets.controls.parts import allow, button, combo, refill
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.settings import read_settings
from napari_cam.widgets.networks import MODEL_FILES, SAMPLES

_NONE_OPEN = "the one that made the maps (not open)"
_MOST = 999


class NetworkForm:
    """The network and how much it is asked."""

    changed = Signal()

    def __init__(self, rows: QFormLayout) -> None:
        self._rows = rows
        self._sources = list(SAMPLES)
        self._open: str | None = None
        self.network = combo("report_network")
        self.open = button("report_open_network", "Open…", self.choose_file)
        self.architecture = QLineEdit()
        self.architecture.setPlaceholderText("found from the weights")
        describe(self.architecture, "report_architecture")
        self.units = QSpinBox()
        describe(self.units, "report_units")
        self.units.setRange(1, _MOST)
        self.units.setValue(8)
        self._row = QWidget()
        side = QHBoxLayout(self._row)
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(self.network, 1)
        side.addWidget(self.open)
        rows.addRow("Network", self._row)
        rows.addRow("Architecture", self.architecture)
        rows.addRow("Slices asked", self.units)
        self._fill(0)
        self.network.currentIndexChanged.connect(lambda _index: self._on_changed())
        self.architecture.editingFinished.connect(self.changed.emit)

    def set_visible(self, on: bool) -> None:
        """Show the rows, or hide them."""
        self._rows.setRowVisible(self._row, on)
        self._rows.setRowVisible(self.units, on)
        self._rows.setRowVisible(self.architecture, on and self.source not in (None, *SAMPLES))

    def follow(self, source: str | None) -> None:
        """Offer the network that made the maps by its `source`, None where no dock has it open."""
        if source != self._open:
            self._open = source
            self._fill(self.network.currentIndex())

    def _fill(self, place: int) -> None:
        source, first = self._open, _NONE_OPEN
        if source is not None:
            name = Path(source).name if source not in SAMPLES else "the sample"
            first = f"the one that made the maps: {name}"
        names = ["sample: healthy or damaged", "sample: damaged voxels (U-Net)"]
        names += [Path(each).name for each in self._sources[len(SAMPLES) :]]
        refill(self.network, [(first, None), *((name, None) for name in names)], max(place, 0))

    @property
    def source(self) -> str | None:
        """A sample or the path of a file; None for the network that made the maps."""
        place = self.network.currentIndex() - 1
        return self._sources[place] if 0 <= place < len(self._sources) else None

    @property
    def named_architecture(self) -> str | None:
        """What the weights of a file belong to, where that is typed."""
        named = self.architecture.text().strip() or None
        return None if self.source in SAMPLES else named

    @property
    def missing(self) -> bool:
        """Whether the network that made the maps is meant but not open."""
        return self.source is None and self._open is None

    def choose_file(self) -> None:
        """Ask for a model file and take it."""
        folder = read_settings().model_folder
        path, _ = QFileDialog.getOpenFileName(self._row, "Open a network", folder, MODEL_FILES)
        if path:
            self.open_file(path)

    def open_file(self, path: str) -> None:
        """Take the network of a file; it is read when the report is made."""
        if path not in self._sources:
            self._sources.append(path)
        self._fill(self._sources.index(path) + 1)
        self._on_changed()

    def _on_changed(self) -> None:
        self.set_visible(self._rows.isRowVisible(self._row))
        self.changed.emit()

    def allow(self, missing: str) -> None:
        """Enable the rows, or say what is missing."""
        for widget in (self.network, self.open, self.architecture, self.units):
            allow(widget, missing)
