"""Which stored DICOM images a volume is made of, slice by slice: for results that refer to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.files import quiet, read_header, root_of
from napari_cam.volumes.dicom.planes import Plane
from napari_cam.volumes.dicom.reading import grid_of
from napari_cam.volumes.dicom.series import choose_stack, stacks_in
from napari_cam.volumes.dicom.stacks import Arrangement, arrange
from napari_cam.volumes.volume import Volume, check_time

DicomPath = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class DicomSources:
    """The images of a volume.

    Attributes
    ----------
    planes
        One image for each slice, in the order of the volume's slices.
    headers
        The dataset without pixels of every file, in the order of the slices.
    grid
        Where the volume lies.
    stored_axes
        Which of (slices, rows, columns) each of (z, y, x) comes from.
    """

    planes: tuple[Plane, ...]
    headers: tuple[Any, ...]
    grid: Grid
    stored_axes: tuple[int, int, int]


def dicom_sources(
    source: DicomPath | Volume, series: str | int | None = None, time: int = 0
) -> DicomSources:
    """Return the stored images that a volume is made of.

    Parameters
    ----------
    source
        A folder of DICOM files, a file or several, or the volume that was read from them.
    series
        Which of several series; a volume says so itself.
    time
        Which of several volumes at one place.

    Raises
    ------
    VolumeError
        Where they cannot be read, form no volume, or are not found any more.
    """
    paths, grid = (source, None) if not isinstance(source, Volume) else _of_volume(source)
    path, files = root_of(paths)
    uid = source.identity.series if isinstance(source, Volume) else None
    with decoding(path, "DICOM"), quiet():
        stacks, _ = stacks_in(path, files)
        stack = choose_stack(path, stacks, series) if grid is None else None
        candidates = stacks if stack is None else [stack]
        for each in candidates:
            if uid and each[0].file.series[2] != uid:
                continue
            try:
                arrangement = arrange(each)
                check_time(path, time, len(arrangement.volumes))
                found, order = _placed(arrangement)
            except VolumeError:
                if stack is not None:
                    raise
                continue
            if grid is None or found.same_as(grid):
                planes = arrangement.volumes[time]
                return DicomSources(planes, _headers(planes), found, order)
    raise VolumeError(
        f"{path} holds no images where the volume lies; give the folder that it was read from."
    )


def _of_volume(volume: Volume) -> tuple[DicomPath, Grid]:
    source = volume.source
    if source.format != "dicom" or not (source.path or source.files):
        raise VolumeError(
            "The volume was not read from DICOM files; give the folder of the series it is of."
        )
    return source.files or source.path or "", volume.grid


def _placed(arrangement: Arrangement) -> tuple[Grid, tuple[int, int, int]]:
    first = arrangement.volumes[0][0]
    if arrangement.placement is None:
        raise VolumeError(
            "The images do not say where in a patient they lie, so nothing can be placed on them."
        )
    shape = (len(arrangement.volumes[0]), first.file.rows, first.file.columns)
    return grid_of(arrangement, shape, None, [])


def _headers(planes: Sequence[Plane]) -> tuple[Any, ...]:
    paths: dict[Path, None] = dict.fromkeys(plane.file.path for plane in planes)
    return tuple(read_header(path) for path in paths)
