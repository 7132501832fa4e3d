"""Options that several commands share, named as in Python."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ModelText = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Model file, 'imagenet:resnet50' (or another name), 'sample' or "
        "'sample:segmentation'.",
    ),
]
ArchitectureText = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What weights without a card belong to; see 'napari-cam architectures'.",
    ),
]
ClassNamesText = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Names of the network's classes, in order: a,b,c."),
]
PreparationText = Annotated[
    str | None,
    typer.Option(
        metavar="STEPS",
        help="How images become the network's input, where its file does not say: imagenet, or a "
        "JSON file of preparation steps (a heatmap's own JSON file holds them too).",
    ),
]
Axis4Text = Annotated[
    str | None,
    typer.Option(metavar="MEANING", help="What an axis beyond space means: channels or time."),
]
TimeNumber = Annotated[
    int, typer.Option(metavar="N", help="Which time point to read, counted from 0.")
]
SpacingText = Annotated[
    str | None,
    typer.Option(
        metavar="Z,Y,X", help="Voxel size z,y,x in mm, for files that do not state one: 2,0.5,0.5."
    ),
]
SeriesText = Annotated[
    str | None,
    typer.Option(
        metavar="SERIES",
        help="Which series of a DICOM folder: its number, as 'napari-cam info FOLDER' lists it, "
        "or its UID.",
    ),
]
ForegroundPath = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Mask file on the image's grid; what is not 0 is foreground."
    ),
]
OpeningLength = Annotated[
    float,
    typer.Option(
        "--opening-mm",
        metavar="MM",
        help="Clean-up: take away what a ball of this radius does not fit into.",
    ),
]
ClosingLength = Annotated[
    float,
    typer.Option(
        "--closing-mm",
        metavar="MM",
        help="Clean-up: fill gaps that a ball of this radius does not fit into.",
    ),
]
FillHoles = Annotated[
    bool, typer.Option("--fill-holes", help="Clean-up: fill what the mask encloses.")
]
TouchingPath = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Clean-up: keep pieces that overlap this mask or lie against it.",
    ),
]
SmallestPiece = Annotated[
    float,
    typer.Option(
        metavar="SIZE",
        help="Clean-up: keep pieces of at least so many mm3 (mm2 with --per unit).",
    ),
]
LargestOnly = Annotated[
    bool, typer.Option("--largest-only", help="Clean-up: keep the largest piece alone.")
]
PerText = Annotated[
    str,
    typer.Option(metavar="WHAT", help="Clean up the volume in 3D, or each unit (slice) by itself."),
]
ConnectivityText = Annotated[
    str,
    typer.Option(metavar="HOW", help="What makes one piece: faces, or also corners."),
]
OutFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write to.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist already.")]


class FileFormat(StrEnum):
    """The image formats that results are written in."""

    NIFTI = "nifti"
    TIFF = "tiff"

    @property
    def extension(self) -> str:
        """End of the file names."""
        return {"nifti": ".nii.gz", "tiff": ".tif"}[self.value]
