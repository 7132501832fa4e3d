"""Every map at every threshold correlated with one measurement, and the rows that say so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.statistics import (
    Correlation,
    Interval,
    benjamini_hochberg,
    correlate,
    correlate_within,
    holm,
    shapiro_wilk,
    t_interval,
)

Floats = NDArray[np.float64]
Correction = Literal["holm", "bh", "none"]
KINDS: tuple[Literal["spearman", "pearson"], ...] = ("spearman", "pearson")


@dataclass(frozen=True)
class Measurement:
    """A measurement of each subject made outside the image.

    Attributes
    ----------
    name, unit
        Name and unit of the measurement, for axes and headings.
    group_name, within_name
        Names for the groups that are resampled, and for the conditions within which correlations
        are also computed.
    """

    name: str = "measurement"
    unit: str = ""
    group_name: str = "group"
    within_name: str = "condition"

    @property
    def label(self) -> str:
        """Name and unit, as shown on an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Resampling:
    """How the intervals of correlations are made."""

    resamples: int
    confidence: float
    method: Literal["percentile", "bca"]
    seed: int


@dataclass(frozen=True, eq=False)
class MapCorrelations:
    """What one map at one threshold marks, correlated with the measurement.

    Attributes
    ----------
    combination
        Its method, backbone, layer and threshold.
    subjects
        (n,) who has both a share and a measurement.
    shares, measured
        (n,) the pairs.
    pooled, within
        Kind -> correlation over all subjects, and within conditions (none where not given).
    """

    combination: tuple[str, str, str, str]
    subjects: tuple[str, ...]
    shares: Floats
    measured: Floats
    pooled: Mapping[str, Correlation]
    within: Mapping[str, Correlation]

    @property
    def rho(self) -> float:
        """Spearman's coefficient over all subjects."""
        return self.pooled["spearman"].value

    @property
    def words(self) -> str:
        """The combination as one reads it."""
        return " / ".join(part for part in self.combination if part)


def correlate_shares(
    combination: Any,
    rows: pd.DataFrame,
    measured: Mapping[str, float],
    groups: Mapping[str, str] | None,
    conditions: Mapping[str, str] | None,
    settings: Resampling,
) -> MapCorrelations:
    """Correlate what one map marks at one threshold with the measurement.

    Parameters
    ----------
    combination
        Method, backbone, layer and threshold.
    rows
        Its rows of :func:`subject_shares`.
    measured, groups, conditions
        By subject.
    settings
        Of the bootstrap.

    Raises
    ------
    ReportError
        Where fewer than three subjects have both.
    """
    pairs = [
        (str(subject), float(share), measured[str(subject)])
        for subject, share in zip(rows["subject"], rows["share"], strict=True)
        if not math.isnan(measured.get(str(subject), math.nan)) and not math.isnan(share)
    ]
    if len(pairs) < 3:
        words = " / ".join(filter(None, map(str, combination)))
        raise ReportError(
            f"Only {len(pairs)} subjects have both a mask share of {words} "
            "and a measurement, and a correlation needs three; check that both use the same names."
        )
    subjects = tuple(subject for subject, _, _ in pairs)
    x, y = np.array([share for _, share, _ in pairs]), np.array([value for *_, value in pairs])
    by = None if groups is None else [groups[subject] for subject in subjects]
    options: dict[str, Any] = {"groups": by, **asdict(settings)}
    within = {}
    if conditions is not None:
        inside = [conditions[subject] for subject in subjects]
        within = {str(kind): correlate_within(x, y, inside, kind, **options) for kind in KINDS}
    pooled = {str(kind): correlate(x, y, kind, **options) for kind in KINDS}
    method, backbone, layer, threshold = map(str, combination)
    return MapCorrelations((method, backbone, layer, threshold), subjects, x, y, pooled, within)


def association_rows(
    found: Sequence[MapCorrelations],
    measured: Mapping[str, float],
    conditions: Mapping[str, str] | None,
    settings: Resampling,
) -> pd.DataFrame:
    """Return the rows of the report: correlations, normality, subjects, the measurement's means."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        rows += _correlation_rows(found, kind, [each.pooled[kind] for each in found])
        if conditions is not None:
            rows += _correlation_rows(
                found, f"{kind}_within", [each.within[kind] for each in found]
            )
    for each in found:
        normal = shapiro_wilk(each.shares)
        rows.append(
            {**_columns(each), "level": "cohort", "metric": "shapiro_w", "value": normal.statistic}
            | {"p": normal.p, "n": normal.n}
        )
        rows += [
            {**_columns(each), "level": "subject", "subject": subject, "metric": "mask_share"}
            | {"value": share, "n": 1}
            for subject, share in zip(each.subjects, each.shares, strict=True)
        ]
    known = {subject: value for subject, value in measured.items() if not math.isnan(value)}
    rows += [
        {"level": "subject", "subject": subject, "metric": "measurement", "value": value, "n": 1}
        for subject, value in known.items()
    ]
    rows += [
        {"level": "group", "group": name, "metric": "measurement", "value": mean.value}
        | {"n": mean.n, "ci_low": mean.low, "ci_high": mean.high}
        for name, mean in condition_means(known, conditions, settings.confidence)
    ]
    normal = shapiro_wilk(list(known.values()))
    rows.append(
        {"level": "cohort", "metric": "measurement_shapiro_w", "value": normal.statistic}
        | {"p": normal.p, "n": normal.n}
    )
    return pd.DataFrame(rows)


def _correlation_rows(
    found: Sequence[MapCorrelations], metric: str, correlations: list[Correlation]
) -> Iterator[dict[str, Any]]:
    """Yield a row per combination; corrections run over the combinations of this metric."""
    grouped = any(each.interval.groups is not None for each in correlations)
    p = [each.p_groups if grouped else each.p for each in correlations]
    corrected = zip(found, correlations, holm(p), benjamini_hochberg(p), strict=True)
    for each, correlation, p_holm, p_bh in corrected:
        interval = correlation.interval
        yield {
            **_columns(each),
            "level": "cohort",
            "metric": metric,
            "value": interval.value,
            "n": correlation.n,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "p": correlation.p,
            "p_groups": correlation.p_groups if grouped else math.nan,
            "p_holm": p_holm,
            "p_bh": p_bh,
        }


def _columns(found: MapCorrelations) -> dict[str, str]:
    names = ("method_a", "backbone_a", "layer_a", "threshold_a")
    return dict(zip(names, found.combination, strict=True))


def condition_means(
    known: Mapping[str, float], conditions: Mapping[str, str] | None, confidence: float = 0.95
) -> list[tuple[str, Interval]]:
    """Return the mean of a measurement in each condition with Student's interval, as published."""
    if conditions is None:
        return []
    names = dict.fromkeys(conditions[subject] for subject in known)
    return [
        (name, t_interval([v for s, v in known.items() if conditions[s] == name], confidence))
        for name in names
    ]


def corrected_p(
    found: Sequence[MapCorrelations], grouped: bool, correction: Correction
) -> list[float]:
    """Return the p of each combination's Spearman correlation that stars are made from."""
    pooled = [each.pooled["spearman"] for each in found]
    p = [each.p_groups if grouped else each.p for each in pooled]
    correct = {"holm": holm, "bh": benjamini_hochberg}.get(correction, np.asarray)
    return [float(each) for each in correct(p)]


def strongest(found: Sequence[MapCorrelations]) -> MapCorrelations | None:
    """Return the combination with the largest rho of either sign, None where all are undefined."""
    known = [each for each in found if not math.isnan(each.rho)]
    return max(known, key=lambda each: abs(each.rho)) if known else None
