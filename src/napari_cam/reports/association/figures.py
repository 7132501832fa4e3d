"""The figures of an association: stars, scatters, bars, and how mask shares are distributed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from napari_cam.reports.association.correlations import (
    MapCorrelations,
    Measurement,
    condition_means,
)
from napari_cam.reports.association.shares import COMBINATION, REFERENCE
from napari_cam.reports.cases.map_names import MapName, plainest
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import (
    COLOURS,
    DIVERGING,
    MARKERS,
    label,
    name_ticks,
    new_figure,
    styles,
    tidy_axes,
)
from napari_cam.reports.page.tables import bracketed
from napari_cam.statistics import stars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_BINS = 50  # as published
_LIMITS = "* p < .05, ** p < .01, *** p < .001"


def association_figures(
    found: Sequence[MapCorrelations],
    p: Sequence[float],
    correction: str,
    best: MapCorrelations | None,
    measured: Mapping[str, float],
    conditions: Mapping[str, str] | None,
    shares: pd.DataFrame,
    overlaps: Mapping[tuple[str, ...], float] | None,
    named: Measurement,
    at: str,
) -> tuple[ReportFigure, ...]:
    """Return the figures; those that need several maps, conditions or overlaps only with them."""
    shown = [(each, q) for each, q in zip(found, p, strict=True) if each.combination[3] == at]
    figures = []
    if shown:
        figures.append(_stars(shown, correction, at, named))
    if best is not None:
        figures.append(_pairs(best, conditions, named))
    if overlaps is not None and shown:
        figures.append(_against_overlap([each for each, _ in shown], overlaps, at))
    cut = [each for each in found if each.combination[3]]  # a reference has no threshold
    if len({each.combination[3] for each in cut}) > 1:
        figures.append(_by_threshold(cut, named))
    if conditions is not None:
        figures.append(_bars(measured, conditions, named))
    figures.append(_distribution(shares, best, conditions, named))
    return tuple(figures)


def _stars(
    shown: Sequence[tuple[MapCorrelations, float]], correction: str, at: str, named: Measurement
) -> ReportFigure:
    """Correlation of every backbone and method with stars (Fig. 4A)."""
    rows, columns, places = grid_of([each.combination for each, _ in shown])
    values = np.full((len(rows), len(columns)), np.nan)
    marks = np.full(values.shape, "", dtype=object)
    for (each, q), place in zip(shown, places, strict=True):
        values[place] = each.rho
        marks[place] = stars(q)

    def draw() -> Figure:
        figure = new_figure(2.2 + 0.85 * len(columns), 1.6 + 0.45 * len(rows))
        axes = figure.add_subplot()
        image = axes.imshow(values, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if not math.isnan(value):
                ink = "white" if abs(value) > 0.6 else "black"
                text = f"{value:.2f}\n{marks[row, column]}".rstrip()
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
        name_ticks(axes, "x", columns, turn=30)
        name_ticks(axes, "y", rows)
        figure.colorbar(image, ax=axes, label="Spearman's rho")
        return figure

    words = {"holm": "Holm-corrected", "bh": "corrected for the false discovery rate"}
    caption = (
        f"Spearman's rho of the mask share at {at or 'the reference'} and {named.name}; {_LIMITS}, "
        f"{words.get(correction, 'not corrected')} over all combinations of the report."
    )
    return ReportFigure("correlation", "Correlation by network and method", draw, caption)


def grid_of(
    combinations: Sequence[tuple[str, ...]],
) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Return names of rows (backbones) and columns (methods), and where each combination lies.

    Layers are part of a column's name where there are several.
    """
    layers = len({layer for _, _, layer, _ in combinations}) > 1
    pairs = [
        (backbone or "–", f"{method} / {layer}" if layers and layer else method or "–")
        for method, backbone, layer, _ in combinations
    ]
    rows, columns = ([*dict.fromkeys(pair[place] for pair in pairs)] for place in (0, 1))
    return rows, columns, [(rows.index(row), columns.index(column)) for row, column in pairs]


