"""Headers of DICOM images made ready for a segmentation to refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from napari_cam.errors import WriteError
from napari_cam.volumes.dicom.sources import DicomSources

_NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
# What highdicom copies from the source; the standard lets these be empty, but not absent.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def source_headers(sources: DicomSources) -> list[Any]:
    """Return the headers of a volume's images as a segmentation needs them.

    Raises
    ------
    WriteError
        Where they lack what a segmentation must refer to, which must not be made up.
    """
    headers = [_complete(header, sources) for header in sources.headers]
    _check_sources(headers)
    return headers


def _complete(header: Any, sources: DicomSources) -> Any:
    """Return a header with the elements that may be empty, but not absent."""
    header = deepcopy(header)
    _state_size(header, sources)
    for keyword in _MAY_BE_EMPTY:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    if header.PatientSex not in ("M", "F", "O", ""):
        header.PatientSex = ""
    # "01": once compressed with loss, always so. Other values are against the rules.
    lossy = str(header.get("LossyImageCompression") or "").strip() in ("01", "1")
    header.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in header and not header.get(keyword):
            delattr(header, keyword)
    return header


def _state_size(header: Any, sources: DicomSources) -> None:
    """State the size of voxels, and the place of frames, where highdicom looks for them.

    Of a file with many images it then holds those of the volume alone, in the volume's order:
    it may have more, and state things per image that are the same for all.
    """
    first, step = sources.planes[0], sources.grid.spacing[sources.stored_axes.index(0)]
    thickness = float(f"{step:.9g}")
    if not _holds_many(header, sources):
        if not header.get("SliceThickness"):
            header.SliceThickness = thickness
        if not header.get("PixelSpacing"):
            header.PixelSpacing = _decimals(first.pixel_spacing)
        return
    directions = np.ravel(first.orientation if first.orientation is not None else ())
    header.NumberOfFrames = len(sources.planes)
    header.SharedFunctionalGroupsSequence = _group(
        PixelMeasuresSequence={
            "PixelSpacing": _decimals(first.pixel_spacing),
            "SliceThickness": thickness,
        },
        PlaneOrientationSequence={"ImageOrientationPatient": _decimals(directions)},
    )
    header.PerFrameFunctionalGroupsSequence = [
        item
        for plane in sources.planes
        for item in _group(
            PlanePositionSequence={"ImagePositionPatient": _decimals(plane.position)}
        )
    ]


def _holds_many(header: Any, sources: DicomSources) -> bool:
    several = "PerFrameFunctionalGroupsSequence" in header
    return several or any(plane.file.n_frames > 1 for plane in sources.planes)


def _group(**macros: Mapping[str, Any]) -> list[Any]:
    """Return one item of functional groups."""
    from pydicom.dataset import Dataset

    group = Dataset()
    for name, attributes in macros.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(group, name, [item])
    return [group]


def _decimals(numbers: Any) -> list[float]:
    """Return numbers that fit into the 16 letters of DICOM's decimal strings."""
    from pydicom.valuerep import format_number_as_ds

    return [float(format_number_as_ds(float(number))) for number in numbers]


def _check_sources(headers: list[Any]) -> None:
    """Raise where the images lack what a segmentation refers to."""
    for header in headers:
        for keyword in _NEEDED:
            if not header.get(keyword):
                raise WriteError(
                    f"The images state no {keyword}, which a DICOM segmentation must refer to; "
                    "export the labels as NIfTI or .seg.nrrd."
                )
    if len(headers) > 1 and any("PerFrameFunctionalGroupsSequence" in each for each in headers):
        raise WriteError(
            f"The slices lie in {len(headers)} files of a kind that holds many images each, "
            "and a DICOM segmentation refers to one such file; export the labels as NIfTI or "
            ".seg.nrrd."
        )
