"""``napari-cam export``: labels and heatmaps for Slicer, PACS, nnU-Net and MONAI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_cam.cli.commands.exporting import (
    Export,
    NewCodes,
    SegmentationKind,
    ZeroMeaning,
    dicom_form,
)
from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.options import (
    Axis4Text,
    ClassTable,
    Overwrite,
    SeriesText,
    SpacingText,
    TimeNumber,
)
from napari_cam.files import suffixes


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
    classes: ClassTable = None,
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
    from napari_cam.labels.classes import LabelClasses

    named = None if classes is None else LabelClasses.read_csv(classes)
    asked = Export(
        *(labels, out, image or (), named, series, axis4, time, spacing, zero, overwrite)
    )
    if suffixes(out) == ".json":
        asked.write_datalist(folds, validation_fold, append)
    elif suffixes(out) in (".dcm", ".dicom"):
        form = dicom_form(category, type_, series_description, series_number)
        asked.write_dicom(kind, form)
    elif out.name.startswith("Dataset") and not out.suffix:
        asked.write_nnunet(name, channel_names)
    else:
        asked.write_labels(remap, class_table)
    return None
