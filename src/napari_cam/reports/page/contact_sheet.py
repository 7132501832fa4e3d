"""The contact sheet: several maps of one volume side by side, slice by slice, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cam.reports.page.panels import Panel, PanelRow, panel_sheet
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
