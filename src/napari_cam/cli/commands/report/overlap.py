"""``napari-cam report overlap``: heatmaps compared with references."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cam.cli.commands.report.cases import NamedCases, check_report, end_report
from napari_cam.cli.failures import guarded
from napari_cam.cli.opening import open_model
from napari_cam.cli.options import (
    AtLeast,
    CohortPath,
    Confidence,
    EmptyOverlap,
    ForegroundFile,
    Headline,
    HeatmapPaths,
    OutFolder,
    Overwrite,
    ReferencePath,
    Resamples,
    Seed,
    Thresholds,
    Title,
)
from napari_cam.cli.parsing import parse_empty
from napari_cam.cli.terminal import progress


@guarded
def overlap(
    out: OutFolder,
    heatmap: HeatmapPaths = None,
    cohort: CohortPath = None,
    reference: ReferencePath = None,
    foreground: ForegroundFile = None,
    thresholds: Thresholds = None,
    headline: Headline = "fixed:0.5",
    at_least: AtLeast = False,
    empty: EmptyOverlap = "nan",
    folds: Annotated[int, typer.Option(min=2, help="Folds a threshold is chosen out of.")] = 5,
    resamples: Resamples = 2000,
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    soft: Annotated[
        bool, typer.Option(help="Peak and energy inside, average precision, soft overlap.")
    ] = True,
    surfaces: Annotated[bool, typer.Option(help="HD95 and ASSD at the headline threshold.")] = True,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="How the networks classified: columns true, predicted, and backbone and fold.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Says which subjects the network was trained on."),
    ] = None,
    title: Title = "Overlap with the reference",
    overwrite: Overwrite = False,
) -> None:
    """Compare heatmaps with a reference.

    IoU, Dice, distances, pointing game, threshold curves.
    Writes report.html, table.csv, report.json and a folder of figures, and prints the summary.
    """
    from napari_cam.reports.cases.case_table import read_table
    from napari_cam.reports.overlap.report import reference_report
    from napari_cam.reports.overlap.scoring import THRESHOLDS

    check_report(out, overwrite)
    asked = NamedCases(heatmap, cohort, reference, foreground, needs_reference=True)
    with progress(asked.count(), "maps") as tick:
        found = reference_report(
            asked.cases(),
            thresholds=thresholds or THRESHOLDS,
            headline=headline,
            strict=not at_least,
            empty=parse_empty(empty),
            folds=folds,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            soft=soft,
            surfaces=surfaces,
            predictions=None if predictions is None else read_table(predictions),
            trained_on=None if model is None else _trained_on(model),
            title=title,
            tick=tick,
        )
    end_report(found, out, overwrite)


def _trained_on(path: Path) -> Callable[[str], bool | None]:
    from napari_cam.learning.cohort.subjects import trained_on

    training: Any = open_model(str(path)).card.training
    return lambda subject: trained_on(training, subject)
