"""What a folder of DICOM files holds: stacks of images, and which of them is meant."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.files import Found, find_images, quiet, root_of
from napari_cam.volumes.dicom.geometry import normal_of
from napari_cam.volumes.dicom.planes import Plane, planes_of
from napari_cam.volumes.dicom.stacks import (
    Arrangement,
    arrange,
    only_counted,
    stacks_of,
    without_copies,
)

_PLANE_NAMES = ("sagittal", "coronal", "axial")


# So many series a message lists.
_MOST_LISTED = 8


@dataclass(frozen=True)
class SeriesInfo:
    """One stack of DICOM images that can be read as a volume.

    A series (one run of the scanner) is usually one stack. It is several if its images differ in
    direction or size.

    Attributes
    ----------
    number
        Its position in the listing, from 0, for ``read_volume(path, series=number)``.
    uid
        The series UID, for ``read_volume(path, series=uid)``. It identifies the examination, so do
        not publish it.
    description
        The scanner's free text, such as "t2_tse_sag". It may contain a person's name: show it on
        the screen only.
    modality
        "CT", "MR", ...
    series_number
        The scanner's series number; None if it gives none.
    plane
        The closest of "axial", "coronal" and "sagittal"; None if the images have no position in a
        patient.
    n_slices
        Number of slices.
    size
        Rows and columns.
    spacing
        Distance in mm between slices, rows and columns; None if unknown.
    n_volumes
        Number of volumes at the same place. If more than one, reading needs ``axis4=``.
    apart
        What distinguishes these volumes: "temporal position", "b-value", ...
    problem
        One sentence on why it cannot be read as a volume; None if it can.
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
        """A short description of the stack without personal data."""
        times = f"{self.n_volumes} x " if self.n_volumes > 1 else ""
        kind = f"{self.plane} " if self.plane else ""
        slices = f"{times}{self.n_slices} {kind}{'slice' if self.n_slices == 1 else 'slices'}"
        return f"{self.modality or 'image'}, {slices} of {self.size[0]} x {self.size[1]}"


def dicom_series(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> list[SeriesInfo]:
    """List the volumes that can be read from a folder of DICOM files, or from given files.

    Parameters
    ----------
    path
        The folder, searched with its subfolders, or a file, or several files, which are treated
        like a folder that contains only them.

    Returns
    -------
    list of SeriesInfo
        In the order of series numbers, not of file names. Localizers are listed only if there is
        nothing else.

    Raises
    ------
    VolumeError
        If there is no DICOM image.
    """
    root, files = root_of(path)
    with decoding(root, "DICOM"), quiet():
        stacks, _ = stacks_in(root, files)
        return [_info(number, stack) for number, stack in enumerate(stacks)]


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
