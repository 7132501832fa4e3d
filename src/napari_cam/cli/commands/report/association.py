"""``napari-cam report association``: what maps mark beside a measurement of each subject."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.commands.report.cases import check_report, end_report
from napari_cam.cli.failures import guarded
from napari_cam.cli.options import (
    AtLeast,
    Confidence,
    OutFolder,
    Overwrite,
    Resamples,
    Seed,
    Thresholds,
)
from napari_cam.cli.terminal import progress

if TYPE_CHECKING:
    from napari_cam.reports.cases.case import Case


@guarded
def association(
    out: OutFolder,
    cohort: Annotated[
        Path,
        typer.Option(
            metavar="CSV",
            help="Table with a row for each heatmap: columns heatmap, subject, the measurement, "
            "and foreground, group, method, backbone, layer where they are known.",
        ),
    ],
    measurement: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column that holds the measurement.")
    ],
    unit: Annotated[str, typer.Option(metavar="TEXT", help="Its unit, for the figures.")] = "",
    within: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of a condition that may move both, such as the freezing protocol.",
        ),
    ] = None,
    thresholds: Thresholds = None,
    at_least: AtLeast = False,
    weight: Annotated[
        str, typer.Option(metavar="WORD", help="units (each slice the same) or voxels.")
    ] = "units",
    correction: Annotated[
        str, typer.Option(metavar="WORD", help="Of the stars: holm, bh or none.")
    ] = "holm",
    overlap: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="table.csv of 'report overlap', to be drawn against."),
    ] = None,
    resamples: Resamples = 2000,
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Correlate what heatmaps mark with a measurement.

    The share of each subject that they mark, with a number for each subject.
    Writes report.html, table.csv, report.json and a folder of figures, and prints the summary.
    """
    from napari_cam.reports.association.correlations import Measurement
    from napari_cam.reports.association.measurement_files import (
        read_column,
        read_measurements,
        read_overlaps,
    )
    from napari_cam.reports.association.report import association_report
    from napari_cam.reports.association.shares import mask_shares
    from napari_cam.reports.cases.case_table import read_cases

    check_report(out, overwrite)
    measured = read_measurements(cohort, measurement)
    conditions = None if within is None else read_column(cohort, within)
    groups: dict[str, str] = {}
    with progress(len(measured), "subjects") as tick:

        def cases() -> Iterator[Case]:
            for case in read_cases(cohort):
                groups[case.subject] = case.group
                yield case
                tick()

        shares = mask_shares(cases(), thresholds or ["fixed:0.5"], strict=not at_least)
    chosen: Any = correction
    found = association_report(
        shares,
        measured,
        groups=groups if len(set(groups.values())) < len(groups) else None,
        within=conditions,
        strict=not at_least,
        weight=weight,
        measurement=Measurement(measurement, unit, "group", within or "condition"),
        overlap=None if overlap is None else read_overlaps(overlap),
        correction=chosen,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    end_report(found, out, overwrite)
