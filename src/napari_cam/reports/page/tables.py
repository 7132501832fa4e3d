"""The tidy table of a report: its columns, its text, and CSV that no spreadsheet runs."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.statistics import Interval
from napari_cam.text_tables import text_table

COLUMNS: Mapping[str, str] = {
    "level": "text",  # "unit", "subject", "class", "group" or "cohort": what the row is about
    "subject": "text",
    "unit": "integer",
    "class": "text",
    "method_a": "text",
    "backbone_a": "text",
    "layer_a": "text",
    "method_b": "text",
    "backbone_b": "text",
    "layer_b": "text",
    "threshold_a": "text",
    "threshold_b": "text",
    "metric": "text",
    "value": "number",
    "n": "integer",  # how many values went into this one
    "undefined": "integer",  # how many were left out because they are undefined
    "ci_low": "number",
    "ci_high": "number",
    "p": "number",
}
"""The columns of every report, in this order; a report may have more of its own after them."""

_FORMULA = ("=", "+", "-", "@")  # what makes a spreadsheet take a cell for a formula
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian and in many Indian scripts


def tidy(rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table with all of `COLUMNS`, what is missing empty, 0 or NaN by its kind.

    Parameters
    ----------
    rows
        A table, or one mapping per row; columns that are not in `COLUMNS` are kept after them.

    Raises
    ------
    ReportError
        Where there is no metric or value, or a column does not hold what it is for.
    """
    table = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if len(table) == 0:
        table = table.reindex(columns=["metric", "value"])
    for name in ("metric", "value"):
        if name not in table:
            raise ReportError(f"A report's table needs the column '{name}'; there is none.")
    for name, kind in COLUMNS.items():
        missing: Any = "" if kind == "text" else (pd.NA if kind == "integer" else np.nan)
        column = table[name] if name in table else pd.Series(missing, index=table.index)
        try:
            table[name] = _as(column, kind)
        except (TypeError, ValueError) as error:
            raise ReportError(f"The column '{name}' must hold {kind}s ({error}).") from error
    own = [name for name in table if name not in COLUMNS]
    return table[[*COLUMNS, *own]].reset_index(drop=True)


def _as(column: pd.Series[Any], kind: str) -> pd.Series[Any]:
    if kind == "text":
        return column.astype(object).where(column.notna(), "").map(str).astype(object)
    return column.astype("Int64" if kind == "integer" else "float64")


def printable(text: str) -> str:
    """Return `text` without what is not shown but acts: control and direction characters.

    Right-to-left letters stay; the marks that turn the text after them around do not.
    """
    kept = (
        each
        for each in " ".join(text.splitlines()).replace("\t", " ")
        if each in _JOINERS or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return "".join(kept)


def counted(number: int, thing: str) -> str:
    """Return "1 subject", "2 subjects"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def bracketed(found: Interval) -> str:
    """Return an interval as a cell: 0.52 [0.41, 0.63], a dash where there is no value."""
    if math.isnan(found.value):
        return "–"
    known = not math.isnan(found.low)
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if known else "")


def guarded(value: Any) -> Any:
    """Return a cell as a spreadsheet may read it: text that looks like a formula is quoted."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _begins_formula(text) else text


def _begins_formula(text: str) -> bool:
    first = re.sub(rf"^[\s{_JOINERS}]+", "", text)[:1]
    # Full-width, small and raised signs count as the plain ones that they stand for.
    return unicodedata.normalize("NFKC", first).startswith(_FORMULA)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV: UTF-8 with a mark that spreadsheets know it by, numbers in full.

    Cells that a spreadsheet would run as a formula begin with an apostrophe; column names too.
    """
    _safe(table).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")


def tab_separated(table: pd.DataFrame) -> str:
    """Return the columns of a table that hold anything as lines with tabs, for the clipboard.

    Numbers are written in full, and cells are as safe for spreadsheets as those of `write_csv`.
    """
    empty = [name for name in table if (table[name].isna() | (table[name] == "")).all()]
    kept = _safe(table.drop(columns=empty))
    return str(kept.to_csv(None, index=False, sep="\t", lineterminator="\n"))


def _safe(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for place, (_, column) in enumerate(table.items()):
        words = not pd.api.types.is_numeric_dtype(column)
        columns[place] = (
            column.map({value: guarded(value) for value in column.unique()}) if words else column
        )
    safe = pd.DataFrame(columns, index=table.index)
    safe.columns = pd.Index([guarded(name) for name in table])
    return safe


@dataclass(frozen=True, eq=False)
class ReportTable:
    """A small table to be read, as papers print them.

    Attributes
    ----------
    title
        What it says.
    frame
        The cells, as numbers or text; its index is shown as the first columns.
    caption
        How to read it.
    digits
        Digits after the point of its numbers.
    """

    title: str
    frame: pd.DataFrame = field(repr=False)
    caption: str = ""
    digits: int = 3

    def cells(self) -> pd.DataFrame:
        """Return the table as text with a plain index, NaN as a dash."""
        shown = self.frame
        named = [name for name in shown.index.names if name is not None]
        if named or not isinstance(shown.index, pd.RangeIndex):
            shown = shown.reset_index()
        if isinstance(shown.columns, pd.MultiIndex):
            shown.columns = [" ".join(str(p) for p in each if str(p)) for each in shown.columns]
        return shown.map(self._cell).rename(columns=str)

    def _cell(self, value: Any) -> str:
        if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
            return "–"
        if isinstance(value, (float, np.floating)):
            return f"{float(value):.{self.digits}f}"
        return str(value)

    def text(self) -> str:
        """Return the table as aligned text."""
        cells = self.cells().map(printable)
        return text_table(
            [printable(str(name)) for name in cells.columns], cells.to_numpy().tolist()
        )
