"""What a DICOM header says of a file as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cam.errors import VolumeError
from napari_cam.volumes.dicom.attributes import joined, number_of, plain_text, value_of

_SCOUTS = ("LOCALIZER", "SCOUT", "TOPOGRAM")
_MOST_FRAMES = 1 << 17
_PHOTOMETRIC = (
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT",
    "YBR_RCT",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DicomFile:
    """What holds for all images of one file.

    Attributes
    ----------
    path, name
        Where it lies, and the same seen from the folder that is read, for messages.
    series
        Whose and which series it belongs to: patient, study and series UID.
    series_number, instance_number
        As stated; None where absent.
    description
        The series description: free text, for the terminal alone.
    modality
        "CT", "MR", ...; empty where absent.
    frame_of_reference
        The UID of the patient coordinates that positions refer to.
    object_uid
        The object's own UID.
    rows, columns, samples, n_frames
        Size of the pixel data.
    bits_allocated, bits_stored, signed, real
        How values are stored; `real` for floating point.
    photometric
        What values mean as light or colour, as stated.
    inverted
        Whether the smallest value is white (MONOCHROME1).
    colour
        Whether pixels have three channels, stored so or by a palette.
    padding
        The stored value that fills what was not scanned.
    lut
        Whether a table in place of slope and intercept gives the values.
    transfer_syntax
        How pixels are encoded.
    scout
        Whether it is a localizer.
    complaint
        Why its pixels cannot be read as an image; None where they can.
    """

    path: Path
    name: str
    series: tuple[str, str, str] = field(repr=False)
    series_number: int | None
    instance_number: int | None
    description: str = field(repr=False)
    modality: str
    frame_of_reference: str = field(repr=False)
    object_uid: str = field(repr=False)
    rows: int
    columns: int
    samples: int
    n_frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    real: bool
    photometric: str
    inverted: bool
    colour: bool
    padding: int | None
    lut: bool
    transfer_syntax: str
    scout: bool
    complaint: str | None


def file_of(path: Path, root: Path, dataset: Any) -> DicomFile:
    """Return what a header says of its file as a whole.

    Parameters
    ----------
    path, root
        The file, and the file or folder that the user named.
    dataset
        The header without pixels.

    Raises
    ------
    VolumeError
        Where a stated number is none, or more images are promised than the file can hold.
    """

    def number(keyword: str, default: int) -> int:
        value = number_of(value_of(dataset, keyword), keyword)
        return default if value is None else int(value)

    allocated = number("BitsAllocated", 16)
    stored = number("BitsStored", allocated)
    photometric = plain_text(value_of(dataset, "PhotometricInterpretation")) or "MONOCHROME2"
    n_frames = max(number("NumberOfFrames", 1), 1)
    if n_frames > min(path.stat().st_size, _MOST_FRAMES):
        raise VolumeError(
            f"{path} promises {n_frames} images, more than any file holds; copy or export it again."
        )
    kind = joined(value_of(dataset, "ImageType"))
    series_number = value_of(dataset, "SeriesNumber")
    instance = value_of(dataset, "InstanceNumber")
    padding = value_of(dataset, "PixelPaddingValue")
    return DicomFile(
        path=path,
        name=path.relative_to(root).as_posix() if path != root else path.name,
        series=(
            plain_text(value_of(dataset, "PatientID")),
            plain_text(value_of(dataset, "StudyInstanceUID")),
            plain_text(value_of(dataset, "SeriesInstanceUID")),
        ),
        series_number=None if series_number is None else number("SeriesNumber", 0),
        instance_number=None if instance is None else number("InstanceNumber", 0),
        description=plain_text(value_of(dataset, "SeriesDescription")),
        modality=plain_text(value_of(dataset, "Modality"))[:16],
        frame_of_reference=plain_text(value_of(dataset, "FrameOfReferenceUID")),
        object_uid=plain_text(value_of(dataset, "SOPInstanceUID")),
        rows=number("Rows", 0),
        columns=number("Columns", 0),
        samples=number("SamplesPerPixel", 1),
        n_frames=n_frames,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=number("PixelRepresentation", 0) == 1,
        # Floating point comes without these two; whether it does stands behind the header.
        real=allocated in (32, 64) and value_of(dataset, "BitsStored") is None,
        photometric=photometric,
        inverted=photometric == "MONOCHROME1",
        colour=photometric not in ("MONOCHROME1", "MONOCHROME2"),
        padding=padding if isinstance(padding, int) else None,
        lut=bool(dataset.get("ModalityLUTSequence")),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        scout=not set(_SCOUTS).isdisjoint(kind.upper().split("\\")),
        complaint=_complaint(dataset, photometric, allocated, stored, kind),
    )


def _complaint(
    dataset: Any, photometric: str, allocated: int, stored: int, kind: str
) -> str | None:
    """Return why the pixels would be misread, None where they would not."""
    if "MOSAIC" in kind.upper().split("\\"):
        return "it is a mosaic of many slices in one picture; convert it with dcm2niix first"
    if photometric not in _PHOTOMETRIC:
        return f"its colours are stored as {photometric[:20]!r}, which is not supported"
    if not 1 <= stored <= allocated or allocated not in (1, 8, 16, 32, 64):
        return f"it states {stored} bits in a pixel of {allocated}"
    high = number_of(value_of(dataset, "HighBit"), "HighBit")
    if high is not None and allocated > 1 and high != stored - 1:
        return f"its values lie in unusual bits (high bit {high:g} of {stored})"
    return None
