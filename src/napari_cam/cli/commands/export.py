"""``napari-cam export``: labels and heatmaps for Slicer, PACS, nnU-Net and MONAI."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.opening import open_volume
from napari_cam.cli.options import Axis4Text, Overwrite, SeriesText, SpacingText, TimeNumber
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError, WriteError
from napari_cam.files import suffixes
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    from napari_cam.labels.classes import LabelClasses
    from napari_cam.labels.files.label_image import LabelImage
    from napari_cam.volumes.volume import Volume


class SegmentationKind(StrEnum):
    """What a DICOM segmentation holds."""

    BINARY = "binary"
    FRACTIONAL = "fractional"


class ZeroMeaning(StrEnum):
    """What 0 is in labels."""

    IGNORE = "ignore"
    BACKGROUND = "background"


class NewCodes(StrEnum):
    """Codes of other programs."""

    NNUNET = "nnunet"


@guarded
def export(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="Labels or seeds (NIfTI, TIFF, .seg.nrrd, DICOM segmentation); a heatmap that "
            "explain wrote, for DICOM; or an nnU-Net dataset folder, for a datalist.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="What to write: FILE.nii.gz, .tif or .seg.nrrd (labels), FILE.dcm (DICOM "
            "segmentation), a folder Dataset012_NAME (nnU-Net), FILE.json (datalist of MONAI).",
        ),
    ],
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            "-i",
            metavar="FILE",
            help="The image they are of: a file or DICOM folder; for nnU-Net one for each channel.",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table of what the codes mean: code,name,colour."),
    ] = None,
    zero: Annotated[
        ZeroMeaning | None,
        typer.Option(
            help="What 0 is: ignore, as in seeds (1 is background), or background. "
            "Without, what the record beside the file says."
        ),
    ] = None,
    remap: Annotated[
        NewCodes | None,
        typer.Option(help="Write labels in the codes of nnunet: 0 background, 1.., ignore last."),
    ] = None,
    class_table: Annotated[
        bool, typer.Option("--class-table", help="Write the classes as a table (CSV) too.")
    ] = False,
    kind: Annotated[
        SegmentationKind | None,
        typer.Option(help="DICOM segmentation: binary (labels) or fractional (heatmaps)."),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="DICOM: category of the segments as VALUE,SCHEME,MEANING; by default "
            "49755003,SCT,Morphologically Abnormal Structure.",
        ),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="CODE",
            help="DICOM: type of the segments; by default 52988006,SCT,Lesion.",
        ),
    ] = None,
    series_description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="DICOM: title of the new series.")
    ] = None,
    series_number: Annotated[
        int | None, typer.Option(metavar="N", help="DICOM: number of the new series; else 900.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="nnU-Net: what to call the case; without, a hash of the patient's number.",
        ),
    ] = None,
    channel_names: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="nnU-Net: names of the channels, in order: T1,T2."),
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", help="Datalist: number of folds.")] = 5,
    validation_fold: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Datalist: the fold to list under 'validation', counted from 0."
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Datalist: add to the list that exists.")
    ] = False,
    series: SeriesText = None,
    axis4: Axis4Text = None,
    time: TimeNumber = 0,
    spacing: SpacingText = None,
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Write labels or heatmaps for other programs.

    The ending of --out says which. Each export has a JSON record that states which code became
    which, and nobody's name; nothing is replaced unless asked, and nothing is left half-written.
    """
    named = _classes(classes)
    reading = _Reading(labels, series, axis4, time, spacing, zero)
    if suffixes(out) == ".json":
        _datalist(labels, out, folds, validation_fold, append, overwrite)
        return None
    if suffixes(out) in (".dcm", ".dicom"):
        form = _form(category, type_, series_description, series_number)
        _dicom(reading, _one(image, out), out, kind, named, form, overwrite)
    elif out.name.startswith("Dataset") and not out.suffix:
        channels = channel_names.split(",") if channel_names else None
        _nnunet(reading, image or [], out, name, channels, named, overwrite)
    else:
        from napari_cam.labels.files.exports import export_labels

        like = reading.volume(_one(image, out)) if image else reading.itself()
        export_labels(
            out,
            reading.labels(),
            like,
            named,
            overwrite,
            remap=remap.value if remap else None,
            class_table=class_table,
        )
        show_notes(like.notes)
        _show(out)
    return None


@dataclass(frozen=True)
class _Reading:
    """How the files of one call are read."""

    path: Path
    series: str | None
    axis4: str | None
    time: int
    spacing: str | None
    zero: ZeroMeaning | None

    def labels(self) -> LabelImage:
        from napari_cam.labels.files.reading import read_labels

        image = read_labels(self.path)
        if self.zero is None:
            return image
        return replace(image, kind="seeds" if self.zero == ZeroMeaning.IGNORE else "labels")

    def volume(self, path: Path) -> Volume:
        return open_volume(path, self.axis4, self.time, self.spacing, self.series)

    def itself(self) -> Volume:
        """Return the labels' own file as the image that they are of."""
        from napari_cam.labels.files.reading import is_segmentation_file
        from napari_cam.volumes.volume import Volume

        if self.path.is_file() and is_segmentation_file(self.path):
            image = self.labels()
            return Volume(image.labels, image.grid)
        return open_volume(self.path, spacing=self.spacing)


