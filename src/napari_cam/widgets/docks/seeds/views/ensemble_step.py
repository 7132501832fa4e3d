"""Step 1: several heatmaps and masks become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QWidget

from napari_cam.masks.choices import MEAN, OPERATORS
from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    button,
    column,
    combo,
    form,
    quiet,
    slider,
)
from napari_cam.widgets.controls.tick_list import TickList

*_OF_MASKS, _STAPLE = OPERATORS.entries
_OPERATORS = [*_OF_MASKS, ("mean of the heatmaps", MEAN), _STAPLE]
_RULES = [("fixed", "fixed"), ("quantile", "quantile"), ("Otsu", "otsu")]
_FIRST = {"fixed": 0.5, "quantile": 0.9}
_NO_MEMBERS = "Make or open heatmaps, masks or labels of this image first."
_TICK_TWO = "Tick at least two members."
_MEAN_OF_MASKS = "A mean is taken of heatmaps alone; untick the masks and labels."


class EnsembleStep(QWidget):
    """Members, operator and cut."""

    changed = Signal()
    make_wanted = Signal()
    consensus_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.members = TickList("members")
        rows = form()
        self.operator = combo("operator", _OPERATORS)
        rows.addRow("Operator", self.operator)
        self.rule = RuleRow(rows)
        self.make = button("make_ensemble", "Make the ensemble", self.make_wanted.emit)
        self.consensus = button("make_consensus", "Consensus map", self.consensus_wanted.emit)
        self.hint = Hint()
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setVisible(False)
        layout = column(self)
        layout.addWidget(self.members)
        layout.addLayout(rows)
        layout.addWidget(self.hint)
        buttons = QHBoxLayout()
        buttons.addWidget(self.make)
        buttons.addWidget(self.consensus)
        layout.addLayout(buttons)
        layout.addWidget(self.said)
        self.members.ticked.connect(self.changed.emit)
        self.operator.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.rule.changed.connect(self.changed.emit)

    def show_state(self, missing: str, masks: Sequence[Any]) -> None:
        """Enable the controls, or say what is missing.

        Parameters
        ----------
        missing
            Why nothing can be done at all, "" where it can.
        masks
            The ticked members that are no heatmaps.
        """
        listed = missing or ("" if self.members.count() else _NO_MEMBERS)
        ticked = listed or ("" if len(self.members.chosen) > 1 else _TICK_TWO)
        mean = self.operator.currentData() == MEAN
        for control in (self.members, self.operator, self.rule.rule, self.rule.cut):
            allow(control, listed)
        allow(self.make, ticked or (_MEAN_OF_MASKS if mean and masks else ""))
        allow(self.consensus, ticked)
        self.hint.say(listed or (_MEAN_OF_MASKS if mean and masks else ""))

    def say(self, text: str) -> None:
        """Say what was made."""
        self.said.setText(text)
        self.said.setVisible(bool(text))


class RuleRow:
    """The rows that say how ticked heatmaps are cut: a rule and its number."""

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
