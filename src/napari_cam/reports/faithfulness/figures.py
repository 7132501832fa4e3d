"""The figures of faithfulness: curves, what floors reach, and randomisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.checks import Summary
from napari_cam.reports.faithfulness.measured import Measured
from napari_cam.reports.faithfulness.scores import FLOOR
from napari_cam.reports.faithfulness.verdict import SIMILAR
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import (
    COLOURS,
    label,
    name_ticks,
    new_figure,
    styles,
    tidy_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREYS = ("0.55", "0.7", "0.4", "0.8")
_DASHES = ("dotted", "dashed", "dashdot", (0, (1, 3)))


def faithfulness_figures(measured: Measured, summarise: Summary) -> tuple[ReportFigure, ...]:
    """Return the figures."""
    figures = [_curves(measured), _floors(measured, summarise)]
    if measured.cascades:
        figures.append(_cascade(measured))
    return tuple(figures)


def _split(measured: Measured) -> tuple[list[MapName], list[MapName]]:
    names = list(measured.curves)
    floors = [name for name in names if name.method.startswith(FLOOR)]
    return [name for name in names if name not in floors], floors


def _words(name: MapName) -> str:
    return label(name.label or "map", 36)


def _curves(measured: Measured) -> ReportFigure:
    maps, floors = _split(measured)

    def draw() -> Figure:
        figure = new_figure(8.6, 3.6)
        for place, title in enumerate(("Deletion", "Insertion")):
            axes = figure.add_subplot(1, 2, place + 1)
            for name, grey, dashes in zip(floors, _GREYS, _DASHES, strict=False):
                line = measured.curves[name][place]
                shares = np.linspace(0, 100, len(line))
                axes.plot(shares, line, color=grey, linestyle=dashes, label=_words(name))
            for name, style in zip(maps, styles(len(maps)), strict=True):
                line = measured.curves[name][place]
                shares = np.linspace(0, 100, len(line))
                axes.plot(shares, line, label=_words(name), markersize=3, **style)  # type: ignore[arg-type]
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("pixels (%)")
            axes.set_ylabel("score of the class")
            tidy_axes(axes)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7)
        return figure

    caption = (
        "Mean score over units as pixels are taken away (left: low is good) and put back (right: "
        "high is good), the most important first. Grey: floors that know nothing of the network."
    )
    return ReportFigure("curves", "Deletion and insertion", draw, caption)


def _floors(measured: Measured, summarise: Summary) -> ReportFigure:
    maps, floors = _split(measured)
    names = [*maps, *floors]
    metrics = ("deletion", "insertion", "road")
    found = {
        (name, metric): summarise(*measured.values(name, metric))
        for name in names
        for metric in metrics
    }

    def draw() -> Figure:
        figure = new_figure(8.6, 1.2 + 0.3 * len(names))
        for place, metric in enumerate(metrics):
            axes = figure.add_subplot(1, 3, place + 1)
            for row, name in enumerate(names):
                each = found[name, metric]
                colour = "0.5" if name in floors else COLOURS[row % len(COLOURS)]
                axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2)
                axes.plot(each.value, row, "o", color=colour, markersize=5)
            if place == 0:
                name_ticks(axes, "y", [_words(name) for name in names])
            else:
                axes.set_yticks([])
            axes.set_ylim(len(names) - 0.5, -0.5)
            good = "low" if metric == "deletion" else "high"
            axes.set_xlabel(f"{metric if metric != 'road' else 'ROAD'} ({good} is good)")
            tidy_axes(axes)
        return figure

    caption = "Mean over units with its interval; grey: floors."
    return ReportFigure("floors", "Maps and floors", draw, caption)


def _cascade(measured: Measured) -> ReportFigure:
    def draw() -> Figure:
        figure = new_figure(6.4, 3.4)
        axes = figure.add_subplot()
        longest = max(measured.cascades.values(), key=len)
        for (name, stages), style in zip(
            measured.cascades.items(), styles(len(measured.cascades)), strict=True
        ):
            values = [1.0, *(value for _, value in stages)]
            axes.plot(values, label=_words(name), markersize=4, **style)  # type: ignore[arg-type]
        axes.axhspan(-SIMILAR, SIMILAR, color="0.92", zorder=0)
        name_ticks(axes, "x", ["none", *(stage for stage, _ in longest)], turn=25)
        axes.set_xlabel("weights drawn anew, from the output down to")
        axes.set_ylabel("rank correlation with the map")
        axes.set_ylim(-1.05, 1.05)
        axes.legend(fontsize=8)
        tidy_axes(axes)
        return figure

    caption = (
        "Spearman's correlation of a map with that of the network whose weights are randomised "
        "layer by layer; grey: no longer alike."
    )
    return ReportFigure("randomisation", "Randomised weights", draw, caption)
