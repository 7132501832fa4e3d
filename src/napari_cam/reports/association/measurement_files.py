"""Measurements of subjects, and overlaps with a reference, from tables on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.cases.case_table import read_table


def read_column(path: str | os.PathLike[str], name: str) -> dict[str, str]:
    """Return subject -> what stands in a column of a cohort's table, "" where nothing does.

    Parameters
    ----------
    path
        CSV file with a column `subject`; rows of one subject must say the same.
    name
        The column.

    Raises
    ------
    ReportError
        Where the table cannot be read, lacks the column, or rows of a subject differ.
    """
    table = _read(Path(path))
    for column in ("subject", name):
        if column not in table:
            raise ReportError(
                f"{path} has no column '{column}'; it has {', '.join(map(str, table))}."
            )
    found: dict[str, str] = {}
    for subject, cells in table.groupby("subject", sort=False)[name]:
        values = [each for each in dict.fromkeys(cells) if each]
        if len(values) > 1:
            raise ReportError(
                f"Rows of subject '{subject}' differ in '{name}' ({values[0]}, {values[1]}); give "
                "one value for each subject."
            )
        found[str(subject)] = values[0] if values else ""
    return found


def read_measurements(path: str | os.PathLike[str], name: str) -> dict[str, float]:
    """Return subject -> number of a column of a cohort's table, NaN where the cell is empty.

    Raises
    ------
    ReportError
        As :func:`read_column`, and where a cell holds no number.
    """
    found: dict[str, float] = {}
    for subject, text in read_column(path, name).items():
        try:
            found[subject] = float(text or "nan")
        except ValueError as error:
            raise ReportError(f"'{name}' of subject '{subject}' is no number: '{text}'.") from error
    return found


def read_overlaps(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the table that a report of overlaps wrote.

    Raises
    ------
    ReportError
        Where it cannot be read or is another table.
    """
    table = _read(Path(path))
    if not {"level", "subject", "metric", "value", "method_a", "backbone_a"} <= set(table):
        raise ReportError(f"{path} is no table of 'napari-cam report overlap'.")
    return table.assign(value=pd.to_numeric(table["value"], errors="coerce"))


def _read(path: Path) -> pd.DataFrame:
    return read_table(path).map(str.strip)
