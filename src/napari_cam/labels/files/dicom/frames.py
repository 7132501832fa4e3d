"""Frames of a DICOM segmentation: the segment that each shows, and the slice that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid, patient_grid
from napari_cam.volumes.dicom.attributes import first_item, value_of
from napari_cam.volumes.dicom.geometry import affine_of, by_position, normal_of
from napari_cam.volumes.dicom.planes import Plane

# How far frames may lie off an even spacing, as a share of it.
_MOST_UNEVEN = 0.05
# A segmentation that spans more slices than this is taken for damaged.
_MOST_SLICES = 1 << 14


@dataclass(frozen=True, eq=False)
class Frame:
    """A stored image, its place among the slices, and its segment (None: a map of all)."""

    plane: Plane
    slice: int
    segment: int | None


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices from the first to the last frame, and how (z, y, x) comes from them."""

    shape: tuple[int, int, int]
    grid: Grid
    order: tuple[int, int, int]


def segment_numbers(dataset: Any, n: int) -> list[int]:
    """Return the segment of every frame."""
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    found = []
    for frame in range(n):
        number = None
        for group in (own[frame] if frame < len(own) else None, shared):
            item = first_item(group, "SegmentIdentificationSequence")
            number = number if number is not None else value_of(item, "ReferencedSegmentNumber")
        found.append(1 if number is None else int(number))
    return found


def stacked(path: Path, planes: Sequence[Plane]) -> tuple[Stack, dict[int, int]]:
    """Return the slices that frames lie in, and the slice of each frame by its number.

    Slices between them that hold no frame are empty: other programs leave those out.
    """
    first = planes[0]
    directions = np.array([plane.orientation for plane in planes])
    if np.abs(directions - directions[0]).max() > 1e-3:
        raise VolumeError(f"The frames of {path} lie in several directions; split it first.")
    groups = by_position(planes)
    normal = normal_of(first)
    positions = np.array([group[0].position for group in groups])
    distances = positions @ normal
    gaps = np.diff(distances)
    step = float(gaps.min()) if len(gaps) else (first.step or 1.0)
    if first.step and len(gaps) and _even(distances, first.step):
        step = first.step
    if not _even(distances, step):
        raise VolumeError(
            f"The frames of {path} are unevenly spaced, so they form no volume; "
            "resample it to an even spacing first."
        )
    places = np.rint((distances - distances[0]) / step).astype(int).tolist()
    if places[-1] >= _MOST_SLICES:
        raise VolumeError(f"The frames of {path} lie too far apart for one volume.")
    if len(gaps):  # the exact way from slice to slice, where the stated one is rounded
        step = float(distances[-1] - distances[0]) / places[-1]
    shape = (places[-1] + 1, first.file.rows, first.file.columns)
    grid, order = patient_grid(affine_of(first, positions[0], normal * step), shape)
    slices = {
        plane.frame: place for group, place in zip(groups, places, strict=True) for plane in group
    }
    return Stack(shape, grid, order), slices


def _even(distances: NDArray[np.float64], step: float) -> bool:
    """Whether distances are whole multiples of a step apart."""
    counts = (distances - distances[0]) / step
    steps = np.rint(counts)
    return bool((np.abs(counts - steps) <= _MOST_UNEVEN).all() and (np.diff(steps) > 0).all())
