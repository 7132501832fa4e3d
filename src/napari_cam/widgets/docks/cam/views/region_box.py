"""Whose pixels' score a segmentation network explains: the part of step 2 that asks for it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QSpinBox, QWidget

from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    button,
    column,
    combo,
    form,
    quiet,
)
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari.layers import Labels

_KINDS = [
    ("where the class is predicted", "predicted"),
    ("the whole image", "all"),
    ("probability above a cut", "probability"),
    ("painted pixels", "paint"),
    ("a label of a layer", "label"),
    ("largest component of that", "component"),
    ("component at a point", "component:"),
    ("one pixel", "point:"),
]
_MOST_LABELS = 2**31 - 1
_CLICK, _CLICKING = "Click into the image", "Waiting for a click … (Esc cancels)"


class RegionBox(QWidget):
    """The pixel set."""

    changed = Signal()
    paint_wanted = Signal()
    click_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._painted: weakref.ReferenceType[Labels] | None = None
        self._point: tuple[int, int, int] | None = None
        self.kind = combo("region", _KINDS)
        self.above = QDoubleSpinBox()
        self.above.setRange(0.0, 0.999)
        self.above.setDecimals(3)
        self.above.setSingleStep(0.05)
        self.above.setValue(0.5)
        describe(self.above, "region_probability")
        self.paint = button("region_paint", "Paint …", self.paint_wanted.emit)
        self.labels = LayerCombo("region_layer", [])
        self.layer = self.labels.box
        self.number = QSpinBox()
        self.number.setRange(1, _MOST_LABELS)
        describe(self.number, "region_label")
        self.click = button("region_click", _CLICK, self.click_wanted.emit)
        self.click.setCheckable(True)
        self.hint = Hint()
        self.said = QLabel()
        self.said.setWordWrap(True)
        describe(self.said, "region_size")
        self._lay_out()
        self._on_kind()
        self.kind.currentIndexChanged.connect(lambda _index: self._on_kind())
        self.layer.currentIndexChanged.connect(lambda _index: self._tell())
        self.above.valueChanged.connect(lambda _value: self._tell())
        self.number.valueChanged.connect(lambda _value: self._tell())

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.rows = form()
        self.rows.addRow("Pixel set", self.kind)
        self.rows.addRow("Cut", self.above)
        self.rows.addRow("Layer", self.layer)
        self.rows.addRow("Label", self.number)
        self.rows.addRow(self.paint)
        self.rows.addRow(self.click)
        layout.addLayout(self.rows)
        layout.addWidget(self.hint)
        layout.addWidget(self.said)

    def _on_kind(self) -> None:
        kind = self.kind.currentData()
        self.rows.setRowVisible(self.above, kind == "probability")
        self.rows.setRowVisible(self.paint, kind == "paint")
        self.rows.setRowVisible(self.layer, kind == "label")
        self.rows.setRowVisible(self.number, kind in ("paint", "label"))
        self.rows.setRowVisible(self.click, kind.endswith(":"))
        self._tell()

    def _tell(self) -> None:
        self.hint.say(self.missing)
        self.said.setText("")
        self.said.setVisible(False)
        self.changed.emit()

    @property
    def text(self) -> str | None:
        """The region as a text names it; None where it is a label of `chosen_layer`."""
        kind: str = self.kind.currentData()
        if kind in ("paint", "label"):
            return None
        if kind == "probability":
            return f"p>{self.above.value():.3g}"
        return kind + ",".join(map(str, self._point or ())) if kind.endswith(":") else kind

    @property
    def chosen_layer(self) -> Labels | None:
        """The labels layer whose pixels are meant, None where there is none."""
        kind = self.kind.currentData()
        if kind == "paint":
            return None if self._painted is None else self._painted()
        return self.labels.layer if kind == "label" else None

    @property
    def missing(self) -> str:
        """What is still to be said of the pixel set, "" for nothing."""
        kind = self.kind.currentData()
        if kind.endswith(":") and self._point is None:
            return "Press the button and click a point of the image."
        if kind == "label" and self.chosen_layer is None:
            return "There is no labels layer: open or paint one."
        if kind == "paint" and self.chosen_layer is None:
            return "Press the button and paint the pixels whose score is to be explained."
        return ""

    def show_labels(self, layers: Sequence[Labels]) -> None:
        """List the labels layers there are; the chosen one stays."""
        self.labels.follow(layers)
        painted = None if self._painted is None else self._painted()
        if not any(layer is painted for layer in layers):
            self._painted = None
        self.hint.say(self.missing)

    def take_painted(self, layer: Labels, label: int) -> None:
        """Take the pixels that are being painted into a layer, with a label."""
        self._painted = weakref.ref(layer)
        with quiet(self.number):
            self.number.setValue(label)
        self._tell()

    def take_point(self, point: tuple[int, int, int]) -> None:
        """Take the voxel (z, y, x) that was clicked."""
        self._point = point
        self._tell()

    def forget_point(self) -> None:
        """Forget the point: another image is looked at."""
        self._point = None
        self.hint.say(self.missing)

    def show_waiting(self, waiting: bool) -> None:
        """Show whether the next click counts."""
        self.click.setChecked(waiting)
        point = "" if self._point is None else f" (now at {', '.join(map(str, self._point))})"
        self.click.setText(_CLICKING if waiting else _CLICK + point)

    def show_paintable(self, missing: str) -> None:
        """Enable what needs an image, or say what is missing."""
        allow(self.paint, missing)
        allow(self.click, missing)

    def show_said(self, text: str) -> None:
        """Say how many pixels the set holds."""
        self.said.setText(text)
        self.said.setVisible(bool(text))
