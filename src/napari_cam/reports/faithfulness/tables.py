"""The table and the small tables of a faithfulness report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.checks import Summary
from napari_cam.reports.faithfulness.measured import Measured
from napari_cam.reports.faithfulness.verdict import Check
from napari_cam.reports.page.tables import ReportTable, bracketed
from napari_cam.statistics import Interval

_METRICS = (
    *("deletion", "insertion", "road", "road_morf", "road_lerf", "average_drop", "increase"),
    "sensitivity_n",
)


def faithfulness_rows(
    measured: Measured, summarise: Summary, names: tuple[str, ...]
) -> pd.DataFrame:
    """Return the rows: every unit, means with intervals, and cascades."""
    rows: list[dict[str, Any]] = []
    for row in measured.rows:
        index = row["class"]
        word = names[index] if 0 <= index < len(names) else f"class {index}"
        rows.append(
            {"level": "unit", "subject": row["subject"], "unit": row["unit"], "class": word}
            | _columns(row["map"])
            | {"metric": row["metric"], "value": row["value"], "n": 1}
        )
    for name, metric, found in _summaries(measured, summarise):
        rows.append(
            {"level": "cohort", **_columns(name), "metric": metric, "value": found.value}
            | {"n": found.n, "ci_low": found.low, "ci_high": found.high}
        )
    for name, stages in measured.cascades.items():
        rows += [
            {"level": "cohort", **_columns(name), "metric": "rank_correlation_cascade"}
            | {"value": value, "stage": stage}
            for stage, value in stages
        ]
    return pd.DataFrame(rows)


def _columns(name: MapName) -> dict[str, str]:
    return {"method_a": name.method, "backbone_a": name.backbone, "layer_a": name.layer}


def called(name: MapName) -> str:
    """Return what a map is called in a sentence."""
    return name.label or "map"


def _summaries(measured: Measured, summarise: Summary) -> list[tuple[MapName, str, Interval]]:
    pairs = dict.fromkeys((row["map"], row["metric"]) for row in measured.rows)
    return [(name, metric, summarise(*measured.values(name, metric))) for name, metric in pairs]


def check_tables(checks: Mapping[str, Sequence[Check]]) -> list[ReportTable]:
    """Return a table of checks for every map, by what the map is called."""
    caption = (
        "A check that could not be made neither passes nor fails. Faithful maps of a network that "
        "has learned a shortcut pass all checks but those of localisation."
    )
    tables = []
    for words, each in checks.items():
        frame = pd.DataFrame(
            [
                {
                    "check": check.name,
                    "speaks of": check.kind,
                    "value": check.value,
                    "low": check.low,
                    "high": check.high,
                    "passes": check.threshold,
                    "outcome": check.outcome,
                    "note": check.note,
                }
                for check in each
            ]
        )
        tables.append(ReportTable(f"Checks of {words}", frame, caption))
    return tables


def summary_table(measured: Measured, summarise: Summary, confidence: float) -> ReportTable:
    """Return the means of maps and floors."""
    rows = []
    for name in dict.fromkeys(row["map"] for row in measured.rows):
        row: dict[str, Any] = {"map": called(name)}
        for metric in _METRICS:
            found = summarise(*measured.values(name, metric))
            row[metric] = bracketed(found)
        rows.append(row)
    caption = (
        f"Means over units with {100 * confidence:g} % intervals. Low is good: deletion, "
        "road_morf, average_drop (%); high is good: insertion, road, road_lerf, increase, "
        "sensitivity_n. Floors know nothing of the network."
    )
    return ReportTable("Maps and floors", pd.DataFrame(rows), caption)
