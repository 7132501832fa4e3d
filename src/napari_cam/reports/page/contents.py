"""What a report holds: what was compared, what came out, and how it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.tables import ReportTable, printable, tidy

_MOST_LINES = 40  # of a table within the summary


@dataclass(frozen=True, eq=False)
class ReportContents:
    """The outcome of a comparison: its numbers, figures and sentences.

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
