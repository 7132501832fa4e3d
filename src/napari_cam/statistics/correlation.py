"""Correlations of dependent observations: by group, and within groups.

Two fillets of one fish are no two independent observations, and three freezing protocols that move
both quantities make a correlation of their own. So each coefficient comes with an interval that
draws whole groups anew, and stands beside the correlation that is left within groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics.bootstrap import (
    Method,
    Statistic,
    group_places,
    interval_of,
    resampled,
)
from napari_cam.statistics.intervals import Interval

Floats = NDArray[np.float64]
Kind = Literal["spearman", "pearson"]


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient.

    Attributes
    ----------
    kind
        "spearman" or "pearson".
    interval
        The coefficient with its bootstrap interval; NaN where one quantity does not vary.
    p
        Of no correlation, each observation (within groups: beyond its group) taken for independent;
        Student's t, and of ranks no less than so few observations allow (2 / n!).
    p_groups
        Of no correlation, from how much the coefficient varies where whole groups are drawn: its
        Fisher z over the bootstrap's standard error, by Student's t with two degrees of freedom
        less than there are groups; no less than so few groups allow (2 / groups!). NaN from fewer
        than three groups.
    n
        Observations.
    df
        Degrees of freedom of that test.
    within
        How many groups the correlation was taken within; None for the pooled one.
    """

    kind: Kind
    interval: Interval
    p: float
    p_groups: float
    n: int
    df: int
    within: int | None = None

    @property
    def value(self) -> float:
        """The coefficient, -1 to 1."""
        return self.interval.value


def correlate(
    x: Any,
    y: Any,
    kind: Kind = "spearman",
    groups: Any = None,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
) -> Correlation:
    """Correlate two quantities, with an interval from resampling whole groups.

    Parameters
    ----------
    x, y
        (n,) numbers; pairs with a NaN are left out.
    kind
        "spearman" correlates the ranks (ties share theirs), "pearson" the numbers.
    groups
        (n,) whom the observations are of (fish); None where each is independent. p does not
        respect them, the interval does.
    resamples, confidence, method, seed
        As in :func:`cluster_bootstrap`.

    Raises
    ------
    StatisticsError
        Where fewer than three pairs are left, or groups do not go with them.
    """
    x, y, (by,) = _pairs(x, y, groups)
    statistic = _STATISTICS[_known(kind)](x, y)
    drawn = resampled(statistic, group_places(by, len(x)), resamples, seed)
    found = interval_of(statistic, drawn, by, len(x), confidence, method)
    p = _t_test(found.value, len(x) - 2)
    if kind == "spearman":
        p = np.maximum(p, _smallest_p(len(x)))
    return Correlation(kind, found, float(p), _grouped_test(found, drawn), len(x), len(x) - 2)


def correlate_within(
    x: Any,
    y: Any,
    within: Any,
    kind: Kind = "spearman",
    groups: Any = None,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
) -> Correlation:
    """Correlate what is left of two quantities once the mean of each group has been taken off.

    The partial correlation given the group (Bland and Altman 1995, BMJ 310:446); of Spearman's kind
    it is taken of the ranks over all observations. Where the groups (freezing protocols) move both
    quantities, the pooled correlation shows that, and this one does not.

    Parameters
    ----------
    within
        (n,) the groups whose means are taken off.
    groups
        (n,) the groups that are drawn anew for the interval; they need not be those of `within`.
    x, y, kind, resamples, confidence, method, seed
        As in :func:`correlate`.

    Raises
    ------
    StatisticsError
        Where too few pairs are left to tell apart within the groups.
    """
    x, y, (by, inside) = _pairs(x, y, groups, within)
    place = group_places(inside, len(x))
    count = int(place.max()) + 1
    df = len(x) - count - 1
    if df < 1:
        raise StatisticsError(
            f"{len(x)} observations in {count} groups are too few for a correlation within "
            "groups; it needs two more than there are groups."
        )
    statistic = _STATISTICS[_known(kind)](x, y, place)
    drawn = resampled(statistic, group_places(by, len(x)), resamples, seed)
    found = interval_of(statistic, drawn, by, len(x), confidence, method)
    p = _t_test(found.value, df)
    if kind == "spearman":
        p = np.maximum(p, _smallest_p(*np.bincount(place).tolist()))
    return Correlation(kind, found, float(p), _grouped_test(found, drawn), len(x), df, count)


def pearson_of(x: Any, y: Any, within: NDArray[np.int64] | None = None) -> Statistic:
    """Return Pearson's correlation of (n,) numbers as a statistic of weights.

    Parameters
    ----------
    x, y
        (n,) numbers.
    within
        (n,) group numbers from 0 whose means are taken off; None takes off the mean of all.
    """
    a, b = (np.asarray(each, dtype=np.float64) for each in (x, y))
    place = np.zeros(len(a), dtype=np.int64) if within is None else within
    # Centred once, so that the sums of squares below lose no digits.
    a, b = a - a.mean(), b - b.mean()
    return lambda weights: _pearson(
        weights, np.broadcast_to(a, weights.shape), np.broadcast_to(b, weights.shape), place
    )


