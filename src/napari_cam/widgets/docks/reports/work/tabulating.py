"""The table of a report as columns that sort and filter fast. No Qt.

Text is kept as numbers of words, so that a hundred thousand rows are sorted and filtered by NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE = "–"


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Attributes
    ----------
    key, title
        What it is called by, and what its header says.
    cells
        (n,) float64 numbers, NaN where there is none; of text the number of each row's word.
    words
        The sorted words of text; None for numbers.
    whole
        Whether the numbers are counts.
    """

    key: str
    title: str
    cells: NDArray[Any] = field(repr=False)
    words: tuple[str, ...] | None = None
    whole: bool = False

    def __len__(self) -> int:
        return len(self.cells)

    def text(self, row: int) -> str:
        """Return a cell as it is shown."""
        value = self.cells[row]
        if self.words is not None:
            return self.words[int(value)]
        if np.isnan(value):
            return NONE
        return f"{value:.0f}" if self.whole else f"{value:.4g}"

    def order(self, rows: NDArray[np.intp], descending: bool) -> NDArray[np.intp]:
        """Return rows sorted by this column, ties as they were, what is undefined last."""
        keys = self.cells[rows]
        return rows[np.argsort(-keys if descending else keys, kind="stable")]

    def says(self, rows: NDArray[np.intp] | slice = slice(None)) -> bool:
        """Whether any of some rows holds anything."""
        cells = self.cells[rows]
        if self.words is None:
            return bool(np.isfinite(cells).any())
        empty = self.words.index("") if "" in self.words else -1
        return bool((cells != empty).any())

    def holds(self, word: str) -> NDArray[np.bool_]:
        """Return (n,) which rows say `word`; all of a column of numbers."""
        if self.words is None:
            return np.ones(len(self), bool)
        same: NDArray[np.bool_] = self.cells == (
            self.words.index(word) if word in self.words else -1
        )
        return same


_TITLES = {
    "level": "level",
    "unit": "slice",
    "class": "class",
    "map": "map",
    "beside": "and",
    "threshold_a": "threshold",
    "metric": "metric",
    "value": "value",
    "n": "n",
    "undefined": "undefined",
    "ci_low": "low",
    "ci_high": "high",
    "p": "p",
}
_WHOLE = ("unit", "n", "undefined")
_HIDDEN = ("subject", "group", "threshold_b")  # there is one subject, and pairs share a cut
_PARTS = ("backbone", "method", "layer")


def columns_of(table: Any) -> tuple[Column, ...]:
    """Return the columns of a report's table that say anything.

    Parameters
    ----------
    table
        A pandas DataFrame with the columns of `napari_cam.reports.page.tables.COLUMNS`.
    """
    sides = {f"{part}_{side}" for part in _PARTS for side in "ab"}
    own = [name for name in table if name not in {*_TITLES, *_HIDDEN, *sides}]
    found = []
    for key in (*_TITLES, *own):
        title = _TITLES.get(key, str(key))
        if key in ("map", "beside"):
            column = _text(key, title, _labels(table, "a" if key == "map" else "b"))
        elif _is_number(table[key]):
            numbers = table[key].astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
            column = Column(key, title, numbers, whole=key in _WHOLE)
        else:
            column = _text(key, title, table[key].tolist())
        if key == "value" or column.says():
            found.append(column)
    return tuple(found)


def _is_number(column: Any) -> bool:
    return bool(column.dtype.kind in "iuf")


def _labels(table: Any, side: str) -> list[str]:
    parts = [table[f"{part}_{side}"].tolist() for part in _PARTS]
    known: dict[tuple[str, ...], str] = {}
    labels = []
    for words in zip(*parts, strict=True):
        if words not in known:
            known[words] = " / ".join(filter(None, words))
        labels.append(known[words])
    return labels


def _text(key: str, title: str, cells: list[Any]) -> Column:
    from napari_cam.reports.page.tables import printable

    found: Mapping[Any, None] = dict.fromkeys(cells)
    shown = {cell: "" if cell is None or cell != cell else printable(str(cell)) for cell in found}
    words = tuple(sorted(set(shown.values())))
    place = {word: number for number, word in enumerate(words)}
    of_cell = {cell: place[word] for cell, word in shown.items()}
    codes = np.fromiter((of_cell[cell] for cell in cells), np.int32, len(cells))
    return Column(key, title, codes, words)
