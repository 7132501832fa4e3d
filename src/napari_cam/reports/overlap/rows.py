"""The rows of one map in an overlap report: units, subjects, classes, cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.overlap.aggregate import (
    WITHOUT_THRESHOLD,
    Intervals,
    Numbers,
    aggregate,
    classes_of,
    subject_counts,
)
from napari_cam.reports.overlap.metrics import ratio, unit_metrics
from napari_cam.reports.overlap.scores import MapScores


@dataclass(frozen=True)
class RowSettings:
    """How numbers are put together.

    Attributes
    ----------
    empty
        What two empty masks count as.
    intervals
        How often groups are drawn.
    unit_metrics
        Which metrics get a row for every unit.
    """

    empty: float
    intervals: Intervals
    unit_metrics: tuple[str, ...]


def map_rows(scores: MapScores, settings: RowSettings) -> Iterator[pd.DataFrame]:
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


def _scored(scores: MapScores) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(scores.unit), bool)
    if (scores.correct >= 0).any():
        yield "correct", scores.correct == 1


def _map_columns(name: MapName) -> dict[str, str]:
    return {"method_a": name.method, "backbone_a": name.backbone, "layer_a": name.layer}


def _unit_rows(scores: MapScores, settings: RowSettings) -> pd.DataFrame:
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


def _subject_rows(scores: MapScores, use: NDArray[np.bool_], settings: RowSettings) -> pd.DataFrame:
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
    scores: MapScores, found: Mapping[str, Numbers], words: Mapping[str, str], scored: str
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
