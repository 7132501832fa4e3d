"""Overlaps with a reference to draw correlations against, from a report, a table or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.page.report import Report


def overlaps_of(
    overlap: Report | pd.DataFrame | Mapping[Any, float] | None,
    metric: str,
    conditions: Mapping[str, str] | None,
    at: str,
) -> dict[tuple[str, ...], float] | None:
    """Return (method, backbone, layer) -> overlap with the reference, conditions weigh the same.

    Where a method and a backbone have one layer they are a key without it, too.
    """
    if overlap is None:
        return None
    if not isinstance(overlap, (Report, pd.DataFrame)):
        return _given_overlaps(overlap)
    table = overlap.table if isinstance(overlap, Report) else overlap
    rows = table[table["metric"] == metric]
    if rows.empty:
        known = ", ".join(sorted(set(table["metric"])))
        raise ReportError(f"The overlaps hold no '{metric}'; name one of {known}.")
    if "threshold_a" in rows and rows["threshold_a"].astype(bool).any():
        rows = rows[rows["threshold_a"] == at]
    if "scored" in rows:  # of a unit it says whether the network recognised it
        rows = rows[(rows["level"] == "unit") | rows["scored"].isin(["all", ""])]
    level = "unit" if (rows["level"] == "unit").any() else "subject"
    rows = rows[rows["level"] == level]
    if rows.empty:
        raise ReportError(
            f"The overlaps hold no '{metric}' of any unit or subject at the threshold '{at}'; make "
            "both reports with the same thresholds."
        )
    condition = [(conditions or {}).get(str(subject), "") for subject in rows["subject"]]
    keys = [name for name in ("method_a", "backbone_a", "layer_a") if name in rows]
    means = rows.assign(condition=condition).groupby([*keys, "condition"])["value"].mean()
    averaged: Any = means.groupby(level=keys).mean()
    found = {tuple(map(str, key)): float(value) for key, value in averaged.items()}
    pairs = [key[:2] for key in found]
    return found | {key[:2]: found[key] for key in found if pairs.count(key[:2]) == 1}


def _given_overlaps(overlap: Mapping[Any, float]) -> dict[tuple[str, ...], float]:
    try:
        found = {tuple(map(str, key)): float(value) for key, value in overlap.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ReportError(
            f"Overlaps are numbers by (method, backbone), or a report of them ({error})."
        ) from error
    if any(len(key) not in (2, 3) for key in found):
        raise ReportError("Overlaps are called by (method, backbone) or (method, backbone, layer).")
    return found