def _one(image: list[Path] | None, out: Path) -> Path:
    if not image or len(image) != 1:
        raise WriteError(f"{out.name} needs the image that the labels are of; give one --image.")
    return image[0]


def _classes(path: Path | None) -> LabelClasses | None:
    if path is None:
        return None
    from napari_cam.labels.classes import LabelClasses

    return LabelClasses.read_csv(path)


def _form(
    category: str | None,
    type_: str | None,
    description: str | None,
    number: int | None,
) -> Any:
    """Return what a DICOM segmentation is to say of itself."""
    from napari_cam.labels.files.dicom.form import Code, SegmentationForm, SegmentForm

    said: dict[str, Any] = {}
    if description is not None:
        said["series_description"] = description
    if number is not None:
        said["series_number"] = number
    coded: dict[str, Any] = {}
    if category is not None:
        coded["category"] = Code.of_text(category)
    if type_ is not None:
        coded["type"] = Code.of_text(type_)
    return SegmentationForm(**said, default=SegmentForm(**coded))


def _dicom(
    reading: _Reading,
    source: Path,
    out: Path,
    kind: SegmentationKind | None,
    classes: LabelClasses | None,
    form: Any,
    overwrite: bool,
) -> None:
    from napari_cam.labels.files.dicom.writing import export_dicom_seg
    from napari_cam.volumes.heatmap_files import is_heatmap, read_heatmap

    values: Any
    if is_heatmap(reading.path):
        values, _ = read_heatmap(reading.path)
    else:
        values = reading.labels()
    series = reading.series
    export_dicom_seg(
        out,
        values,
        source,
        classes,
        kind.value if kind else None,
        form,
        overwrite,
        series=int(series) if series is not None and series.isdecimal() else series,
        time=reading.time,
    )
    from napari_cam.labels.files.dicom.reading import read_dicom_seg

    read = read_dicom_seg(out)
    rows = [(str(each.number), each.label, str(each.type or "-")) for each in read.segments]
    typer.echo(f"{out}: {read.kind}")
    typer.echo(text_table(("segment", "label", "type"), rows, right=range(1)))


def _nnunet(
    reading: _Reading,
    images: list[Path],
    out: Path,
    name: str | None,
    channel_names: list[str] | None,
    classes: LabelClasses | None,
    overwrite: bool,
) -> None:
    from napari_cam.labels.files.nnunet import TrainingCase, export_nnunet

    if not images:
        raise WriteError(f"{out.name} needs the images of the case; give one or more --image.")
    volumes = [reading.volume(path) for path in images]
    case = TrainingCase(volumes, reading.labels(), name)
    export_nnunet(out, [case], channel_names, classes, overwrite=overwrite)
    show_notes(note for volume in volumes for note in volume.notes)
    import json

    facts = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    typer.echo(f"{out}: {facts['numTraining']} cases")
    rows = [(str(code), text) for text, code in facts["labels"].items()]
    typer.echo(text_table(("code", "label"), rows, right=range(1)))


def _datalist(
    labels: Path,
    out: Path,
    folds: int,
    validation_fold: int | None,
    append: bool,
    overwrite: bool,
) -> None:
    import json

    from napari_cam.labels.files.datalist import export_datalist, nnunet_entries

    if not labels.is_dir():
        raise MaskError(
            f"A datalist is made of a folder of cases, which {labels} is not; "
            "give a dataset of nnU-Net."
        )
    known: set[str] = set()
    if append and out.is_file():
        known = _listed(out)
    entries = [each for each in nnunet_entries(labels) if Path(each.label).name not in known]
    facts = json.loads((labels / "dataset.json").read_text(encoding="utf-8"))
    names = {code: text for text, code in facts["labels"].items() if isinstance(code, int)}
    export_datalist(
        out,
        entries,
        names,
        folds=folds,
        validation_fold=validation_fold,
        append=append,
        overwrite=overwrite,
    )
    typer.echo(f"{out}: {len(known) + len(entries)} cases in {folds} folds")


def _listed(path: Path) -> set[str]:
    """Return the names of the label files that a list holds."""
    import json

    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        items = [*facts["training"], *facts.get("validation", ())]
        return {Path(item["label"]).name for item in items}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # writing says what is wrong


def _show(out: Path) -> None:
    """Print the codes that were written."""
    import numpy as np

    from napari_cam.labels.files.reading import read_labels

    image = read_labels(out)
    names = {each.code: each.name for each in image.classes}
    codes, counts = np.unique(image.labels, return_counts=True)
    rows = [
        (
            str(code),
            names.get(code, "unlabelled" if image.kind == "seeds" else "background"),
            str(n),
        )
        for code, n in zip(codes.tolist(), counts.tolist(), strict=True)
    ]
    typer.echo(f"{out}:")
    typer.echo(text_table(("code", "class", "voxels"), rows, right=(0, 2)))
