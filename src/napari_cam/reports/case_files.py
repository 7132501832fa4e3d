"""Cases from files: a table of a cohort, or folders with a subject each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError, ReportError
from napari_cam.files import suffixes
from napari_cam.grid import check_same_place
from napari_cam.heatmap import Heatmap
from napari_cam.labels.files.label_image import marked
from napari_cam.labels.files.reading import is_segmentation_file, read_labels, stated_kind
from napari_cam.names import file_and_label
from napari_cam.reports.case import Case
from napari_cam.reports.map_names import MapName, name_of
from napari_cam.volumes.heatmap_files import read_heatmap
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume

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
REFERENCE, FOREGROUND, IMAGE = "reference", "foreground", "image"
_IMAGES = (".nii", ".nii.gz", ".tif", ".tiff", ".ome.tif", ".ome.tiff")


class HeatmapFiles(Mapping[Path, Heatmap]):
    """Heatmaps that are read when they are asked for, and not kept.

    Parameters
    ----------
    paths
        Files that explain wrote.
    names
        What the maps are called, part by part; "" leaves a part to the file's own record.
    """

    def __init__(self, paths: Sequence[Path], names: Mapping[Path, MapName] | None = None) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._names = dict(names or {})

    def __getitem__(self, path: Path) -> Heatmap:
        """Read a heatmap."""
        if path not in self._paths:
            raise KeyError(path)
        return read_heatmap(path)[0]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def name_of(self, path: Path, item: Heatmap) -> MapName:
        """Return what the map of a file is called."""
        found = name_of(path.name[: len(path.name) - len(suffixes(path))], item)
        stated = self._names.get(path)
        if stated is None:
            return found
        return MapName(
            stated.method or found.method,
            stated.backbone or found.backbone,
            stated.layer or found.layer,
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
    return _case(
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


def folder_cases(
    paths: Sequence[Path],
    reference: str | Path | None = None,
    foreground: str | Path | None = None,
) -> Iterator[Case]:
    """Yield a case for each folder that holds heatmaps, and one for files given by themselves.

    Parameters
    ----------
    paths
        Heatmap files of one subject; or folders, each a subject or a folder of subjects' folders.
        A folder's name is its subject's.
    reference, foreground
        A file, or a folder with a file for each subject, called as the subject. None takes the
        file called "reference" or "foreground" in the subject's own folder (of files given by
        themselves the one that holds them all), if there is one.

    Raises
    ------
    ReportError
        Where no heatmap is found, a file is missing, or two folders have one name.
    """
    files = [path for path in paths if not path.is_dir()]
    folders = [each for path in paths if path.is_dir() for each in _subject_folders(path)]
    if files and folders:
        raise ReportError("Give heatmap files of one subject, or folders of subjects; not both.")
    _check_names(folders)
    if files:
        missing = next((path for path in files if not path.is_file()), None)
        if missing is not None:
            raise ReportError(f"There is no heatmap file {missing}; check the path.")
        parents = {path.resolve().parent for path in files}
        yield _case_of(
            files, "1", parents.pop() if len(parents) == 1 else None, reference, foreground
        )
    for folder in folders:
        yield _case_of(_heatmaps(folder), folder.resolve().name, folder, reference, foreground)


def _case_of(
    files: Sequence[Path],
    subject: str,
    folder: Path | None,
    reference: str | Path | None,
    foreground: str | Path | None,
) -> Case:
    """Return the case of one subject, what is not given taken from its folder."""
    return _case(
        HeatmapFiles(files),
        subject,
        reference=_for_subject(reference, subject, folder, REFERENCE),
        foreground=_path(_for_subject(foreground, subject, folder, FOREGROUND)),
        image=_background(_path(_for_subject(None, "", folder, IMAGE))),
    )


def _check_names(folders: Sequence[Path]) -> None:
    """Raise where two subjects would be taken for one."""
    names: dict[str, Path] = {}
    for folder in folders:
        path = folder.resolve()
        if path.name in names:
            raise ReportError(
                f"The folders {names[path.name]} and {path} have one name, which is taken for the "
                "subject's; rename one, or give a cohort table."
            )
        names[path.name] = path


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _subject_folders(path: Path) -> list[Path]:
    if _heatmaps(path):
        return [path]
    found = [each for each in sorted(path.iterdir()) if each.is_dir() and _heatmaps(each)]
    if not found:
        raise ReportError(
            f"{path} holds no heatmaps, and no folders with any; give what explain wrote, with the "
            "JSON files beside it."
        )
    return found


def _heatmaps(folder: Path) -> list[Path]:
    """Return the images of a folder that have a record beside them which says heatmap."""
    found = []
    for path in sorted(folder.iterdir()):
        stem = path.name[: len(path.name) - len(suffixes(path))]
        record = folder / f"{stem}.json"
        if suffixes(path) in _IMAGES and record.is_file():
            with record.open(encoding="utf-8", errors="replace") as file:
                text = file.read()
            if '"kind": "heatmap"' in text and '"map"' in text:
                found.append(path)
    return found


def _for_subject(given: str | Path | None, subject: str, folder: Path | None, what: str) -> str:
    """Return the file of one subject, "" where there is none and none was asked for."""
    if given is None:
        return "" if folder is None else str(_called(folder, what) or "")
    if not os.path.isdir(given):
        return str(given)
    found = _called(Path(given), subject)
    if found is None:
        raise ReportError(f"{given} holds no {what} called as the subject, '{subject}.nii.gz'.")
    return str(found)


def _called(folder: Path, name: str) -> Path | None:
    found = [folder / f"{name}{extension}" for extension in _IMAGES]
    return next((path for path in found if path.is_file()), None)


def _case(
    maps: HeatmapFiles,
    subject: str,
    *,
    reference: str = "",
    foreground: Any = None,
    image: Volume | None = None,
    group: str = "",
    class_name: str = "",
) -> Case:
    volume = read_mask(reference, "reference", shares=True) if reference else None
    inside: NDArray[np.bool_] | None = None
    if foreground:
        found = read_mask(str(foreground), "foreground")
        if volume is not None:
            what = f"The foreground {foreground}"
            check_same_place(what, found.grid, "the reference", volume.grid, ReportError, False)
        inside = np.asarray(found.values, dtype=bool)
    return Case(
        maps,
        volume,
        subject=subject,
        group=group,
        class_name=class_name,
        foreground=inside,
        image=image,
    )


def _background(path: Path | None) -> Volume | None:
    """Return the image that happens to lie in a subject's folder, where it is one."""
    try:
        return None if path is None else read_volume(path)
    except NapariCamError:
        return None


def read_mask(text: str, what: str, shares: bool = False) -> Volume:
    """Read a mask as a volume of booleans: "FILE:2" its label 2, "FILE" what is marked in it.

    Of seeds that are their classes, of anything else what is not 0.

    Parameters
    ----------
    text, what
        The file, and what it is called in errors.
    shares
        Whether a file of fractions, such as a probability of each voxel, is returned as it is.

    Raises
    ------
    ReportError
        Where the file holds channels.
    VolumeError
        Where it cannot be read.
    """
    path, label = file_and_label(text)
    if path.is_file() and is_segmentation_file(path):
        image = read_labels(path)
        volume = Volume(image.labels, image.grid)
    else:
        volume = read_volume(path)
    values = np.asarray(volume.values)
    if values.ndim != 3:
        raise ReportError(f"The {what} {path} holds {len(values)} channels; give a mask of one.")
    if shares and label is None and bool((values != np.trunc(values)).any()):
        return replace(volume, values=values.astype(np.float32))
    found = marked(values, stated_kind(path)) if label is None else values == label
    return replace(volume, values=found)
