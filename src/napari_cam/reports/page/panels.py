"""Pictures in rows and columns, each a slice with a heatmap and outlines, drawn as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.reports.page.plotting import width_of
from napari_cam.volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by everyone (Okabe and Ito 2008), and by the kind of line as well.
TRUTH_COLOUR = "#56b4e9"
MASK_COLOUR = "#ffffff"
_CELL_WIDTH = 1.62  # inches
_LABEL_WIDTH = 1.25
_TITLE_SIZE = 9.5  # points, of a row's title
_BOLD = 1.13  # wider than plain letters
_TOP, _BOTTOM, _COLUMN_TITLE = 0.38, 0.40, 0.26
DPI = 100
_FEW_PIXELS = 4


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture: a slice, what lies over it and what is outlined.

    Attributes
    ----------
    number
        Which slice.
    heatmap
        (z, y, x) in [0, 1]; None shows the image alone.
    mask, truth
        (z, y, x) bool, outlined; None for none. A mask of very few pixels gets a ring.
    """

    number: int
    heatmap: NDArray[np.float32] | None = field(default=None, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    truth: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PanelRow:
    """Pictures side by side, with a title and a caption at their left."""

    title: str
    panels: Sequence[Panel]
    caption: str = ""


def panel_sheet(
    volume: Volume,
    rows: Sequence[PanelRow],
    column_titles: Sequence[str],
    title: str = "",
    axis: int = 0,
    mask_label: str = "mask",
) -> Figure:
    """Draw pictures of one volume in rows and columns.

    Patients are shown as radiologists see them: anterior or superior up, the patient's left at the
    right. Pixels keep their true proportions.

    Parameters
    ----------
    volume
        The image, in grey; several channels are averaged.
    rows
        From top to bottom, all with as many pictures as there are column titles.
    column_titles
        Above the first row.
    title
        Over the whole sheet.
    axis
        Array axis across which slices are cut.
    mask_label
        What the masks are, for the legend.

    Raises
    ------
    MaskError
        Where a map, mask or truth does not lie on the volume's grid, or there is nothing to show.
    """
    _check(volume, rows, column_titles, axis)
    grey, aspect = _grey(volume), proportion_of(volume.grid, axis)
    sheet = _Sheet.of(rows, len(column_titles), _CELL_WIDTH * aspect, bool(title))
    width, height = sheet.width, sheet.height
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.text(0.08 / width, 1 - 0.2 / height, title, fontsize=11, weight="bold", va="center")
    for place, text in enumerate(column_titles):
        middle = (sheet.label + (place + 0.5) * _CELL_WIDTH) / width
        y = 1 - (sheet.top + 0.6 * _COLUMN_TITLE) / height
        figure.text(middle, y, text, fontsize=8.5, ha="center", va="center")
    for line, row in enumerate(rows):
        middle = (sheet.bottom(line) + 0.5 * sheet.cell) / height
        figure.text(
            0.08 / width, middle, row.title, fontsize=_TITLE_SIZE, weight="bold", va="bottom"
        )
        figure.text(0.08 / width, middle - 0.04 / height, row.caption, fontsize=7.5, va="top")
        for place, panel in enumerate(row.panels):
            _draw(figure.add_axes(sheet.box(line, place)), volume, grey, panel, axis)
    _legend(figure, [panel for row in rows for panel in row.panels], sheet.label, mask_label)
    return figure


@dataclass(frozen=True)
class _Sheet:
    """Where things lie, in inches."""

    label: float
    top: float
    cell: float
    width: float
    height: float

    @classmethod
    def of(cls, rows: Sequence[PanelRow], columns: int, cell: float, titled: bool) -> _Sheet:
        longest = max(width_of(row.title) for row in rows) * _BOLD * _TITLE_SIZE / 72
        label = max(_LABEL_WIDTH, 0.16 + longest)
        top = _TOP if titled else 0.1
        width = label + columns * _CELL_WIDTH + 0.08
        return cls(label, top, cell, width, top + _COLUMN_TITLE + len(rows) * cell + _BOTTOM)

    def bottom(self, line: int) -> float:
        """Return the lower edge of a row."""
        return self.height - self.top - _COLUMN_TITLE - (line + 1) * self.cell

    def box(self, line: int, place: int) -> tuple[float, float, float, float]:
        """Return a picture's left, bottom, width and height as shares of the figure."""
        gap = 0.02
        left = self.label + place * _CELL_WIDTH
        return (
            *((left + gap) / self.width, (self.bottom(line) + gap) / self.height),
            *((_CELL_WIDTH - 2 * gap) / self.width, (self.cell - 2 * gap) / self.height),
        )


def _check(
    volume: Volume, rows: Sequence[PanelRow], column_titles: Sequence[str], axis: int
) -> None:
    if not rows or not column_titles:
        raise MaskError("A sheet needs at least one row and one slice.")
    if axis not in (0, 1, 2):
        raise MaskError(f"Slices are cut across axis 0, 1 or 2 (z, y, x), not {axis}.")
    for row in rows:
        if len(row.panels) != len(column_titles):
            raise MaskError(
                f"The row {row.title} has {len(row.panels)} pictures but there are "
                f"{len(column_titles)} columns; give one for each."
            )
        for panel in row.panels:
            _check_panel(volume, row.title, panel, axis)


def _check_panel(volume: Volume, title: str, panel: Panel, axis: int) -> None:
    if not 0 <= panel.number < volume.shape[axis]:
        raise MaskError(
            f"There is no slice {panel.number}; the image has {volume.shape[axis]} along that axis."
        )
    for name, array in (("heatmap", panel.heatmap), ("mask", panel.mask), ("truth", panel.truth)):
        if array is not None and array.shape != volume.shape:
            raise MaskError(
                f"The {name} of {title} has shape {array.shape} but the image {volume.shape}; "
                "give it on the image's grid."
            )


def _grey(volume: Volume) -> NDArray[np.float32]:
    """Return the image in [0, 1], its darkest and brightest hundredths cut off."""
    values = np.asarray(volume.channels_first(), dtype=np.float32)
    values = np.nan_to_num(values, nan=0, posinf=0, neginf=0).mean(axis=0)
    low, high = np.percentile(values, (1, 99))
    scaled = (values - low) / (high - low if high > low else 1)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1).astype(np.float32)
    return clipped


