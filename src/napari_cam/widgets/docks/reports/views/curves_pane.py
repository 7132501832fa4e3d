"""The curves by threshold: hover for a number, click for the masks at its threshold."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cam.widgets.docks.reports.views.canvas import Canvas
from napari_cam.widgets.docks.reports.views.chart_pane import ChartPane
from napari_cam.widgets.docks.reports.work.charts import Curves, bare_threshold
from napari_cam.widgets.docks.reports.work.look import Look

_HELP = "Point at a curve for its numbers; click a point to see the masks at its threshold."
_NEAR = 14  # pixels from a point
_IN_LEGEND = 12
# Okabe and Ito's, light enough for a dark ground and dark enough for a light one.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#999999")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


class CurvesPane(ChartPane[Curves]):
    """One of several families of curves."""

    def __init__(self) -> None:
        super().__init__("curves_what", _HELP)

    def _draw(self, chart: Curves, canvas: Canvas) -> Any:
        from napari_cam.reports.page.plotting import label, name_ticks

        axes = canvas.fresh_axes()
        for place, (name, line) in enumerate(chart.points.items()):
            values = [np.nan if point is None else point.value for point in line]
            axes.plot(
                range(len(values)), values, label=label(name), linewidth=1.4, markersize=5,
                color=_COLOURS[place % len(_COLOURS)], marker=_MARKERS[place % len(_MARKERS)],
            )  # fmt: skip
        axes.set_ylim(-0.03, 1.03)
        names = [bare_threshold(each) for each in chart.thresholds]
        turn = canvas.turn_of(names)
        name_ticks(axes, "x", names, turn=turn)
        axes.set_xlabel("threshold")
        axes.set_ylabel(chart.short)
        axes.grid(color=canvas.ink.lines, alpha=0.35, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        canvas.dress(axes)
        if 1 < len(chart.points) <= _IN_LEGEND:
            box = canvas.figure.legend(
                loc="outside right upper", fontsize=8, frameon=False,
                labelcolor=canvas.ink.letters,
            )  # fmt: skip
            box.set_in_layout(True)
        return axes

    def _at(self, chart: Curves, event: Any) -> tuple[str, Look] | None:
        best, found = float(_NEAR), None
        for name, line in chart.points.items():
            for place, point in enumerate(line):
                if point is None or np.isnan(point.value):
                    continue
                x, y = event.inaxes.transData.transform((place, point.value))
                apart = float(np.hypot(x - event.x, y - event.y))
                if apart <= best:
                    said = f"{name} at {chart.thresholds[place]}:  {point.text}"
                    best, found = apart, (said, point.look)
        return found
