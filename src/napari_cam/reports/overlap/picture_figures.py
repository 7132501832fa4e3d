"""The figures of an overlap report that show one slice: every map, and right and wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.overlap.pictures import Pictures
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.overlay import COLOURS, overlay_image
from napari_cam.reports.page.panels import Panel, PanelRow, panel_sheet, plane_of, proportion_of
from napari_cam.reports.page.plotting import label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_figures(pictures: Pictures, headline: str) -> Iterator[ReportFigure]:
    """Yield the figures of the slice."""
    yield ReportFigure(
        "maps",
        "Maps and reference",
        partial(_grid_figure, pictures),
        f"One slice of one subject: rows CAM methods, columns networks; dashed the mask at "
        f"{headline}, solid the reference.",
        picture=True,
    )
    if pictures.overlays and pictures.overlaid is not None:
        yield ReportFigure(
            "overlay",
            "Right and wrong by threshold",
            partial(_overlay_figure, pictures),
            f"{pictures.overlaid.label}: green true positive, black true negative, red false "
            "positive, yellow false negative, after Kang et al. 2021.",
            picture=True,
        )


def _grid_figure(pictures: Pictures) -> Figure:
    panels = {
        each.name: Panel(0, each.heatmap, each.mask, pictures.reference) for each in pictures.maps
    }
    methods = list(dict.fromkeys((each.method, each.layer) for each in panels))
    backbones = list(dict.fromkeys(each.backbone for each in panels))
    layers = {layer for _, layer in methods}
    rows = []
    for method, layer in methods:
        found = [panels.get(MapName(method, each, layer), Panel(0)) for each in backbones]
        title = method if len(layers) < 2 else f"{method} {layer}"
        rows.append(PanelRow(label(title, 22), found))
    titles = [label(each, 20) if each else " " for each in backbones]
    return panel_sheet(pictures.slice, rows, titles, axis=pictures.axis)


def _overlay_figure(pictures: Pictures) -> Figure:
    volume = pictures.slice
    n = len(pictures.overlays)
    columns = min(5, n)
    rows = -(-n // columns)
    height = 1.7 * proportion_of(volume.grid, pictures.axis)
    figure = new_figure(1.7 * columns, rows * (height + 0.35) + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, each in zip(grid.ravel(), pictures.overlays, strict=False):
        picture = overlay_image(each.labels)
        shown = [
            plane_of(picture[..., channel], volume.grid, pictures.axis, 0) for channel in range(3)
        ]
        axes.imshow(np.stack(shown, axis=-1), aspect="auto", interpolation="nearest")
        text = "undefined" if np.isnan(each.iou) else f"{each.iou:.3f}"
        axes.set_title(f"{label(each.rule)}\nIoU {text}", fontsize=8)
    handles = [Patch(facecolor=each.colour, edgecolor="0.5", label=each.name) for each in COLOURS]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure
