"""Finding DICOM files and reading their headers, judged by content and not by name."""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_cam.errors import VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.signature import HEAD_BYTES, is_dicom, may_be_dicom

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_DIRECTORY = "1.2.840.10008.1.3.10"
# A deflated header that unfolds into more is taken for an attack or damage.
_MOST_INFLATED = 1 << 30


@dataclass
class Found:
    """What a folder or file holds: image headers, and how many files of other kinds.

    Attributes
    ----------
    headers
        Path and dataset without pixels of every image.
    left_out
        How many files of which kind were left out; the kinds are words for notes.
    first_error
        Why the first damaged file could not be read.
    """

    headers: list[tuple[Path, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    first_error: VolumeError | None = None


_lock = threading.Lock()
_before: list[tuple[bool, int]] = []  # pydicom's settings before the first of several readers


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log messages, which may cite a patient, to itself.

    Its settings hold for the whole process: the last of several readers puts them back.
    """
    logger, settings = logging.getLogger("pydicom"), config.settings
    with _lock:
        _before.append((logger.propagate, settings.reading_validation_mode))
        logger.propagate = False
        settings.reading_validation_mode = config.IGNORE
    try:
        yield
    finally:
        with _lock:
            first = _before[0]
            _before.pop()
            if not _before:
                logger.propagate, settings.reading_validation_mode = first


def root_of(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> tuple[Path, list[Path] | None]:
    """Return the file or folder that is meant, and which files of it; None for all.

    Several files are taken like a folder that holds them alone.

    Raises
    ------
    VolumeError
        Where there is no file at all, or they share no folder.
    """
    if isinstance(path, (str, os.PathLike)):
        return Path(path), None
    files = [Path(os.path.abspath(each)) for each in path]
    if not files:
        raise VolumeError("No file was given; give the files of a DICOM series.")
    if len(files) == 1:
        return files[0], None
    try:
        return Path(os.path.commonpath([file.parent for file in files])), files
    except ValueError as error:
        raise VolumeError(
            "The files lie on different drives; copy them into one folder and give that."
        ) from error


def find_images(path: Path, files: Sequence[Path] | None = None) -> Found:
    """Return the image headers of a DICOM file, or of all files in a folder and its subfolders.

    Parameters
    ----------
    path
        The file or folder.
    files
        Those of the folder that are meant; None for all.

    Raises
    ------
    VolumeError
        Where a single file is damaged, no DICOM or no image.
    """
    found = Found()
    if files is None and not path.is_dir():
        dataset = read_header(path)
        kind = _no_image(dataset)
        if kind is not None:
            raise VolumeError(
                f"{path} is a DICOM object but no image ({kind}); give the images themselves."
            )
        found.headers.append((path, dataset))
        return found
    for file in _files(path) if files is None else sorted(set(files)):
        _take(file, found)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()  # a fixed order, whatever the file system's
        for name in sorted(names):
            file = Path(where, name)
            if file.is_file():  # neither pipes nor devices
                yield file


def _take(file: Path, found: Found) -> None:
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        found.left_out["files that may not be opened"] += 1
        return
    if not is_dicom(head) and not may_be_dicom(head):
        found.left_out["files that are not DICOM"] += 1
        return
    try:
        dataset = read_header(file)
    except VolumeError as error:
        if is_dicom(head):
            found.left_out["damaged DICOM files"] += 1
            found.first_error = found.first_error or error
        else:
            found.left_out["files that are not DICOM"] += 1
        return
    kind = _no_image(dataset)
    if kind is None:
        found.headers.append((file, dataset))
    else:
        found.left_out[kind] += 1


def read_header(path: Path) -> Any:
    """Return the dataset of a DICOM file without its pixels; its transfer syntax is always set.

    Raises
    ------
    VolumeError
        Where the file is damaged or no DICOM.
    """
    with decoding(path, "DICOM"), quiet():
        check_inflated(path)
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        if "SOPClassUID" not in dataset and "Rows" not in dataset:
            raise VolumeError(
                f"{path} is no DICOM image; give a file or folder of the scanner's series."
            )
        state_encoding(dataset)
        return dataset


def is_segmentation(path: Path) -> bool:
    """Whether a DICOM file is a segmentation (SEG)."""
    with decoding(path, "DICOM"), quiet():
        check_inflated(path)
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        return str(dataset.get("SOPClassUID", "")) in SEGMENTATIONS


def check_inflated(path: Path) -> None:
    """Raise where a deflated file unfolds into more than any scan: pydicom unfolds it whole."""
    with path.open("rb") as file:
        head = file.read(1024)
        if not is_dicom(head) or f"{DeflatedExplicitVRLittleEndian}".encode() not in head:
            return
        file.seek(144 + int.from_bytes(head[140:144], "little"))
        inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        chunk = file.read(1 << 16)
        while chunk:
            size += len(inflater.decompress(chunk, 1 << 24))
            chunk = inflater.unconsumed_tail or file.read(1 << 16)
            if size > _MOST_INFLATED:
                raise VolumeError(
                    f"{path} unfolds into more than {_MOST_INFLATED >> 30} GiB, so it is damaged; "
                    "copy or export it again."
                )


def state_encoding(dataset: Any) -> None:
    """Set the transfer syntax of a dataset that does not state it, from how it was written."""
    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _no_image(dataset: Any) -> str | None:
    """Return what an object is that holds no image; None for images."""
    kind = str(dataset.get("SOPClassUID", ""))
    if kind in SEGMENTATIONS:
        return "segmentations"
    if kind == _DIRECTORY or "DirectoryRecordSequence" in dataset:
        return "tables of contents (DICOMDIR)"
    if all(dataset.get(name) for name in ("Rows", "Columns", "BitsAllocated")):
        return None
    return "objects without an image, such as reports, contours or plans"
