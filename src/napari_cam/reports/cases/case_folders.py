"""Cases from folders, each a subject with its heatmaps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_cam.errors import NapariCamError, ReportError
from napari_cam.files import suffixes
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.case_files import HeatmapFiles, case_of_files
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume

REFERENCE, FOREGROUND, IMAGE = "reference", "foreground", "image"
_IMAGES = (".nii", ".nii.gz", ".tif", ".tiff", ".ome.tif", ".ome.tiff")


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
    return case_of_files(
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


def _background(path: Path | None) -> Volume | None:
    """Return the image that happens to lie in a subject's folder, where it is one."""
    try:
        return None if path is None else read_volume(path)
    except NapariCamError:
        return None
