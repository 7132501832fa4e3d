"""Step 4: cut the heatmap into a mask, live."""

from __future__ import annotations

from collections.abc import Sequence

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget
from superqt import QLabeledDoubleSlider

from napari_cam.widgets.dock.parts import Hint, allow, button, column, combo, form, quiet, refill
from napari_cam.widgets.dock.request import MaskRequest
from napari_cam.widgets.dock.tooltips import describe

_RULES = [("fixed", "fixed"), ("quantile", "quantile"), ("Otsu", "otsu")]
_SCOPES = [("each slice", "unit"), ("the whole volume", "volume")]
_STRICT = [("value > cut", True), ("value ≥ cut", False)]
_FIRST_CUT = {"fixed": 0.5, "quantile": 0.9}


class MaskStep(QWidget):
    """How the heatmap is cut."""

    changed = Signal()
    make_wanted = Signal()
    keep_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cuts = dict(_FIRST_CUT)
        self.heatmap = combo("heatmap")
        self.rule = combo("rule", _RULES)
        self.scope = combo("scope", _SCOPES)
        self.cut = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        describe(self.cut, "cut")
        self.cut.setRange(0.0, 1.0)
        self.cut.setDecimals(3)
        self.cut.setValue(self._cuts["fixed"])
        self.inequality = combo("inequality", _STRICT)
        self.gate = QCheckBox("only where the class is predicted")
        describe(self.gate, "gate")
        self.make = button("make_mask", "Make a mask", self.make_wanted.emit)
        self.keep = button("keep_mask", "Keep it and edit", self.keep_wanted.emit)
        self.covers = QLabel()
        describe(self.covers, "size")
        self.covers.setWordWrap(True)
        self.hint = Hint()
        self._lay_out()
        self._on_rule()
        self.rule.currentIndexChanged.connect(lambda _index: self._on_rule())
        self.cut.valueChanged.connect(lambda _value: self.changed.emit())
        self.gate.toggled.connect(lambda _on: self.changed.emit())
        for box in (self.heatmap, self.scope, self.inequality):
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def _lay_out(self) -> None:
        layout = column(self)
        self.rows = form()
        self.rows.addRow("Heatmap", self.heatmap)
        self.rows.addRow("Rule", self.rule)
        self.rows.addRow("Taken over", self.scope)
        self.rows.addRow("Cut", self.cut)
        self.rows.addRow("In the mask", self.inequality)
        layout.addLayout(self.rows)
        layout.addWidget(self.gate)
        layout.addWidget(self.hint)
        buttons = QHBoxLayout()
        buttons.addWidget(self.make)
        buttons.addWidget(self.keep)
        layout.addLayout(buttons)
        layout.addWidget(self.covers)

    @property
    def request(self) -> MaskRequest:
        """How to cut, as the controls stand."""
        rule = self.rule.currentData()
        if rule != "otsu":
            rule += f":{self.cut.value():.3g}"
        if self.rule.currentData() != "fixed" and self.scope.currentData() == "volume":
            rule += ":volume"
        return MaskRequest(rule, bool(self.inequality.currentData()), self.gate.isChecked())

    def _on_rule(self) -> None:
        rule = self.rule.currentData()
        self.rows.setRowVisible(self.scope, rule != "fixed")
        self.rows.setRowVisible(self.cut, rule != "otsu")
        if rule in self._cuts:
            with quiet(self.cut):
                self.cut.setValue(self._cuts[rule])
        self.changed.emit()

    def show_heatmaps(self, titles: Sequence[str], chosen: int) -> None:
        """List the heatmaps there are."""
        refill(self.heatmap, [(title, None) for title in titles], chosen)

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
            self.gate,
        ):
            allow(control, missing)
        self.hint.say(missing)

    def show_covers(self, text: str) -> None:
        """Say how much the mask covers, or what happened to it."""
        self.covers.setText(text)
        self.covers.setVisible(bool(text))
