"""Reading an image file of any supported family as a Volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import tifffile

from napari_cam.errors import VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.signature import is_dicom, may_be_dicom
from napari_cam.volumes.nifti import read_nifti
from napari_cam.volumes.nifti_header import (
    HEADER_BYTES,
    header_class,
    open_maybe_gzip,
    parse_header,
    stored_shape,
)
from napari_cam.volumes.raster import read_npy, read_picture
from napari_cam.volumes.tiff import read_tiff
from napari_cam.volumes.volume import Volume, check_time

READABLE = (
    "DICOM (a folder or file), NIfTI (.nii, .nii.gz, .hdr with .img), TIFF (.tif, .tiff), PNG, "
    "JPEG or NumPy (.npy)"
)
"""The families of files, for messages."""

_EXTENSIONS = {
    ".nii": "NIfTI", ".nii.gz": "NIfTI", ".hdr": "NIfTI", ".hdr.gz": "NIfTI", ".img": "NIfTI",
    ".img.gz": "NIfTI", ".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG",
    ".jpeg": "JPEG", ".npy": "NumPy", ".dcm": "DICOM",
}  # fmt: skip
_SIGNATURES = {
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"\x93NUMPY": "NumPy",
}  # fmt: skip


def read_volume(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    axis4: Literal["channels", "time"] | None = None,
    time: int = 0,
    spacing: Sequence[float] | None = None,
    channel_names: Sequence[str] | None = None,
    series: str | int | None = None,
) -> Volume:
    """Read an image: DICOM, NIfTI, TIFF, PNG, JPEG or NumPy, recognised by its content.

    Parameters
    ----------
    path
        The file, a folder of DICOM files, or a list of DICOM files, which is treated like a folder
        that contains only them. For arrays in memory use :meth:`Volume.from_array`.
    axis4
        The meaning of an axis beyond space: "channels", or "time", of which one point is read.
        Required for files with such an axis longer than 1; it is never guessed.
    time
        Which time point to read, counted from 0.
    spacing
        Voxel size (z, y, x) in mm, or (y, x) for a single slice, for TIFF, pictures and NumPy
        files; it overrides the file's own. NIfTI files, and DICOM images with a position in a
        patient, always use their own.
    channel_names
        One name per channel, instead of "channel 1", "channel 2", ...
    series
        The series of a DICOM folder to read: its number or UID in :func:`dicom_series`.

    Returns
    -------
    Volume
        The stored voxels with axes (z, y, x) or (c, z, y, x): transposed if needed, never flipped
        or resampled. Its `notes` list the decisions that reading had to make.

    Raises
    ------
    VolumeError
        If the file is missing, damaged or of an unknown kind, if a choice of axes or series is
        needed, or if the DICOM images do not form a volume.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cam as nc
    >>> sample = nc.load_sample_volume()
    >>> path = nc.write_volume("scan.nii.gz", np.asarray(sample.values), like=sample)
    >>> volume = nc.read_volume(path)
    >>> volume.shape, volume.spacing, volume.orientation
    ((22, 96, 128), (2.0, 0.5, 0.5), 'SPL')
    """
    if axis4 not in (None, "channels", "time"):
        raise VolumeError(f'axis4 is "channels" or "time", not {axis4!r}.')
    files: list[Path] | None = None
    if not isinstance(path, (str, os.PathLike)):
        path, files = _root(path)
    path, family = (Path(path), "DICOM") if files else _family(Path(path))
    if family == "DICOM":
        from napari_cam.volumes.dicom.reading import read_dicom  # pydicom takes a while to load

        volume = read_dicom(path, axis4, time, spacing, series, files)
        return replace(volume, channel_names=tuple(channel_names)) if channel_names else volume
    if series is not None:
        raise VolumeError(
            f"{path} is no DICOM, so it holds no series to choose; leave out series=."
        )
    if family == "NIfTI":
        if spacing is not None:
            raise VolumeError(
                f"{path} is a NIfTI file and states its voxel size itself; leave out spacing=."
            )
        volume = read_nifti(path, axis4, time)
    elif family == "TIFF":
        volume = read_tiff(path, axis4, time, spacing)
    else:
        check_time(path, time, n_times=1)
        volume = (read_npy if family == "NumPy" else read_picture)(path, spacing)
    return replace(volume, channel_names=tuple(channel_names)) if channel_names else volume


def _root(paths: Sequence[str | os.PathLike[str]]) -> tuple[Path, list[Path] | None]:
    """Return the folder that several DICOM files share, and these files."""
    from napari_cam.volumes.dicom.files import root_of

    for each in paths:
        check_path(Path(each))
    return root_of(paths)


def _family(path: Path) -> tuple[Path, str]:
    """Return the file to open and which reader takes it, judged by content."""
    check_path(path)
    if path.is_dir():
        return path, "DICOM"
    extension = _extension(path)
    if extension.startswith(".img"):
        path = _header_of(path, extension)
    with decoding(path, "an image"), open_maybe_gzip(path) as file:
        head = file.read(HEADER_BYTES)
    if header_class(head) is not None:
        return path, "NIfTI"
    if is_dicom(head):
        return path, "DICOM"
    for signature, family in _SIGNATURES.items():
        if head.startswith(signature):
            return path, family
    if extension.startswith(".hdr") and head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        raise VolumeError(
            f"{path} is an Analyze 7.5 header, which does not tell left from right; "
            "convert the image to NIfTI first."
        )
    expected = _EXTENSIONS.get(extension)
    if expected in (None, "DICOM") and may_be_dicom(head):
        return path, "DICOM"
    if expected is None:
        raise VolumeError(f"{path} is no image of a known kind; give {READABLE}.")
    raise VolumeError(
        f"{path} is named like a {expected} file, but its content is none; copy or export it again."
    )


def count_times(path: str | os.PathLike[str]) -> int:
    """Return the length of the axis that ``read_volume(..., axis4="time", time=)`` walks along.

    Parameters
    ----------
    path
        An image file; a NIfTI file's ``.hdr``.

    Returns
    -------
    int
        1 where the file has no such axis, or is of a family that knows none.

    Raises
    ------
    VolumeError
        Where the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        return 1
    with decoding(path, "an image"), open_maybe_gzip(path) as file:
        head = file.read(HEADER_BYTES)
    with decoding(path, "an image"):
        if header_class(head) is not None:
            header, _ = parse_header(path, head)
            return max(stored_shape(path, header)[3:], default=1)
        if _SIGNATURES.get(head[:4]) == "TIFF":
            with tifffile.TiffFile(path) as tif:
                series = tif.series[0]
                return int(series.shape[series.axes.index("T")]) if "T" in series.axes else 1
    return 1


def check_path(path: Path) -> None:
    """Raise a :class:`VolumeError` where there is no file or folder, or an empty file."""
    try:
        size = path.stat().st_size
        folder = path.is_dir()
    except FileNotFoundError as error:
        raise VolumeError(f"{path} does not exist; check the name and the folder.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VolumeError(f"{path} cannot be opened ({reason}); check name and rights.") from error
    if size == 0 and not folder:
        raise VolumeError(f"{path} is empty (0 bytes); copy or export it again.")


def _extension(path: Path) -> str:
    name = path.name.lower()
    for double in (".nii.gz", ".hdr.gz", ".img.gz"):
        if name.endswith(double):
            return double
    return path.suffix.lower()


def _header_of(path: Path, extension: str) -> Path:
    """Return the header that belongs to the image of a pair."""
    stem = path.name[: -len(extension)]
    for candidate in (".hdr", ".hdr.gz", ".HDR"):
        header = path.with_name(stem + candidate)
        if header.is_file():
            return header
    raise VolumeError(
        f"{path} is the image of a pair of files, but no header (.hdr) stands beside it; "
        "put both into one folder."
    )
