"""``napari-cam report agreement``: heatmaps compared with each other."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_cam.cli.commands.report.cases import NamedCases, check_report, end_report
from napari_cam.cli.failures import guarded
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
    Resamples,
    Seed,
    Thresholds,
    Title,
)
from napari_cam.cli.parsing import parse_empty
from napari_cam.cli.terminal import progress


@guarded
def agreement(
    out: OutFolder,
    heatmap: HeatmapPaths = None,
    cohort: CohortPath = None,
    foreground: ForegroundFile = None,
    thresholds: Thresholds = None,
    headline: Headline = "fixed:0.5",
    at_least: AtLeast = False,
    empty: EmptyOverlap = "nan",
    ranks: Annotated[bool, typer.Option(help="Rank correlation of the heatmaps.")] = True,
    resamples: Resamples = 2000,
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    title: Title = "Agreement of maps",
    overwrite: Overwrite = False,
) -> None:
    """Compare heatmaps with each other.

    Methods with the network fixed, networks with the method fixed, every pair.
    Writes report.html, table.csv, report.json and a folder of figures, and prints the summary.
    """
    from napari_cam.reports.agreement.report import agreement_report
    from napari_cam.reports.cases.cut_maps import CURVE

    check_report(out, overwrite)
    asked = NamedCases(heatmap, cohort, None, foreground, needs_reference=False)
    with progress(asked.count(), "maps") as tick:
        found = agreement_report(
            asked.cases(),
            thresholds=thresholds or CURVE,
            headline=headline,
            strict=not at_least,
            empty=parse_empty(empty),
            ranks=ranks,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            title=title,
            tick=tick,
        )
    end_report(found, out, overwrite)
