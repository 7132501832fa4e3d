"""The overlap report: maps beside a reference, per unit, per subject and all together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.rules import Fixed, ThresholdRule, rule_from_text
from napari_cam.provenance import stamp
from napari_cam.reports.cases import Case, MapName, as_cases, plainest
from napari_cam.reports.overlap.aggregate import (
    WITHOUT_THRESHOLD,
    Intervals,
    Numbers,
    aggregate,
    classes_of,
    subject_counts,
)
from napari_cam.reports.overlap.calibrated_ensembles import (
    baseline_rows,
    ensemble_figures,
    ensemble_rows,
    ensemble_table,
)
from napari_cam.reports.overlap.classification import classification_rows, classification_table
from napari_cam.reports.overlap.figures import Pictures, overlap_figures
from napari_cam.reports.overlap.metrics import DEFINITIONS, ratio, unit_metrics
from napari_cam.reports.overlap.scores import Scores, Scoring, hard, score
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

CURVE: tuple[str, ...] = tuple(f"fixed:{tenth / 10:g}" for tenth in range(1, 10))
THRESHOLDS: tuple[str, ...] = (*CURVE, "otsu", "quantile:0.9", "quantile:0.95")
"""The thresholds of Sci Rep 2023, 13:2574 (0.1 to 0.9) and of Kang et al. 2021."""

UNIT_METRICS = ("iou_foreground", "dice_foreground", "precision", "recall", "specificity")


def reference_report(
    cases: Any,
    reference: Any = None,
    *,
    foreground: NDArray[np.bool_] | None = None,
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = THRESHOLDS,
    headline: ThresholdRule | str = "fixed:0.5",
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
        A heatmap or maps by name, with `reference` and `foreground`; or a :class:`Case` for each
        subject, which may come from a generator and are then held one at a time.
    reference
        (z, y, x) bool, 0 and 1, or shares in [0, 1]; or a Volume. Of what is no case.
    foreground
        (z, y, x) bool, where voxels count. Of what is no case.
    thresholds
        Rules or their texts; "fixed:0.1" to "fixed:0.9", Otsu and two quantiles by default.
    headline
        The rule shown first, at which surface distances are measured; added where it is missing.
    strict
        True for > (Kang et al. 2021), False for >= (Sci Rep 2023, 13:2574).
    empty
        What two empty masks count as: NaN (left out and counted), 0.0 or 1.0.
    folds
        How many folds the threshold is chosen out of; whole groups are in one fold.
    resamples, confidence, seed
        Of the intervals, which draw whole groups (percentile bootstrap). 0 resamples make none.
    soft
        Whether soft overlap and average precision, peak and energy inside are computed.
    surfaces
        Whether HD95 and ASSD are measured at `headline`, in whole volumes.
    unit_metrics
        Which metrics get a row for every unit; () leaves those rows out.
    predictions
        How the networks classified: a row for each image with the columns `true`, `predicted`, and
        `backbone` and `fold` where there are several; adds accuracy, precision, recall and F1.
    ensembles
        Calibrated ensembles by name (:func:`napari_cam.calibrate`), to be shown with what
        predicts nothing or everything, and their grids of thresholds (Ostrowski et al. 2024).
    trained_on
        Tells whether the network was trained on a subject (None: unknown), for the first note.
    title
        Heading of the report.
    tick
        Called after each map; an exception in it ends the report.

    Returns
    -------
    Report
        Of kind "overlap". Its levels are "unit", "subject", "class" and "cohort", beside these
        "baseline" and "ensemble"; the column "scored" says whether all units count or only those
        classified correctly. Definitions of the metrics stand in docs/reports.md.

    Raises
    ------
    ReportError
        Where cases do not fit together.
    MaskError
        Where a rule is unknown or does not suit a heatmap.
    """
    rules, first = chosen_rules(thresholds, headline)
    how = Scoring(rules, strict, (first.name,) if surfaces else (), soft)
    chosen = _Settings(empty, folds, Intervals(resamples, confidence, seed), tuple(unit_metrics))
    folds_of((), folds, seed)  # raises before anything is computed
    pictures = Pictures(first, strict)
    scores, facts = _score_all(
        as_cases(cases, reference=reference, foreground=foreground), how, pictures, tick
    )
    rows: list[pd.DataFrame] = []
    choices: dict[MapName, Choice] = {}
    wider: list[Scores] = []
    for each in scores:
        judged, choice = with_choices(each, folds, seed, empty)
        wider.append(judged)
        if choice is not None:
            choices[each.name] = choice
        rows += _rows(judged, chosen)
    more = [] if predictions is None else [classification_rows(predictions)]
    rows.append(baseline_rows(scores[0]))
    joint = dict(ensembles or {})
    if joint:
        rows.append(ensemble_rows(joint))
    table = tidy(pd.concat([*rows, *more], ignore_index=True))
    called = plainest(each.name for each in scores)
    shown = pictures.called(called)
    named = [replace(each, name=called[each.name]) for each in wider]
    plain = called_so(table, called)
    return Report(
        table=table,
        kind="overlap",
        title=title,
        notes=_notes(scores, facts, choices, trained_on),
        provenance=stamp(
            kind="overlap report",
            thresholds=[rule.name for rule in rules],
            headline=first.name,
            strict=strict,
            empty="undefined" if np.isnan(empty) else empty,
            folds=folds,
            bootstrap={**asdict(chosen.intervals), "unit": "group"},
            chosen={name.label: choice.facts() for name, choice in choices.items()},
            definitions=dict(DEFINITIONS),
            models=sorted(facts.models),
            subjects=len(facts.subjects),
        ),
        figures=(
            *overlap_figures(plain, named, first.name, shown, empty),
            *ensemble_figures(joint),
        ),
        tables=(
            *overlap_tables(plain, first.name, {called[k]: v for k, v in choices.items()}),
            *([ensemble_table(joint)] if joint else []),
            *(classification_table(each) for each in more),
        ),
        empty=empty,
        arrays=pictures.arrays,
    )


