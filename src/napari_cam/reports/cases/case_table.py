"""Cases from the table of a cohort, one row for each heatmap."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.case_files import HeatmapFiles, case_of_files
from napari_cam.reports.cases.map_names import MapName
from napari_cam.volumes.reading import read_volume

COLUMNS = ("heatmap", "subject")
OPTIONAL = (
    "reference",
    "foreground",
    "image",
    "group",
    "class",
    "method",
    "backbone",
    "layer",
)


def read_cases(table: str | os.PathLike[str]) -> Iterator[Case]:
    """Yield the cases of a cohort table, one subject at a time; maps are read on access.

    Parameters
    ----------
    table
        CSV file with one row per heatmap. It needs the columns `heatmap` and `subject`, and may
        have `reference`, `foreground`, `image`, `group`, `class`, `method`, `backbone` and `layer`.
        Paths are relative to the table. A reference may name a single label, as in
        "labels.nii.gz:2". Rows with the same subject and class form a case.

    Raises
    ------
    ReportError
        If the table cannot be read or lacks a column, or rows of a case contradict each other.
    VolumeError
        If an image cannot be read.
    """
    path = Path(table)
    frame = read_table(path)
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise ReportError(
            f"{path} has no column '{missing[0]}'; a cohort needs {' and '.join(COLUMNS)}, and may "
            f"have {', '.join(OPTIONAL)}."
        )
    if not len(frame):
        raise ReportError(f"{path} has no rows; give one for each heatmap.")
    for name in OPTIONAL:
        if name not in frame:
            frame[name] = ""
    frame = frame.map(str.strip)
    for name in COLUMNS:
        empty = np.flatnonzero(frame[name] == "")
        if len(empty):
            raise ReportError(
                f"Row {empty[0] + 1} of {path} has nothing under '{name}'; fill it in, or remove "
                "the row."
            )
    for (subject, kind), rows in frame.groupby(["subject", "class"], sort=False):
        yield _case_of_rows(path.parent, str(subject), str(kind), rows)


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file as text, its columns' names without spaces around them.

    Raises
    ------
    ReportError
        Where it is no such file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
            )
    except pd.errors.ParserWarning as error:
        raise ReportError(
            f"Rows of {path} have more cells than its first line names columns; remove commas that "
            "are too many, or name the columns."
        ) from error
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read as a table ({error}).") from error
    return frame.rename(columns=lambda name: str(name).strip())


def _case_of_rows(folder: Path, subject: str, kind: str, rows: pd.DataFrame) -> Case:
    files = [folder / each for each in rows["heatmap"]]
    stated = rows[["method", "backbone", "layer"]].to_numpy().tolist()
    names = {file: MapName(*parts) for file, parts in zip(files, stated, strict=True)}
    one = {
        name: _only(rows[name], f"The rows of '{subject}'", name)
        for name in ("reference", "foreground", "image", "group")
    }
    return case_of_files(
        HeatmapFiles(files, names),
        subject,
        reference=one["reference"] and str(folder / one["reference"]),
        foreground=one["foreground"] and folder / one["foreground"],
        image=read_volume(folder / one["image"]) if one["image"] else None,
        group=one["group"],
        class_name=kind,
    )


def _only(column: pd.Series[str], where: str, name: str) -> str:
    stated = [each for each in dict.fromkeys(column) if each]
    if len(stated) > 1:
        raise ReportError(f"{where} name {len(stated)} values of '{name}'; give one.")
    return stated[0] if stated else ""
