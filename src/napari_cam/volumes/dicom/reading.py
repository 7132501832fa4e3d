"""DICOM: a folder, a file, an enhanced object with many images, as one volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid, patient_grid
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.files import quiet
from napari_cam.volumes.dicom.pixels import check_promises, pixel_notes, read_pixels, windows_of
from napari_cam.volumes.dicom.planes import Plane
from napari_cam.volumes.dicom.series import choose_stack, stacks_in
from napari_cam.volumes.dicom.stacks import (
    Arrangement,
    arrange,
    only_counted,
)
from napari_cam.volumes.volume import Identity, Source, Volume, check_time, zyx_spacing

_COLOURS = ("red", "green", "blue")


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
        Which of several series: its number in
        :func:`~napari_cam.volumes.dicom.series.dicom_series`, or its UID.
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
