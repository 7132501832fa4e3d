"""The contact sheet: several maps of one volume side by side, slice by slice, in one picture."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray
from PIL import Image

from napari_cam.errors import MaskError, WriteError
from napari_cam.files import check_writable, sidecar_path, write_sidecar, writing
from napari_cam.provenance import stamp
from napari_cam.volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by everyone (Okabe and Ito 2008), and by the kind of line as well.
TRUTH_COLOUR = "#56b4e9"
MASK_COLOUR = "#ffffff"
_CELL_WIDTH = 1.62  # inches
_LABEL_WIDTH = 1.25
_TOP, _BOTTOM, _COLUMN_TITLE = 0.38, 0.40, 0.26
_DPI = 100


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One row of a contact sheet.

    Attributes
    ----------
    title
        What made the map.
    heatmap
        (z, y, x) in [0, 1]; None shows the image alone.
    mask
        (z, y, x) bool, outlined; None for none.
    caption
        A line below the title.
    """

    title: str
    heatmap: NDArray[np.float32] | None = field(default=None, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    caption: str = ""


def contact_sheet(
    volume: Volume,
    rows: Sequence[SheetRow],
    slices: Sequence[int],
    truth: NDArray[np.bool_] | None = None,
    axis: int = 0,
    title: str = "",
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """Draw maps of one volume: a row for each map, a column for each slice.

    Patients are shown as radiologists see them: anterior or superior up, the patient's left at the
    right. Pixels keep their true proportions.

    Parameters
    ----------
    volume
        The image, in grey; several channels are averaged.
    rows
        What to show in each row.
    slices
        Which slices along `axis`.
    truth
        (z, y, x) bool, outlined in every picture; None for none.
    axis
        Array axis across which slices are cut.
    title
        Over the whole sheet.
    column_titles
        One for each slice; None numbers them.

    Raises
    ------
    MaskError
        Where a map, mask or truth does not lie on the volume's grid, or there is nothing to show.
    """
    _check(volume, rows, slices, truth, axis)
    grey = _grey(volume)
    height_to_width = _proportion(volume, axis)
    n_rows, n_columns = len(rows), len(slices)
    width = _LABEL_WIDTH + n_columns * _CELL_WIDTH + 0.08
    cell_height = _CELL_WIDTH * height_to_width
    top = _TOP if title else 0.1
    height = top + _COLUMN_TITLE + n_rows * cell_height + _BOTTOM
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.text(0.08 / width, 1 - 0.2 / height, title, fontsize=11, weight="bold", va="center")
    for place, number in enumerate(slices):
        middle = (_LABEL_WIDTH + (place + 0.5) * _CELL_WIDTH) / width
        text = column_titles[place] if column_titles else f"slice {number}"
        y = 1 - (top + 0.6 * _COLUMN_TITLE) / height
        figure.text(middle, y, text, fontsize=8.5, ha="center", va="center")
    for line, row in enumerate(rows):
        bottom = height - top - _COLUMN_TITLE - (line + 1) * cell_height
        middle = (bottom + 0.5 * cell_height) / height
        figure.text(0.08 / width, middle, row.title, fontsize=9.5, weight="bold", va="bottom")
        figure.text(0.08 / width, middle - 0.04 / height, row.caption, fontsize=7.5, va="top")
        for place, number in enumerate(slices):
            left = _LABEL_WIDTH + place * _CELL_WIDTH
            gap = 0.02
            box = (
                *((left + gap) / width, (bottom + gap) / height),
                *((_CELL_WIDTH - 2 * gap) / width, (cell_height - 2 * gap) / height),
            )
            axes = figure.add_axes(box)
            _draw(axes, volume, grey, row, truth, axis, number)
    _legend(figure, rows, truth is not None)
    return figure


def save_contact_sheet(
    figure: Figure,
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a contact sheet as a PNG file of 256 colours, with its provenance as JSON beside it.

    The same sheet gives the same bytes.

    Parameters
    ----------
    figure
        From :func:`contact_sheet`.
    path
        File to write, ending in ``.png``.
    provenance
        What made it, as plain JSON without patient identity; None for versions and time alone.
    overwrite
        Whether existing files may be replaced.

    Raises
    ------
    WriteError
        Where a file exists already or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise WriteError(f"{path} must end in .png, which a contact sheet is written as.")
    check_writable(sidecar_path(path), overwrite)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB")
    # Of Pillow's ways to choose colours the one that makes noise in the dark small.
    small = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with writing(path, overwrite) as temporary:
        small.save(temporary, format="PNG", optimize=True)
        write_sidecar(path, provenance or stamp(kind="contact sheet"), overwrite)
    return path


def _check(
    volume: Volume,
    rows: Sequence[SheetRow],
    slices: Sequence[int],
    truth: NDArray[np.bool_] | None,
    axis: int,
) -> None:
    if not rows or not slices:
        raise MaskError("A contact sheet needs at least one row and one slice.")
    if axis not in (0, 1, 2):
        raise MaskError(f"Slices are cut across axis 0, 1 or 2 (z, y, x), not {axis}.")
    wrong = [number for number in slices if not 0 <= number < volume.shape[axis]]
    if wrong:
        raise MaskError(
            f"There is no slice {wrong[0]}; the image has {volume.shape[axis]} along that axis."
        )
    named: list[tuple[str, NDArray[Any] | None]] = [("truth", truth)]
    for row in rows:
        named += [(f"heatmap of {row.title}", row.heatmap), (f"mask of {row.title}", row.mask)]
    for name, array in named:
        if array is not None and array.shape != volume.shape:
            raise MaskError(
                f"The {name} has shape {array.shape} but the image {volume.shape}; "
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


def _plane(array: NDArray[Any], volume: Volume, axis: int, number: int) -> NDArray[Any]:
    """Return one slice as it is shown: rows down, columns to the right."""
    plane: NDArray[Any] = array.take(number, axis)
    letters = volume.orientation
    if letters is None:
        return plane
    shown = [letter for place, letter in enumerate(letters) if place != axis]
    flips = tuple(place for place, letter in enumerate(shown) if letter in "SAR")
    flipped: NDArray[Any] = np.flip(plane, flips)
    return flipped


def _proportion(volume: Volume, axis: int) -> float:
    """Return height / width of a slice in the world."""
    sizes = [n * mm for n, mm in zip(volume.shape, volume.spacing, strict=True)]
    del sizes[axis]
    return min(max(sizes[0] / sizes[1], 0.2), 3.0)


def _heat_colours() -> ListedColormap:
    """Return inferno whose low end is clear: the image shows where there is no heat."""
    from matplotlib import colormaps

    colours = colormaps["inferno"](np.linspace(0.25, 1, 256))
    colours[:, 3] = np.clip(np.linspace(-0.08, 0.95, 256), 0, 0.72)
    return ListedColormap(colours)


def _draw(
    axes: Axes,
    volume: Volume,
    grey: NDArray[np.float32],
    row: SheetRow,
    truth: NDArray[np.bool_] | None,
    axis: int,
    number: int,
) -> None:
    axes.set_axis_off()
    plane = _plane(grey, volume, axis, number)
    axes.imshow(plane, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="bilinear")
    if row.heatmap is not None:
        heat = _plane(row.heatmap, volume, axis, number)
        axes.imshow(
            heat, cmap=_heat_colours(), vmin=0, vmax=1, aspect="auto", interpolation="bilinear"
        )
    outlines = ((truth, TRUTH_COLOUR, "solid", 1.3), (row.mask, MASK_COLOUR, "dashed", 1.0))
    for outlined, colour, style, width in outlines:
        if outlined is None:
            continue
        inside = _plane(outlined, volume, axis, number)
        if inside.any() and not inside.all():
            lines = axes.contour(
                inside.astype(float), [0.5], colors=colour, linestyles=style, linewidths=width
            )
            lines.set_path_effects(_edged(width))


def _legend(figure: Figure, rows: Sequence[SheetRow], truth: bool) -> None:
    """Say at the bottom what colours and lines mean."""
    width, height = figure.get_size_inches()
    middle = 0.5 * _BOTTOM / height
    left = _LABEL_WIDTH
    lines = []
    if truth:
        lines.append(("truth", TRUTH_COLOUR, "solid", 1.8))
    if any(row.mask is not None for row in rows):
        lines.append(("mask", MASK_COLOUR, "dashed", 1.4))
    for label, colour, style, thickness in lines:
        line = Line2D([left / width, (left + 0.35) / width], [middle, middle], color=colour)
        line.set(linestyle=style, linewidth=thickness, path_effects=_edged(thickness))
        figure.add_artist(line)
        figure.text((left + 0.42) / width, middle, label, fontsize=8.5, va="center")
        left += 1.05
    if any(row.heatmap is not None for row in rows):
        figure.text(left / width, middle, "heatmap  0", fontsize=8.5, va="center")
        left += 0.72
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
