"""How the cut is chosen: the first part of step 4."""

from __future__ import annotations

from dataclasses import dataclass

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel
from superqt import QLabeledDoubleSlider

from napari_cam.masks.choices import SCOPES
from napari_cam.widgets.controls.parts import combo, quiet
from napari_cam.widgets.controls.tooltips import describe

_STRICT = [("value > cut", True), ("value ≥ cut", False)]


@dataclass(frozen=True)
class _Slider:
    """What the slider means under a rule, and where it begins."""

    label: str
    lowest: float
    highest: float
    decimals: int
    first: float


@dataclass(frozen=True)
class _Shown:
    """A rule as the list shows it."""

    title: str
    slider: _Slider | None
    scoped: bool


_RULES = {
    "fixed": _Shown("fixed value", _Slider("Cut", 0, 1, 3, 0.5), scoped=False),
    "255": _Shown("n / 255", _Slider("Cut of 255", 0, 255, 0, 200), scoped=False),
    "quantile": _Shown("quantile", _Slider("Quantile", 0, 1, 3, 0.9), scoped=True),
    "area": _Shown("share of the pixels", _Slider("Share kept", 0, 1, 3, 0.1), scoped=True),
    "otsu": _Shown("Otsu", None, scoped=True),
    "local-otsu": _Shown("Otsu around each pixel", _Slider("Radius", 1, 50, 1, 15), scoped=False),
    "li": _Shown("Li", None, scoped=True),
    "triangle": _Shown("triangle", None, scoped=True),
    "yen": _Shown("Yen", None, scoped=True),
}


class RuleBox:
    """The rule, its slider, whose values count, and the inequality: rows of a form."""

    changed = Signal()

    def __init__(self, rows: QFormLayout) -> None:
        self._rows = rows
        self._values = {
            word: shown.slider.first for word, shown in _RULES.items() if shown.slider is not None
        }
        self._units = "mm"
        self.rule = combo("rule", [(shown.title, word) for word, shown in _RULES.items()])
        self.scope = combo("scope", SCOPES.entries[:2])
        self.cut = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        describe(self.cut, "cut")
        self.inequality = combo("inequality", _STRICT)
        self._label = QLabel("Cut")
        rows.addRow("Rule", self.rule)
        rows.addRow("Taken over", self.scope)
        rows.addRow(self._label, self.cut)
        rows.addRow("In the mask", self.inequality)
        self._on_rule()
        self.rule.currentIndexChanged.connect(lambda _index: self._on_rule())
        self.cut.valueChanged.connect(self._on_value)
        for box in (self.scope, self.inequality):
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())

    @property
    def _shown(self) -> _Shown:
        return _RULES[self.rule.currentData()]

    @property
    def text(self) -> str:
        """The rule, as `rule_from_text` reads it."""
        words = [str(self.rule.currentData())]
        slider = self._shown.slider
        if slider is not None:
            words.append(f"{round(self.cut.value(), slider.decimals):g}")
        if self._shown.scoped and self.scope.currentData() == "volume":
            words.append("volume")
        return ":".join(words)

    @property
    def strict(self) -> bool:
        """Whether a pixel must exceed the cut."""
        return bool(self.inequality.currentData())

    def show_units(self, units: str) -> None:
        """Say in which units the image states lengths."""
        self._units = units
        self._name()

    def _name(self) -> None:
        slider = self._shown.slider
        if slider is not None:
            local = self.rule.currentData() == "local-otsu"
            self._label.setText(f"{slider.label} ({self._units})" if local else slider.label)

    def _on_value(self, value: float) -> None:
        self._values[self.rule.currentData()] = value
        self.changed.emit()

    def _on_rule(self) -> None:
        """Show what the rule needs; its slider stands where it was left."""
        shown = self._shown
        self._rows.setRowVisible(self.scope, shown.scoped)
        self._rows.setRowVisible(self.cut, shown.slider is not None)
        if shown.slider is not None:
            with quiet(self.cut):
                self.cut.setRange(shown.slider.lowest, shown.slider.highest)
                self.cut.setDecimals(shown.slider.decimals)
                self.cut.setValue(self._values[self.rule.currentData()])
        self._name()
        self.changed.emit()
