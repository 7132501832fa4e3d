"""The rows that say how heatmaps are cut."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout
from superqt import QLabeledDoubleSlider

from napari_cam.widgets.controls.parts import combo, quiet
from napari_cam.widgets.controls.tooltips import describe

_RULES = [("fixed", "fixed"), ("quantile", "quantile"), ("Otsu", "otsu")]
_FIRST = {"fixed": 0.5, "quantile": 0.9}


class RuleRow:
    """A rule and its number."""

    changed = Signal()

    def __init__(self, rows: QFormLayout) -> None:
        self._rows = rows
        self._numbers = dict(_FIRST)
        self.rule = combo("member_rule", _RULES)
        self.cut = slider("member_cut", 0.5)
        rows.addRow("Heatmaps cut by", self.rule)
        rows.addRow("Cut", self.cut)
        self.rule.currentIndexChanged.connect(lambda _index: self._on_rule())
        self.cut.valueChanged.connect(self._on_cut)

    @property
    def text(self) -> str:
        """The rule as text, such as "fixed:0.5"."""
        rule = str(self.rule.currentData())
        return rule if rule == "otsu" else f"{rule}:{self.cut.value():.3g}"

    def _on_rule(self) -> None:
        rule = self.rule.currentData()
        self._rows.setRowVisible(self.cut, rule != "otsu")
        if rule in self._numbers:
            with quiet(self.cut):
                self.cut.setValue(self._numbers[rule])
        self.changed.emit()

    def _on_cut(self, value: float) -> None:
        self._numbers[self.rule.currentData()] = value
        self.changed.emit()


def slider(name: str, value: float) -> QLabeledDoubleSlider:
    """Return a slider from 0 to 1."""
    made = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    describe(made, name)
    made.setRange(0.0, 1.0)
    made.setDecimals(3)
    made.setValue(value)
    return made
