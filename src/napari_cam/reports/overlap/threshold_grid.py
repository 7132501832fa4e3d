"""How a metric depends on two members' thresholds, as figure 6 of Ostrowski et al. 2024."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.masks.calibration.result import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def threshold_grid(
    calibration: Calibration, members: tuple[str, str] | None = None, box: str | None = None
) -> Figure:
    """Draw the training score at every pair of thresholds, averaged over folds.

    A ring marks the thresholds chosen on all cases, crosses those of the folds. Of more
    members than two, two are shown at the best thresholds of the others; a single member gives a
    line.

    Parameters
    ----------
    calibration
        What :func:`napari_cam.calibrate` returned.
    members
        Which two, the first along the vertical axis; None for the first two.
    box
        At which box; None for the one chosen on all cases.

    Raises
    ------
    MaskError
        Where a member or the box is unknown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = members if members is not None else calibration.members[:2]
    places = [_place(name, calibration.members, "member") for name in shown]
    chosen_box = calibration.oracle.box if box is None else box
    grid = calibration.training_grid[_place(chosen_box, calibration.boxes, "box")]
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if len(places) == 1:
        _line(axes, calibration, grid)
    else:
        drawn = _pair(axes, calibration, _seen_from(grid, places), places)
        figure.colorbar(drawn, ax=axes, label=f"{calibration.metric}, training")
    where = "" if len(calibration.boxes) == 1 else f", box: {chosen_box}"
    sign = ">" if calibration.strict else "≥"
    axes.set_title(f"{calibration.rule.operator}, {sign} threshold{where}", fontsize=10)
    return figure


def _place(name: str, known: tuple[str, ...], what: str) -> int:
    if name not in known:
        raise MaskError(f"There is no {what} '{name}'; there are {', '.join(known)}.")
    return known.index(name)


def _seen_from(grid: NDArray[np.float64], places: list[int]) -> NDArray[np.float64]:
    """Return (c, c) the grid of two members at the best thresholds of the others."""
    others = tuple(axis for axis in range(grid.ndim) if axis not in places)
    best = np.where(np.isnan(grid), -np.inf, grid).max(axis=others)
    pair = np.where(np.isinf(best), np.nan, best)
    return pair if places[0] < places[1] else pair.T


def _pair(
    axes: Axes, calibration: Calibration, grid: NDArray[np.float64], places: list[int]
) -> AxesImage:
    cuts = calibration.thresholds
    drawn = axes.imshow(grid, cmap="viridis", origin="lower")
    labels = [f"{cut:g}" for cut in cuts]
    axes.set_xticks(range(len(cuts)), labels)
    axes.set_yticks(range(len(cuts)), labels)
    axes.set_ylabel(f"threshold of {calibration.members[places[0]]}")
    axes.set_xlabel(f"threshold of {calibration.members[places[1]]}")
    for each in calibration.folds:
        y, x = (cuts.index(each.training.thresholds[place]) for place in places)
        axes.plot(x, y, "x", color="black", markersize=7)
    y, x = (cuts.index(calibration.oracle.thresholds[place]) for place in places)
    axes.plot(x, y, "o", color="black", fillstyle="none", markersize=12)
    return drawn


def _line(axes: Axes, calibration: Calibration, grid: NDArray[np.float64]) -> None:
    axes.plot(calibration.thresholds, grid, "o-", color="#0072B2")
    axes.axvline(calibration.oracle.thresholds[0], color="0.5", linestyle=":")
    axes.set_xlabel(f"threshold of {calibration.members[0]}")
    axes.set_ylabel(f"{calibration.metric}, training")