@dataclass(frozen=True)
class _Settings:
    """How numbers are put together."""

    empty: float
    folds: int
    intervals: Intervals
    unit_metrics: tuple[str, ...]


@dataclass(frozen=True)
class _Facts:
    """What was met on the way."""

    subjects: dict[str, None]
    models: set[str]
    unseen: list[int]  # voxels of the reference outside of what counts, and all of them


def chosen_rules(thresholds: Any, headline: Any) -> tuple[tuple[ThresholdRule, ...], ThresholdRule]:
    """Return thresholds as rules, and which of them is shown first."""
    one = isinstance(thresholds, (str, ThresholdRule))
    given = [thresholds] if one else list(thresholds)
    asked = [_rule(each) for each in given]
    first = _rule(headline)
    if not asked:
        asked = [first]
    if first not in asked:
        # Not asked for: the first of those that are stands in its place.
        if headline == "fixed:0.5" and given:
            first = asked[0]
        else:
            asked.append(first)
    for rule in asked:
        if rule.scope == "cohort":
            raise ReportError(
                f"{rule.name} takes one cut from all heatmaps, but a report holds one at a time; "
                "cut them with binarize and give the masks."
            )
    return tuple(dict.fromkeys(asked)), first


def _rule(given: Any) -> ThresholdRule:
    if isinstance(given, ThresholdRule):
        return given
    if isinstance(given, str):
        return rule_from_text(given)
    if checks.is_number(given):
        return Fixed(float(given))
    raise ReportError(f"{given!r} is no threshold; give a rule, its text, or a number in [0, 1].")


def _score_all(
    cases: Iterable[Case], how: Scoring, pictures: Pictures, tick: Callable[[], None] | None
) -> tuple[list[Scores], _Facts]:
    """Score every map of every case and join them by map."""
    parts: dict[tuple[MapName, tuple[str, ...]], list[Scores]] = {}
    facts = _Facts({}, set(), [0, 0])
    for case in cases:
        facts.subjects[case.subject] = None
        seen: NDArray[np.bool_] | None = None
        for name, item in case.named():
            found = score(case, name, item, how)
            parts.setdefault((name, found.thresholds), []).append(found)
            pictures.take(case, name, item)
            if isinstance(item, Heatmap):
                _note_model(facts, item)
                seen = item.inside if seen is None else seen & item.inside
            if tick is not None:
                tick()
        if seen is not None:
            reference = hard(case.reference_values())
            facts.unseen[0] += int(np.count_nonzero(reference & ~seen))
            facts.unseen[1] += int(np.count_nonzero(reference))
    if not any(len(part.unit) for each in parts.values() for part in each):
        raise ReportError(
            "No voxel can be compared: the foreground lies where no network saw; give another one."
        )
    return [Scores.joined(each) for each in parts.values()], facts


def _note_model(facts: _Facts, item: Heatmap) -> None:
    model = item.provenance.get("model")
    if isinstance(model, Mapping) and model.get("sha256"):
        facts.models.add(str(model["sha256"]))


def _notes(
    scores: Sequence[Scores],
    facts: _Facts,
    choices: Mapping[MapName, Choice],
    trained_on: Callable[[str], bool | None] | None,
) -> tuple[str, ...]:
    """Return what a reader must know, whom the network knows first."""
    notes = [_trained(facts.subjects, trained_on)]
    groups = {name for each in scores for name in each.group}
    units = max(len(each.unit) for each in scores)
    notes.append(
        f"{counted(len(facts.subjects), 'subject')} in {counted(len(groups), 'group')}, "
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
    if facts.unseen[0]:
        notes.append(
            f"{facts.unseen[0]} of {facts.unseen[1]} reference voxels lie where not every network "
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


def _rows(scores: Scores, settings: _Settings) -> Iterator[pd.DataFrame]:
    """Yield the rows of one map: units, subjects, classes, cohort."""
    everything = np.ones(len(scores.unit), bool)
    if settings.unit_metrics:
        yield _unit_rows(scores, settings)
    yield _subject_rows(scores, everything, settings)
    for scored, use in _scored(scores):
        overall = aggregate(scores, use, settings.empty, settings.intervals)
        if len(set(scores.class_name)) > 1:
            parts = []
            for name, of_class in classes_of(scores):
                found = aggregate(scores, use & of_class, settings.empty, settings.intervals)
                parts.append(found["iou_foreground_unit_mean"])
                yield _total_rows(scores, found, {"level": "class", "class": name}, scored)
            overall["iou_foreground_class_macro"] = _macro(parts)
        yield _total_rows(scores, overall, {"level": "cohort"}, scored)


def _macro(parts: Sequence[Numbers]) -> Numbers:
    """Return the mean over classes that have a value; its interval would need them to be drawn."""
    values = np.stack([part.value for part in parts])
    known = ~np.isnan(values)
    none = np.full(values.shape[1], np.nan)
    mean = ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0))
    return Numbers(mean, none, none, known.sum(axis=0), (~known).sum(axis=0))


