"""DICOM: a folder, a file, an enhanced object with many images, as one volume."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid, patient_grid
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.files import Found, find_images, quiet, root_of
from napari_cam.volumes.dicom.geometry import normal_of
from napari_cam.volumes.dicom.pixels import check_promises, pixel_notes, read_pixels, windows_of
from napari_cam.volumes.dicom.planes import Plane, planes_of
from napari_cam.volumes.dicom.stacks import (
    Arrangement,
    arrange,
    only_counted,
    stacks_of,
    without_copies,
)
from napari_cam.volumes.volume import Identity, Source, Volume, check_time, zyx_spacing

_COLOURS = ("red", "green", "blue")
_PLANE_NAMES = ("sagittal", "coronal", "axial")
# So many series a message lists.
_MOST_LISTED = 8


@dataclass(frozen=True)
class SeriesInfo:
    """One stack of images that can be read as a volume.

    A series (one run of the scanner) is one stack as a rule; it is more where its images differ
    in direction or size.

    Attributes
    ----------
    number
        Its place in the listing, from 0, for ``read_volume(path, series=number)``.
    uid
        The series UID, for ``read_volume(path, series=uid)``. It identifies the examination: keep
        it to yourself.
    description
        The scanner's free text, such as "t2_tse_sag". It may name somebody: for the screen alone.
    modality
        "CT", "MR", ...
    series_number
        As the scanner counts; None where it does not say.
    plane
        "axial", "coronal" or "sagittal", whichever is closest; None where the images have no place
        in a patient.
    n_slices
        Number of slices.
    size
        Rows and columns.
    spacing
        mm between slices, rows and columns; None where not known.
    n_volumes
        How many volumes lie at one place; more than one need ``axis4=``.
    apart
        What sets these volumes apart: "temporal position", "b-value", ...
    problem
        Why it is no volume, one sentence; None where it is one.
    """

    number: int
    uid: str = field(repr=False)
    description: str = field(repr=False)
    modality: str
    plane: str | None
    n_slices: int
    size: tuple[int, int]
    spacing: tuple[float, float, float] | None
    n_volumes: int = 1
    apart: str = ""
    problem: str | None = None
    series_number: int | None = None

    @property
    def summary(self) -> str:
        """The stack in a few words that name nobody."""
        times = f"{self.n_volumes} x " if self.n_volumes > 1 else ""
        kind = f"{self.plane} " if self.plane else ""
        slices = f"{times}{self.n_slices} {kind}{'slice' if self.n_slices == 1 else 'slices'}"
        return f"{self.modality or 'image'}, {slices} of {self.size[0]} x {self.size[1]}"


def dicom_series(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> list[SeriesInfo]:
    """List what can be read as a volume in a folder of DICOM files, or in one file or several.

    Parameters
    ----------
    path
        The folder, which is searched with its subfolders, or the file. Several files are taken
        like a folder that holds them alone.

    Returns
    -------
    list of SeriesInfo
        In the order of series numbers, never of file names. Localizers are listed only where
        there is nothing else.

    Raises
    ------
    VolumeError
        Where there is no DICOM image.
    """
    root, files = root_of(path)
    with decoding(root, "DICOM"), quiet():
        stacks, _ = stacks_in(root, files)
        return [_info(number, stack) for number, stack in enumerate(stacks)]


def read_dicom(
    path: Path,
    axis4: Literal["channels", "time"] | None = None,
    time: int = 0,
    spacing: Sequence[float] | None = None,
    series: str | int | None = None,
    files: Sequence[Path] | None = None,
) -> Volume:
    """Read a DICOM folder or file.

    Parameters
    ----------
    path
        The folder, which is searched with its subfolders, or the file.
    axis4
        What several volumes at one place are (times, echoes, b-values, ...): "channels", or
        "time" of which one is read.
    time
        Which of them with ``axis4="time"``.
    spacing
        Voxel size (z, y, x) in mm for images that have no place in a patient.
    series
        Which of several series: its number in :func:`dicom_series`, or its UID.
    files
        Those of the folder that are meant; None for all.

    Returns
    -------
    Volume
        (z, y, x), or (c, z, y, x) with channels or colours.

    Raises
    ------
    VolumeError
        Where there is no such series, a choice is needed, or the images form no volume.
    """
    with decoding(path, "DICOM"), quiet():
        stacks, notes = stacks_in(path, files)
        stack = choose_stack(path, stacks, series)
        check_promises(stack)
        arrangement = arrange(stack)
        planes, labels = _choose_axis4(path, arrangement, axis4, time)
        values = read_pixels(planes)
        notes = [*arrangement.notes, *pixel_notes(planes, values), *notes]
        first = arrangement.volumes[0][0]
        if first.file.path == path and len(arrangement.volumes[0]) == 1 and first.placed:
            notes.append("One file was opened; open its folder for all slices of the series.")
        n_slices = len(arrangement.volumes[0])
        values = values.reshape(-1, n_slices, *values.shape[1:])
        grid, order = grid_of(arrangement, values.shape[1:4], spacing, notes)
        if values.ndim == 5:
            channels, labels = np.moveaxis(values[0], -1, 0), _COLOURS
        else:
            channels = values
        voxels = channels.transpose(0, *(axis + 1 for axis in order))
        return Volume(
            values=voxels if len(voxels) > 1 else voxels[0],
            grid=grid,
            stack_axis=order.index(0),
            channel_names=labels if len(voxels) > 1 else (),
            # No one path leads back to some files of a folder.
            source=Source(
                "dicom",
                str(path) if files is None else None,
                order,
                files=tuple(map(str, files or ())),
            ),
            identity=Identity(first.file.series[0] or None, first.file.series[2] or None),
            notes=tuple(notes),
            windows=windows_of(first),
        )


def stacks_in(path: Path, files: Sequence[Path] | None) -> tuple[list[list[Plane]], list[str]]:
    """Return the stacks in a folder or file, and notes on what was left out."""
    found = find_images(path, files)
    planes: list[Plane] = []
    for file, dataset in found.headers:
        try:
            with decoding(file, "DICOM"):
                planes += planes_of(file, path, dataset)
        except VolumeError as error:
            if file == path:
                raise
            found.left_out["damaged DICOM files"] += 1
            found.first_error = found.first_error or error
    if not planes:
        raise _nothing(path, found, files)
    planes, n_copies = without_copies(planes)
    found.left_out["copies of other files"] += n_copies
    images = [plane for plane in planes if not plane.file.scout]
    if images:
        scouts = {plane.file for plane in planes if plane.file.scout}
        found.left_out["localizers (scouts)"] += len(scouts)
    return stacks_of(images or planes), _left_out(found.left_out)


def _nothing(path: Path, found: Found, files: Sequence[Path] | None) -> VolumeError:
    kinds = ", ".join(f"{kind} ({n})" for kind, n in found.left_out.items())
    damage = f"; the first damage: {found.first_error}" if found.first_error else "."
    if files is not None:
        return VolumeError(
            f"The {len(files)} files of {path} hold no DICOM image ({kinds}); "
            f"give those of a DICOM series{damage}"
        )
    return VolumeError(
        f"{path} is a folder without DICOM images (it holds {kinds or 'nothing'}); "
        f"give the folder of a DICOM series, or an image file{damage}"
    )


def _left_out(counted: Counter[str]) -> list[str]:
    listed = ", ".join(f"{kind} ({n})" for kind, n in counted.items() if n)
    return [f"Left out: {listed}."] if listed else []


def _info(number: int, stack: list[Plane]) -> SeriesInfo:
    problem, arrangement = None, Arrangement((tuple(stack),), None)
    try:
        arrangement = arrange(stack)
    except VolumeError as error:
        problem = str(error)
    else:
        counted = only_counted(arrangement)
        problem = f"{counted}; open one of the files." if counted else None
    first, placement = stack[0], arrangement.placement
    spacing = None
    if placement is not None:
        sizes = np.linalg.norm(placement.affine[:3, :3], axis=0).tolist()
        spacing = (sizes[0], sizes[1], sizes[2])
    plane = None
    if first.placed:
        plane = _PLANE_NAMES[int(np.abs(normal_of(first)).argmax())]
    return SeriesInfo(
        number=number,
        uid=first.file.series[2],
        description=first.file.description,
        modality=first.file.modality,
        plane=plane,
        n_slices=len(arrangement.volumes[0]),
        size=(first.file.rows, first.file.columns),
        spacing=spacing,
        n_volumes=len(arrangement.volumes),
        apart=arrangement.apart,
        problem=problem,
        series_number=first.file.series_number,
    )


def choose_stack(path: Path, stacks: list[list[Plane]], series: str | int | None) -> list[Plane]:
    """Return the stack that is meant.

    Raises
    ------
    VolumeError
        Where there is none, or several to choose from.
    """
    infos = [_info(number, stack) for number, stack in enumerate(stacks)]
    if isinstance(series, int):
        infos = [info for info in infos if info.number == series]
    elif series is not None:
        infos = [info for info in infos if info.uid == series]
    if not infos:
        raise VolumeError(
            f"{path} holds no series {series!r}; give a number from 0 to {len(stacks) - 1}, "
            "or a UID as nc.dicom_series lists them."
        )
    if len(infos) == 1:
        return stacks[infos[0].number]
    listed = "; ".join(f"{info.number}: {info.summary}" for info in infos[:_MOST_LISTED])
    more = len(infos) - _MOST_LISTED
    raise VolumeError(
        f"{path} holds {len(infos)} stacks of images; choose one with series=NUMBER "
        f"({listed}{f'; and {more} more' if more > 0 else ''})."
    )


def _choose_axis4(
    path: Path, arrangement: Arrangement, axis4: str | None, time: int
) -> tuple[list[Plane], tuple[str, ...]]:
    """Return the planes to read, volume after volume, and a name for each volume."""
    volumes = arrangement.volumes
    n = len(volumes)
    if n > 1 and axis4 is None and (counted := only_counted(arrangement)):
        raise VolumeError(
            f"{path}: {counted}; open one of the files (in Python, axis4= reads them all)."
        )
    if n > 1 and axis4 is None:
        raise VolumeError(
            f"{path} holds {n} volumes at one place, which differ in {arrangement.apart}; say what "
            f'they are with axis4="channels" or axis4="time" (and time=0 to {n - 1}).'
        )
    if n > 1 and axis4 == "channels":
        if volumes[0][0].file.colour:
            raise VolumeError(f'{path} holds colours over time; use axis4="time".')
        return [plane for volume in volumes for plane in volume], arrangement.labels
    check_time(path, time, n)
    return list(volumes[time]), ()


def grid_of(
    arrangement: Arrangement,
    shape: tuple[int, ...],
    spacing: Sequence[float] | None,
    notes: list[str],
) -> tuple[Grid, tuple[int, int, int]]:
    """Return the grid, and which of (slices, rows, columns) each of (z, y, x) comes from."""
    z, y, x = shape
    if arrangement.placement is not None:
        if spacing is not None:
            raise VolumeError("These images state their voxel size themselves; leave out spacing=.")
        return patient_grid(arrangement.placement.affine, (z, y, x))
    in_order = (0, 1, 2)
    if spacing is not None:
        return Grid.plain((z, y, x), zyx_spacing(spacing, (z, y, x)), "mm"), in_order
    first = arrangement.volumes[0][0]
    if z > 1:
        notes.append(f"The {z} images of the file are taken as slices, in stored order.")
    if first.pixel_spacing is None:
        notes.append("The file states neither a voxel size nor a place in a patient.")
        return Grid.plain((z, y, x)), in_order
    notes.append("The file states the size of pixels, but no place in a patient.")
    if z > 1 and first.step is None:
        notes.append("The distance between slices is not stated; 1 mm is taken.")
    return Grid.plain((z, y, x), (first.step or 1.0, *first.pixel_spacing), "mm"), in_order