def _pairs(
    best: MapCorrelations, conditions: Mapping[str, str] | None, named: Measurement
) -> ReportFigure:
    """Mask share and measurement of every subject."""

    def draw() -> Figure:
        figure = new_figure(5.6, 4)
        axes = figure.add_subplot()
        names = [(conditions or {}).get(subject, "") for subject in best.subjects]
        for name, colour, marker in _coloured(names):
            chosen = np.array([each == name for each in names])
            axes.scatter(
                100 * best.shares[chosen],
                best.measured[chosen],
                color=colour,
                marker=marker,
                label=label(name),
                s=32,
                alpha=0.85,
            )
        if conditions is not None:
            axes.legend(title=label(named.within_name), fontsize=8, title_fontsize=8)
        axes.set_xlabel("mask share (% of the foreground)")
        axes.set_ylabel(label(named.label, 60))
        tidy_axes(axes)
        return figure

    caption = (
        f"One point per subject, {best.words}: rho = {bracketed(best.pooled['spearman'].interval)}"
    )
    if best.within:
        caption += f", within one {named.within_name} {bracketed(best.within['spearman'].interval)}"
    return ReportFigure("subjects", f"Mask share and {named.name}", draw, f"{caption}.")


def _against_overlap(
    shown: Sequence[MapCorrelations], overlaps: Mapping[tuple[str, ...], float], at: str
) -> ReportFigure:
    """Overlap with the reference against correlation (Fig. 4B)."""
    points = []
    for each in shown:
        method, backbone, layer, _ = each.combination
        overlap = overlaps.get((method, backbone, layer), overlaps.get((method, backbone)))
        if overlap is not None:
            points.append((method, backbone, overlap, each.rho))
    methods = [*dict.fromkeys(method for method, *_ in points)]
    backbones = [*dict.fromkeys(backbone for _, backbone, *_ in points)]

    def draw() -> Figure:
        figure = new_figure(6.6, 4)
        axes = figure.add_subplot()
        for method, backbone, overlap, rho in points:
            axes.scatter(
                overlap,
                rho,
                color=COLOURS[backbones.index(backbone) % len(COLOURS)],
                marker=MARKERS[methods.index(method) % len(MARKERS)],
                s=42,
            )
        for place, name in enumerate(backbones):
            axes.scatter([], [], color=COLOURS[place % len(COLOURS)], label=label(name or "–"))
        for place, name in enumerate(methods):
            marker = MARKERS[place % len(MARKERS)]
            axes.scatter([], [], color="0.4", marker=marker, label=label(name or "–"))
        figure.legend(loc="outside right upper", fontsize=8)
        axes.set_xlabel("overlap with the reference (mean IoU)")
        axes.set_ylabel("Spearman's rho")
        tidy_axes(axes)
        return figure

    caption = (
        f"At {at or 'the reference'}. Colour: network; marker: method. The overlap weighs "
        "conditions the same."
    )
    return ReportFigure("overlap-and-correlation", "Overlap and correlation", draw, caption)


def _by_threshold(found: Sequence[MapCorrelations], named: Measurement) -> ReportFigure:
    """Correlation against the threshold, one line per map."""
    thresholds = [*dict.fromkeys(each.combination[3] for each in found)]
    called = plainest(MapName(*each.combination[:3]) for each in found)
    lines: dict[str, list[float]] = {}
    for each in found:
        name = called[MapName(*each.combination[:3])].label
        line = lines.setdefault(name, [math.nan] * len(thresholds))
        line[thresholds.index(each.combination[3])] = each.rho

    def draw() -> Figure:
        figure = new_figure(7.4, 4)
        axes = figure.add_subplot()
        for (name, values), style in zip(lines.items(), styles(len(lines)), strict=True):
            axes.plot(values, label=label(name, 40), markersize=4, linewidth=1.2, **style)  # type: ignore[arg-type]
        axes.axhline(0, color="0.6", linewidth=0.8)
        name_ticks(axes, "x", thresholds, turn=30)
        axes.set_xlabel("threshold")
        axes.set_ylabel("Spearman's rho")
        figure.legend(loc="outside right upper", fontsize=7)
        tidy_axes(axes)
        return figure

    caption = f"Spearman's rho of the mask share and {named.name} against the threshold."
    return ReportFigure("thresholds", "Correlation by threshold", draw, caption)


