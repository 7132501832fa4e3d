"""``napari-cam mask``: heatmap files cut into masks, measured, and compared with a reference."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Annotated

import typer

from napari_cam.cli.commands.cutting import CleanupAsked, Cutting
from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import output_folder
from napari_cam.cli.options import (
    ClosingLength,
    ConnectivityText,
    FillHoles,
    LargestOnly,
    OpeningLength,
    OutFolder,
    Overwrite,
    PerText,
    SmallestPiece,
    TouchingPath,
)
from napari_cam.cli.terminal import show_notes, table
from napari_cam.errors import MaskError


@guarded
def mask(
    heatmap: Annotated[
        list[Path], typer.Argument(metavar="HEATMAP", help="Heatmap files that explain wrote.")
    ],
    out: OutFolder,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="fixed:0.5, 255:200, quantile:0.9, area:0.1, otsu, li, triangle, yen or "
            "local-otsu:15 (mm); with :volume or :cohort one cut for all slices or for all "
            "heatmaps; several times. otsu if none is named.",
        ),
    ] = None,
    at_least: Annotated[
        bool, typer.Option("--at-least", help="Keep values equal to the cut: >= in place of >.")
    ] = False,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Mask file to compare with; what is not 0 counts. Once, or for each heatmap.",
        ),
    ] = None,
    foreground: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Where masks may lie: a mask file, or kmeans, otsu or nonzero, the tissue of "
            "--image (kmeans:slice: of each slice). Once, or for each heatmap.",
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The explained image, where --foreground looks for its tissue. Once, or for "
            "each heatmap.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate", help="Leave slices empty for which the network predicts another class."
        ),
    ] = False,
    opening_mm: OpeningLength = 0.0,
    closing_mm: ClosingLength = 0.0,
    fill_holes: FillHoles = False,
    touching: TouchingPath = None,
    smallest: SmallestPiece = 0.0,
    largest_only: LargestOnly = False,
    per: PerText = "volume",
    connectivity: ConnectivityText = "faces",
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Cut heatmaps into masks and measure them.

    Masks lie on the heatmaps' grid and have a JSON file beside them. The table says which share of
    what the network saw they cover, and with a reference how well they agree.
    """
    from napari_cam.masks.rules import rule_from_text

    steps = CleanupAsked(
        touching,
        {
            "opening_mm": opening_mm,
            "closing_mm": closing_mm,
            "fill_holes": fill_holes,
            "smallest": smallest,
            "largest_only": largest_only,
            "per": per,
            "connectivity": connectivity,
        },
    )
    cutting = Cutting(
        rules=tuple(rule_from_text(text) for text in rule or ("otsu",)),
        strict=not at_least,
        cleanup=steps,
        gate=gate,
        overwrite=overwrite,
    )
    paths = [each for path in heatmap for each in _matching(path)]
    for name, given in (
        ("reference", reference),
        ("foreground", foreground),
        ("image", image),
    ):
        _check_number(name, len(given or ()), len(paths))
    if image and not foreground:
        raise MaskError("--image is where --foreground looks; say which, as --foreground kmeans.")
    asked = cutting.asked(paths, reference or (), foreground or (), image or ())
    with output_folder(out) as folder:
        rows = cutting.cut(asked, folder)
    show_notes(cutting.notes)
    header = ("mask", "rule", "coverage", "volume", *(("IoU", "Dice") if reference else ()))
    typer.echo(table(header, rows, right=range(2, len(header))))
    return ExitCode.SOME_FAILED if cutting.failed else None


def _check_number(option: str, given: int, heatmaps: int) -> None:
    if given not in (0, 1, heatmaps):
        raise MaskError(
            f"--{option} is given {given} times for {heatmaps} heatmaps; give it once, or once for "
            "each in their order."
        )


def _matching(path: Path) -> list[Path]:
    """Return the files that a pattern names: not every shell looks them up itself."""
    if os.path.exists(path) or not glob.has_magic(str(path)):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path)))] or [path]
