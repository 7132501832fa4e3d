"""The figures of an agreement report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.reports.agreement.tables import (
    PHIS,
    TITLES,
    Phi,
    Tests,
    condition_label,
    pair_matrix,
)
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.panels import plane_of, proportion_of
from napari_cam.reports.page.plotting import (
    COLOURS,
    DIVERGING,
    SEQUENTIAL,
    heat_matrix,
    label,
    name_ticks,
    new_figure,
    tidy_axes,
    width_of,
)
from napari_cam.units import by_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_cam.grid import Grid

_WITH_NUMBERS = 16  # a matrix of more maps shows colours alone
_LONGEST = 44  # letters of a map's name beside a matrix
_KEYS = ["method_a", "backbone_a", "layer_a"]


@dataclass(frozen=True, eq=False)
class ConsensusMaps:
    """What one subject's maps share.

    Attributes
    ----------
    arrays
        Consensus and disagreement (z, y, x) by name.
    axis
        Array axis of the slices; None for the volume of a 3D network.
    grid
        Where they lie; None where that is not known.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    axis: int | None
    grid: Grid | None


def agreement_figures(
    table: pd.DataFrame,
    order: Sequence[MapName],
    called: Mapping[MapName, MapName],
    headline: str,
    tests: Tests,
    shown: ConsensusMaps | None,
) -> tuple[ReportFigure, ...]:
    """Return the figures that the numbers allow.

    Parameters
    ----------
    table, order, called, headline, tests
        As in :func:`napari_cam.reports.agreement.tables.agreement_tables`.
    shown
        Consensus and disagreement of one subject; None where votes were not counted.
    """
    figures = []
    words = "Box: quartiles and median (number); whiskers: 1.5 interquartile ranges; IoU, no unit."
    for phi in PHIS:
        rows = table[(table["metric"] == phi) & (table["level"] == "unit")]
        rules = list(dict.fromkeys(rows["threshold_a"]))
        if not len(rows):
            continue
        one = partial(_boxes_figure, rows, phi, [headline], tests)
        figures.append(ReportFigure(f"{phi}-boxes", f"{TITLES[phi]} at {headline}", one, words))
        if len(rules) > 1:
            every = partial(_boxes_figure, rows, phi, rules, tests)
            figures.append(
                ReportFigure(f"{phi}-boxes-all", f"{TITLES[phi]}, every threshold", every, words)
            )
    pairs = (
        ("iou_pair_unit_mean", headline, f"IoU of every pair at {headline}", (0.0, 1.0)),
        ("spearman_pair_unit_mean", "", "Rank correlation of every pair of heatmaps", (-1.0, 1.0)),
    )
    for metric, rule, title, limits in pairs:
        if (table["metric"] == metric).any():
            values = pair_matrix(table, order, metric, rule)
            draw = partial(_matrix_figure, values, [called[name].label for name in order], limits)
            caption = "Mean over units; maps that agree stand together (average linkage)."
            figures.append(ReportFigure(metric, title, draw, caption))
    if shown is not None:
        figures.append(
            ReportFigure(
                "consensus",
                "Consensus and disagreement",
                partial(_consensus_figure, shown),
                "One slice of the first subject: share s of maps whose mask holds the pixel, and "
                "4 s (1 - s), which is 1 where half of them do.",
                picture=True,
            )
        )
    return tuple(figures)


