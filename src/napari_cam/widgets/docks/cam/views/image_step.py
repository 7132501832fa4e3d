"""Step 1: which image, along which axis its slices lie, which channels."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QListWidget, QListWidgetItem, QWidget

from napari_cam.errors import NapariCamError
from napari_cam.widgets.controls.parts import Hint, column, combo, form, quiet, refill
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.cam.state import Picked
from napari_cam.widgets.layers.layer_axes import image_axes
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import is_derived

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume

_AXES: list[tuple[str, Any]] = [
    ("as the network's card says", None),
    ("across the acquisition axis", "acquisition"),
    ("axial", "axial"),
    ("coronal", "coronal"),
    ("sagittal", "sagittal"),
    ("across axis 0 (z)", 0),
    ("across axis 1 (y)", 1),
    ("across axis 2 (x)", 2),
]
NO_IMAGE = (
    "There is no image: open one with File > Open, or try "
    "File > Open Sample > Class activation maps."
)


class ImageStep(QWidget):
    """Which image is to be explained."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._images: list[weakref.ReferenceType[Image]] = []
        self.image = combo("image")
        self.slices = combo("slices", _AXES)
        self.extra_axis = combo("extra_axis", [("time", "time"), ("channels", "channels")])
        self.several = QCheckBox("several layers as channels")
        describe(self.several, "several")
        self.channels = QListWidget()
        describe(self.channels, "channels")
        self.channels.setMaximumHeight(84)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.hint = Hint()
        self._lay_out()
        self.image.currentIndexChanged.connect(lambda _index: self._tell())
        self.slices.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.extra_axis.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.several.toggled.connect(lambda _on: self._tell())
        self.channels.itemChanged.connect(lambda _item: self.changed.emit())

    def _lay_out(self) -> None:
        layout = column(self)
        self.rows = form()
        self.rows.addRow("Image", self.image)
        self.rows.addRow(self.facts)
        self.rows.addRow("Extra axis", self.extra_axis)
        self.rows.addRow("Slices", self.slices)
        layout.addLayout(self.rows)
        layout.addWidget(self.several)
        layout.addWidget(self.channels)
        layout.addWidget(self.hint)

    @property
    def axis(self) -> str | int | None:
        """Across which axis slices lie, None for what the card says."""
        axis: str | int | None = self.slices.currentData()
        return axis

    @property
    def current(self) -> Image | None:
        """The layer chosen above, whichever channels are taken."""
        index = self.image.currentIndex()
        return self._images[index]() if 0 <= index < len(self._images) else None

    def follow_layers(self) -> None:
        """Follow the viewer's layers; the chosen one stays, whatever it is called now."""
        chosen = self.current
        layers = [bare(layer) for layer in self._viewer.layers]
        images = [layer for layer in layers if isinstance(layer, Image) and not is_derived(layer)]
        if not any(layer is chosen for layer in images):
            active = bare(self._viewer.layers.selection.active)
            chosen = next((layer for layer in images if layer is active), None)
            chosen = chosen if chosen is not None or not images else images[-1]
        ticked = self._ticked()
        self._images = [weakref.ref(layer) for layer in images]
        place = next((n for n, layer in enumerate(images) if layer is chosen), 0)
        refill(self.image, [(layer.name, None) for layer in images], place)
        self._fill_channels(images, ticked)
        self._tell()

    def _fill_channels(self, images: list[Image], ticked: list[Image]) -> None:
        with quiet(self.channels):
            self.channels.clear()
            for layer in images:
                item = QListWidgetItem(layer.name)
                on = any(layer is other for other in ticked)
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
                self.channels.addItem(item)

    def _ticked(self) -> list[Image]:
        """Return the layers ticked as channels that are still there."""
        result = []
        for row, reference in enumerate(self._images):
            item, layer = self.channels.item(row), reference()
            checked = item is not None and item.checkState() == Qt.CheckState.Checked
            if checked and layer is not None:
                result.append(layer)
        return result

    def _tell(self) -> None:
        layer = self.current
        extra = layer is not None and layer.ndim == 4
        self.rows.setRowVisible(self.extra_axis, extra)
        self.several.setVisible(len(self._images) > 1)
        self.channels.setVisible(len(self._images) > 1 and self.several.isChecked())
        self.changed.emit()

    def pick(self) -> tuple[Picked | None, str]:
        """Return the chosen image, or None and the sentence that says what is missing."""
        layer = self.current
        if layer is None:
            return None, NO_IMAGE
        layers = self._ticked() if self._takes_several else [layer]
        if not layers:
            return None, "Tick the layers to take as channels in step 1."
        as_channels = layer.ndim == 4 and self.extra_axis.currentData() == "channels"
        try:
            axes = image_axes(layers[0], 0 if as_channels else None)
        except NapariCamError as error:
            return None, str(error)
        return Picked(tuple(weakref.ref(each) for each in layers), axes), ""

    @property
    def _takes_several(self) -> bool:
        return self.several.isChecked() and len(self._images) > 1

    def show_facts(self, volume: Volume | None, problem: str) -> None:
        """Say how large the image is, or why there is none."""
        self.hint.say(problem)
        self.rows.setRowVisible(self.facts, volume is not None)
        if volume is None:
            return
        words = " × ".join(str(n) for n in volume.shape)
        if volume.n_channels > 1:
            words += f", {volume.n_channels} channels"
        if volume.grid.units == "mm":
            words += ", voxel " + " × ".join(f"{mm:.3g}" for mm in volume.spacing) + " mm"
        self.facts.setText(words)