def _scored(scores: Scores) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(scores.unit), bool)
    if (scores.correct >= 0).any():
        yield "correct", scores.correct == 1


def _map_columns(name: MapName) -> dict[str, str]:
    return {"method_a": name.method, "backbone_a": name.backbone, "layer_a": name.layer}


def _unit_rows(scores: Scores, settings: _Settings) -> pd.DataFrame:
    known = unit_metrics(scores.counts, settings.empty)
    asked = [name for name in known if name in settings.unit_metrics]
    n_rules, n_units = len(scores.thresholds), len(scores.unit)
    words = {
        "subject": np.array(scores.subject, dtype=object)[scores.case],
        "class": np.array(scores.class_name, dtype=object)[scores.case],
        "group": np.array(scores.group, dtype=object)[scores.case],
        "unit": scores.unit,
        "scored": np.array(["unknown", "wrong", "correct"], dtype=object)[scores.correct + 1],
    }
    blocks = [
        pd.DataFrame(
            {key: np.tile(column, n_rules) for key, column in words.items()}
            | {"threshold_a": np.repeat(np.array(scores.thresholds, dtype=object), n_units)}
            | {"metric": name, "value": known[name].ravel()}
        )
        for name in asked
    ]
    blocks += [
        pd.DataFrame(words | {"threshold_a": "", "metric": name, "value": scores.soft[name]})
        for name in scores.soft
    ]
    table = pd.concat(blocks, ignore_index=True)
    return table.assign(level="unit", **_map_columns(scores.name))


def _subject_rows(scores: Scores, use: NDArray[np.bool_], settings: _Settings) -> pd.DataFrame:
    """Return the overlap of all voxels of each subject, and its distances and volumes."""
    subjects, counts, of_case = subject_counts(scores, use)
    found: dict[str, NDArray[np.float64]] = dict(unit_metrics(counts, settings.empty))
    wrong = np.asarray(counts.fp) - np.asarray(counts.fn)
    found["volume_difference_relative"] = ratio(
        wrong, np.asarray(counts.tp) + np.asarray(counts.fn)
    )
    found["volume_difference_ml"] = wrong * scores.voxel_ml[of_case]
    words = {
        "subject": np.array(subjects, dtype=object),
        "group": np.array(scores.group, dtype=object)[of_case],
    }
    n_rules = len(scores.thresholds)
    blocks = [
        pd.DataFrame(
            {key: np.tile(column, n_rules) for key, column in words.items()}
            | {"threshold_a": np.repeat(np.array(scores.thresholds, dtype=object), len(subjects))}
            | {"metric": name, "value": values.ravel()}
        )
        for name, values in found.items()
    ]
    for name, values in scores.surface.items():
        for place, rule in enumerate(scores.surface_at):
            blocks.append(
                pd.DataFrame(
                    {
                        "subject": scores.subject,
                        "class": scores.class_name,
                        "group": scores.group,
                        "threshold_a": scores.thresholds[rule],
                        "metric": name,
                        "value": values[place],
                    }
                )
            )
    table = pd.concat(blocks, ignore_index=True)
    return table.assign(level="subject", scored="all", **_map_columns(scores.name))


def _total_rows(
    scores: Scores, found: Mapping[str, Numbers], words: Mapping[str, str], scored: str
) -> pd.DataFrame:
    # One table at once: making thousands of small ones would take longer than all the counting.
    parts = [
        (name, numbers, 1 if name in WITHOUT_THRESHOLD else len(scores.thresholds))
        for name, numbers in found.items()
    ]
    rules = [
        each
        for name, _, length in parts
        for each in ([""] if name in WITHOUT_THRESHOLD else scores.thresholds[:length])
    ]
    columns = {
        "threshold_a": rules,
        "metric": [name for name, _, length in parts for _ in range(length)],
        **{
            column: np.concatenate(
                [getattr(numbers, field)[:length] for _, numbers, length in parts]
            )
            for column, field in _COLUMNS.items()
        },
    }
    table = pd.DataFrame(columns)
    return table.assign(scored=scored, **words, **_map_columns(scores.name))


_COLUMNS = {
    "value": "value",
    "n": "n",
    "undefined": "undefined",
    "ci_low": "low",
    "ci_high": "high",
}
