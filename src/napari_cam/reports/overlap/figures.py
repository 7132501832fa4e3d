"""The figures of an overlap report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.reports.cases.cut_maps import ONLY_MASK
from napari_cam.reports.overlap.aggregate import classes_of
from napari_cam.reports.overlap.metrics import unit_metrics
from napari_cam.reports.overlap.picture_figures import picture_figures
from napari_cam.reports.overlap.pictures import Pictures
from napari_cam.reports.overlap.scores import MapScores
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import (
    heat_matrix,
    label,
    name_ticks,
    new_figure,
    styles,
    tidy_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PANELS = 9
_BIN = 0.05  # of the histogram of IoU (figure 3 of Kang et al. 2021)
_PUBLISHED = "iou_foreground_unit_mean"


def overlap_figures(
    table: pd.DataFrame,
    scores: Sequence[MapScores],
    headline: str,
    pictures: Pictures | None,
    empty: float,
) -> tuple[ReportFigure, ...]:
    """Return the figures that the numbers allow."""
    figures: list[ReportFigure] = []
    if pictures is not None:
        figures += picture_figures(pictures, headline)
    if _curve_rows(table)["threshold_a"].nunique() > 1:
        figures.append(
            ReportFigure(
                "threshold-curves",
                "IoU by threshold",
                partial(_curve_figure, table),
                "Mean over units of the foreground's IoU (no unit); the shade is the interval.",
            )
        )
    if len({(each.name.method, each.name.backbone) for each in scores}) > 1:
        figures.append(
            ReportFigure(
                "iou-by-method-and-network",
                f"IoU by method and network at {headline}",
                partial(_matrix_figure, table, headline),
                "Mean over units of the foreground's IoU, by class where there are several.",
            )
        )
    n = len(scores)
    figures += [
        ReportFigure(
            "iou-histogram",
            f"How the units' IoU are distributed at {headline}",
            partial(_histogram_figure, scores, headline, empty),
            "Relative frequency in bins of 0.05; units without a defined IoU are left out."
            + (f" The first {_MOST_PANELS} of {n} maps." if n > _MOST_PANELS else ""),
        ),
        ReportFigure(
            "reference-share",
            "How much the reference covers",
            partial(_share_figure, scores[0]),
            "Share of the units' voxels that lie in the reference, in percent of the units.",
        ),
    ]
    return tuple(figures)


def _curve_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of fixed thresholds, with the number in the column "cut"."""
    rows = table[
        table["level"].isin(["class", "cohort"])
        & (table["scored"] == "all")
        & (table["metric"] == _PUBLISHED)
    ]
    cut = pd.to_numeric(rows["threshold_a"].str.extract(r"^fixed\((.+)\)$")[0], errors="coerce")
    # Stable, so that networks, classes and methods keep the order they came in.
    return rows.assign(cut=cut)[cut.notna()].sort_values("cut", kind="stable")


def _curve_figure(table: pd.DataFrame) -> Figure:
    """Rows networks, columns classes, a line for each method (figure S5 of the cod study)."""
    rows = _curve_rows(table)
    classes = list(dict.fromkeys(rows.loc[rows["level"] == "class", "class"])) or [""]
    level = "class" if classes != [""] else "cohort"
    rows = rows[rows["level"] == level]
    backbones = list(dict.fromkeys(rows["backbone_a"]))
    figure = new_figure(3.1 * len(classes) + 1.6, 2.3 * len(backbones) + 0.4)
    grid = figure.subplots(len(backbones), len(classes), squeeze=False, sharex=True, sharey=True)
    methods = list(dict.fromkeys(zip(rows["method_a"], rows["layer_a"], strict=True)))
    looks = dict(zip(methods, styles(len(methods)), strict=True))
    handles: dict[str, Any] = {}
    for line, backbone in enumerate(backbones):
        for column, name in enumerate(classes):
            axes = grid[line, column]
            here = rows[(rows["backbone_a"] == backbone) & (rows["class"] == name)]
            for (method, layer), part in here.groupby(["method_a", "layer_a"], sort=False):
                text = label(" / ".join(each for each in (method, layer) if each))
                (drawn,) = axes.plot(
                    part["cut"], part["value"], ms=3.5, lw=1.3, **looks[method, layer]
                )
                handles.setdefault(text, drawn)
                if len(methods) <= 3:
                    colour = drawn.get_color()
                    axes.fill_between(
                        part["cut"], part["ci_low"], part["ci_high"], color=colour, alpha=0.15, lw=0
                    )
            words = [label(each, 16) for each in (backbone, name) if each]
            axes.set_title(", ".join(words) or "all", fontsize=9)
            axes.set_ylim(0, None)
            tidy_axes(axes)
    figure.supxlabel("threshold of the heatmap (0 to 1)", fontsize=9)
    figure.supylabel("IoU, mean over units", fontsize=9)
    figure.legend(
        list(handles.values()), list(handles), loc="outside right center", fontsize=8, frameon=False
    )
    return figure


