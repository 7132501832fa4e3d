"""The overlap report: maps beside a reference, per unit, per subject and all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.counts import Counts
from napari_cam.masks.rules import ThresholdRule
from napari_cam.provenance import stamp
from napari_cam.reports.cases.cut_maps import HEADLINE
from napari_cam.reports.cases.map_names import MapName, plainest
from napari_cam.reports.overlap.aggregate import Intervals
from napari_cam.reports.overlap.calibrated_ensembles import (
    baseline_rows,
    ensemble_figures,
    ensemble_rows,
    ensemble_table,
)
from napari_cam.reports.overlap.classification import classification_rows, classification_table
from napari_cam.reports.overlap.figures import overlap_figures
from napari_cam.reports.overlap.metrics import DEFINITIONS
from napari_cam.reports.overlap.rows import RowSettings, map_rows
from napari_cam.reports.overlap.scores import MapScores, OverlapScores
from napari_cam.reports.overlap.scoring import THRESHOLDS, score_maps, scoring_of
from napari_cam.reports.overlap.tables import called_so, overlap_tables
from napari_cam.reports.overlap.threshold_choice import (
    ORACLE,
    OUT_OF_FOLD,
    Choice,
    folds_of,
    with_choices,
)
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import counted, tidy
from napari_cam.reports.scores.case_scores import gathered

UNIT_METRICS = ("iou_foreground", "dice_foreground", "precision", "recall", "specificity")


def reference_report(
    cases: Any,
    reference: Any = None,
    *,
    foreground: NDArray[np.bool_] | None = None,
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = THRESHOLDS,
    headline: ThresholdRule | str = HEADLINE,
    strict: bool = True,
    empty: float = np.nan,
    folds: int = 5,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    soft: bool = True,
    surfaces: bool = True,
    unit_metrics: Sequence[str] = UNIT_METRICS,
    predictions: pd.DataFrame | None = None,
    ensembles: Mapping[str, Calibration] | None = None,
    trained_on: Callable[[str], bool | None] | None = None,
    title: str = "Overlap with the reference",
    tick: Callable[[], None] | None = None,
) -> Report:
    """Compare maps with a reference.

    Parameters
    ----------
    cases
        A heatmap, or maps by name, with `reference` and `foreground`; or one :class:`Case` per
        subject. Cases from a generator are held in memory one at a time. Or their scores
        (:func:`score_case`), which keep the settings that they were made with.
    reference
        (z, y, x) bool, 0 and 1, or shares in [0, 1]; or a Volume. Case objects have their own.
    foreground
        (z, y, x) bool, the voxels that count. Case objects have their own.
    thresholds
        Rules or their texts. The default is "fixed:0.1" to "fixed:0.9", Otsu and two quantiles.
    headline
        The rule shown first, and the one used for surface distances. It is added if `thresholds`
        lacks it.
    strict
        True for > (Kang et al. 2021), False for >= (Sci Rep 2023, 13:2574).
    empty
        The score of two empty masks: NaN (excluded and counted), 0.0 or 1.0.
    folds
        Number of folds for choosing the threshold out of fold; a group is never split.
    resamples, confidence, seed
        Settings of the percentile bootstrap intervals, which resample whole groups. 0 resamples
        give no intervals.
    soft
        Whether to compute soft overlap, average precision, peak and energy inside.
    surfaces
        Whether to measure HD95 and ASSD at `headline`, in whole volumes.
    unit_metrics
        The metrics that get one row per unit; () for no such rows.
    predictions
        The networks' classifications: one row per image with the columns `true` and `predicted`,
        and `backbone` and `fold` if there are several. Adds accuracy, precision, recall and F1.
    ensembles
        Calibrated ensembles by name (:func:`napari_cam.calibrate`), shown next to the baselines
        that predict nothing or everything, with their grids of thresholds (Ostrowski et al. 2024).
    trained_on
        Function that tells whether the network was trained on a subject (None: unknown), for the
        first note.
    title
        Title of the report.
    tick
        Called after each map; an exception in it stops the report.

    Returns
    -------
    Report
        A report of kind "overlap". Its levels are "unit", "subject", "class" and "cohort", plus
        "baseline" and "ensemble". The column "scored" says whether all units count or only the
        correctly classified ones. See docs/reports.md for the definitions of the metrics.

    Raises
    ------
    ReportError
        If cases do not match each other, or the scores have different settings.
    MaskError
        If a rule is unknown or does not suit a heatmap.

    Examples
    --------
    >>> import napari_cam as nc
    >>> from napari_cam.sample import load_sample_phantom
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged")
    >>> truth = load_sample_phantom().damage
    >>> report = nc.reference_report(maps, truth, thresholds=["fixed:0.5"], resamples=0)
    >>> rows = report.select(metric="iou_foreground_unit_mean", scored="all", level="cohort")
    >>> len(rows)  # one for each map
    2
    """
    how = scoring_of(thresholds, headline, strict, soft, surfaces)
    rows_of = RowSettings(empty, Intervals(resamples, confidence, seed), tuple(unit_metrics))
    folds_of((), folds, seed)  # these two raise before anything is computed
    Counts(0, 0, 0, 0).iou(empty)
    settings, found = gathered(
        "overlap",
        cases,
        how.settings,
        scoring_of().settings,
        lambda case, pictures: score_maps(case, how, pictures, tick),
        reference=reference,
        foreground=foreground,
    )
    scores = _joined(found)
    rows: list[pd.DataFrame] = []
    choices: dict[MapName, Choice] = {}
    wider: list[MapScores] = []
    for each in scores:
        judged, choice = with_choices(each, folds, seed, empty)
        wider.append(judged)
        if choice is not None:
            choices[each.name] = choice
        rows += map_rows(judged, rows_of)
    more = [] if predictions is None else [classification_rows(predictions)]
    rows.append(baseline_rows(scores[0]))
    joint = dict(ensembles or {})
    if joint:
        rows.append(ensemble_rows(joint))
    table = tidy(pd.concat([*rows, *more], ignore_index=True))
    called = plainest(each.name for each in scores)
    pictures = next((each.pictures for each in found if each.pictures is not None), None)
    shown = None if pictures is None else pictures.called(called)
    named = [replace(each, name=called[each.name]) for each in wider]
    plain = called_so(table, called)
    first = settings.headline
    return Report(
        table=table,
        kind="overlap",
        title=title,
        notes=_notes(scores, found, choices, trained_on),
        provenance=stamp(
            kind="overlap report",
            thresholds=settings.thresholds,
            headline=first,
            strict=settings.strict,
            empty="undefined" if np.isnan(empty) else empty,
            folds=folds,
            bootstrap={**asdict(rows_of.intervals), "unit": "group"},
            chosen={name.label: choice.facts() for name, choice in choices.items()},
            definitions=dict(DEFINITIONS),
            models=sorted({model for each in found for model in each.models}),
            subjects=len({each.subject for each in found}),
        ),
        figures=(*overlap_figures(plain, named, first, shown, empty), *ensemble_figures(joint)),
        tables=(
            *overlap_tables(plain, first, {called[k]: v for k, v in choices.items()}),
            *([ensemble_table(joint)] if joint else []),
            *(classification_table(each) for each in more),
        ),
        empty=empty,
        arrays={} if pictures is None else dict(pictures.arrays),
    )


def _joined(found: Sequence[OverlapScores]) -> list[MapScores]:
    """Return the scores of every map over all cases."""
    parts: dict[tuple[MapName, tuple[str, ...]], list[MapScores]] = {}
    for each in (each for case in found for each in case.maps):
        parts.setdefault((each.name, each.thresholds), []).append(each)
    if not any(len(part.unit) for each in parts.values() for part in each):
        raise ReportError(
            "No voxel can be compared: the foreground lies where no network saw; give another one."
        )
    return [MapScores.joined(each) for each in parts.values()]


def _notes(
    scores: Sequence[MapScores],
    found: Sequence[OverlapScores],
    choices: Mapping[MapName, Choice],
    trained_on: Callable[[str], bool | None] | None,
) -> tuple[str, ...]:
    """Return what a reader must know, whom the network knows first."""
    subjects = dict.fromkeys(each.subject for each in found)
    notes = [_trained(subjects, trained_on)]
    groups = {name for each in scores for name in each.group}
    units = max(len(each.unit) for each in scores)
    notes.append(
        f"{counted(len(subjects), 'subject')} in {counted(len(groups), 'group')}, "
        f"up to {units} units for each map."
    )
    if len(groups) < 2:
        notes.append(
            "There is one group, so there are no intervals and no threshold chosen out of fold."
        )
    elif choices:
        notes.append(
            f"'{OUT_OF_FOLD}' is the threshold that the other groups choose; '{ORACLE}' is the one "
            "that is best on the very units it is judged on, which no one without a reference has."
        )
    unseen, everything = (sum(each.unseen[place] for each in found) for place in (0, 1))
    if unseen:
        notes.append(
            f"{unseen} of {everything} reference voxels lie where not every network "
            "looked, and are left out there."
        )
    if any((each.correct >= 0).any() for each in scores):
        notes.append(
            "Numbers of correctly classified units alone hide the network's errors; both are given."
        )
    return tuple(notes)


def _trained(subjects: Mapping[str, None], trained_on: Callable[[str], bool | None] | None) -> str:
    n = len(subjects)
    known = [] if trained_on is None else [trained_on(each) for each in subjects]
    if not known or all(each is None for each in known):
        whom = "the one subject" if n == 1 else f"any of the {n} subjects"
        return (
            f"Whether the network was trained on {whom} is not known; numbers of training subjects "
            "say nothing about others."
        )
    hits = sum(each is True for each in known)
    end = "; their numbers say nothing about others." if hits else "."
    return f"The network was trained on {hits} of the {counted(n, 'subject')}{end}"
