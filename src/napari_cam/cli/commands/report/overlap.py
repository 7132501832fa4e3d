"""``napari-cam report``: maps judged by what they should show and by each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import guarded
from napari_cam.cli.folders import check_results
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
from napari_cam.cli.parsing import matching
from napari_cam.cli.terminal import progress
from napari_cam.errors import ReportError

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_cam.reports.cases import Case
    from napari_cam.reports.page.report import Report

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Judge whether maps are to be believed.\n\nBy a reference, by each other, by a "
    "measurement, or by the network itself.",
)


@app.command()
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
    from napari_cam.reports.case_files import read_table
    from napari_cam.reports.overlap.report import THRESHOLDS, reference_report

    _check(out, overwrite)
    asked = NamedCases(heatmap, cohort, reference, foreground, needs_reference=True)
    with progress(asked.count(), "maps") as bar:
        found = reference_report(
            asked.cases(),
            thresholds=thresholds or THRESHOLDS,
            headline=headline,
            strict=not at_least,
            empty=_empty(empty),
            folds=folds,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            soft=soft,
            surfaces=surfaces,
            predictions=None if predictions is None else read_table(predictions),
            trained_on=None if model is None else _trained_on(model),
            title=title,
            tick=lambda: _count(bar),
        )
    _end(found, out, overwrite)


@app.command()
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
    from napari_cam.reports.overlap.report import CURVE

    _check(out, overwrite)
    asked = NamedCases(heatmap, cohort, None, foreground, needs_reference=False)
    with progress(asked.count(), "maps") as bar:
        found = agreement_report(
            asked.cases(),
            thresholds=thresholds or CURVE,
            headline=headline,
            strict=not at_least,
            empty=_empty(empty),
            ranks=ranks,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            title=title,
            tick=lambda: _count(bar),
        )
    _end(found, out, overwrite)


class NamedCases:
    """What the command line names, as cases that are read one at a time."""

    def __init__(
        self,
        heatmap: list[Path] | None,
        cohort: Path | None,
        reference: str | None,
        foreground: Path | None,
        needs_reference: bool,
    ) -> None:
        if (cohort is None) == (not heatmap):
            raise ReportError("Give heatmaps or folders of them, or --cohort with a table.")
        if cohort is not None and (reference or foreground):
            raise ReportError(
                "With --cohort the table's columns name reference and foreground; leave the "
                "options out."
            )
        self._paths = [each for path in heatmap or () for each in matching(path)]
        self._cohort, self._reference, self._foreground = cohort, reference, foreground
        self._needs_reference = needs_reference

    def cases(self) -> Iterator[Case]:
        """Yield the cases, each checked to have what the report needs."""
        from napari_cam.reports.case_files import folder_cases, read_cases

        if self._cohort is not None:
            found = read_cases(self._cohort)
        else:
            found = folder_cases(self._paths, self._reference, self._foreground)
        for case in found:
            if self._needs_reference and case.reference is None:
                raise ReportError(
                    f"The subject '{case.subject}' has no reference; give --reference, or a file "
                    "called reference beside its heatmaps."
                )
            yield case

    def count(self) -> int | None:
        """Return how many maps there are, where that is known without reading images."""
        return None if self._cohort or any(p.is_dir() for p in self._paths) else len(self._paths)


def _empty(text: str) -> float:
    known = {"nan": nan, "0": 0.0, "1": 1.0}
    if text.lower() not in known:
        raise ReportError(f"Two empty masks may count as nan, 0 or 1, not '{text}'.")
    return known[text.lower()]


def _trained_on(path: Path) -> Callable[[str], bool | None]:
    from napari_cam.cli.opening import open_model
    from napari_cam.learning.cohort.subjects import trained_on

    training: Any = open_model(str(path)).card.training
    return lambda subject: trained_on(training, subject)


def _count(bar: tqdm[Any]) -> None:
    bar.update()


def _check(out: Path, overwrite: bool) -> None:
    """Raise before anything is computed where the report could not be written."""
    if out.is_dir():
        check_results([out / "table.csv", out / "report.html"], overwrite)


def _end(found: Report, out: Path, overwrite: bool) -> None:
    """Write a report and say what it says."""
    page = found.save(out, overwrite)
    typer.echo(found.summary())
    typer.echo(f"\n{page}")