def _matrix_figure(table: pd.DataFrame, headline: str) -> Figure:
    """Networks by methods, a panel for each class (figures 3A to C of the cod study)."""
    rows = table[
        table["level"].isin(["class", "cohort"])
        & (table["scored"] == "all")
        & (table["metric"] == _PUBLISHED)
        & table["threshold_a"].isin([headline, ONLY_MASK])
    ]
    classes = list(dict.fromkeys(rows.loc[rows["level"] == "class", "class"]))
    panels = [("all", rows[rows["level"] == "cohort"])]
    if classes:
        panels = [(name, rows[rows["class"] == name]) for name in classes]
    backbones = list(dict.fromkeys(rows["backbone_a"]))
    methods = list(dict.fromkeys(zip(rows["method_a"], rows["layer_a"], strict=True)))
    width = 0.62 * len(methods) + 1.5
    figure = new_figure(width * len(panels) + 1.0, 0.42 * len(backbones) + 1.9)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    top = max(float(rows["value"].max()), 0.01) if rows["value"].notna().any() else 1.0
    image = None
    for axes, (name, part) in zip(grid, panels, strict=True):
        values = np.full((len(backbones), len(methods)), np.nan)
        for row in part.itertuples():
            place = backbones.index(row.backbone_a), methods.index((row.method_a, row.layer_a))
            values[place] = row.value
        image = heat_matrix(axes, values, 0, top)
        name_ticks(axes, "y", [each or "–" for each in backbones])
        name_ticks(axes, "x", [" ".join(filter(None, each)) for each in methods], turn=35)
        axes.set_title(label(name), fontsize=9)
    if image is not None:
        bar = figure.colorbar(image, ax=list(grid), shrink=0.8)
        bar.set_label("IoU, mean over units", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _histogram_figure(scores: Sequence[MapScores], headline: str, empty: float) -> Figure:
    """Relative frequency of the units' IoU, a row for each map, a colour for each class."""
    shown = list(scores)[:_MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(2.9 * columns + 1.5, 2.1 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for axes in grid.ravel()[len(shown) :]:
        axes.set_axis_off()
    for axes, each in zip(grid.ravel(), shown, strict=False):
        known = headline in each.thresholds
        place = each.thresholds.index(headline) if known else 0
        values = unit_metrics(each.counts, empty)["iou_foreground"][place]
        classes = list(classes_of(each))
        for (name, use), look in zip(classes, styles(len(classes)), strict=True):
            heights, edges = iou_histogram(values[use])
            (line,) = axes.plot(edges[:-1] + _BIN / 2, heights, ms=3, lw=1.2, **look)
            handles.setdefault(label(name or "all units"), line)
        axes.set_title(label(each.name.label, 34), fontsize=8)
        tidy_axes(axes)
    figure.supxlabel("IoU of a unit", fontsize=9)
    figure.supylabel("share of the units", fontsize=9)
    figure.legend(
        list(handles.values()), list(handles), loc="outside right center", fontsize=8, frameon=False
    )
    return figure


def iou_histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of defined values in each bin of 0.05, and the 21 edges.

    A value on an edge belongs to the bin above it, 1 to the last one.
    """
    edges = np.round(np.arange(0, 1 + _BIN / 2, _BIN), 2)
    known = values[~np.isnan(values)]
    counts, _ = np.histogram(known, edges)
    return counts / max(len(known), 1), edges


def _share_figure(scores: MapScores) -> Figure:
    """Histogram of the reference's share by class (figure 3D of the cod study)."""
    tp, fp, fn, tn = (
        np.asarray(getattr(scores.counts, name))[0] for name in ("tp", "fp", "fn", "tn")
    )
    share = 100 * (tp + fn) / np.maximum(tp + fp + fn + tn, 1)
    figure = new_figure(5.6, 2.8)
    axes = figure.subplots()
    top = max(float(share.max()), 1.0)
    edges = np.linspace(0, top, 51)
    classes = list(classes_of(scores))
    handles = []
    for (name, use), look in zip(classes, styles(len(classes)), strict=True):
        weights = np.full(int(use.sum()), 100 / max(int(use.sum()), 1))
        heights, _ = np.histogram(share[use], edges, weights=weights)
        drawn = axes.stairs(
            heights, edges, color=str(look["color"]), lw=1.4, label=label(name or "all")
        )
        handles.append(drawn)
    axes.set_xlabel("reference, % of the unit", fontsize=9)
    axes.set_ylabel("% of the units", fontsize=9)
    axes.legend(handles=handles, fontsize=8, frameon=False)
    tidy_axes(axes)
    return figure
