"""Step 2: where proposals may lie at all."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QWidget

from napari_cam.labels.choices import NEGATIVES
from napari_cam.volumes.choices import TISSUES
from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import Hint, allow, button, column, combo, form, tick
from napari_cam.widgets.controls.tooltips import describe

_NO_SHAPES = "Draw a shape first."
_NO_LABELS = "Make or open a labels layer of this image first."


class BoxStep(QWidget):
    """What restricts ensembles and proposals; all that is ticked must hold."""

    changed = Signal()
    draw_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.centred = tick("centred", "centred box")
        self.sizes = [_spin(f"centred_{axis}", 100.0, 1.0, 100.0, " %", 0) for axis in "zyx"]
        self.tissue = tick("tissue", "tissue only, found by")
        self.method = combo("tissue_method", TISSUES.entries)
        self.band = tick("band", "without a band")
        self.band_width = _spin("band_width", 10.0, 0.1, 9999.0, " mm", 1)
        self.band_position = _spin("band_position", 0.0, -9999.0, 9999.0, " mm", 1)
        self.band_angle = _spin("band_angle", 90.0, -180.0, 180.0, "°", 0)
        self.drawn = tick("drawn", "inside drawn shapes")
        self.shapes = LayerCombo("shapes")
        self.draw = button("draw_shape", "Draw a shape", self.draw_wanted.emit)
        self.all_slices = tick("all_slices", "for all slices")
        self.all_slices.setChecked(True)
        self.labelled = tick("box_labelled", "inside a labels layer")
        self.labels = LayerCombo("box_labels")
        self.outside = combo("box_outside", NEGATIVES.entries)
        self.hint = Hint()
        self.said = QLabel("The box holds the whole image.")
        self.said.setWordWrap(True)
        self._lay_out()
        self._wire()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addWidget(self.centred)
        layout.addLayout(_row(*zip("zyx", self.sizes, strict=True)))
        layout.addLayout(_row(("", self.tissue), ("", self.method)))
        layout.addWidget(self.band)
        numbers = (("width", self.band_width), ("off", self.band_position))
        layout.addLayout(_row(*numbers, ("angle", self.band_angle)))
        layout.addLayout(_row(("", self.drawn), ("", self.draw)))
        layout.addLayout(_row(("", self.shapes.box), ("", self.all_slices)))
        layout.addLayout(_row(("", self.labelled), ("", self.labels.box)))
        rows = form()
        rows.addRow("Outside is", self.outside)
        layout.addLayout(rows)
        layout.addWidget(self.hint)
        layout.addWidget(self.said)

    def _wire(self) -> None:
        ticks = (self.centred, self.tissue, self.band, self.drawn, self.all_slices, self.labelled)
        for box in ticks:
            box.toggled.connect(lambda _on: self.changed.emit())
        for choice in (self.method, self.shapes.box, self.labels.box, self.outside):
            choice.currentIndexChanged.connect(lambda _index: self.changed.emit())
        for number in (*self.sizes, self.band_width, self.band_position, self.band_angle):
            number.valueChanged.connect(lambda _value: self.changed.emit())

    def show_units(self, units: str) -> None:
        """Say in what the band is measured."""
        for spin in (self.band_width, self.band_position):
            spin.setSuffix(" mm" if units == "mm" else " px")

    def show_state(self, missing: str) -> None:
        """Enable the controls, or say what is missing."""
        no_shapes = missing or ("" if self.shapes.box.count() else _NO_SHAPES)
        no_labels = missing or ("" if self.labels.box.count() else _NO_LABELS)
        pairs: list[tuple[QWidget, str]] = [(self.draw, missing), (self.outside, missing)]
        pairs += [(each, missing) for each in (self.centred, self.tissue, self.band)]
        pairs += [(self.drawn, no_shapes), (self.labelled, no_labels)]
        for owner, parts, reason in (
            (self.centred, self.sizes, missing),
            (self.tissue, [self.method], missing),
            (self.band, [self.band_width, self.band_position, self.band_angle], missing),
            (self.drawn, [self.shapes.box, self.all_slices], no_shapes),
            (self.labelled, [self.labels.box], no_labels),
        ):
            unticked = "" if owner.isChecked() else f"Tick '{owner.text()}' first."
            pairs += [(part, reason or unticked) for part in parts]
        for widget, reason in pairs:
            allow(widget, reason)

    def say(self, text: str, problem: str = "") -> None:
        """Say how large the box is, or what is wrong with it."""
        self.said.setText(text)
        self.said.setVisible(bool(text))
        self.hint.say(problem)


def _spin(
    name: str, value: float, low: float, high: float, suffix: str, decimals: int
) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    describe(spin, name)
    spin.setRange(low, high)
    spin.setDecimals(decimals)
    spin.setValue(value)
    spin.setSuffix(suffix)
    # napari's style makes every spin box 90 px wide, and three of them stand in a row.
    spin.setStyleSheet("QDoubleSpinBox { min-width: 40px; padding: 1px; }")
    spin.setMinimumWidth(40)
    spin.setKeyboardTracking(False)
    spin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    spin.setAlignment(Qt.AlignmentFlag.AlignRight)
    return spin


def _row(*named: tuple[str, QWidget]) -> QHBoxLayout:
    """Return widgets beside each other, each behind its name where it has one."""
    row = QHBoxLayout()
    row.setSpacing(4)
    for name, widget in named:
        if name:
            row.addWidget(QLabel(name))
        row.addWidget(widget, 1)
    return row
