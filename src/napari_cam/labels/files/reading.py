"""Labels back from files: NIfTI, TIFF, 3D Slicer and DICOM segmentations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.files import read_sidecar, suffixes
from napari_cam.grid import Grid
from napari_cam.labels.classes import LabelClasses
from napari_cam.labels.files.label_image import LabelImage, whole_numbers
from napari_cam.labels.files.slicer_seg import read_slicer_seg
from napari_cam.provenance import stamped
from napari_cam.volumes.reading import check_path, read_volume
from napari_cam.volumes.stated_grid import on_stated_grid, stated_grid
from napari_cam.volumes.volume import Volume

_KINDS = ("seeds", "labels", "mask")


def read_labels(path: str | os.PathLike[str], like: Volume | Grid | None = None) -> LabelImage:
    """Read labels written by `export_labels`, `export_dicom_seg` or another program.

    Parameters
    ----------
    path
        A NIfTI, TIFF, PNG or NumPy file, a 3D Slicer ``.nrrd``, or a DICOM segmentation.
    like
        The image that the labels belong to, or its grid. The labels are returned with its axes,
        directions and extent; the voxels must be the same.

    Returns
    -------
    LabelImage
        With classes, if the file or the record next to it names them.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    MaskError
        If it contains no labels, contains overlapping segments, or lies on another grid than
        `like`.
    """
    path = Path(path)
    check_path(path)
    facts = read_sidecar(path)
    if suffixes(path).endswith(".nrrd"):
        stated = _stated_grid(facts)
        patient = stated is None or stated.orientation is not None
        image = read_slicer_seg(path, patient)
        if stated is not None and image.grid.same_as(stated):
            image = replace(image, grid=stated)
        image = replace(image, kind=_kind(facts, image.kind), provenance=stamped(facts))
    elif is_dicom_seg(path):
        from napari_cam.labels.files.dicom.reading import read_dicom_seg

        image = read_dicom_seg(path).labels()
    else:
        image = _of_image(path, facts)
    if like is None:
        return image
    grid = like.grid if isinstance(like, Volume) else like
    try:
        return image.on(grid)
    except MaskError as error:
        raise MaskError(f"{path}: {error}") from error


def is_segmentation_file(path: Path) -> bool:
    """Whether a file holds segments and is no image: of Slicer by its name, of DICOM by content."""
    return suffixes(path).endswith(".nrrd") or is_dicom_seg(path)


def is_dicom_seg(path: Path) -> bool:
    """Whether a file is a DICOM segmentation, told by its content."""
    from napari_cam.volumes.dicom.signature import HEAD_BYTES, is_dicom

    try:
        with path.open("rb") as file:
            if not is_dicom(file.read(HEAD_BYTES)):
                return False
    except OSError:
        return False
    from napari_cam.volumes.dicom.files import is_segmentation

    return is_segmentation(path)


def _of_image(path: Path, facts: Mapping[str, Any]) -> LabelImage:
    volume = on_stated_grid(read_volume(path), _stated_grid(facts))
    if volume.values.ndim != 3:
        raise MaskError(
            f"{path} holds {volume.n_channels} channels, but labels have one; "
            "save the one that is meant."
        )
    try:
        labels = whole_numbers(np.asarray(volume.values))
        classes = LabelClasses.from_json(facts.get("classes") or [])
    except MaskError as error:
        raise MaskError(f"{path}: {error}") from error
    kind = _kind(facts, "labels")
    return LabelImage(labels, classes, volume.grid, kind, stamped(facts), volume.notes)


def stated_kind(path: Path) -> str:
    """Return what the record beside a file says that its labels are; "labels" where nothing."""
    return _kind(read_sidecar(path), "labels")


def _stated_grid(facts: Mapping[str, Any]) -> Grid | None:
    grid = facts.get("grid")
    try:
        return stated_grid(grid) if isinstance(grid, Mapping) else None
    except NapariCamError:
        return None


def _kind(facts: Mapping[str, Any], default: str) -> str:
    kind = facts.get("kind")
    return kind if kind in _KINDS else default
