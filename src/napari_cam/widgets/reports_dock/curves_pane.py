"""The curves by threshold: hover for a number, click for the masks at its threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import combo, refill
from napari_cam.widgets.reports_dock.canvas import Canvas, Ink
from napari_cam.widgets.reports_dock.charts import Curves, Point, bare_threshold

_HELP = "Point at a curve for its numbers; click a point to see the masks at its threshold."
_NEAR = 14  # pixels from a point
_IN_LEGEND = 12
# Okabe and Ito's, light enough for a dark ground and dark enough for a light one.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#999999")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


class CurvesPane(QWidget):
    """One of several families of curves."""

    chosen = Signal(object)  # Look

    def __init__(self) -> None:
        super().__init__()
        self.what = combo("curves_what")
        self.said = QLabel(_HELP)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setWordWrap(True)
        self.canvas: Canvas | None = None
        self._curves: list[Curves] = []
        self._axes: Any = None
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 4, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.what, 2)
        row.addWidget(self.said, 3)
        self._box.addLayout(row)
        self.what.currentIndexChanged.connect(lambda _index: self._draw())

    @property
    def curves(self) -> Curves | None:
        """Those that are shown."""
        place = self.what.currentIndex()
        return self._curves[place] if 0 <= place < len(self._curves) else None

    def show_curves(self, curves: list[Curves], ink: Ink) -> None:
        """Show other curves, the first family of them at first."""
        self._curves = curves
        refill(self.what, [(each.title, None) for each in curves])
        if curves and self.canvas is None:
            self.canvas = Canvas(ink)
            self._box.insertWidget(1, self.canvas, 1)
            self.canvas.mpl_connect("motion_notify_event", self._on_move)
            self.canvas.mpl_connect("axes_leave_event", lambda _event: self.said.setText(_HELP))
            self.canvas.mpl_connect("button_press_event", self._on_press)
        self.set_ink(ink)

    def set_ink(self, ink: Ink) -> None:
        """Take the colours of another theme."""
        if self.canvas is not None:
            self.canvas.ink = ink
            self._draw()

    def _draw(self) -> None:
        curves, canvas = self.curves, self.canvas
        if curves is None or canvas is None:
            return
        from napari_cam.reports.plotting import label, name_ticks

        self._axes = axes = canvas.fresh_axes()
        for place, (name, line) in enumerate(curves.points.items()):
            values = [np.nan if point is None else point.value for point in line]
            axes.plot(
                range(len(values)), values, label=label(name), linewidth=1.4, markersize=5,
                color=_COLOURS[place % len(_COLOURS)], marker=_MARKERS[place % len(_MARKERS)],
            )  # fmt: skip
        axes.set_ylim(-0.03, 1.03)
        names = [bare_threshold(each) for each in curves.thresholds]
        turn = canvas.turn_of(names)
        name_ticks(axes, "x", names, turn=turn)
        axes.set_xlabel("threshold")
        axes.set_ylabel(curves.short)
        axes.grid(color=canvas.ink.lines, alpha=0.35, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        canvas.dress(axes)
        if 1 < len(curves.points) <= _IN_LEGEND:
            box = canvas.figure.legend(
                loc="outside right upper", fontsize=8, frameon=False,
                labelcolor=canvas.ink.letters,
            )  # fmt: skip
            box.set_in_layout(True)
        canvas.redraw()

    def _near(self, event: Any) -> tuple[str, int, Point] | None:
        """Return the curve, threshold and point that the mouse is at."""
        curves, axes = self.curves, self._axes
        if curves is None or event.inaxes is not axes or event.xdata is None:
            return None
        best, found = float(_NEAR), None
        for name, line in curves.points.items():
            for place, point in enumerate(line):
                if point is None or np.isnan(point.value):
                    continue
                x, y = axes.transData.transform((place, point.value))
                apart = float(np.hypot(x - event.x, y - event.y))
                if apart <= best:
                    best, found = apart, (name, place, point)
        return found

    def _on_move(self, event: Any) -> None:
        found, curves = self._near(event), self.curves
        if found is None or curves is None:
            self.said.setText(_HELP)
            return
        name, place, point = found
        self.said.setText(f"{name} at {curves.thresholds[place]}:  {point.text}")

    def _on_press(self, event: Any) -> None:
        found = self._near(event)
        if found is not None:
            self.chosen.emit(found[2].look)
