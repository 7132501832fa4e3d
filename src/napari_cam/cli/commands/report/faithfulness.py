"""``napari-cam report faithfulness``: the network is asked whether a heatmap shows what it used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.commands.report.cases import NamedCases, check_report, end_report
from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.options import (
    ArchitectureText,
    ClassNamesText,
    CohortPath,
    Confidence,
    DeviceText,
    ForegroundFile,
    HeatmapPaths,
    ModelText,
    OutFolder,
    Overwrite,
    PreparationText,
    ReferencePath,
    Resamples,
    ScoreText,
    Seed,
)
from napari_cam.cli.terminal import progress
from napari_cam.errors import ReportError

if TYPE_CHECKING:
    from napari_cam.reports.cases.case import Case
    from napari_cam.volumes.volume import Volume


@guarded
def faithfulness(
    model: ModelText,
    out: OutFolder,
    heatmap: HeatmapPaths = None,
    cohort: CohortPath = None,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What the heatmaps explain, where they are of one image."
        ),
    ] = None,
    reference: ReferencePath = None,
    foreground: ForegroundFile = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            metavar="57/64",
            help="How many held-out units the network recognises; the model file's own if none.",
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The same network trained on shuffled labels."),
    ] = None,
    most_units: Annotated[int, typer.Option(min=1, help="Slices of each image, at most.")] = 8,
    score: ScoreText = "probability",
    architecture: ArchitectureText = None,
    class_names: ClassNamesText = None,
    preparation: PreparationText = None,
    resamples: Resamples = 2000,
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    device: DeviceText = "auto",
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Ask the network whether heatmaps show what it used.

    Deletion, insertion, ROAD, random weights, floors that know nothing.
    Writes report.html, table.csv, report.json and a folder of figures, and prints the verdict.
    """
    from napari_cam.cli.opening import open_model
    from napari_cam.reports.faithfulness.report import faithfulness_report

    check_report(out, overwrite)
    network = open_model(model, architecture, class_names, preparation)
    given = NamedCases(heatmap, cohort, reference, foreground, needs_reference=False)
    chosen: Any = score
    with progress(None, "units") as tick:
        found = faithfulness_report(
            _with_images(given.cases(), _image(image)),
            network,
            accuracy=_accuracy(accuracy),
            control=None if control is None else open_model(control, architecture, class_names),
            most_units=most_units,
            score=chosen,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            device=device,
            progress=lambda _done, _all: tick(),
        )
    end_report(found, out, overwrite)
    return None


def _image(path: Path | None) -> Volume | None:
    from napari_cam.volumes.reading import read_volume

    return None if path is None else read_volume(path)


def _with_images(cases: Iterator[Case], image: Volume | None) -> Iterator[Case]:
    """Yield the cases one at a time, each with its image and with what the others have."""
    first: Case | None = None
    known: set[str] = set()
    for case in cases:
        if case.subject in known:
            raise ReportError(
                f"The subject '{case.subject}' has rows of several classes; give the network's "
                "maps of one class at a time."
            )
        if image is not None and first is not None:
            raise ReportError(
                "--image is for heatmaps of one image; name images in the cohort table."
            )
        if image is None and case.image is None:
            raise ReportError(
                f"The image of '{case.subject}' is not given; use --image, or a column 'image' in "
                "the cohort table."
            )
        first = case if first is None else first
        known.add(case.subject)
        _check_alike(case, first)
        yield case if image is None else replace(case, image=image)


def _check_alike(case: Case, first: Case) -> None:
    """Raise where one subject has a mask that another one lacks."""
    for what in ("foreground", "reference"):
        has, had = (getattr(each, what) is not None for each in (case, first))
        if has != had:
            lacks = first if has else case
            raise ReportError(
                f"Subject '{lacks.subject}' has no {what}; give one for every subject."
            )


def _accuracy(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\s*/\s*(\d+)", text.strip())
    if match is None:
        raise ReportError(f"--accuracy is written 57/64 (so many of so many), not '{text}'.")
    return int(match[1]), int(match[2])