def spearman_of(x: Any, y: Any, within: NDArray[np.int64] | None = None) -> Statistic:
    """Return Spearman's correlation of (n,) numbers as a statistic of weights.

    Numbers are ranked anew in every resample, where each that was drawn several times is tied with
    itself. Parameters as in :func:`pearson_of`.
    """
    a, b = (_Ranks(np.asarray(each, dtype=np.float64)) for each in (x, y))
    place = np.zeros(len(a.level), dtype=np.int64) if within is None else within
    return lambda weights: _pearson(weights, a(weights), b(weights), place)


_STATISTICS: dict[str, Callable[..., Statistic]] = {"pearson": pearson_of, "spearman": spearman_of}


class _Ranks:
    """The mean ranks of numbers in resamples in which each occurs so many times."""

    def __init__(self, values: Floats) -> None:
        self.level = np.unique(values, return_inverse=True)[1]
        order = np.argsort(self.level, kind="stable")
        # Where each level's numbers start, once they are in order.
        self._order, self._starts = order, np.flatnonzero(np.diff(self.level[order], prepend=-1))

    def __call__(self, weights: Floats) -> Floats:
        """Return (b, n) ranks, counted from their mean over each resample."""
        tied = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        below = np.cumsum(tied, axis=1) - tied
        ranks: Floats = (below + (tied + 1) / 2)[:, self.level]
        ranks -= (weights.sum(axis=1, keepdims=True) + 1) / 2
        return ranks


def _pearson(weights: Floats, a: Floats, b: Floats, place: NDArray[np.int64]) -> Floats:
    """Return the weighted correlation (m,) of (m, n) numbers about their groups' means."""
    sums = np.zeros((3, len(weights)))
    for group in range(int(place.max()) + 1):
        chosen = slice(None) if place.max() == 0 else place == group
        w, u, v = weights[:, chosen], a[:, chosen], b[:, chosen]
        total = np.maximum(w.sum(axis=1), 1)[:, None]
        u = u - (w * u).sum(axis=1)[:, None] / total
        v = v - (w * v).sum(axis=1)[:, None] / total
        sums += [(w * u * v).sum(axis=1), (w * u * u).sum(axis=1), (w * v * v).sum(axis=1)]
    scale = np.sqrt(sums[1] * sums[2])
    # What is left of a constant after rounding is no variation.
    scale[(sums[1] <= _tiny(weights, a)) | (sums[2] <= _tiny(weights, b))] = 0
    result = np.full(len(weights), np.nan)
    np.divide(sums[0], scale, out=result, where=scale > 0)
    np.clip(result, -1, 1, out=result)
    return result


def _tiny(weights: Floats, values: Floats) -> Floats:
    """Return (m,) the sum of squares that rounding alone may leave."""
    largest = np.abs(values).max(axis=1)
    result: Floats = weights.sum(axis=1) * (1e-13 * largest) ** 2
    return result


def _t_test(r: float, df: int) -> float:
    """Return the two-sided p of a correlation with `df` degrees of freedom."""
    if math.isnan(r) or df < 1:
        return math.nan
    if abs(r) == 1:
        return 0.0
    return float(2 * stats.t.sf(abs(r) * math.sqrt(df / (1 - r * r)), df))


def _grouped_test(found: Interval, drawn: Floats) -> float:
    """Return the two-sided p of Fisher's z over its standard error between resamples."""
    groups = found.n if found.groups is None else found.groups
    if math.isnan(found.value) or groups < 3:
        return math.nan
    least = _smallest_p(groups)
    if abs(found.value) == 1:
        return least
    # A resample of collinear observations has no finite z.
    z = np.arctanh(drawn[np.abs(drawn) < 1])
    error = float(z.std(ddof=1)) if len(z) > 1 else 0.0
    if error == 0:
        return math.nan
    return max(float(2 * stats.t.sf(abs(math.atanh(found.value)) / error, groups - 2)), least)


def _smallest_p(*sizes: int) -> float:
    """Return the smallest two-sided p that rearranging so many things (within groups) can give.

    Three subjects in one order say little: one arrangement in three is as extreme.
    """
    arrangements = math.prod(math.factorial(size) for size in sizes)
    return min(1.0, 2 / arrangements)


def _known(kind: str) -> str:
    if kind not in _STATISTICS:
        raise StatisticsError(f"A correlation is 'spearman' or 'pearson', not '{kind}'.")
    return kind


def _pairs(x: Any, y: Any, *labels: Any) -> tuple[Floats, Floats, list[Any]]:
    """Return the pairs without NaN, and the labels that belong to them."""
    a, b = (np.asarray(each, dtype=np.float64) for each in (x, y))
    if a.ndim != 1 or a.shape != b.shape:
        raise StatisticsError(
            f"A correlation needs pairs of numbers, not shapes {a.shape} and {b.shape}."
        )
    for each in labels:
        if each is not None:
            group_places(each, len(a))
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3:
        raise StatisticsError(
            f"A correlation needs three pairs of numbers or more; there are {int(known.sum())}."
        )
    kept = [None if each is None else np.asarray(each)[known] for each in labels]
    return a[known], b[known], kept