def plane_of(array: NDArray[Any], grid: Grid, axis: int, number: int) -> NDArray[Any]:
    """Return one slice as it is shown: rows down, columns to the right."""
    plane: NDArray[Any] = array.take(number, axis)
    letters = grid.orientation
    if letters is None:
        return plane
    shown = [letter for place, letter in enumerate(letters) if place != axis]
    flips = tuple(place for place, letter in enumerate(shown) if letter in "SAR")
    flipped: NDArray[Any] = np.flip(plane, flips)
    return flipped


def proportion_of(grid: Grid, axis: int) -> float:
    """Return height / width of a slice in the world."""
    sizes = [n * mm for n, mm in zip(grid.shape, grid.spacing, strict=True)]
    del sizes[axis]
    return min(max(sizes[0] / sizes[1], 0.2), 3.0)


def _heat_colours() -> ListedColormap:
    """Return inferno whose low end is clear: the image shows where there is no heat."""
    from matplotlib import colormaps

    colours = colormaps["inferno"](np.linspace(0.25, 1, 256))
    colours[:, 3] = np.clip(np.linspace(-0.08, 0.95, 256), 0, 0.72)
    return ListedColormap(colours)


def _draw(axes: Axes, volume: Volume, grey: NDArray[np.float32], panel: Panel, axis: int) -> None:
    axes.set_axis_off()
    plane = plane_of(grey, volume.grid, axis, panel.number)
    axes.imshow(plane, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="bilinear")
    if panel.heatmap is not None:
        heat = plane_of(panel.heatmap, volume.grid, axis, panel.number)
        axes.imshow(
            heat, cmap=_heat_colours(), vmin=0, vmax=1, aspect="auto", interpolation="bilinear"
        )
    outlines = ((panel.truth, TRUTH_COLOUR, "solid", 1.3), (panel.mask, MASK_COLOUR, "dashed", 1.0))
    for outlined, colour, style, width in outlines:
        if outlined is None:
            continue
        inside = plane_of(outlined, volume.grid, axis, panel.number)
        if 0 < inside.sum() <= _FEW_PIXELS:
            _ring(axes, inside, colour)
        elif inside.any() and not inside.all():
            lines = axes.contour(
                inside.astype(float), [0.5], colors=colour, linestyles=style, linewidths=width
            )
            lines.set_path_effects(_edged(width))


def _ring(axes: Axes, inside: NDArray[np.bool_], colour: str) -> None:
    """Mark pixels that an outline would be too small for."""
    y, x = np.argwhere(inside).mean(axis=0)
    (ring,) = axes.plot(x, y, "o", ms=9, mfc="none", mec=colour, mew=1.3)
    ring.set_path_effects(_edged(1.3))


def _legend(figure: Figure, panels: Sequence[Panel], left: float, mask_label: str) -> None:
    """Say at the bottom what colours and lines mean."""
    width, height = figure.get_size_inches()
    middle = 0.5 * _BOTTOM / height
    lines = []
    if any(panel.truth is not None for panel in panels):
        lines.append(("truth", TRUTH_COLOUR, "solid", 1.8))
    if any(panel.mask is not None for panel in panels):
        lines.append((mask_label, MASK_COLOUR, "dashed", 1.4))
    for label, colour, style, thickness in lines:
        line = Line2D([left / width, (left + 0.35) / width], [middle, middle], color=colour)
        line.set(linestyle=style, linewidth=thickness, path_effects=_edged(thickness))
        figure.add_artist(line)
        figure.text((left + 0.42) / width, middle, label, fontsize=8.5, va="center")
        left += 0.71 + 0.068 * len(label)
    if any(panel.heatmap is not None for panel in panels):
        figure.text(left / width, middle, "heatmap  0", fontsize=8.5, va="center")
        left += 0.78
        box = (left / width, middle - 0.06 / height, 1.1 / width, 0.12 / height)
        bar = figure.add_axes(box)
        bar.set_axis_off()
        bar.imshow(np.full((1, 2), 0.45), cmap="gray", vmin=0, vmax=1, aspect="auto")
        ramp = np.linspace(0, 1, 256)[None]
        bar.imshow(
            ramp, cmap=_heat_colours(), aspect="auto", extent=bar.get_images()[0].get_extent()
        )
        figure.text((left + 1.16) / width, middle, "1", fontsize=8.5, va="center")


def _edged(width: float) -> list[Any]:
    """Return the effects that set a line off from any picture."""
    return [Stroke(linewidth=width + 1, foreground="black"), Normal()]