def _boxes_figure(rows: pd.DataFrame, phi: Phi, rules: Sequence[str], tests: Tests) -> Figure:
    """Draw a panel for each threshold, a box for each condition (figures 5, S7, S8)."""
    keys = list(dict.fromkeys(rows[_KEYS].itertuples(index=False, name=None)))
    names = [condition_label(phi, *key) for key in keys]
    columns = min(3, len(rules))
    lines = -(-len(rules) // columns)
    width = max(3.4, 0.55 * len(names) + 0.8)  # as wide as the tests in the titles
    figure = new_figure(width * columns + 0.4, 2.9 * lines + 0.6)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in grid.ravel()[len(rules) :]:
        axes.set_axis_off()
    for axes, rule in zip(grid.ravel(), rules, strict=False):
        here = rows[rows["threshold_a"] == rule]
        parts = [
            here.loc[(here[_KEYS] == list(key)).all(axis=1), "value"].dropna().to_numpy(float)
            for key in keys
        ]
        _boxes(axes, parts, names)
        axes.set_title(_title(rule, tests.get((phi, rule))), fontsize=7)
    figure.supylabel(f"{phi}: mean IoU of all pairs, per unit", fontsize=9)
    return figure


def _boxes(axes: Axes, parts: Sequence[NDArray[np.float64]], names: Sequence[str]) -> None:
    drawn = axes.boxplot(
        list(parts),
        positions=range(len(parts)),
        widths=0.6,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": "black", "linewidth": 1.4},
    )
    for place, box in enumerate(drawn["boxes"]):
        box.set(facecolor=COLOURS[place % len(COLOURS)], alpha=0.55, linewidth=0.8)
    for place, values in enumerate(parts):
        if len(values):
            middle = float(np.median(values))
            axes.text(place, 1.02, f"{middle:.2f}", ha="center", va="bottom", fontsize=7)
    axes.set_ylim(-0.02, 1.1)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    name_ticks(axes, "x", names, turn=35)
    tidy_axes(axes)


def _title(rule: str, both: Any) -> str:
    if both is None:
        return label(rule)
    lines = [label(rule)]
    for found in both:
        if found is not None:
            p = "p < .001" if found.p < 0.001 else f"p = {found.p:.3f}".replace("0.", ".")
            lines.append(f"{found.name} χ²({found.df}) = {found.statistic:.1f}, {p}")
    return "\n".join(lines)


def _matrix_figure(
    values: NDArray[np.float64], names: Sequence[str], limits: tuple[float, float]
) -> Figure:
    cells = max(1.6, min(0.42 * len(names), 11))
    longest = max(width_of(label(name, _LONGEST)) for name in names)
    room = longest * 8 / 72  # inches; the font has 8 points
    figure = new_figure(cells + room + 1.2, cells + 0.75 * room + 0.3)
    axes = figure.subplots()
    colours = SEQUENTIAL if limits[0] == 0 else DIVERGING
    if len(names) <= _WITH_NUMBERS:
        image = heat_matrix(axes, values, *limits, colours)
    else:
        image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    # Method and network together; cut short, two of them might look the same.
    name_ticks(axes, "y", names, longest=_LONGEST)
    name_ticks(axes, "x", names, turn=45, longest=_LONGEST)
    if len(names) > _WITH_NUMBERS:
        axes.tick_params(labelsize=6)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _consensus_figure(shown: ConsensusMaps) -> Figure:
    """Draw the slice with the most votes, as it lies in the world."""
    axis = 0 if shown.axis is None else shown.axis
    votes = by_unit(next(iter(shown.arrays.values())), axis).sum(axis=(1, 2))
    number, pixel, height = int(votes.argmax()), 1.0, 2.8
    if shown.grid is not None:
        rows_mm, columns_mm = shown.grid.spacing_within(axis)
        pixel, height = rows_mm / columns_mm, 2.8 * proportion_of(shown.grid, axis)
    figure = new_figure(3.4 * len(shown.arrays) + 0.6, height + 0.4)
    panels = figure.subplots(1, len(shown.arrays), squeeze=False)[0]
    for axes, (name, array) in zip(panels, shown.arrays.items(), strict=True):
        plane = by_unit(array, axis)[number]
        if shown.grid is not None:
            plane = plane_of(array, shown.grid, axis, number)
        image = axes.imshow(
            plane, cmap=SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest", aspect=pixel
        )
        axes.set_title(label(name), fontsize=9)
        axes.set_axis_off()
        figure.colorbar(image, ax=axes, shrink=0.75).ax.tick_params(labelsize=8)
    return figure
