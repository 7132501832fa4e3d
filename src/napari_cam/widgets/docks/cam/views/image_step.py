"""Step 1: which image, along which axis its slices lie, which channels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QWidget

from napari_cam.widgets.controls.parts import Hint, column, combo, form, quiet, refill, tick
from napari_cam.widgets.controls.tooltips import describe

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


class ImageStep(QWidget):
    """Which image is to be explained."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.image = combo("image")
        self.slices = combo("slices", _AXES)
        self.extra_axis = combo("extra_axis", [("time", "time"), ("channels", "channels")])
        self.several = tick("several", "several layers as channels")
        self.channels = QListWidget()
        describe(self.channels, "channels")
        self.channels.setMaximumHeight(84)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.hint = Hint()
        self._lay_out()
        self.image.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.slices.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.extra_axis.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.several.toggled.connect(lambda _on: self._on_several())
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
    def as_channels(self) -> bool:
        """Whether an extra axis holds channels, not time."""
        return bool(self.extra_axis.currentData() == "channels")

    @property
    def takes_several(self) -> bool:
        """Whether the ticked layers are taken as channels, in place of the chosen one."""
        return self.several.isChecked() and self.image.count() > 1

    @property
    def ticked(self) -> list[int]:
        """Which of the listed layers are ticked as channels."""
        items = [self.channels.item(row) for row in range(self.channels.count())]
        return [
            row
            for row, item in enumerate(items)
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]

    def show_images(self, names: Sequence[str], chosen: int, ticked: Collection[int]) -> None:
        """List the images there are, and which of them are ticked as channels."""
        refill(self.image, [(name, None) for name in names], chosen)
        with quiet(self.channels):
            self.channels.clear()
            for row, name in enumerate(names):
                item = QListWidgetItem(name)
                on = row in ticked
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
                self.channels.addItem(item)
        self._show_several()

    def show_extra_axis(self, there: bool) -> None:
        """Ask what an extra axis of the image is, where one is there."""
        self.rows.setRowVisible(self.extra_axis, there)

    def _show_several(self) -> None:
        self.several.setVisible(self.image.count() > 1)
        self.channels.setVisible(self.takes_several)

    def _on_several(self) -> None:
        self._show_several()
        self.changed.emit()

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
