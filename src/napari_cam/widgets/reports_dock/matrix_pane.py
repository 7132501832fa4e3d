"""The matrix: hover for the number, click for the masks behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import combo, refill
from napari_cam.widgets.reports_dock.canvas import Canvas, Ink
from napari_cam.widgets.reports_dock.charts import Matrix, Point, bare_threshold

_WITH_NUMBERS = 16  # a matrix of more maps shows colours alone
_HELP = "Point at a cell for its number; click to see its masks."
_COLOURS = {0.0: "cividis", -1.0: "PuOr"}  # told apart by everyone


class MatrixPane(QWidget):
    """One of several matrices."""

    chosen = Signal(object)  # Look

    def __init__(self) -> None:
        super().__init__()
        self.what = combo("matrix_what")
        self.said = QLabel(_HELP)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setWordWrap(True)
        self.canvas: Canvas | None = None
        self._matrices: list[Matrix] = []
        self._axes: Any = None
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 4, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.what, 2)
        row.addWidget(self.said, 3)
        self._box.addLayout(row)
        self.what.currentIndexChanged.connect(lambda _index: self._draw())

    @property
    def matrix(self) -> Matrix | None:
        """The one that is shown."""
        place = self.what.currentIndex()
        return self._matrices[place] if 0 <= place < len(self._matrices) else None

    def show_matrices(self, matrices: list[Matrix], ink: Ink) -> None:
        """Show other matrices, the first of them at first."""
        self._matrices = matrices
        refill(self.what, [(each.title, None) for each in matrices])
        if matrices and self.canvas is None:
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

    def show_threshold(self, threshold: str) -> None:
        """Show the matrix at a threshold, where there is one."""
        for place, matrix in enumerate(self._matrices):
            if matrix.title.endswith(f"at {threshold}"):
                self.what.setCurrentIndex(place)

    def _draw(self) -> None:
        matrix, canvas = self.matrix, self.canvas
        if matrix is None or canvas is None:
            return
        from napari_cam.reports.plotting import name_ticks

        self._axes = axes = canvas.fresh_axes()
        values = matrix.values
        map_ = _COLOURS[matrix.low]
        image = axes.imshow(values, cmap=map_, vmin=matrix.low, vmax=matrix.high, aspect="auto")
        name_ticks(axes, "y", matrix.rows)
        names = [bare_threshold(each) for each in matrix.columns]
        name_ticks(axes, "x", names, turn=canvas.turn_of(names))
        if max(values.shape) <= _WITH_NUMBERS:
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    colour = _readable(image.cmap(image.norm(value)))
                    axes.text(
                        *(column, row, f"{value:.2f}"), ha="center", va="center", fontsize=8,
                        color=colour,
                    )  # fmt: skip
        bar = canvas.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.01)
        bar.outline.set_edgecolor(canvas.ink.lines)
        canvas.dress(axes)
        bar.ax.tick_params(colors=canvas.ink.letters, labelsize=8)
        canvas.redraw()

    def _at(self, event: Any) -> tuple[tuple[int, int], Point] | None:
        matrix = self.matrix
        if matrix is None or event.inaxes is not self._axes or event.xdata is None:
            return None
        place = round(event.ydata), round(event.xdata)
        point = matrix.points.get(place)
        return None if point is None else (place, point)

    def _on_move(self, event: Any) -> None:
        found, matrix = self._at(event), self.matrix
        if found is None or matrix is None:
            self.said.setText(_HELP)
            return
        (row, column), point = found
        self.said.setText(f"{matrix.rows[row]}  |  {matrix.columns[column]}:  {point.text}")

    def _on_press(self, event: Any) -> None:
        found = self._at(event)
        if found is not None:
            self.chosen.emit(found[1].look)


def _readable(colour: tuple[float, ...]) -> str:
    """Return black or white, whichever stands out on a colour."""
    red, green, blue = colour[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