def _bars(
    measured: Mapping[str, float], conditions: Mapping[str, str], named: Measurement
) -> ReportFigure:
    """Mean of the measurement in every condition with Student's interval (Fig. 4C)."""
    known = {subject: value for subject, value in measured.items() if not math.isnan(value)}
    means = condition_means(known, conditions)

    def draw() -> Figure:
        figure = new_figure(2 + 0.9 * len(means), 3.6)
        axes = figure.add_subplot()
        heights = [mean.value for _, mean in means]
        errors = [mean.high - mean.value for _, mean in means]
        colours = [colour for _, colour, _ in _coloured([name for name, _ in means])]
        axes.bar(range(len(means)), heights, yerr=errors, capsize=4, color=colours, width=0.65)
        name_ticks(axes, "x", [f"{name} (n={mean.n})" for name, mean in means], turn=20)
        axes.set_ylabel(label(named.label, 60))
        tidy_axes(axes)
        return figure

    caption = f"Mean and 95 % interval (Student's t) of {named.name} by {named.within_name}."
    return ReportFigure("measurement", f"{named.name} by {named.within_name}", draw, caption)


def _distribution(
    shares: pd.DataFrame,
    best: MapCorrelations | None,
    conditions: Mapping[str, str] | None,
    named: Measurement,
) -> ReportFigure:
    """Mask share of all units as histogram and density, by condition (Fig. 3D)."""
    reference = shares[shares["method"] == REFERENCE]
    rows, words = reference, "the reference"
    if reference.empty:
        chosen = best.combination if best else tuple(shares.iloc[0][COMBINATION].astype(str))
        rows = shares[(shares[COMBINATION].astype(str) == list(chosen)).all(axis=1)]
        words = " / ".join(part for part in chosen if part)
    condition = rows["subject"].map(lambda subject: (conditions or {}).get(str(subject), ""))
    parts = {
        str(name): 100 * each["share"].to_numpy(dtype=float)
        for name, each in rows.groupby(condition, sort=False)
    }

    def draw() -> Figure:
        figure = new_figure(6.2, 3.8)
        axes = figure.add_subplot()
        top = max(1.0, *(float(part.max()) for part in parts.values()))
        bins = np.linspace(0, top, _BINS + 1)
        for name, colour, _ in _coloured([*parts]):
            _histogram(axes, parts[name], bins, colour, label(name))
        if conditions is not None:
            axes.legend(title=label(named.within_name), fontsize=8, title_fontsize=8)
        axes.set_xlabel("mask share (% of the foreground of a unit)")
        axes.set_ylabel("units (%)")
        axes.set_xlim(0, top)
        tidy_axes(axes)
        return figure

    caption = f"Mask share of every unit by {words}: histogram of {_BINS} bins, and kernel density."
    return ReportFigure("distribution", "Distribution of mask shares", draw, caption)


def _histogram(
    axes: Axes, values: NDArray[np.float64], bins: NDArray[np.float64], colour: str, name: str
) -> None:
    """Draw a histogram in percent, and the density where the values vary."""
    weights = np.full(len(values), 100 / len(values))
    axes.hist(values, bins=bins.tolist(), weights=weights, color=colour, alpha=0.35, label=name)
    if len(values) > 2 and np.ptp(values) > 0:
        places = np.linspace(bins[0], bins[-1], 200)
        density = stats.gaussian_kde(values)(places)
        axes.plot(places, 100 * density * (bins[1] - bins[0]), color=colour, linewidth=1.4)


def _coloured(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return each distinct name with a colour and a marker."""
    return [
        (name, COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
        for place, name in enumerate(dict.fromkeys(names))
    ]
