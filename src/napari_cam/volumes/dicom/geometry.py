"""Where the slices of a stack lie: sorted along their normal, checked, as one affine.

Positions decide alone. Names, InstanceNumber, SliceLocation and SliceThickness are not asked where
there is more than one slice: they are wrong too often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.volumes.dicom.planes import Plane

# DICOM counts towards left, posterior, superior; this project towards right, anterior, superior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# How far slices may lie off an even spacing, as a share of it, and from which share on it is noted.
_MOST_UNEVEN, _NOTED_UNEVEN = 0.05, 0.01


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a stack of slices lies.

    Attributes
    ----------
    affine
        (4, 4) index (slice, row, column, 1) -> RAS mm.
    notes
        What had to be decided.
    """

    affine: NDArray[np.float64]
    notes: tuple[str, ...]


def normal_of(plane: Plane) -> NDArray[np.float64]:
    """Return (3,) the direction in which slices are counted: across rows and columns."""
    if plane.orientation is None:
        raise VolumeError(f"{plane.name} does not say how it lies in the patient.")
    normal = np.cross(plane.orientation[0], plane.orientation[1])
    result: NDArray[np.float64] = normal / np.linalg.norm(normal)
    return result


def by_position(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return planes sorted along their normal; those at one distance come together.

    Distances that differ by less than a hundredth of a pixel are one.
    """
    normal = normal_of(planes[0])
    tolerance = 0.01 * min(planes[0].pixel_spacing or (1.0, 1.0))
    distances = np.array(
        [plane.position @ normal for plane in planes if plane.position is not None]
    )
    groups: list[list[Plane]] = []
    start = -math.inf
    for index in np.argsort(distances, kind="stable"):
        if distances[index] - start > tolerance:
            groups.append([])
            start = distances[index]
        groups[-1].append(planes[index])
    return groups


def place(slices: Sequence[Plane]) -> Placement:
    """Return where sorted slices lie.

    Parameters
    ----------
    slices
        One plane per distance, sorted by :func:`by_position`.

    Raises
    ------
    VolumeError
        Where the slices are unevenly spaced, or stacked askew (a tilted gantry), so that no
        single affine holds for them. The sentence names the files.
    """
    first = slices[0]
    if first.pixel_spacing is None:
        raise VolumeError(f"{first.name} states no pixel size, so it cannot be placed.")
    notes: list[str] = []
    positions = np.array([plane.position for plane in slices])
    if len(slices) == 1:
        step = normal_of(first) * _stated_step(first, notes)
    else:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        _check_even(slices, positions, notes)
        _check_straight(slices, positions, step)
    return Placement(affine_of(first, positions[0], step), tuple(notes))


def affine_of(
    plane: Plane, origin: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (4, 4) index (slice, row, column, 1) -> RAS mm of slices like `plane`.

    Parameters
    ----------
    plane
        One of them, placed and with the size of its pixels.
    origin, step
        (3,) the place of the first one and the way to the next, towards left, posterior, superior.
    """
    assert plane.orientation is not None and plane.pixel_spacing is not None  # noqa: S101, PT018
    along_row, down_column = plane.orientation
    between_rows, between_columns = plane.pixel_spacing
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = down_column * between_rows
    affine[:3, 2] = along_row * between_columns
    affine[:3, 3] = origin
    result: NDArray[np.float64] = _LPS_TO_RAS @ affine
    return result


def _stated_step(plane: Plane, notes: list[str]) -> float:
    if plane.step is not None:
        notes.append(f"There is one slice; its stated thickness of {plane.step:g} mm is taken.")
        return plane.step
    notes.append("There is one slice and no stated thickness; 1 mm is taken.")
    return 1.0


def _check_even(slices: Sequence[Plane], positions: NDArray[np.float64], notes: list[str]) -> None:
    distances = positions @ normal_of(slices[0])
    gaps = np.diff(distances)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # missing slices only make gaps wider
    even = np.linspace(distances[0], distances[-1], len(slices))
    off = float(np.abs(distances - even).max())
    if off <= _MOST_UNEVEN * usual:
        if off > _NOTED_UNEVEN * usual:
            notes.append(
                f"Slices lie up to {off:.2g} mm off an even spacing of {even[1] - even[0]:.4g} mm."
            )
        return
    odd = int(np.argmax(np.abs(gaps - usual)))
    where = f"{slices[odd].name} and {slices[odd + 1].name}"
    times = gaps[odd] / usual
    wide = int((gaps > 1.5 * usual).sum())
    few = wide == 1 or 2 * wide < len(gaps)
    if few and times > 1.5 and abs(times - round(times)) < 2 * _MOST_UNEVEN:
        raise VolumeError(
            f"Slices seem to be missing between {where}: these lie {gaps[odd]:.4g} mm apart, the "
            f"others {usual:.4g} mm; find the missing files, or leave out those on one side."
        )
    raise VolumeError(
        f"The slices are unevenly spaced: {where} lie {gaps[odd]:.4g} mm apart, others "
        f"{usual:.4g} mm; resample the series to an even spacing first, or leave out files."
    )


def _check_straight(
    slices: Sequence[Plane], positions: NDArray[np.float64], step: NDArray[np.float64]
) -> None:
    """Raise where slices are shifted sideways against each other."""
    first, normal = slices[0], normal_of(slices[0])
    allowed = 0.5 * min(first.pixel_spacing or (1.0, 1.0))
    sideways = positions - positions[0]
    sideways -= (sideways @ normal)[:, None] * normal
    drift = float(np.linalg.norm(sideways[-1]))
    even = np.linspace(0, 1, len(slices))[:, None] * sideways[-1]
    bends = np.linalg.norm(sideways - even, axis=1)
    if bends.max() > allowed:
        worst = slices[int(bends.argmax())].name
        raise VolumeError(
            f"The slices are shifted sideways against each other (most of all {worst}, by "
            f"{bends.max():.3g} mm), so they form no volume; open a part of them."
        )
    if drift > allowed:
        angle = math.degrees(math.asin(drift / (len(slices) - 1) / np.linalg.norm(step)))
        raise VolumeError(
            f"The slices from {first.name} to {slices[-1].name} are stacked askew by {angle:.3g} "
            "degrees, as a tilted CT gantry does; resample the series to a straight grid first."
        )
