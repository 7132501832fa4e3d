"""Options that several commands share, or that go together, named as in Python."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_cam.cli.parsing import BOXES
from napari_cam.masks.choices import CONNECTIVITY, EMPTY, MEAN, OPERATORS, PER, TIED_VOTES, TIES

# What the network is.
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
ScoreText = Annotated[
    str, typer.Option(metavar="SCORE", help="logit, probability or log_odds of the class.")
]
DeviceText = Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")]

# How images are read.
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

# What labels mean.
ClassTable = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Table of what the codes mean: code,name,colour."),
]

# How heatmaps are cut, and masks cleaned up.
AtLeast = Annotated[
    bool, typer.Option("--at-least", help="Keep values equal to the cut: >= in place of >.")
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
    typer.Option(metavar="WHAT", help=f"Clean-up: per {PER.words} (a slice of a 2D network)."),
]
ConnectivityText = Annotated[
    str,
    typer.Option(metavar="HOW", help=f"Clean-up: what neighbours share, {CONNECTIVITY.words}."),
]

# How members make an ensemble.
OperatorText = Annotated[
    str,
    typer.Option(
        metavar="OPERATOR",
        help=f"{OPERATORS.words}, or {MEAN} of heatmaps; 'calibrate' has no staple and no {MEAN}.",
    ),
]
TiesText = Annotated[
    str,
    typer.Option(metavar="WHICH", help=f"Which of several smallest or largest: {TIES.words}."),
]
EmptyText = Annotated[
    str,
    typer.Option(metavar="HOW", help=f"Whether empty members of a slice take part: {EMPTY.words}."),
]
TiedVotesText = Annotated[
    str,
    typer.Option(metavar="HOW", help=f"Where half of the members vote: {TIED_VOTES.words}."),
]
UnitAxisText = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="Compare members by size along axis 0, 1 or 2, or 'none' for the whole volume; else "
        "as they were explained.",
    ),
]
BoxTexts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BOX",
        help=f"Where masks may lie: {BOXES}; units are mm, pixel or share. Several are all obeyed.",
    ),
]

# What reports compare, and how sure they are.
HeatmapPaths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="HEATMAP",
        help="Heatmap files of one subject, or folders: each a subject, or of subjects' folders.",
    ),
]
CohortPath = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Table with a row for each heatmap in place of HEATMAP: columns heatmap, subject, and "
        "reference, foreground, image, group, class, method, backbone, layer where they are known.",
    ),
]
ReferencePath = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Reference mask, FILE:2 for one label, or a folder of files called as the subjects.",
    ),
]
ForegroundFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where voxels count: a mask, or a folder of them."),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="otsu, fixed:0.5, quantile:0.9, 255:200; several times."),
]
Headline = Annotated[str, typer.Option(metavar="RULE", help="The threshold shown first.")]
EmptyOverlap = Annotated[
    str, typer.Option(metavar="VALUE", help="What two empty masks count as: nan, 0 or 1.")
]
Resamples = Annotated[int, typer.Option(min=0, help="Draws of whole groups for intervals.")]
Confidence = Annotated[float, typer.Option(help="Of the intervals.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws and folds.")]
Title = Annotated[str, typer.Option(metavar="TEXT", help="Heading of the page.")]

# What is written.
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
