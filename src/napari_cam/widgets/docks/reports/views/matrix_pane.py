"""The matrix: hover for the number, click for the masks behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cam.widgets.docks.reports.views.canvas import Canvas
from napari_cam.widgets.docks.reports.views.chart_pane import ChartPane
from napari_cam.widgets.docks.reports.work.charts import Matrix, bare_threshold
from napari_cam.widgets.docks.reports.work.look import Look

_WITH_NUMBERS = 16  # a matrix of more maps shows colours alone
_HELP = "Point at a cell for its number; click to see its masks."
_COLOURS = {0.0: "cividis", -1.0: "PuOr"}  # told apart by everyone


class MatrixPane(ChartPane[Matrix]):
    """One of several matrices."""

    def __init__(self) -> None:
        super().__init__("matrix_what", _HELP)

    def show_threshold(self, threshold: str) -> None:
        """Show the matrix at a threshold, where there is one."""
        for place, matrix in enumerate(self._charts):
            if matrix.title.endswith(f"at {threshold}"):
                self.what.setCurrentIndex(place)

    def _draw(self, chart: Matrix, canvas: Canvas) -> Any:
        from napari_cam.reports.page.plotting import name_ticks

        axes = canvas.fresh_axes()
        values = chart.values
        map_ = _COLOURS[chart.low]
        image = axes.imshow(values, cmap=map_, vmin=chart.low, vmax=chart.high, aspect="auto")
        name_ticks(axes, "y", chart.rows)
        names = [bare_threshold(each) for each in chart.columns]
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
        return axes

    def _at(self, chart: Matrix, event: Any) -> tuple[str, Look] | None:
        row, column = round(event.ydata), round(event.xdata)
        point = chart.points.get((row, column))
        if point is None:
            return None
        return f"{chart.rows[row]}  |  {chart.columns[column]}:  {point.text}", point.look


def _readable(colour: tuple[float, ...]) -> str:
    """Return black or white, whichever stands out on a colour."""
    red, green, blue = colour[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
