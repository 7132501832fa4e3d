"""``napari-cam report faithfulness``: the network is asked whether a heatmap shows what it used."""

from __future__ import annotations

import re
from collections import Counter
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
    cases = list(NamedCases(heatmap, cohort, reference, foreground, needs_reference=False).cases())
    twice = [subject for subject, n in Counter(c.subject for c in cases).items() if n > 1]
    if twice:
        raise ReportError(
            f"The subject '{twice[0]}' has rows of several classes; give the network's maps of "
            "one class at a time."
        )
    if image is not None and len(cases) > 1:
        raise ReportError("--image is for heatmaps of one image; name images in the cohort table.")
    read = _image(image)
    volumes = {case.subject: case.image if read is None else read for case in cases}
    missing = [subject for subject, volume in volumes.items() if volume is None]
    if missing:
        raise ReportError(
            f"The image of '{missing[0]}' is not given; use --image, or a column 'image' in the "
            "cohort table."
        )
    chosen: Any = score
    with progress(None, "units") as tick:
        found = faithfulness_report(
            network,
            volumes,
            {case.subject: dict(case.named()) for case in cases},
            foreground=_masks({case.subject: case.foreground for case in cases}, "foreground"),
            reference=_masks(
                {
                    case.subject: None if case.reference is None else case.reference_values() > 0.5
                    for case in cases
                },
                "reference",
            ),
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


def _masks(given: dict[str, Any], what: str) -> dict[str, Any] | None:
    """Return the masks where every subject has one, None where none has."""
    missing = [subject for subject, mask in given.items() if mask is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise ReportError(f"Subject '{missing[0]}' has no {what}; give one for every subject.")
    return given


def _accuracy(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\s*/\s*(\d+)", text.strip())
    if match is None:
        raise ReportError(f"--accuracy is written 57/64 (so many of so many), not '{text}'.")
    return int(match[1]), int(match[2])
