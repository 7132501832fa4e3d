"""What controls say on hover: a table for each dock, with unit and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


@dataclass(frozen=True)
class Tip:
    """What a control does, the unit of its value and what it stands at.

    Attributes
    ----------
    text
        One or two sentences.
    unit, default
        Empty where the control has none.
    """

    text: str
    unit: str = ""
    default: str = ""

    def __str__(self) -> str:
        parts = [self.text]
        if self.unit:
            parts.append(f"Unit: {self.unit}.")
        if self.default:
            parts.append(f"Default: {self.default}.")
        return " ".join(parts)


_TABLES: list[Mapping[str, Tip]] = []


def take_table(tips: Mapping[str, Tip]) -> None:
    """Let `describe` know the controls of a dock, whose names are all different."""
    if not any(tips is known for known in _TABLES):
        _TABLES.append(tips)


def describe(widget: QWidget, name: str, more: str = "") -> None:
    """Give `widget` its name and its tooltip of a table, with `more` in front of it.

    `more` may name layers, and Qt takes what looks like it for HTML.
    """
    tip = next(table[name] for table in _TABLES if name in table)
    widget.setObjectName(name)
    widget.setToolTip(f"{more.replace('<', '‹')} {tip}".strip())
