"""The Report: what was compared, what came out, and how it may be shown and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.page.tables import ReportTable, printable, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LINES = 40  # of a table within the summary


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure that is drawn when it is asked for.

    Attributes
    ----------
    name
        What its file is called; it never holds the name of a subject, class or layer.
    title
        What it shows.
    draw
        Makes it anew; must not use pyplot, whose figures are global.
    caption
        How to read it, with units.
    picture
        Whether it holds images, which a page shows as PNG, rather than lines and bars.
    """

    name: str
    title: str
    draw: Callable[[], Figure] = field(repr=False)
    caption: str = ""
    picture: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of a comparison.

    Attributes
    ----------
    table
        One row per number, with the columns of :data:`napari_cam.reports.page.tables.COLUMNS`:
        level, subject, unit, class, a and b (method, backbone, layer, threshold), metric, value, n,
        undefined, ci_low, ci_high, p; and the report's own after them.
    kind
        "overlap", "agreement", "association" or "faithfulness".
    title
        Heading of the page.
    notes
        Sentences that a reader must know before the numbers.
    provenance
        What made it, as plain JSON.
    figures
        Drawn when they are asked for.
    tables
        Small tables to be read, made from `table`.
    empty
        What a comparison of two empty masks counts as: NaN (undefined, left out), 0.0 or 1.0;
        None where nothing of the kind is compared.
    arrays
        Maps on the volume's grid (z, y, x) by name, to be shown as layers.

    Raises
    ------
    ReportError
        Where the table lacks a metric or value.
    """

    table: pd.DataFrame = field(repr=False)
    kind: str
    title: str
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    figures: tuple[ReportFigure, ...] = field(default=(), repr=False)
    tables: tuple[ReportTable, ...] = field(default=(), repr=False)
    empty: float | None = None
    arrays: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", tidy(self.table))
        object.__setattr__(self, "notes", tuple(self.notes))
        object.__setattr__(self, "figures", tuple(self.figures))
        object.__setattr__(self, "tables", tuple(self.tables))

    @property
    def undefined(self) -> dict[str, int]:
        """How many values of each metric are undefined, which no mean takes in.

        Of units where there are rows of units, else of all below the cohort.
        """
        table = self.table
        units = table["level"] == "unit"
        counted = units if units.any() else table["level"] != "cohort"
        missing = table.loc[table["value"].isna() & counted, "metric"]
        return {str(name): int(count) for name, count in missing.value_counts().items()}

    @property
    def policy(self) -> str | None:
        """How comparisons of two empty masks were counted, in one sentence."""
        if self.empty is None:
            return None
        if np.isnan(self.empty):
            return "Two empty masks have no overlap to speak of: undefined, counted and left out."
        return f"Two empty masks count as {self.empty:g}."

    def select(self, **where: Any) -> pd.DataFrame:
        """Return the rows whose columns hold the given values: ``select(metric="iou")``.

        A list of values takes any of them.

        Raises
        ------
        ReportError
            Where there is no such column.
        """
        rows = pd.Series(True, index=self.table.index)
        for name, value in where.items():
            column = "class" if name == "class_" else name
            if column not in self.table:
                known = ", ".join(map(str, self.table))
                raise ReportError(f"The report has no column '{column}'; there are {known}.")
            wanted = value if isinstance(value, (list, tuple, set)) else [value]
            rows &= self.table[column].isin(list(wanted))
        return self.table[rows]

    def summary(self) -> str:
        """Return what matters as text: title, notes, the small tables, what is undefined."""
        parts = [printable(self.title), *(f"- {printable(note)}" for note in self.notes)]
        if self.policy:
            parts.append(f"- {self.policy}")
        if self.undefined:
            counted = ", ".join(f"{name} {count}" for name, count in self.undefined.items())
            parts.append(f"- Undefined values, of all maps and thresholds together: {counted}.")
        for table in self.tables:
            lines = table.text().split("\n")
            if len(lines) > _MOST_LINES:
                more = len(lines) - _MOST_LINES
                lines = [*lines[:_MOST_LINES], f"... and {more} more rows"]
            parts += ["", printable(table.title), *lines]
        return "\n".join(parts)

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write table.csv, report.json, report.html and a folder of figures (SVG, PDF, PNG).

        Everything is made before anything is put in place, so that an error leaves the folder as
        it was. File names never hold names of subjects, classes or layers.

        Parameters
        ----------
        folder
            Made where it does not exist; other files in it stay.
        overwrite
            Whether files of these names may be replaced. Figures of the report before, which its
            report.json lists, are then removed.

        Returns
        -------
        Path
            The page, report.html.

        Raises
        ------
        WriteError
            Where a file exists already or the folder cannot be written.
        """
        from napari_cam.reports.page.saving import save_report

        return save_report(self, Path(folder), overwrite)

    def html(self) -> str:
        """Return the report as one page that needs nothing else: no network, no other file."""
        from napari_cam.reports.page.html import page_of

        return page_of(self)

    def __repr__(self) -> str:
        return f"Report({self.kind}, {len(self.table)} rows, {len(self.figures)} figures)"
