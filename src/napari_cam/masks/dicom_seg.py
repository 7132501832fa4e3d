"""DICOM segmentations (SEG): labels, or heatmaps, that belong to a DICOM series."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, WriteError
from napari_cam.files import sidecar_path, writing_all
from napari_cam.heatmap import Heatmap
from napari_cam.masks.classes import BACKGROUND as BACKGROUND_CODE
from napari_cam.masks.classes import LabelClass, LabelClasses
from napari_cam.masks.codes import Remap
from napari_cam.masks.dicom_form import (
    BACKGROUND,
    CONCEPT,
    SegmentationForm,
    SegmentForm,
    check_text,
)
from napari_cam.masks.exports import label_facts
from napari_cam.masks.label_image import LabelImage, colours, label_image
from napari_cam.masks.placing import on_grid
from napari_cam.masks.seeds import Seeds
from napari_cam.provenance import stamp, to_json
from napari_cam.volumes.dicom_files import quiet
from napari_cam.volumes.dicom_sources import DicomPath, DicomSources, dicom_sources
from napari_cam.volumes.stated_grid import grid_facts
from napari_cam.volumes.volume import Volume

Kind = Literal["binary", "fractional"]

LEVELS = 255
"""A fractional segmentation stores 0 to 1 as so many steps."""

LABEL_OF = "napari-cam label"
"""Begins the description of segments: "napari-cam label 3" says the code in our labels."""

_LONGEST_LABEL = 64
_NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
# What highdicom copies from the source; the standard lets these be empty, but not absent.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


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
    kind: Kind | None = None,
    form: SegmentationForm | None = None,
    overwrite: bool = False,
    *,
    series: str | int | None = None,
    time: int = 0,
    made: datetime | None = None,
) -> Path:
    """Write labels or heatmaps as a DICOM segmentation that refers to the images it is of.

    Every slice gets its frames, also where they are empty. The file rightly carries the patient,
    whom it takes from the images; the record beside it does not.

    Parameters
    ----------
    path
        The file, ``.dcm`` as a rule.
    labels
        Seeds, labels or a mask, whose every class becomes a segment; or a heatmap, or several by
        name, with values from 0 to 1. On another grid of the same voxels (a NIfTI file made from
        the series) they are turned to that of the images.
    source
        The images: a folder, files, or the volume that was read from them.
    classes
        What the codes of the labels mean; None for what `labels` say.
    kind
        "binary", for labels, or "fractional", which heatmaps need: 0 to 1 in steps of 1/255.
        None for what `labels` are.
    form
        What the segmentation says of itself.
    overwrite
        Whether existing files may be replaced.
    series
        Which series of a folder; a volume says so itself.
    time
        Which of several volumes at one place it refers to.
    made
        When it was made; None for now. With the same time the same labels give the same bytes.

    Returns
    -------
    Path
        The written file; the record ``<name>.json`` stands beside it.

    Raises
    ------
    MaskError
        Where the labels do not fit the images or the classes.
    VolumeError
        Where the images cannot be read or have no place in a patient.
    WriteError
        Where the images lack what a segmentation must refer to, or the file cannot be written.
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
        with _calm():
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
    labels: Any, sources: DicomSources, classes: LabelClasses | None, kind: Kind | None
) -> _Content:
    if kind not in (None, "binary", "fractional"):
        raise MaskError(f'kind is "binary" or "fractional", not {kind!r}.')
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
    return plain[:_LONGEST_LABEL].strip() or "class activation map"


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

    headers = [_complete(header, sources) for header in sources.headers]
    _check_sources(headers)
    labelled = content.pixels.ndim == 3
    described = [
        _described(number, each, content.automatic, form)
        for number, each in enumerate(content.classes, start=1)
    ]
    texts = [form.series_description, form.content_description, form.creator or ""]
    texts += [str(each.SegmentLabel) for each in described]
    plain = all(text.isascii() for text in texts)
    uids = _uids(content, headers, form, made)
    arguments: dict[str, Any] = {
        "source_images": headers,
        "pixel_array": content.pixels,
        "segmentation_type": "BINARY" if labelled else "FRACTIONAL",
        "segment_descriptions": described,
        "series_instance_uid": uids[0],
        "series_number": form.series_number,
        "sop_instance_uid": uids[1],
        "instance_number": 1,
        "manufacturer": "napari-cam",
        "manufacturer_model_name": "napari-cam",
        "software_versions": _version(),
        "device_serial_number": "none",
        "fractional_type": "PROBABILITY",  # of the two that DICOM knows the one that claims less
        "max_fractional_value": LEVELS,
        "content_label": form.content_label,
        "content_description": form.content_description or form.series_description,
        "content_creator_name": form.creator,
        "omit_empty_frames": False,
        "series_description": form.series_description,
        "content_date": made.date(),
        "content_time": made.time(),
        "series_date": made.date(),
        "series_time": made.time(),
    }
    if not plain:
        arguments["specific_character_set"] = "ISO_IR 192"
    try:
        with _calm():
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


def _described(number: int, each: LabelClass, automatic: bool, form: SegmentationForm) -> Any:
    """Return what is said of one segment."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code as Coded

    behind = not automatic and each.code == BACKGROUND_CODE and each.name == "background"
    default = SegmentForm(CONCEPT, BACKGROUND) if behind else SegmentForm()
    said = form.segments.get(each.name, default)
    label = said.label or each.name
    check_text(f"The name of class {each.code}", label, _LONGEST_LABEL)
    made_by = said.algorithm or ("AUTOMATIC" if automatic else "SEMIAUTOMATIC")
    name = AlgorithmIdentificationSequence(
        name="napari-cam", family=codes.DCM.ArtificialIntelligence, version=_version()
    )
    with _calm():
        description = SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=Coded(
                said.category.value, said.category.scheme, said.category.meaning
            ),
            segmented_property_type=Coded(said.type.value, said.type.scheme, said.type.meaning),
            algorithm_type=made_by,
            algorithm_identification=None if made_by == "MANUAL" else name,
        )
        what = "class activation map, not a probability" if automatic else LABEL_OF
        description.SegmentDescription = what if automatic else f"{what} {each.code}"
        description.RecommendedDisplayCIELabValue = lab_of(each.colour)
    return description


def lab_of(colour: str) -> list[int]:
    """Return "#RRGGBB" as DICOM stores colours: CIELab in 16 bits each (PS3.3, C.10.7.1.1)."""
    from skimage.color import rgb2lab

    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    light, a, b = rgb2lab(np.array([[[red, green, blue]]]))[0, 0].tolist()
    stored = (light * 65535 / 100, (a + 128) * 65535 / 255, (b + 128) * 65535 / 255)
    return [round(min(max(each, 0), 65535)) for each in stored]


def _uids(
    content: _Content, headers: list[Any], form: SegmentationForm, made: datetime
) -> list[str]:
    """Return UIDs of series, object and dimensions that follow from what is stored, and when."""
    from pydicom.uid import generate_uid

    digest = hashlib.sha256(np.ascontiguousarray(content.pixels).view(np.uint8).data)
    told = [header.SOPInstanceUID for header in headers]
    said = [digest.hexdigest(), repr(content.classes), repr(form), made.isoformat(), *told]
    return [generate_uid(entropy_srcs=[what, *said]) for what in ("series", "object", "dimensions")]


def _version() -> str:
    from importlib.metadata import version

    return version("napari-cam")


@contextmanager
def _calm() -> Iterator[None]:
    """Keep the libraries' warnings and messages, which may cite a patient, to themselves."""
    logger = logging.getLogger("highdicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
