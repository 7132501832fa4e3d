"""Which images form a volume together: series, the stacks in them, and volumes at one place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.volumes.dicom.geometry import Placement, by_position, place
from napari_cam.volumes.dicom.headers import DicomFile
from napari_cam.volumes.dicom.planes import Plane

# Directions that differ by less are the same, and so are pixel sizes by this share.
_SAME_DIRECTION, _SAME_SIZE = 1e-3, 1e-3
# More parts than this are no stacks that somebody would choose from.
_MOST_PARTS = 10


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A stack in order.

    Attributes
    ----------
    volumes
        One or more volumes of as many planes each, sorted along the slice axis.
    placement
        Where they lie; None where the files do not say.
    apart
        What sets the volumes apart, in words; empty for a single one.
    labels
        A name for each volume; empty where nothing short tells them apart.
    notes
        What had to be decided.
    """

    volumes: tuple[tuple[Plane, ...], ...]
    placement: Placement | None
    apart: str = ""
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def without_copies(planes: Sequence[Plane]) -> tuple[list[Plane], int]:
    """Return planes without those of files that are copies of another, and how many files were.

    A copy has the same object UID and the same bytes.
    """
    by_uid: dict[str, list[DicomFile]] = defaultdict(list)
    for file in dict.fromkeys(plane.file for plane in planes):
        by_uid[file.object_uid].append(file)
    copies = set()
    for files in by_uid.values():
        seen = set()
        for file in files if len(files) > 1 else ():
            with file.path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").digest()
            if digest in seen:
                copies.add(file)
            seen.add(digest)
    return [plane for plane in planes if plane.file not in copies], len(copies)


