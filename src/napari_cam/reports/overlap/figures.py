"""The figures of an overlap report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.counts import iou
from napari_cam.masks.rules import Fixed, ThresholdRule
from napari_cam.reports.cases import Case, Map, MapName
from napari_cam.reports.overlap.aggregate import classes_of
from napari_cam.reports.overlap.metrics import unit_metrics
from napari_cam.reports.overlap.scores import ONLY_MASK, Scores, axis_of, cut_maps, hard, region_of
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.overlay import COLOURS, overlay_image, overlay_labels
from napari_cam.reports.page.panels import Panel, PanelRow, panel_sheet, plane_of, proportion_of
from napari_cam.reports.page.plotting import (
    SEQUENTIAL,
    label,
    name_ticks,
    new_figure,
    styles,
    tidy_axes,
)
from napari_cam.units import count_by_unit
from napari_cam.volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ARRAYS = 8
_MOST_PANELS = 9
_BIN = 0.05  # of the histogram of IoU (figure 3 of Kang et al. 2021)
_PUBLISHED = "iou_foreground_unit_mean"
_CURVE = tuple(Fixed(tenth / 10) for tenth in range(1, 10))


class Pictures:
    """One slice of the first case that shows something, as every map sees it.

    Cases pass by one at a time; what a figure needs of them is kept here, and no more.
    """

    def __init__(self, rule: ThresholdRule, strict: bool) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}
        self.slice: Volume | None = None
        self.panels: dict[MapName, Panel] = {}
        self.overlays: list[tuple[str, float, NDArray[np.uint8]]] = []
        self.overlaid: MapName | None = None
        self._rule, self._strict = rule, strict
        self._case: Case | None = None
        self._number = self._axis = 0

    @property
    def axis(self) -> int:
        """Array axis across which the slice is cut."""
        return self._axis

    def called(self, names: Mapping[MapName, MapName]) -> Pictures:
        """Return the same pictures of maps under other names."""
        other = copy(self)
        other.panels = {names.get(name, name): panel for name, panel in self.panels.items()}
        if self.overlaid is not None:
            other.overlaid = names.get(self.overlaid, self.overlaid)
        return other

    def take(self, case: Case, name: MapName, item: Map) -> None:
        """Keep one slice of a map, where it is of the case that is shown."""
        reference = hard(case.reference_values())
        if self._case is None and reference.any():
            self._begin(case, item, reference)
        if case is not self._case:
            return
        region = region_of(case, item)
        masks = cut_maps(item, [self._rule], self._strict, case.foreground)
        mask = next(iter(masks.values()))
        heat = self._cut(item.values) if isinstance(item, Heatmap) else None
        shown = heat if isinstance(item, Heatmap) and item.kind == "unit" else _to_unit(heat)
        self.panels[name] = Panel(0, shown, self._cut(mask), self._cut(reference))
        if len(self.arrays) < _MOST_ARRAYS:
            self.arrays[f"overlap of {name.label}"] = overlay_labels(mask, reference, region)
        if not self.overlays and isinstance(item, Heatmap) and item.kind == "unit":
            self.overlaid = name
            whole = cut_maps(item, _CURVE, self._strict, case.foreground)
            self.overlays = [
                self._overlay(rule, each, reference, region) for rule, each in whole.items()
            ]

    def _overlay(
        self,
        rule: str,
        mask: NDArray[np.bool_],
        reference: NDArray[np.bool_],
        region: NDArray[np.bool_],
    ) -> tuple[str, float, NDArray[np.uint8]]:
        one, two, inside = (self._cut(each) for each in (mask, reference, region))
        return rule, iou(one[inside], two[inside]), overlay_labels(one, two, inside)

    def _begin(self, case: Case, item: Map, reference: NDArray[np.bool_]) -> None:
        """Choose the slice with most of the reference."""
        self._case = case
        axis = axis_of(case, item)
        self._axis = 0 if axis is None else axis
        self._number = int(count_by_unit(reference, self._axis).argmax())
        grid = item.grid if isinstance(item, Heatmap) else case.grid
        if case.image is not None and case.image.shape == reference.shape:
            values = case.image.channels_first()
            grid = case.image.grid
        else:
            values = np.zeros((1, *reference.shape), np.uint8)
        kept = np.asarray(np.take(values, [self._number], self._axis + 1), dtype=np.float32)
        shape = kept.shape[1:]
        like = grid if grid is not None else Grid.plain((shape[0], shape[1], shape[2]))
        one = Grid((shape[0], shape[1], shape[2]), like.affine, like.orientation, like.units)
        self.slice = Volume(kept.mean(axis=0), one)

    def _cut(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.take(array, [self._number], self._axis)


def _to_unit(heat: NDArray[Any] | None) -> NDArray[np.float32] | None:
    if heat is None:
        return None
    top = float(heat.max())
    return np.clip(heat / top if top > 0 else heat * 0, 0, 1).astype(np.float32)


def overlap_figures(
    table: pd.DataFrame, scores: Sequence[Scores], headline: str, pictures: Pictures, empty: float
) -> tuple[ReportFigure, ...]:
    """Return the figures that the numbers allow."""
    figures = []
    if pictures.panels and pictures.slice is not None:
        figures.append(
            ReportFigure(
                "maps",
                "Maps and reference",
                partial(_grid_figure, pictures),
                f"One slice of one subject: rows CAM methods, columns networks; dashed the mask at "
                f"{headline}, solid the reference.",
                picture=True,
            )
        )
    if pictures.overlays and pictures.overlaid is not None:
        figures.append(
            ReportFigure(
                "overlay",
                "Right and wrong by threshold",
                partial(_overlay_figure, pictures),
                f"{pictures.overlaid.label}: green true positive, black true negative, red false "
                "positive, yellow false negative, after Kang et al. 2021.",
                picture=True,
            )
        )
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


def _names(scores: Iterable[MapName]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return rows (method, layer) and columns (backbones) in order of appearance."""
    names = list(scores)
    rows = list(dict.fromkeys((each.method, each.layer) for each in names))
    return rows, list(dict.fromkeys(each.backbone for each in names))


