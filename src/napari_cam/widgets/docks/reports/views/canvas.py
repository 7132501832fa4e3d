"""matplotlib within the dock, in the colours of napari's theme; never pyplot, which is global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtWidgets import QSizePolicy

_LETTER = 6.5  # pixels of a letter of a tick
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Ink:
    """Colours: of the ground, of letters and lines, and of what only divides."""

    ground: str = "#23242b"
    letters: str = "#f0f1f2"
    lines: str = "#61696e"


class Canvas(FigureCanvasQTAgg):
    """A figure that fills the room it is given."""

    def __init__(self, ink: Ink) -> None:
        super().__init__(Figure(layout="constrained"))  # type: ignore[no-untyped-call]
        self.ink = ink
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 120)

    def fresh_axes(self) -> Any:
        """Return empty axes in the colours of the theme; what was drawn before goes."""
        self.figure.clear()
        self.figure.set_facecolor(self.ink.ground)
        axes = self.figure.subplots()
        self.dress(axes)
        return axes

    def dress(self, axes: Any) -> None:
        """Give axes the colours of the theme."""
        ink = self.ink
        axes.set_facecolor(ink.ground)
        axes.tick_params(colors=ink.letters, labelsize=8)
        for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
            label.set_color(ink.letters)
            label.set_fontsize(9)
        for spine in axes.spines.values():
            spine.set_color(ink.lines)

    def turn_of(self, names: Sequence[str]) -> int:
        """Return by how many degrees names along the axis are turned so that they fit."""
        room = 0.8 * self.width() / max(len(names), 1)
        longest = min(max(map(len, names), default=0), _LONGEST_NAME)
        return 0 if longest * _LETTER < room else 30

    def redraw(self) -> None:
        """Draw as soon as the window has time."""
        self.draw_idle()  # type: ignore[no-untyped-call]
