"""Whether what a heatmap claims goes with something measured outside of the image.

Sci Rep 2023, 13:2574, correlates the damage that heatmaps claim with the liquid that fillets lose.
Two fillets are of one fish, and three freezing protocols move both quantities: so intervals draw
whole fish, and the correlation within protocols stands beside the pooled one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.provenance import stamp
from napari_cam.reports.association.correlations import (
    KINDS,
    Correction,
    Found,
    Measurement,
    Settings,
    association_rows,
    condition_means,
    corrected_p,
    correlate_damage,
    strongest,
)
from napari_cam.reports.association.damage import (
    COMBINATION,
    REFERENCE,
    damage_fractions,
    subject_damage,
)
from napari_cam.reports.association.figures import association_figures
from napari_cam.reports.cases import word_of
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import ReportTable
from napari_cam.statistics import Interval, p_short, p_text, shapiro_wilk, stars

_FEW_GROUPS = 10


def association_report(
    damage: pd.DataFrame | Mapping[Any, Any],
    measurements: Mapping[Any, float],
    *,
    groups: Mapping[Any, Any] | None = None,
    within: Mapping[Any, Any] | None = None,
    thresholds: Any = (0.5,),
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    strict: bool = True,
    weight: str = "units",
    measurement: Measurement | str = "measurement",
    overlap: Report | pd.DataFrame | Mapping[Any, float] | None = None,
    overlap_metric: str = "iou_foreground",
    at: str | None = None,
    correction: Correction = "holm",
    resamples: int = 2000,
    confidence: float = 0.95,
    method: Literal["percentile", "bca"] = "percentile",
    seed: int = 0,
) -> Report:
    """Correlate the damage that heatmaps claim with a measurement of each subject.

    For every method, backbone, layer and threshold: Spearman's rho (the headline) and Pearson's r
    with bootstrap intervals by group, both within conditions as well, Shapiro-Wilk of the damage,
    and p-values corrected for the number of combinations.

    Parameters
    ----------
    damage
        Heatmaps by subject, or what :func:`damage_fractions` returned for them.
    measurements
        Subject -> number, such as the liquid lost in percent; NaN where it was not measured.
    groups
        Subject -> whom dependent subjects share (the fish of a fillet): drawn anew as a whole.
        None takes every subject for independent.
    within
        Subject -> condition that may move both quantities (the freezing protocol).
    thresholds, foreground, strict
        As in :func:`damage_fractions`, where `damage` holds heatmaps.
    weight
        "units" or "voxels", as in :func:`subject_damage`.
    measurement
        Its name, or :class:`Measurement` with unit and the names of groups.
    overlap
        Agreement with a reference to draw rho against: a report of overlaps, its table, or
        (method, backbone) -> number.
    overlap_metric
        Which metric of that report, at the threshold `at`; averaged over units (over subjects where
        there are none), then over conditions, as published.
    at
        Name of the threshold that figures of one threshold show; None for the first.
    correction
        "holm", "bh" (false discovery rate) or "none", for the stars.
    resamples, confidence, method, seed
        Of the bootstrap, as in :func:`napari_cam.statistics.cluster_bootstrap`.

    Returns
    -------
    Report
        Rows of level "cohort" (correlations), "group" (the measurement's means) and "subject"; own
        columns p_groups (by group), p_holm and p_bh, and group.

    Raises
    ------
    ReportError
        Where fewer than three subjects have both damage and measurement, or names do not match.
    """
    if correction not in ("holm", "bh", "none"):
        raise ReportError(f"The correction is 'holm', 'bh' or 'none', not '{correction}'.")
    named = Measurement(measurement) if isinstance(measurement, str) else measurement
    fractions = (
        damage
        if isinstance(damage, pd.DataFrame)
        else damage_fractions(damage, thresholds, foreground, strict=strict)
    )
    measured = _numbers(measurements)
    by_group, by_condition = _labels(groups, measured, "group"), _labels(within, measured, "within")
    settings = Settings(resamples, confidence, method, seed)
    amounts = subject_damage(fractions, weight)
    found = [
        correlate_damage(combination, rows, measured, by_group, by_condition, settings)
        for combination, rows in amounts.groupby(COMBINATION, sort=False, dropna=False)
    ]
    table = association_rows(found, measured, by_condition, settings)
    p = corrected_p(found, by_group is not None, correction)
    shown = at if at is not None else found[0].combination[3]
    if shown not in (known := [*dict.fromkeys(each.combination[3] for each in found)]):
        raise ReportError(
            f"No damage was measured at the threshold '{shown}'; there are {', '.join(known)}."
        )
    # The reference is no way of claiming damage that could be picked.
    claims = [each for each in found if each.combination[0] != REFERENCE] or found
    best = strongest(claims)
    agreement = _overlaps(overlap, overlap_metric, by_condition, shown)
    figures = association_figures(
        found, p, correction, best, measured, by_condition, fractions, agreement, named, shown
    )
    notes = _notes(
        found, claims, best, p, correction, measured, by_group, by_condition, amounts, named
    )
    return Report(
        table,
        "association",
        f"Damage and {named.name}",
        notes,
        stamp(
            kind="association report",
            measurement=asdict(named),
            weight=weight,
            correction=correction,
            strict=strict,
            combinations=len(found),
            **asdict(settings),
        ),
        figures,
        _tables(found, p, correction, measured, by_condition, named, confidence),
    )


def _numbers(measurements: Mapping[Any, float]) -> dict[str, float]:
    try:
        numbers = {str(subject): float(value) for subject, value in measurements.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ReportError(f"A measurement is a number for each subject ({error}).") from error
    if any(math.isinf(value) for value in numbers.values()):
        raise ReportError("A measurement is infinite; correct it, or give NaN for unknown.")
    return numbers


def _labels(
    given: Mapping[Any, Any] | None, measured: Mapping[str, float], what: str
) -> dict[str, str] | None:
    if given is None:
        return None
    labels = {str(subject): word_of(name) for subject, name in given.items()}
    missing = [
        subject
        for subject, value in measured.items()
        if not math.isnan(value) and not labels.get(subject)
    ]
    if missing:
        raise ReportError(
            f"{len(missing)} subjects have a measurement but no entry in '{what}'; name one for "
            "every subject."
        )
    return labels


def _overlaps(
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


def _notes(
    found: list[Found],
    claims: list[Found],
    best: Found | None,
    p: list[float],
    correction: Correction,
    measured: Mapping[str, float],
    groups: Mapping[str, str] | None,
    conditions: Mapping[str, str] | None,
    amounts: pd.DataFrame,
    named: Measurement,
) -> tuple[str, ...]:
    notes: list[str] = []
    if best is not None:
        notes.append(_headline(claims, best, p[found.index(best)], correction, named))
        if best.within:
            notes.append(_beside(best, named))
    else:
        notes.append(f"Damage or {named.name} does not vary, so they have no correlation.")
    notes.append(_independence(found[0], groups, named))
    known = {subject for subject, value in measured.items() if not math.isnan(value)}
    seen = set(amounts["subject"].astype(str))
    for missing, what in ((seen - known, "measurement"), (known - seen, "heatmap")):
        if missing:
            who = "1 subject has" if len(missing) == 1 else f"{len(missing)} subjects have"
            notes.append(f"{who} no {what} and cannot be counted.")
    if conditions is not None and len(set(conditions.values())) < 2:
        notes.append(f"All subjects are of one {named.within_name}.")
    return tuple(notes)


def _headline(
    claims: list[Found], best: Found, p: float, correction: Correction, named: Measurement
) -> str:
    interval = best.pooled["spearman"].interval
    name = {"holm": "Holm-corrected ", "bh": "corrected (false discovery rate) ", "none": ""}
    text = (
        f"Spearman's rho of damage and {named.name} is {interval.value:.2f} "
        f"({_ends(interval)}, {name[correction]}{p_text(p)}) for {best.words}"
    )
    if len(claims) == 1:
        return text + "."
    return (
        f"{text}, the largest of {len(claims)} combinations. Picked by its size, it is larger than "
        "it would be on new subjects."
    )


def _ends(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "no interval"
    return f"{100 * interval.confidence:g} % interval {interval.low:.2f} to {interval.high:.2f}"


def _beside(best: Found, named: Measurement) -> str:
    within, pooled = (kinds["spearman"].interval for kinds in (best.within, best.pooled))
    text = f"Within one {named.within_name} the same rho is {within.value:.2f} ({_ends(within)})"
    if not pooled.covers(0) and within.covers(0):
        return (
            text + f": that the {named.within_name} moves both quantities may be all there is to "
            "the pooled correlation."
        )
    return text + "."


def _independence(one: Found, groups: Mapping[str, str] | None, named: Measurement) -> str:
    if groups is None:
        return "Every subject is taken for independent of the others; no groups were given."
    count = one.pooled["spearman"].interval.groups or 0
    text = (
        f"Intervals draw whole units of '{named.group_name}' anew: {count} for "
        f"{len(one.subjects)} subjects"
    )
    if count < _FEW_GROUPS:
        return text + f". Fewer than {_FEW_GROUPS} make intervals too narrow."
    return text + "."


def _tables(
    found: list[Found],
    p: list[float],
    correction: Correction,
    measured: Mapping[str, float],
    conditions: Mapping[str, str] | None,
    named: Measurement,
    confidence: float,
) -> tuple[ReportTable, ...]:
    order = sorted(range(len(found)), key=lambda place: -abs(np.nan_to_num(found[place].rho)))
    rows = [_row(found[place], p[place]) for place in order]
    words = {"holm": "Holm", "bh": "false discovery rate", "none": "not corrected"}[correction]
    tables = [
        ReportTable(
            f"Correlation of damage with {named.name}",
            pd.DataFrame(rows),
            f"rho: Spearman; r: Pearson; brackets: {100 * confidence:g} % intervals. p: each "
            f"subject taken for independent; stars: {words}, * < .05, ** < .01, *** < .001. "
            "Shapiro-Wilk: p below .05 rejects that damage is normal.",
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


def _row(found: Found, p: float) -> dict[str, Any]:
    rho, r = (found.pooled[kind] for kind in KINDS)
    row: dict[str, Any] = dict(zip(COMBINATION, found.combination, strict=True))
    row |= {"rho": _bracketed(rho.interval), "p": p_short(rho.p)}
    if rho.interval.groups is not None:
        row["p by group"] = p_short(rho.p_groups)
    row |= {"corrected p": p_short(p), "stars": stars(p)}
    if found.within:
        row["rho within"] = _bracketed(found.within["spearman"].interval)
    normal = shapiro_wilk(found.damage)
    row |= {"r": _bracketed(r.interval), "n": rho.n, "Shapiro-Wilk p": p_short(normal.p)}
    return row


def _bracketed(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "–"
    known = not math.isnan(interval.low)
    return f"{interval.value:.2f}" + (
        f" [{interval.low:.2f}, {interval.high:.2f}]" if known else ""
    )
