"""Step 4: cut the heatmap into a mask, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import Hint, allow, button, column, combo, form, refill, tick
from napari_cam.widgets.controls.reference_box import ReferenceBox
from napari_cam.widgets.controls.rule_box import RuleBox
from napari_cam.widgets.docks.cam.views.cleanup_box import CleanupBox
from napari_cam.widgets.docks.cam.views.figures_box import FiguresBox

if TYPE_CHECKING:
    from napari.layers import Labels

_WITHIN = [("everywhere", ""), ("tissue (k-means)", "kmeans"), ("tissue (Otsu)", "otsu")]


class MaskStep(QWidget):
    """How the heatmap is cut, what becomes of the mask, and what is said of it."""

    changed = Signal()
    reference_changed = Signal()
    make_wanted = Signal()
    keep_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.heatmap = combo("heatmap")
        self.rows = form()
        self.rows.addRow("Heatmap", self.heatmap)
        self.rules = RuleBox(self.rows)
        self.rule, self.scope = self.rules.rule, self.rules.scope
        self.cut, self.inequality = self.rules.cut, self.rules.inequality
        self.within = LayerCombo("foreground", _WITHIN)
        self.rows.addRow("Within", self.within.box)
        self.gate = tick("gate", "only where the class is predicted")
        self.cleanup = CleanupBox()
        self.make = button("make_mask", "Make a mask", self.make_wanted.emit)
        self.keep = button("keep_mask", "Keep it and edit", self.keep_wanted.emit)
        self.hint = Hint()
        self.comparison = form()
        self.reference = ReferenceBox(self.comparison)
        self.whose = QLabel()
        self.whose.setWordWrap(True)
        self.figures = FiguresBox()
        self.compared = Hint()
        self.said = Hint("#9aa3af")
        self._lay_out()
        self.show_mask("")
        self.rules.changed.connect(self.changed.emit)
        self.cleanup.changed.connect(self.changed.emit)
        self.reference.changed.connect(self.reference_changed.emit)
        self.gate.toggled.connect(lambda _on: self.changed.emit())
        for box in (self.heatmap, self.within.box):
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addLayout(self.rows)
        layout.addWidget(self.gate)
        layout.addWidget(self.cleanup)
        layout.addWidget(self.hint)
        buttons = QHBoxLayout()
        buttons.addWidget(self.make)
        buttons.addWidget(self.keep)
        layout.addLayout(buttons)
        layout.addLayout(self.comparison)
        for widget in (self.whose, self.figures, self.compared, self.said):
            layout.addWidget(widget)

    def show_heatmaps(self, titles: Sequence[str], chosen: int) -> None:
        """List the heatmaps there are."""
        refill(self.heatmap, [(title, None) for title in titles], chosen)

    def show_labels(self, layers: Sequence[Labels]) -> None:
        """List the labels layers within which masks may lie, and with which they are compared."""
        if self.within.follow(layers):
            self.changed.emit()
        self.reference.follow(layers)

    def show_image(self, units: str, sliced: bool) -> None:
        """Say in which units the image states lengths, and whether the heatmap has slices."""
        self.rules.show_units("mm" if units == "mm" else "px")
        self.cleanup.show_image(units, sliced)

    def show_state(self, missing: str, live: bool) -> None:
        """Enable the controls, or say what is missing; `live` where a mask follows the slider."""
        allow(self.make, missing or ("The mask follows the slider already." if live else ""))
        allow(self.keep, missing or ("" if live else "Make a mask first."))
        for control in (
            self.heatmap,
            self.rule,
            self.scope,
            self.cut,
            self.inequality,
            self.within.box,
            self.gate,
            *self.cleanup.controls,
            self.reference.list.box,
            self.reference.numbers,
        ):
            allow(control, missing)
        self.hint.say(missing)

    def show_mask(self, name: str) -> None:
        """Show the figures of the mask of that name; "" for none, and no figures."""
        self.whose.setText(name)
        self.whose.setVisible(bool(name))
        self.figures.setVisible(bool(name))
        if not name:
            self.said.say("")
            self.compared.say("")
