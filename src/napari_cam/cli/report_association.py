"""``napari-cam report association``: damage against something measured outside of the image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import guarded
from napari_cam.cli.folders import check_results
from napari_cam.cli.options import OutFolder, Overwrite
from napari_cam.cli.report import AtLeast, Confidence, Resamples, Seed, Thresholds
from napari_cam.cli.terminal import progress
from napari_cam.errors import ReportError

if TYPE_CHECKING:
    import pandas as pd


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
    """Correlate the damage that heatmaps claim with a measurement of each subject.

    Writes report.html, table.csv, report.json and a folder of figures, and prints the summary.
    """
    import pandas as pd

    from napari_cam.reports.association import association_report
    from napari_cam.reports.case_files import read_cases
    from napari_cam.reports.correlations import Measurement
    from napari_cam.reports.damage import damage_fractions

    if out.is_dir():
        check_results([out / "table.csv", out / "report.html"], overwrite)
    columns = _columns(cohort, [measurement, *([within] if within else [])])
    groups: dict[str, str] = {}
    parts: list[pd.DataFrame] = []
    with progress(columns["subject"].nunique(), "subjects") as bar:
        for case in read_cases(cohort):
            groups[case.subject] = case.group
            rule = thresholds or ["fixed:0.5"]
            parts.append(damage_fractions([case], rule, strict=not at_least))
            bar.update()
    chosen: Any = correction
    found = association_report(
        pd.concat(parts, ignore_index=True),
        _per_subject(columns, measurement, number=True),
        groups=groups if len(set(groups.values())) < len(groups) else None,
        within=None if within is None else _per_subject(columns, within),
        strict=not at_least,
        weight=weight,
        measurement=Measurement(measurement, unit, "group", within or "condition"),
        overlap=None if overlap is None else _overlap(overlap),
        correction=chosen,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    page = found.save(out, overwrite)
    typer.echo(found.summary())
    typer.echo(f"\n{page}")


def _columns(path: Path, wanted: list[str]) -> pd.DataFrame:
    """Return the columns of a cohort's table that say what was measured."""
    table = _read(path)
    for name in ("subject", *wanted):
        if name not in table:
            raise ReportError(
                f"{path} has no column '{name}'; it has {', '.join(map(str, table))}."
            )
    return table


def _per_subject(table: pd.DataFrame, name: str, number: bool = False) -> dict[str, Any]:
    """Return subject -> what stands in a column, the same in all rows of a subject."""
    found: dict[str, Any] = {}
    for subject, rows in table.groupby("subject", sort=False)[name]:
        values = [each for each in dict.fromkeys(rows) if each]
        if len(values) > 1:
            raise ReportError(
                f"Rows of subject '{subject}' differ in '{name}' ({values[0]}, {values[1]}); give "
                "one value for each subject."
            )
        text = values[0] if values else ("nan" if number else "")
        try:
            found[str(subject)] = float(text) if number else text
        except ValueError as error:
            raise ReportError(f"'{name}' of subject '{subject}' is no number: '{text}'.") from error
    return found


def _overlap(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = _read(path)
    if not {"level", "subject", "metric", "value", "method_a", "backbone_a"} <= set(table):
        raise ReportError(f"{path} is no table of 'napari-cam report overlap'.")
    return table.assign(value=pd.to_numeric(table["value"], errors="coerce"))


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read as a table ({error}).") from error
    return table.rename(columns=lambda name: str(name).strip()).map(str.strip)
