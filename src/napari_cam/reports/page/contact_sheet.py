"""The contact sheet: maps of one volume side by side, slice by slice; and sheets as PNG files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, sidecar_path, write_sidecar, writing
from napari_cam.provenance import stamp
from napari_cam.reports.page.panels import DPI, Panel, PanelRow, panel_sheet
from napari_cam.volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    truth
        (z, y, x) bool, outlined in place of the sheet's; None for the sheet's.
    """

    title: str
    heatmap: NDArray[np.float32] | None = field(default=None, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    caption: str = ""
    truth: NDArray[np.bool_] | None = field(default=None, repr=False)


def contact_sheet(
    volume: Volume,
    rows: Sequence[SheetRow],
    slices: Sequence[int],
    truth: NDArray[np.bool_] | None = None,
    axis: int = 0,
    title: str = "",
    column_titles: Sequence[str] | None = None,
    mask_label: str = "mask",
) -> Figure:
    """Draw maps of one volume: a row for each map, a column for each slice.

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
    axis, title, mask_label
        As in :func:`napari_cam.reports.page.panels.panel_sheet`.
    column_titles
        One for each slice; None numbers them.

    Raises
    ------
    MaskError
        Where a map, mask or truth does not lie on the volume's grid, or there is nothing to show.
    """
    shown = [
        PanelRow(
            row.title,
            [
                Panel(number, row.heatmap, row.mask, truth if row.truth is None else row.truth)
                for number in slices
            ],
            row.caption,
        )
        for row in rows
    ]
    titles = column_titles or [f"slice {number}" for number in slices]
    return panel_sheet(volume, shown, titles, title, axis, mask_label)


def save_sheet(
    figure: Figure,
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a figure as a PNG file of 256 colours, with its provenance as JSON beside it.

    The same figure gives the same bytes.

    Parameters
    ----------
    figure
        From :func:`contact_sheet`, or :func:`napari_cam.reports.page.panels.panel_sheet`.
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
        raise WriteError(f"{path} must end in .png, which figures are written as.")
    check_writable(sidecar_path(path), overwrite)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB")
    # Of Pillow's ways to choose colours the one that makes noise in the dark small.
    small = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with writing(path, overwrite) as temporary:
        small.save(temporary, format="PNG", optimize=True)
        write_sidecar(path, provenance or stamp(kind="figure"), overwrite)
    return path
