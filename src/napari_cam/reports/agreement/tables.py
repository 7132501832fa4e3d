"""The tables of an agreement report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.page.tables import ReportTable
from napari_cam.statistics import Comparison, p_text

Phi = Literal["phi_m", "phi_c"]
Tests = Mapping[tuple[Phi, str], tuple[Comparison, Comparison | None]]

PHIS: tuple[Phi, ...] = ("phi_m", "phi_c")
TITLES: Mapping[Phi, str] = {
    "phi_m": "Agreement of methods, network fixed (phi_m)",
    "phi_c": "Agreement of networks, method fixed (phi_c)",
}


def condition_label(phi: str, method: str, backbone: str, layer: str) -> str:
    """Return the name of what is fixed: the network for phi_m, method and layer for phi_c."""
    parts = (backbone, layer) if phi == "phi_m" else (method, layer)
    return " / ".join(filter(None, parts)) or "–"


def pair_matrix(
    table: pd.DataFrame, names: Sequence[MapName], metric: str, threshold: str
) -> NDArray[np.float64]:
    """Return a pairwise metric as a symmetric matrix (m, m), 1 on its diagonal."""
    place = {name: number for number, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1)
    rows = table[(table["metric"] == metric) & (table["threshold_a"] == threshold)]
    for row in rows.itertuples():
        one = place.get(MapName(str(row.method_a), str(row.backbone_a), str(row.layer_a)))
        two = place.get(MapName(str(row.method_b), str(row.backbone_b), str(row.layer_b)))
        if one is not None and two is not None:
            matrix[one, two] = matrix[two, one] = row.value
    return matrix


def agreement_tables(
    table: pd.DataFrame,
    order: Sequence[MapName],
    called: Mapping[MapName, MapName],
    headline: str,
    tests: Tests,
) -> tuple[ReportTable, ...]:
    """Return the tables of an agreement report.

    Parameters
    ----------
    table
        Its rows.
    order
        The maps, those that agree side by side.
    called
        What they are shown as.
    headline
        Name of the threshold that is shown first.
    tests
        (as published, over groups) by phi and threshold.
    """
    tables = [_phi(table, phi, headline) for phi in PHIS]
    tables += [_by_threshold(table, phi) for phi in PHIS]
    tables += [_tests(tests), _post_hoc(tests, headline)]
    tables += [
        _matrix(
            table, order, called, "iou_pair_unit_mean", headline, f"IoU of every pair at {headline}"
        ),
        _matrix(
            table, order, called, "spearman_pair_unit_mean", "", "Rank correlation of every pair"
        ),
    ]
    return tuple(each for each in tables if each is not None and len(each.frame))


def _totals(table: pd.DataFrame, phi: Phi) -> pd.DataFrame:
    rows = table[(table["level"] == "cohort") & table["metric"].str.startswith(f"{phi}_unit_")]
    names = [
        condition_label(phi, *each)
        for each in rows[["method_a", "backbone_a", "layer_a"]].itertuples(index=False, name=None)
    ]
    return rows.assign(condition=names)


def _phi(table: pd.DataFrame, phi: Phi, headline: str) -> ReportTable | None:
    rows = _totals(table, phi)
    rows = rows[rows["threshold_a"] == headline]
    if not len(rows):
        return None
    lines = []
    for name in dict.fromkeys(rows["condition"]):
        part = rows[rows["condition"] == name].set_index("metric")
        mean = part.loc[f"{phi}_unit_mean"]
        cell = f"{mean['value']:.3f}"
        if not np.isnan(mean["ci_low"]):
            cell += f" ({mean['ci_low']:.3f} to {mean['ci_high']:.3f})"
        stated = {
            word: float(part.loc[f"{phi}_unit_{word.replace(' ', '_')}", "value"])
            for word in ("median", "lower quartile", "upper quartile")
        }
        counts = {"units": int(mean["n"]), "undefined": int(mean["undefined"])}
        lines.append({"": name, **stated, "mean": cell, **counts})
    return ReportTable(
        f"{TITLES[phi]} at {headline}",
        pd.DataFrame(lines).set_index(""),
        "One value for each unit: the mean IoU of all pairs. Interval: whole groups drawn anew.",
    )


def _by_threshold(table: pd.DataFrame, phi: Phi) -> ReportTable | None:
    rows = _totals(table, phi)
    rows = rows[rows["metric"] == f"{phi}_unit_median"]
    if rows["threshold_a"].nunique() < 2:
        return None
    frame = rows.pivot_table(
        index="condition", columns="threshold_a", values="value", aggfunc="first", dropna=False
    )
    frame = frame.reindex(
        index=list(dict.fromkeys(rows["condition"])),
        columns=list(dict.fromkeys(rows["threshold_a"])),
    )
    frame = frame.rename_axis(index="", columns=None)
    return ReportTable(f"{TITLES[phi]}: median by threshold", frame)


def _tests(tests: Tests) -> ReportTable | None:
    lines = []
    for (phi, rule), both in tests.items():
        for found in both:
            if found is None:
                continue
            lines.append(
                {
                    "of": phi,
                    "threshold": rule,
                    "test": found.name,
                    "chi2": f"{found.statistic:.1f}",
                    "df": found.df,
                    "p": p_text(found.p),
                    "effect": f"{found.effect_name} {found.effect:.3f}",
                    "n": f"{found.n} {'units' if found.name == 'Kruskal-Wallis' else 'groups'}",
                }
            )
    if not lines:
        return None
    caption = "Kruskal-Wallis as published, over units; Friedman over the means of groups. "
    caption += "p of several thresholds are not corrected for each other."
    return ReportTable("Do the conditions differ?", pd.DataFrame(lines), caption)


def _post_hoc(tests: Tests, headline: str) -> ReportTable | None:
    lines = [
        {
            "of": phi,
            "a": pair.a,
            "b": pair.b,
            "median of a - b": pair.difference,
            "rank-biserial": pair.rank_biserial,
            "p (Holm)": p_text(pair.p_holm),
            "groups": pair.n,
        }
        for (phi, rule), (_, found) in tests.items()
        if rule == headline and found is not None
        for pair in found.pairs
    ]
    if not lines:
        return None
    return ReportTable(
        f"Which pairs of conditions differ at {headline}",
        pd.DataFrame(lines),
        "Wilcoxon's signed-rank test over groups, corrected by Holm.",
    )


def _matrix(
    table: pd.DataFrame,
    order: Sequence[MapName],
    called: Mapping[MapName, MapName],
    metric: str,
    threshold: str,
    title: str,
) -> ReportTable | None:
    if not (table["metric"] == metric).any():
        return None
    names = [called[name].label for name in order]
    values = pair_matrix(table, order, metric, threshold)
    frame = pd.DataFrame(values, columns=names).assign(map=names).set_index("map")
    return ReportTable(title, frame, "Mean over units; maps that agree stand together.", digits=2)
