"""DICOM segmentations (SEG): labels, or heatmaps, that belong to a DICOM series."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, WriteError
from napari_cam.files import sidecar_path, writing_all
from napari_cam.heatmap import Heatmap
from napari_cam.labels.choices import SEGMENTATION_KINDS, SegmentationKind
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.codes import Remap
from napari_cam.labels.files.dicom.form import LONGEST_LABEL, SegmentationForm
from napari_cam.labels.files.dicom.segments import calm, described
from napari_cam.labels.files.dicom.source_headers import source_headers
from napari_cam.labels.files.exports import label_facts
from napari_cam.labels.files.label_image import LabelImage, colours, label_image
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.provenance import stamp, to_json
from napari_cam.volumes.dicom.sources import DicomPath, DicomSources, dicom_sources
from napari_cam.volumes.placing import on_grid
from napari_cam.volumes.stated_grid import grid_facts
from napari_cam.volumes.volume import Volume

LEVELS = 255
"""A fractional segmentation stores 0 to 1 as so many steps."""


@dataclass(frozen=True)
class _Content:
    """What is to be stored: (n, rows, columns) segment numbers or (..., segments) fractions."""

    pixels: NDArray[Any]
    classes: LabelClasses
    remap: Remap
    facts: Mapping[str, Any]
    automatic: bool


def export_dicom_seg(
    path: str | os.PathLike[str],
    labels: Seeds | LabelImage | NDArray[Any] | Heatmap | Mapping[str, Heatmap],
    source: DicomPath | Volume,
    classes: LabelClasses | None = None,
    kind: SegmentationKind | None = None,
    form: SegmentationForm | None = None,
    overwrite: bool = False,
    *,
    series: str | int | None = None,
    time: int = 0,
    made: datetime | None = None,
) -> Path:
    """Write labels or heatmaps as a DICOM segmentation that refers to the source images.

    Every slice gets its frames, even if they are empty. As DICOM requires, the file contains the
    patient's identity, copied from the images. The JSON record next to it does not.

    Parameters
    ----------
    path
        The file, usually ``.dcm``.
    labels
        Seeds, labels or a mask: each class becomes a segment. Or a heatmap, or several by name,
        with values from 0 to 1. Arrays on another grid with the same voxels (such as a NIfTI file
        made from the series) are reoriented to match the images.
    source
        The images: a folder, files, or the volume read from them.
    classes
        The meaning of the codes; None to use the classes of `labels`.
    kind
        "binary" for labels, or "fractional", which heatmaps need: 0 to 1 in steps of 1/255. None
        chooses by the type of `labels`.
    form
        The description of the segmentation.
    overwrite
        Whether to replace existing files.
    series
        Which series of a folder. Not needed if `source` is a volume.
    time
        Which volume to refer to, if several lie at the same place.
    made
        Time of creation; None for now. The same labels with the same time give the same bytes.

    Returns
    -------
    Path
        The written file. The record ``<name>.json`` is written next to it.

    Raises
    ------
    MaskError
        If the labels do not fit the images or the classes.
    VolumeError
        If the images cannot be read or have no position in the patient.
    WriteError
        If the images lack attributes that a segmentation must refer to, or the file cannot be
        written.
    """
    path = Path(path)
    form = form or SegmentationForm()
    sources = dicom_sources(source, series, time)
    content = _content(labels, sources, classes, kind)
    if len({plane.file for plane in sources.planes} & _in_the_way(path, sources)):
        raise WriteError(f"{path} is one of the images; choose another name for the result.")
    dataset = _segmentation(content, sources, form, made or datetime.now())
    record = {**content.facts, "form": form.to_json(), "grid": grid_facts(sources.grid)}
    with writing_all([path, sidecar_path(path)], overwrite) as (temporary, beside):
        with calm():
            dataset.save_as(temporary, enforce_file_format=True)
        beside.write_text(to_json(record), encoding="utf-8")
    return path


def _in_the_way(path: Path, sources: DicomSources) -> set[Any]:
    """Return the images that lie at `path`."""
    if not path.exists():
        return set()
    files = {plane.file for plane in sources.planes}
    return {file for file in files if os.path.samefile(path, file.path)}


def _content(
    labels: Any, sources: DicomSources, classes: LabelClasses | None, kind: SegmentationKind | None
) -> _Content:
    if kind is not None:
        SEGMENTATION_KINDS.checked(kind)
    heatmaps = {_name_of(labels): labels} if isinstance(labels, Heatmap) else labels
    if isinstance(heatmaps, Mapping):
        if kind == "binary":
            raise MaskError("A heatmap is no mask; cut it first, or export it as fractional.")
        return _of_heatmaps(heatmaps, sources)
    image = label_image(labels, sources.grid, classes)
    if not len(image.classes):
        raise MaskError("The labels hold no class, so there is no segment; give classes=.")
    codes = image.classes.codes
    numbers = {code: number for number, code in enumerate(codes, start=1)}
    names = {numbers[each.code]: each.name for each in image.classes}
    remap = Remap({0: 0, **numbers}, {0: "no segment", **names})
    pixels = _as_stored(remap.apply(image.labels), sources)
    if kind == "fractional":
        pixels = np.stack([pixels == number for number in numbers.values()], -1).astype(np.float32)
    facts = {
        **label_facts(image, remap), "kind": image.kind, "format": "DICOM segmentation",
        "segmentation_type": kind or "binary",
    }  # fmt: skip
    return _Content(pixels, image.classes, remap, facts, automatic=False)


def _name_of(heatmap: Heatmap) -> str:
    """Return what a heatmap shows, for its segment."""
    words = [heatmap.provenance.get(key) for key in ("target", "method")]
    words = [word.get("name") if isinstance(word, Mapping) else word for word in words]
    said = ", ".join(word for word in words if isinstance(word, str) and word.strip())
    plain = "".join(letter for letter in said if letter.isprintable() and letter != "\\")
    return plain[:LONGEST_LABEL].strip() or "class activation map"


def _of_heatmaps(heatmaps: Mapping[str, Heatmap], sources: DicomSources) -> _Content:
    if not heatmaps:
        raise MaskError("There is no heatmap to export.")
    planes = []
    for name, heatmap in heatmaps.items():
        values = heatmap.values
        if heatmap.kind != "unit" or float(values.min()) < 0 or float(values.max()) > 1:
            raise MaskError(
                f"The heatmap '{name}' is not normalised to values from 0 to 1, which a "
                'fractional segmentation holds; explain with normalize="unit" or "volume".'
            )
        planes.append(_as_stored(on_grid(values, heatmap.grid, sources.grid, "values"), sources))
    named = zip(heatmaps, colours(len(heatmaps)), strict=True)
    classes = LabelClasses(
        tuple(LabelClass(n, name, colour) for n, (name, colour) in enumerate(named, start=1))
    )
    facts = stamp(
        kind="heatmap",
        format="DICOM segmentation",
        segmentation_type="fractional",
        levels=LEVELS,
        classes=classes.to_json(),
        made_from={name: dict(heatmap.provenance) for name, heatmap in heatmaps.items()},
    )
    remap = Remap({code: code for code in classes.codes}, {})
    return _Content(np.stack(planes, axis=-1), classes, remap, facts, automatic=True)


def _as_stored(values: NDArray[Any], sources: DicomSources) -> NDArray[Any]:
    """Return (slices, rows, columns), as the images store them."""
    return np.ascontiguousarray(values.transpose(np.argsort(sources.stored_axes)))


def _segmentation(
    content: _Content, sources: DicomSources, form: SegmentationForm, made: datetime
) -> Any:
    import highdicom

    headers = source_headers(sources)
    labelled = content.pixels.ndim == 3
    segments = [
        described(number, each, content.automatic, form)
        for number, each in enumerate(content.classes, start=1)
    ]
    uids = _uids(content, headers, form, made)
    arguments: dict[str, Any] = {
        "source_images": headers,
        "pixel_array": content.pixels,
        "segmentation_type": "BINARY" if labelled else "FRACTIONAL",
        "segment_descriptions": segments,
        "series_instance_uid": uids[0],
        "series_number": form.series_number,
        "sop_instance_uid": uids[1],
        "instance_number": 1,
        "manufacturer": "napari-cam",
        "manufacturer_model_name": "napari-cam",
        "software_versions": version("napari-cam"),
        "device_serial_number": "none",
        "fractional_type": "PROBABILITY",  # of the two that DICOM knows the one that claims less
        "max_fractional_value": LEVELS,
        "content_label": form.content_label,
        "content_description": form.content_description or form.series_description,
        "content_creator_name": form.creator,
        "omit_empty_frames": False,
        "series_description": form.series_description,
        "specific_character_set": "ISO_IR 192",  # holds the patient's name and those of classes
        "content_date": made.date(),
        "content_time": made.time(),
        "series_date": made.date(),
        "series_time": made.time(),
    }
    try:
        with calm():
            dataset = highdicom.seg.Segmentation(**arguments)
            _state(dataset, uids[2], made, sources)
    except Exception as error:
        # Its words may cite the patient.
        raise WriteError(
            "These images cannot carry a segmentation: their headers break the rules of DICOM "
            f"({type(error).__name__}); export the labels as NIfTI or .seg.nrrd."
        ) from error
    return dataset


def _state(dataset: Any, dimension_uid: str, made: datetime, sources: DicomSources) -> None:
    """Set what would otherwise be random or the present time, and the true numbers of frames."""
    from pydicom.valuerep import DA, DT, TM

    dataset.InstanceCreationDate, dataset.InstanceCreationTime = DA(made.date()), TM(made.time())
    for item in dataset.get("ContributingEquipmentSequence") or ():
        item.ContributionDateTime = DT(made)
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimension_uid
    referred = {
        id(source): source  # frames of several segments share these
        for own in dataset.PerFrameFunctionalGroupsSequence
        for derivation in own.get("DerivationImageSequence") or ()
        for source in derivation.SourceImageSequence
        if "ReferencedFrameNumber" in source
    }
    for source in referred.values():
        plane = sources.planes[int(source.ReferencedFrameNumber) - 1]
        source.ReferencedFrameNumber = plane.frame + 1


def _uids(
    content: _Content, headers: list[Any], form: SegmentationForm, made: datetime
) -> list[str]:
    """Return UIDs of series, object and dimensions that follow from what is stored, and when."""
    from pydicom.uid import generate_uid

    digest = hashlib.sha256(np.ascontiguousarray(content.pixels).view(np.uint8).data)
    told = [header.SOPInstanceUID for header in headers]
    said = [digest.hexdigest(), repr(content.classes), repr(form), made.isoformat(), *told]
    return [generate_uid(entropy_srcs=[what, *said]) for what in ("series", "object", "dimensions")]
