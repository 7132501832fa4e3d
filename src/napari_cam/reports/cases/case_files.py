"""A case from files: heatmaps that are read on access, masks that are read with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.files import suffixes
from napari_cam.grid import check_same_place
from napari_cam.heatmap import Heatmap
from napari_cam.labels.files.label_image import marked
from napari_cam.labels.files.reading import is_segmentation_file, read_labels, stated_kind
from napari_cam.names import file_and_label
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.map_names import MapName, name_of
from napari_cam.volumes.heatmap_files import read_heatmap
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume


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


def case_of_files(
    maps: HeatmapFiles,
    subject: str,
    *,
    reference: str = "",
    foreground: Any = None,
    image: Volume | None = None,
    group: str = "",
    class_name: str = "",
) -> Case:
    """Return the case of heatmap files, with the masks that files name ("" and None for none).

    Raises
    ------
    ReportError
        Where the foreground lies at another place than the reference.
    VolumeError
        Where a file cannot be read.
    """
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
