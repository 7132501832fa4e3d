"""The tables of an association: correlations, strongest first, and means of the measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_cam.reports.association.correlations import (
    KINDS,
    Correction,
    MapCorrelations,
    Measurement,
    condition_means,
)
from napari_cam.reports.association.shares import COMBINATION
from napari_cam.reports.page.tables import ReportTable, bracketed
from napari_cam.statistics import p_short, shapiro_wilk, stars


def association_tables(
    found: list[MapCorrelations],
    p: list[float],
    correction: Correction,
    measured: Mapping[str, float],
    conditions: Mapping[str, str] | None,
    named: Measurement,
    confidence: float,
) -> tuple[ReportTable, ...]:
    """Return the tables: every combination, strongest first, and means of the measurement."""
    order = sorted(range(len(found)), key=lambda place: -abs(np.nan_to_num(found[place].rho)))
    rows = [_row(found[place], p[place]) for place in order]
    words = {"holm": "Holm", "bh": "false discovery rate", "none": "not corrected"}[correction]
    tables = [
        ReportTable(
            f"Correlation of the mask share with {named.name}",
            pd.DataFrame(rows),
            f"rho: Spearman; r: Pearson; brackets: {100 * confidence:g} % intervals. p: each "
            f"subject taken for independent; stars: {words}, * < .05, ** < .01, *** < .001. "
            "Shapiro-Wilk: p below .05 rejects that mask shares are normal.",
        )
    ]
    known = {subject: value for subject, value in measured.items() if not math.isnan(value)}
    means = condition_means(known, conditions, confidence)
    if means:
        frame = pd.DataFrame(
            [
                {named.within_name: name, "mean": m.value, "low": m.low, "high": m.high, "n": m.n}
                for name, m in means
            ]
        )
        caption = f"Student's t, {100 * confidence:g} %."
        tables.append(ReportTable(f"{named.label} by {named.within_name}", frame, caption))
    return tuple(tables)


def _row(found: MapCorrelations, p: float) -> dict[str, Any]:
    rho, r = (found.pooled[kind] for kind in KINDS)
    row: dict[str, Any] = dict(zip(COMBINATION, found.combination, strict=True))
    row |= {"rho": bracketed(rho.interval), "p": p_short(rho.p)}
    if rho.interval.groups is not None:
        row["p by group"] = p_short(rho.p_groups)
    row |= {"corrected p": p_short(p), "stars": stars(p)}
    if found.within:
        row["rho within"] = bracketed(found.within["spearman"].interval)
    normal = shapiro_wilk(found.shares)
    row |= {"r": bracketed(r.interval), "n": rho.n, "Shapiro-Wilk p": p_short(normal.p)}
    return row
