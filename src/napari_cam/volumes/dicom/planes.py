"""What a DICOM header says of each image in it: place, size, scaling, and what sets it apart.

Classic objects hold one image per file; enhanced ones hold many, each described by "functional
groups" (shared ones and its own); RT Dose and reconstructed nuclear medicine say in their own ways
where their images lie. Here all become planes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.volumes.dicom.attributes import (
    Lookup,
    Numbers,
    first_item,
    joined,
    listed,
    number_of,
    numbers_of,
    plain_text,
    value_of,
)
from napari_cam.volumes.dicom.headers import DicomFile, file_of
from napari_cam.volumes.volume import Window

# What may set images at one place apart, the slowest running first.
_MARKS = {
    "temporal position": (
        "TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset",
    ),
    "b-value": ("DiffusionBValue",),
    "gradient": ("DiffusionGradientOrientation",),
    "cardiac phase": ("NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime"),
    "echo time": ("EffectiveEchoTime", "EchoTime"),
    "inversion time": ("InversionTime",),
    "flip angle": ("FlipAngle",),
    "acquisition": ("FrameAcquisitionNumber", "AcquisitionNumber"),
    "trigger time": ("TriggerTime",),
    "time": (
        "FrameReferenceDateTime", "FrameReferenceTime", "AcquisitionDateTime", "AcquisitionTime",
        "ContentTime",
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plane:
    """One image.

    Attributes
    ----------
    file, frame
        Where it is stored.
    position
        (3,) centre of its first pixel in mm, towards left, posterior and superior; None where the
        file does not place it in a patient.
    orientation
        (2, 3) directions in which columns and rows are counted: along a row, then down a column.
    pixel_spacing
        mm between rows, then between columns; None where not stated.
    step
        Stated distance to the next slice or thickness in mm; None where not stated.
    slope, intercept
        From stored to real values.
    windows
        Presets for display, in real values.
    stack
        The stack that an enhanced object counts it to.
    marks
        What may set it apart from other images at its place; None for what is not stated.
    """

    file: DicomFile
    frame: int
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    pixel_spacing: tuple[float, float] | None
    step: float | None
    slope: float
    intercept: float
    windows: tuple[Window, ...]
    stack: str
    marks: Mapping[str, Any]

    @property
    def placed(self) -> bool:
        """Whether the file says where in a patient the image lies."""
        return self.position is not None and self.orientation is not None

    @property
    def name(self) -> str:
        """How to call it in a message."""
        return self.file.name if self.file.n_frames == 1 else f"{self.file.name} [{self.frame}]"


def planes_of(path: Path, root: Path, dataset: Any) -> list[Plane]:
    """Return the images of a file whose header is `dataset`.

    Parameters
    ----------
    path, root
        The file, and the file or folder that the user named.
    dataset
        The header without pixels.

    Raises
    ------
    VolumeError
        Where a stated number is none, or not possible.
    """
    file = file_of(path, root, dataset)
    places = _stepped_places(dataset, file) or {}
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    planes = []
    for frame in range(file.n_frames):
        lookup = Lookup(own[frame] if frame < len(own) else None, shared, dataset)
        planes.append(_plane(file, frame, lookup, places.get(frame)))
    return planes


def _plane(
    file: DicomFile, frame: int, lookup: Lookup, place: tuple[NDArray[Any], NDArray[Any]] | None
) -> Plane:
    position, orientation = place or _stated_place(lookup)
    return Plane(
        file=file,
        frame=frame,
        position=position,
        orientation=orientation,
        pixel_spacing=_pixel_spacing(lookup),
        step=_step(lookup),
        # A slope of 0 would leave nothing: files that state it mean "none".
        slope=lookup.number("RescaleSlope") or lookup.number("DoseGridScaling") or 1.0,
        intercept=lookup.number("RescaleIntercept") or 0.0,
        windows=_windows(lookup),
        stack=plain_text(lookup.get("StackID")),
        marks=_marks(lookup),
    )


def _stated_place(
    lookup: Lookup,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    position = lookup.numbers("ImagePositionPatient", 3)
    return (
        None if position is None else np.array(position),
        _orientation(lookup.numbers("ImageOrientationPatient", 6)),
    )


def _orientation(numbers: Numbers | None) -> NDArray[np.float64] | None:
    """Return (2, 3) unit vectors; all zeros, as some files state, are none."""
    if numbers is None or not any(numbers):
        return None
    vectors = np.array(numbers).reshape(2, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(vectors[0] @ vectors[1]) > 0.01:
        raise VolumeError(
            f"The directions of its rows and columns {numbers} are not at right angles; "
            "export it again."
        )
    result: NDArray[np.float64] = vectors / lengths[:, None]
    return result


def _stepped_places(
    dataset: Any, file: DicomFile
) -> dict[int, tuple[NDArray[Any], NDArray[Any]]] | None:
    """Return where the frames of RT Dose and of reconstructed nuclear medicine lie.

    DICOM PS3.3 C.8.8.3.2 (offsets along the normal) and C.8.4.15 (a signed step along it).
    """
    if file.n_frames == 1:
        return None
    lookup = Lookup(None, None, dataset)
    offsets: Any = None
    if file.modality == "RTDOSE":
        offsets = lookup.numbers("GridFrameOffsetVector", file.n_frames)
        if offsets and offsets[0] != 0:  # the other form: positions along the patient's axis
            offsets = [offset - offsets[0] for offset in offsets]
    elif file.modality == "NM" and "RECON" in joined(value_of(dataset, "ImageType")):
        lookup = Lookup(None, None, first_item(dataset, "DetectorInformationSequence"))
        step = number_of(value_of(dataset, "SpacingBetweenSlices"), "SpacingBetweenSlices")
        slices = numbers_of(value_of(dataset, "SliceVector"), "SliceVector", file.n_frames)
        if step is not None and slices is not None:
            offsets = [(number - 1) * step for number in slices]
    first, orientation = _stated_place(lookup)
    if offsets is None or first is None or orientation is None:
        return None
    normal = np.cross(orientation[0], orientation[1])
    return {n: (first + offset * normal, orientation) for n, offset in enumerate(offsets)}


def _pixel_spacing(lookup: Lookup) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        sizes = lookup.numbers(keyword, 2)
        if sizes is None:
            continue
        if min(sizes) <= 0:
            raise VolumeError(f"Its pixels measure {sizes} mm, which no pixel does.")
        return sizes[0], sizes[1]
    return _ultrasound_spacing(lookup)


def _ultrasound_spacing(lookup: Lookup) -> tuple[float, float] | None:
    """Return mm between rows and columns where one region in cm (unit 3) covers an ultrasound."""
    regions = lookup.get("SequenceOfUltrasoundRegions") or []
    if len(regions) != 1:
        return None
    region = Lookup(None, None, regions[0])
    units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "YX"]
    rows, columns = (region.number(f"PhysicalDelta{axis}") for axis in "YX")
    if units != [3, 3] or not rows or not columns:
        return None
    return 10 * abs(rows), 10 * abs(columns)


def _step(lookup: Lookup) -> float | None:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        size = lookup.number(keyword)
        if size:
            return abs(size)
    return None


def _windows(lookup: Lookup) -> tuple[Window, ...]:
    centers, widths = (listed(lookup.get(name)) for name in ("WindowCenter", "WindowWidth"))
    names = listed(lookup.get("WindowCenterWidthExplanation"))
    windows = []
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        name = plain_text(names[index]) if index < len(names) else ""
        try:
            middle, size = float(center), float(width)
        except (TypeError, ValueError):
            continue  # a preset is a convenience: a broken one is no reason to refuse the image
        if math.isfinite(middle) and math.isfinite(size) and size > 0:
            windows.append(Window(middle, size, name))
    return tuple(dict.fromkeys(windows))


def _marks(lookup: Lookup) -> dict[str, Any]:
    kind = lookup.kind() + plain_text(lookup.get("ComplexImageComponent"))
    marks: dict[str, Any] = {"kind": kind}
    for mark, keywords in _MARKS.items():
        if mark == "gradient":
            value: Any = lookup.gradient()
        else:
            found = (lookup.get(keyword) for keyword in keywords)
            value = next((each for each in found if each is not None), None)
        known = value is None or isinstance(value, tuple)
        marks[mark] = value if known else _comparable(value)
    return marks


def _comparable(value: Any) -> float | str:
    """Return a number where there is one: times come as text, with any number of digits."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return plain_text(value)
    return number if math.isfinite(number) else plain_text(value)
