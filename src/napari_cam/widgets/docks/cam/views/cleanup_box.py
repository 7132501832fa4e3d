"""What is done to a mask after the cut: a part of step 4 that is closed at first."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_cam.masks.choices import PER
from napari_cam.widgets.controls.parts import Fold, column, combo, form, tick
from napari_cam.widgets.controls.tooltips import describe

_NONE = "none"


class CleanupBox(Fold):
    """Opening, closing, holes, and which pieces stay."""

    changed = Signal()

    def __init__(self) -> None:
        self.content_box = QWidget()
        super().__init__("Clean up", self.content_box, opened=False)
        self.toggleButton().setObjectName("clean_up")
        describe(self.toggleButton(), "clean_up")
        self._units = "mm"
        self.opening = _length("opening", 50)
        self.closing = _length("closing", 50)
        self.holes = tick("fill_holes", "fill holes")
        self.smallest = _length("smallest", 1e6)
        self.largest = tick("largest_only", "largest piece only")
        self.per = combo("clean_per", PER.entries)
        self._lay_out()
        self.show_image("mm", sliced=True)
        for length in (self.opening, self.closing, self.smallest):
            length.valueChanged.connect(lambda _value: self._on_changed())
        for box in (self.holes, self.largest):
            box.toggled.connect(lambda _on: self._on_changed())
        self.per.currentIndexChanged.connect(lambda _index: self._on_changed())

    def _lay_out(self) -> None:
        layout = column(self.content_box)
        self._rows = form()
        self._rows.addRow("Applied to", self.per)
        self._rows.addRow("Opening", self.opening)
        self._rows.addRow("Closing", self.closing)
        self._rows.addRow(self.holes)
        self._rows.addRow("Smallest piece", self.smallest)
        self._rows.addRow(self.largest)
        layout.addLayout(self._rows)

    @property
    def controls(self) -> tuple[QWidget, ...]:
        """What can be greyed out."""
        return (self.per, self.opening, self.closing, self.holes, self.smallest, self.largest)

    @property
    def chosen(self) -> dict[str, Any]:
        """What is to be done, by the names that `napari_cam.Cleanup` has for it."""
        return {
            "opening_mm": round(self.opening.value(), 3),
            "closing_mm": round(self.closing.value(), 3),
            "fill_holes": self.holes.isChecked(),
            "smallest": round(self.smallest.value(), 3),
            "largest_only": self.largest.isChecked(),
            "per": self.per.currentData(),
        }

    def show_image(self, units: str, sliced: bool) -> None:
        """Say in which units the image states lengths, and whether a heatmap has slices."""
        self._units = units
        self._rows.setRowVisible(self.per, sliced)
        self._name()

    def _name(self) -> None:
        """Name the units, and in the title what is done, which is out of sight when closed."""
        length = "mm" if self._units == "mm" else "px"
        flat = self.per.currentData() == "unit"
        power = "²" if flat else "³"
        for box in (self.opening, self.closing):
            box.setSuffix(f" {length}")
        self.smallest.setSuffix(f" {length}{power}" if length == "mm" else " px")
        done = [
            name
            for name, on in (
                ("opening", self.opening.value()),
                ("closing", self.closing.value()),
                ("holes", self.holes.isChecked()),
                ("smallest", self.smallest.value()),
                ("largest", self.largest.isChecked()),
            )
            if on
        ]
        self.setText(f"Clean up: {', '.join(done)}" if done else "Clean up")

    def _on_changed(self) -> None:
        self._name()
        self.changed.emit()


def _length(name: str, highest: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, highest)
    box.setDecimals(1)
    box.setSingleStep(0.5 if highest < 100 else 10)
    box.setSpecialValueText(_NONE)
    box.setKeyboardTracking(False)
    describe(box, name)
    return box
