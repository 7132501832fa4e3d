"""DICOM files made for tests, by the standard's own formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

PREFIX = "1.2.826.0.1.3680043.8.498."
SERIES = PREFIX + "7"
PATIENT = "Doe^Jane"
AXIAL = (1.0, 0, 0, 0, 1, 0)
CT, SECONDARY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"

_count = iter(range(1, 10**9))


def new_uid() -> str:
    return f"{PREFIX}9.{next(_count)}"


def header(**attributes: Any) -> FileDataset:
    """Return an image header without pixels or place; `attributes` are set, None taken out."""
    meta = FileMetaDataset()
    syntax = UID(attributes.pop("transfer_syntax", ExplicitVRLittleEndian))
    meta.TransferSyntaxUID = syntax
    encoding = (syntax.is_implicit_VR, syntax.is_little_endian)
    dataset = FileDataset("", {}, b"\0" * 128, meta, *encoding)
    stated: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": new_uid(),
        "SeriesInstanceUID": SERIES,
        "StudyInstanceUID": PREFIX + "3",
        "PatientID": "X-4711",
        "PatientName": PATIENT,
        "Modality": "CT",
        "SeriesNumber": 2,
        "InstanceNumber": 1,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        **attributes,
    }
    for keyword, value in stated.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def add_pixels(dataset: Dataset, pixels: NDArray[Any], frames: Sequence[bytes] = ()) -> None:
    """Add pixels (y, x), (y, x, 3) or (frames, ...), or `frames`, the same compressed."""
    colour = pixels.shape[-1] == 3 and dataset.SamplesPerPixel == 3
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    bits = 8 * pixels.dtype.itemsize
    for keyword, value in {
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }.items():
        if keyword not in dataset:
            setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    if colour:
        dataset.PlanarConfiguration = 0
    if frames:
        dataset.PixelData = encapsulate(list(frames))
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    else:
        content = pixels.tobytes()
        dataset.PixelData = content + b"\0" * (len(content) % 2)
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"


def save(path: Path, dataset: FileDataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write(
    path: Path,
    pixels: NDArray[Any],
    position: Sequence[float] | None = (0.0, 0.0, 0.0),
    orientation: Sequence[float] | None = AXIAL,
    pixel_spacing: Sequence[float] | None = (0.5, 0.75),
    frames: Sequence[bytes] = (),
    **attributes: Any,
) -> Path:
    """Write one image; `pixel_spacing` is between rows, then between columns."""
    dataset = header(**attributes)
    for keyword, numbers in {
        "ImagePositionPatient": position,
        "ImageOrientationPatient": orientation,
        "PixelSpacing": pixel_spacing,
    }.items():
        if numbers is not None:
            # Decimal strings hold 16 letters.
            setattr(dataset, keyword, [float(f"{number:.9g}") for number in numbers])
    add_pixels(dataset, pixels, frames)
    return save(path, dataset)


def code(world: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a value that says where a voxel lies: distinct for points (R, A, S) of a lattice."""
    return np.rint(3000 + world @ [29.0, 3.1, 307.0]).astype(np.int64)


def coded_slice(
    shape: tuple[int, int],
    position: Sequence[float],
    orientation: Sequence[float],
    pixel_spacing: Sequence[float],
    encode: Callable[[NDArray[np.float64]], NDArray[np.int64]] = code,
) -> NDArray[np.int64]:
    """Return pixels whose values say where they lie, by DICOM PS3.3 C.7.6.2.1.1."""
    row, column = np.indices(shape)
    along_row, down_column = np.array(orientation[:3]), np.array(orientation[3:])
    left_posterior_superior = (
        np.array(position)
        + (column * pixel_spacing[1])[..., None] * along_row
        + (row * pixel_spacing[0])[..., None] * down_column
    )
    return encode(left_posterior_superior * [-1, -1, 1])


def write_stack(
    folder: Path,
    n_slices: int = 4,
    shape: tuple[int, int] = (5, 7),
    origin: Sequence[float] = (-11.0, 23.0, 40.0),
    orientation: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (0.5, 0.75),
    step: float = 2.5,
    **attributes: Any,
) -> list[Path]:
    """Write slices whose values say where they lie, along the normal; names do not follow it."""
    normal = np.cross(orientation[:3], orientation[3:])
    names = np.random.default_rng(n_slices).permutation(n_slices)
    paths = []
    for index in range(n_slices):
        position = np.array(origin) + index * step * normal
        pixels = coded_slice(shape, position, orientation, pixel_spacing).astype(np.uint16)
        path = folder / f"{names[index]:03}.dcm"
        paths.append(write(path, pixels, position, orientation, pixel_spacing, **attributes))
    return paths


def enhanced(
    pixels: NDArray[Any],
    positions: Sequence[Sequence[float]],
    orientation: Sequence[float] = AXIAL,
    pixel_spacing: Sequence[float] = (0.5, 0.75),
    own: Sequence[dict[str, Any]] | None = None,
    shared: dict[str, Any] | None = None,
    **attributes: Any,
) -> FileDataset:
    """Return an enhanced MR object; `own` and `shared` map macro names to their attributes."""
    attributes = {"SOPClassUID": ENHANCED_MR, "Modality": "MR", **attributes}
    dataset = header(NumberOfFrames=len(positions), **attributes)
    measures = {"PixelSpacing": list(pixel_spacing), "SliceThickness": 9}
    dataset.SharedFunctionalGroupsSequence = Items(
        [
            _group(
                {
                    "PixelMeasuresSequence": measures,
                    "PlaneOrientationSequence": {"ImageOrientationPatient": list(orientation)},
                    **(shared or {}),
                }
            )
        ]
    )
    groups = []
    for index, position in enumerate(positions):
        place = {"ImagePositionPatient": [float(f"{number:.9g}") for number in position]}
        groups.append(_group({"PlanePositionSequence": place, **(own[index] if own else {})}))
    dataset.PerFrameFunctionalGroupsSequence = Items(groups)
    add_pixels(dataset, pixels)
    return dataset


def _group(macros: dict[str, Any]) -> Dataset:
    group = Dataset()
    for name, attributes in macros.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(group, name, Items([item]))
    return group