def stacks_of(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return the stacks that planes form, in a fixed order that no file name decides.

    Images of different series, size, kind, patient coordinates, direction or pixel size never
    share a stack. Images that no file places in a patient form one stack per file.
    """
    stacks = []
    for series in _grouped(planes, lambda plane: plane.file.series):
        for alike in _grouped(series, _kind):
            if alike[0].placed:
                for parallel in _clustered(alike):
                    stacks += _parts(parallel)
            else:
                stacks.append(alike)
    return sorted(stacks, key=_rank)


def _kind(plane: Plane) -> Hashable:
    """Return what planes of one stack have in common."""
    file = plane.file
    size, values = (file.rows, file.columns), (file.colour, file.lut)
    key = (plane.placed, size, values, file.frame_of_reference, plane.stack)
    return key if plane.placed else (*key, file.path)


def _rank(stack: Sequence[Plane]) -> Any:
    """Return by what stacks are listed: series number and UID, then the larger one first."""
    file = stack[0].file
    direction = () if stack[0].orientation is None else tuple(-stack[0].orientation.ravel())
    number = file.series_number
    instance = min(plane.file.instance_number or 0 for plane in stack)
    return (number is None, number or 0, file.series, -len(stack), instance, direction, file.name)


def _grouped(planes: Iterable[Plane], key: Callable[[Plane], Any]) -> list[list[Plane]]:
    groups: dict[Any, list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[key(plane)].append(plane)
    return list(groups.values())


def _clustered(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Return planes grouped by direction and pixel size, as far as rounding tells them apart."""
    clusters: list[tuple[NDArray[np.float64], list[Plane]]] = []
    for plane in planes:
        sizes = np.log(plane.pixel_spacing or (1.0, 1.0)) * (_SAME_DIRECTION / _SAME_SIZE)
        assert plane.orientation is not None  # noqa: S101 - placed planes have one
        features = np.concatenate([plane.orientation.ravel(), sizes])
        for center, members in clusters:
            if np.abs(features - center).max() <= _SAME_DIRECTION:
                members.append(plane)
                break
        else:
            clusters.append((features, [plane]))
    return [members for _, members in clusters]


def _parts(planes: list[Plane]) -> list[list[Plane]]:
    """Return the stacks within parallel planes: split where one mark sets clean stacks apart.

    So two acquisitions over different lengths of the body, saved as one series, become two.
    """
    if len({len(group) for group in by_position(planes)}) == 1:
        return [planes]
    for mark in planes[0].marks:
        parts = _grouped(planes, partial(_key, marks=[mark]))
        if 1 < len(parts) <= _MOST_PARTS and all(map(_is_clean, parts)):
            return parts
    return [planes]


def _is_clean(planes: list[Plane]) -> bool:
    groups = by_position(planes)
    if len(groups) < 2 or any(len(group) > 1 for group in groups):
        return False
    try:
        place([group[0] for group in groups])
    except VolumeError:
        return False
    return True


def arrange(stack: Sequence[Plane]) -> Arrangement:
    """Return a stack's planes in order, with their place.

    Raises
    ------
    VolumeError
        Where they form no volume: unevenly spaced, askew, several at one place without anything
        that orders them. The sentence names the files.
    """
    for plane in stack:
        if plane.file.complaint:
            raise VolumeError(f"{plane.file.name} cannot be read: {plane.file.complaint}.")
    if not stack[0].placed:
        return Arrangement((tuple(stack),), None)
    groups = by_position(stack)
    n = len(groups[0])
    if any(len(group) != n for group in groups):
        raise VolumeError(_unequal(groups))
    if n == 1:
        slices = tuple(group[0] for group in groups)
        placement = place(slices)
        return Arrangement((slices,), placement, notes=placement.notes)
    ordered = _ordered(groups)
    placement = place(ordered.volumes[0])
    for volume in ordered.volumes[1:]:
        _check_same_place(ordered.volumes[0], volume)
    return Arrangement(
        ordered.volumes,
        placement,
        ordered.apart,
        ordered.labels,
        (*placement.notes, *ordered.notes),
    )


def only_counted(arrangement: Arrangement) -> str | None:
    """Return why images at a single place are no volumes in time; None where they are some.

    Time, echo, b-value and the like make a series of one slice; a mere count of acquisitions does
    not: so scanners store shots that watch for a contrast agent.
    """
    planes = [volume[0] for volume in arrangement.volumes]
    if len(planes) == 1 or len(arrangement.volumes[0]) > 1:
        return None
    for mark in planes[0].marks:
        if mark != "acquisition" and len({_key(plane, [mark]) for plane in planes}) > 1:
            return None
    listed = _names(sorted(planes, key=lambda plane: plane.name))
    return (
        f"{len(planes)} images lie at one place ({listed}) and nothing but their numbers "
        "sets them apart, so they form no volume"
    )


def _unequal(groups: Sequence[Sequence[Plane]]) -> str:
    counts = sorted({len(group) for group in groups})
    most = next(group for group in groups if len(group) == counts[-1])
    fewest = next(group for group in groups if len(group) == counts[0])
    return (
        f"At some places lie {counts[-1]} images ({_names(most)}), at others {counts[0]} "
        f"({_names(fewest)}), so they form no volume; leave out those that are too many, "
        "or find the missing ones."
    )


def _names(planes: Sequence[Plane], most: int = 3) -> str:
    names = ", ".join(plane.name for plane in planes[:most])
    return names + (", ..." if len(planes) > most else "")


def _check_same_place(one: Sequence[Plane], other: Sequence[Plane]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.position is not None and b.position is not None  # noqa: S101, PT018
        distance = float(np.linalg.norm(a.position - b.position))
        if distance > 0.5 * min(a.pixel_spacing or (1.0, 1.0)):
            raise VolumeError(
                f"{a.name} and {b.name} lie side by side, {distance:.3g} mm apart in one plane, "
                "so they form no volume; open a part of them."
            )


def _ordered(groups: Sequence[Sequence[Plane]]) -> Arrangement:
    """Return the volumes that lie at one place, in the order of what sets them apart."""
    marks = [mark for mark in groups[0][0].marks if _runs_alike(groups, mark)]
    keys = marks + [m for m in groups[0][0].marks if m not in marks and _varies(groups, m)]
    for n in range(1, len(keys) + 1):
        if _tells_apart(groups, keys[:n]):
            return _sorted(groups, partial(_key, marks=keys[:n]), keys[:n])
    if all(len(set(map(_stored_order, group))) == len(group) for group in groups):
        result = _sorted(groups, _stored_order, [])
        note = "Nothing but their numbers says in which order the volumes at one place come."
        return Arrangement(result.volumes, None, "their numbers alone", (), (note,))
    raise VolumeError(
        f"{len(groups[0])} images lie at one place ({_names(groups[0])}) and nothing sets them "
        "apart; leave out those that are too many."
    )


def _stored_order(plane: Plane) -> tuple[int, int]:
    """Return InstanceNumber and frame, which order what nothing else does."""
    return plane.file.instance_number or 0, plane.frame


def _runs_alike(groups: Sequence[Sequence[Plane]], mark: str) -> bool:
    """Whether a mark takes the same values, more than one, at every place."""
    values = [sorted(_key(plane, [mark]) for plane in group) for group in groups]
    return all(each == values[0] for each in values) and values[0][0] != values[0][-1]


def _varies(groups: Sequence[Sequence[Plane]], mark: str) -> bool:
    return any(len({_key(plane, [mark]) for plane in group}) > 1 for group in groups)


def _tells_apart(groups: Sequence[Sequence[Plane]], marks: Sequence[str]) -> bool:
    return all(len({_key(plane, marks) for plane in group}) == len(group) for group in groups)


def _key(plane: Plane, marks: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Return the values of marks in a form that can be sorted, whatever their types."""
    values = [plane.marks.get(mark) for mark in marks]
    return tuple((type(value).__name__, "" if value is None else value) for value in values)


def _sorted(
    groups: Sequence[Sequence[Plane]], key: Callable[[Plane], Any], marks: Sequence[str]
) -> Arrangement:
    columns = [sorted(group, key=key) for group in groups]
    volumes = tuple(zip(*columns, strict=True))
    labels: tuple[str, ...] = ()
    if len(marks) == 1 and all(isinstance(v[0].marks.get(marks[0]), float) for v in volumes):
        labels = tuple(f"{marks[0]} {volume[0].marks[marks[0]]:g}" for volume in volumes)
    return Arrangement(volumes, None, " and ".join(marks), labels)
