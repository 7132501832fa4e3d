"""Intervals by drawing anew, whole groups of dependent observations at a time.

Slices of one subject, or fillets of one fish, resemble each other: an interval that draws them one
by one is too narrow. A resample is described by how often each observation is in it, so that a
statistic of weights covers thousands of resamples, and every leave-one-group-out value, at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics.intervals import Interval, check_confidence, check_seed

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Takes how often each observation counts, (b, n), and returns one number per resample, (b,)."""

Method = Literal["percentile", "bca"]

# Numbers that a statistic is handed at once: 32 MB in float64.
_CHUNK = 2**22


def cluster_bootstrap(
    statistic: Statistic,
    n: int,
    groups: Any = None,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
) -> Interval:
    """Return a statistic of `n` observations with its bootstrap interval, drawn group by group.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14; whole groups
    are drawn with replacement (Field and Welsh 2007, J R Stat Soc B 69:369).

    Parameters
    ----------
    statistic
        Such as :func:`mean_of`, or :func:`of_rows` for any function of row numbers.
    n
        How many observations there are.
    groups
        (n,) which group each observation is of, names or numbers; None where each is its own.
    resamples
        How many.
    confidence
        Between 0 and 1.
    method
        "percentile", or "bca": bias-corrected and accelerated, its acceleration from leaving out
        one group after the other.
    seed
        The same seed gives the same interval.

    Raises
    ------
    StatisticsError
        Where groups do not go with the observations, or a setting is out of range.
    """
    place = group_places(groups, n)
    drawn = resampled(statistic, place, resamples, seed)
    return interval_of(statistic, drawn, groups, n, confidence, method)


def pooled_ratio(numerators: Any, denominators: Any) -> tuple[float, float, float]:
    """Return sum / sum over independent groups with the ends of its 95 % interval.

    Parameters
    ----------
    numerators, denominators
        (n,) one number per group, such as a volume's sum over its slices and their number. Draws
        whose denominators are all 0 have no ratio and are left out.
    """
    found = cluster_bootstrap(ratio_of(numerators, denominators), len(numerators))
    return found.value, found.low, found.high


def interval_of(
    statistic: Statistic,
    drawn: Floats,
    groups: Any,
    n: int,
    confidence: float = 0.95,
    method: Method = "percentile",
) -> Interval:
    """Return the bootstrap interval from what :func:`resampled` has drawn.

    Parameters
    ----------
    drawn
        (resamples,) the statistic of each resample; NaN are left out and counted.
    statistic, groups, n, confidence, method
        As in :func:`cluster_bootstrap`.
    """
    check_confidence(confidence)
    if method not in ("percentile", "bca"):
        raise StatisticsError(f"The bootstrap interval is 'percentile' or 'bca', not '{method}'.")
    place = group_places(groups, n)
    count = int(place.max()) + 1
    value = float(statistic(np.ones((1, n)))[0])
    kept = drawn[~np.isnan(drawn)]
    low = high = math.nan
    if len(kept) and count > 1 and not math.isnan(value):
        shares = _shares(statistic, place, value, kept, confidence, method)
        low, high = np.quantile(kept, shares).tolist()
    words = {"percentile": "percentile bootstrap", "bca": "BCa bootstrap"}[method]
    words += f", {len(drawn)} resamples" + ("" if groups is None else f" of {count} groups")
    by = None if groups is None else count
    return Interval(value, low, high, confidence, words, n, by, len(drawn) - len(kept))


def resampled(statistic: Statistic, groups: Any, resamples: int = 2000, seed: int = 0) -> Floats:
    """Return a statistic of each resample (resamples,), whole groups drawn with replacement.

    NaN where it does not exist in a resample. Parameters as in :func:`cluster_bootstrap`.
    """
    if resamples < 1:
        raise StatisticsError(f"A bootstrap draws at least once, not {resamples} times.")
    check_seed(seed)
    place = group_places(groups, len(groups))
    count = int(place.max()) + 1
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(len(place), count))
    parts = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        parts.append(statistic(times[:, place].astype(np.float64)))
    return np.concatenate(parts)


def group_places(groups: Any, n: int) -> NDArray[np.int64]:
    """Return the number of each observation's group (n,), counted from 0.

    Raises
    ------
    StatisticsError
        Where there are no observations, or not one group for each.
    """
    if n < 1:
        raise StatisticsError("There are no observations to draw from.")
    if groups is None:
        return np.arange(n)
    names = np.asarray(groups)
    if names.shape != (n,):
        raise StatisticsError(
            f"There are {n} observations but groups of shape {names.shape}; give one group for "
            "each observation."
        )
    names = names.astype(str) if names.dtype == object else names
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def mean_of(values: Any) -> Statistic:
    """Return the mean of (n,) `values` as a statistic of weights; NaN among them are left out."""
    array = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(array)
    return ratio_of(np.where(known, array, 0), known)


def ratio_of(numerators: Any, denominators: Any) -> Statistic:
    """Return sum / sum of (n,) numbers as a statistic of weights, NaN where the latter is 0."""
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)

    def ratio(weights: Floats) -> Floats:
        total = weights @ below
        result = np.full(len(weights), np.nan)
        np.divide(weights @ above, total, out=result, where=total != 0)
        return result

    return ratio


def of_rows(function: Callable[[NDArray[np.int64]], float]) -> Statistic:
    """Return any function of row numbers as a statistic of weights; it is called row by row.

    Parameters
    ----------
    function
        Takes the numbers of the drawn observations, (m,), repeated as often as they were drawn.
    """

    def statistic(weights: Floats) -> Floats:
        rows = np.arange(weights.shape[1])
        return np.array([function(np.repeat(rows, row.astype(int))) for row in weights])

    return statistic


def _shares(
    statistic: Statistic,
    place: NDArray[np.int64],
    value: float,
    drawn: Floats,
    confidence: float,
    method: Method,
) -> tuple[float, float]:
    """Return the quantiles of the resamples that bound the interval."""
    tail = (1 - confidence) / 2
    if method == "percentile":
        return tail, 1 - tail
    below = (np.count_nonzero(drawn < value) + np.count_nonzero(drawn == value) / 2) / len(drawn)
    if not 0 < below < 1:
        return tail, 1 - tail  # all resamples on one side: the correction is infinite
    bias = float(stats.norm.ppf(below))
    count = int(place.max()) + 1
    left_out = statistic((place[None, :] != np.arange(count)[:, None]).astype(np.float64))
    left_out = left_out[~np.isnan(left_out)]
    apart = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float((apart**2).sum())
    acceleration = float((apart**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    ends = (bias + float(stats.norm.ppf(each)) for each in (tail, 1 - tail))
    low, high = (stats.norm.cdf(bias + end / (1 - acceleration * end)) for end in ends)
    return float(low), float(high)