def _grid_figure(pictures: Pictures) -> Figure:
    methods, backbones = _names(pictures.panels)
    layers = {layer for _, layer in methods}
    rows = []
    for method, layer in methods:
        found = [pictures.panels.get(MapName(method, each, layer), Panel(0)) for each in backbones]
        title = method if len(layers) < 2 else f"{method} {layer}"
        rows.append(PanelRow(label(title, 22), found))
    if pictures.slice is None:
        raise AssertionError("drawn only where there is a slice")
    titles = [label(each, 20) if each else " " for each in backbones]
    return panel_sheet(pictures.slice, rows, titles, axis=pictures.axis)


def _overlay_figure(pictures: Pictures) -> Figure:
    volume = pictures.slice
    if volume is None:
        raise AssertionError("drawn only where there is a slice")
    n = len(pictures.overlays)
    columns = min(5, n)
    rows = -(-n // columns)
    height = 1.7 * proportion_of(volume.grid, pictures.axis)
    figure = new_figure(1.7 * columns, rows * (height + 0.35) + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, (rule, value, labels) in zip(grid.ravel(), pictures.overlays, strict=False):
        picture = overlay_image(labels)
        shown = [
            plane_of(picture[..., channel], volume.grid, pictures.axis, 0) for channel in range(3)
        ]
        axes.imshow(np.stack(shown, axis=-1), aspect="auto", interpolation="nearest")
        text = "undefined" if np.isnan(value) else f"{value:.3f}"
        axes.set_title(f"{label(rule)}\nIoU {text}", fontsize=8)
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=each.colour, edgecolor="0.5", label=each.name) for each in COLOURS]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


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


def heat_matrix(
    axes: Axes, values: NDArray[np.float64], low: float, high: float, colours: str = SEQUENTIAL
) -> Any:
    """Draw a matrix with its numbers in it; what is NaN stays empty."""
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue, _ = image.to_rgba(np.array([value]))[0]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            colour = "white" if dark else "black"
            axes.text(
                column, line, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour
            )
    return image


def _histogram_figure(scores: Sequence[Scores], headline: str, empty: float) -> Figure:
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


def _share_figure(scores: Scores) -> Figure:
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
