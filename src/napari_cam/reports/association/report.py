"""Whether what a heatmap marks goes with something measured outside of the image.

Sci Rep 2023, 13:2574, correlates the damage that heatmaps mark with the liquid that fillets lose.
Two fillets are of one fish, and three freezing protocols move both quantities: so intervals draw
whole fish, and the correlation within protocols stands beside the pooled one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.provenance import stamp
from napari_cam.reports.association.correlations import (
    Correction,
    MapCorrelations,
    Measurement,
    Resampling,
    association_rows,
    corrected_p,
    correlate_shares,
    strongest,
)
from napari_cam.reports.association.figures import association_figures
from napari_cam.reports.association.overlaps import overlaps_of
from napari_cam.reports.association.shares import (
    COMBINATION,
    REFERENCE,
    shares_of,
    subject_shares,
)
from napari_cam.reports.association.tables import association_tables
from napari_cam.reports.cases.case import Case, word_of
from napari_cam.reports.former import former_column, former_parameter
from napari_cam.reports.page.report import Report
from napari_cam.reports.scores.case_scores import CaseScores
from napari_cam.statistics import Interval, p_text

_FEW_GROUPS = 10


@former_parameter("damage", "shares")
def association_report(
    shares: pd.DataFrame | Mapping[Any, Any] | Iterable[Case] | Iterable[CaseScores],
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
    """Correlate the share of each subject that heatmaps mark with a measurement.

    The report covers every method, backbone, layer and threshold. It gives Spearman's rho (the
    headline) and Pearson's r with bootstrap intervals by group, overall and within conditions, the
    Shapiro-Wilk test of the shares, and p-values corrected for the number of combinations.

    Parameters
    ----------
    shares
        Heatmaps by subject, cases, or their scores (:func:`score_case`), which keep the settings
        that they were made with; or the result of :func:`mask_shares` for them.
    measurements
        Subject -> number, such as the liquid loss in percent; NaN if it was not measured.
    groups
        Subject -> group of dependent subjects, such as the fish that a fillet comes from. Groups
        are resampled as a whole. None treats all subjects as independent.
    within
        Subject -> condition that may affect both quantities (such as the freezing protocol).
    thresholds, foreground, strict
        As in :func:`mask_shares`, if `shares` contains heatmaps.
    weight
        "units" or "voxels", as in :func:`subject_shares`.
    measurement
        Name of the measurement, or :class:`Measurement` with its unit and the names of groups.
    overlap
        Agreement with a reference, to plot rho against: an overlap report, its table, or (method,
        backbone) -> number.
    overlap_metric
        The metric of that report, at the threshold `at`. It is averaged over units (over subjects
        if there are no units), then over conditions, as published.
    at
        Name of the threshold for figures that show a single one; None for the first.
    correction
        "holm", "bh" (false discovery rate) or "none"; the stars in figures use it.
    resamples, confidence, method, seed
        Resampling of the bootstrap, as in :func:`napari_cam.statistics.cluster_bootstrap`.

    Returns
    -------
    Report
        Rows of level "cohort" (correlations), "group" (means of the measurement) and "subject".
        Additional columns: p_groups (by group), p_holm, p_bh, and group.

    Raises
    ------
    ReportError
        If fewer than three subjects have both a share and a measurement, or names do not match.

    Examples
    --------
    >>> import napari_cam as nc
    >>> from napari_cam.sample.phantom import phantom
    >>> model = nc.load_sample_model()
    >>> fillets = {str(seed): phantom(seed) for seed in range(20_000, 20_004)}
    >>> heatmaps = {
    ...     name: nc.explain_one(model, fillet.volume, "gradcam", "damaged")
    ...     for name, fillet in fillets.items()
    ... }
    >>> measured = {name: float(fillet.damage.mean()) for name, fillet in fillets.items()}
    >>> report = nc.association_report(heatmaps, measured, thresholds=[0.5], resamples=100)
    >>> rho = report.select(metric="spearman", level="cohort")
    """
    if correction not in ("holm", "bh", "none"):
        raise ReportError(f"The correction is 'holm', 'bh' or 'none', not '{correction}'.")
    named = Measurement(measurement) if isinstance(measurement, str) else measurement
    if isinstance(shares, pd.DataFrame):
        of_units = former_column(shares, "damage", "share")
    else:
        settings, of_units = shares_of(shares, thresholds, foreground, strict)
        strict = settings.strict
    measured = _numbers(measurements)
    by_group, by_condition = _labels(groups, measured, "group"), _labels(within, measured, "within")
    how = Resampling(resamples, confidence, method, seed)
    amounts = subject_shares(of_units, weight)
    found = [
        correlate_shares(combination, rows, measured, by_group, by_condition, how)
        for combination, rows in amounts.groupby(COMBINATION, sort=False, dropna=False)
    ]
    table = association_rows(found, measured, by_condition, how)
    p = corrected_p(found, by_group is not None, correction)
    shown = at if at is not None else found[0].combination[3]
    if shown not in (known := [*dict.fromkeys(each.combination[3] for each in found)]):
        raise ReportError(
            f"Nothing was measured at the threshold '{shown}'; there are {', '.join(known)}."
        )
    # The reference is no claim that could be picked.
    claims = [each for each in found if each.combination[0] != REFERENCE] or found
    best = strongest(claims)
    agreement = overlaps_of(overlap, overlap_metric, by_condition, shown)
    figures = association_figures(
        found, p, correction, best, measured, by_condition, of_units, agreement, named, shown
    )
    notes = _notes(
        found, claims, best, p, correction, measured, by_group, by_condition, amounts, named
    )
    return Report(
        table,
        "association",
        f"Mask share and {named.name}",
        notes,
        stamp(
            kind="association report",
            measurement=asdict(named),
            weight=weight,
            correction=correction,
            strict=strict,
            combinations=len(found),
            **asdict(how),
        ),
        figures,
        association_tables(found, p, correction, measured, by_condition, named, confidence),
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


def _notes(
    found: list[MapCorrelations],
    claims: list[MapCorrelations],
    best: MapCorrelations | None,
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
        notes.append(f"The mask share or {named.name} does not vary, so they have no correlation.")
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
    claims: list[MapCorrelations],
    best: MapCorrelations,
    p: float,
    correction: Correction,
    named: Measurement,
) -> str:
    interval = best.pooled["spearman"].interval
    name = {"holm": "Holm-corrected ", "bh": "corrected (false discovery rate) ", "none": ""}
    text = (
        f"Spearman's rho of the mask share and {named.name} is {interval.value:.2f} "
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


def _beside(best: MapCorrelations, named: Measurement) -> str:
    within, pooled = (kinds["spearman"].interval for kinds in (best.within, best.pooled))
    text = f"Within one {named.within_name} the same rho is {within.value:.2f} ({_ends(within)})"
    if not pooled.covers(0) and within.covers(0):
        return (
            text + f": that the {named.within_name} moves both quantities may be all there is to "
            "the pooled correlation."
        )
    return text + "."


def _independence(
    one: MapCorrelations, groups: Mapping[str, str] | None, named: Measurement
) -> str:
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
