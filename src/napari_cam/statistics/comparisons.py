"""Several conditions compared: as published, and as the dependence of the values permits.

Kruskal-Wallis takes every value for independent. Values of one subject under several conditions
(methods, networks) are not: Friedman's test on the subjects' means respects that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics.multiplicity import holm, p_text

Floats = NDArray[np.float64]

_EXACT = 50  # subjects, up to which all signs are counted


@dataclass(frozen=True)
class Pairwise:
    """Two conditions compared over the same subjects, Wilcoxon's signed-rank test.

    Attributes
    ----------
    a, b
        Names of the conditions.
    difference
        Median over subjects of a - b.
    statistic
        The smaller of the two sums of ranks.
    p, p_holm
        Of the test alone, and corrected for all pairs that were tested beside it.
    rank_biserial
        (sum of ranks where a is larger - where b is) / both, -1 to 1 (Kerby 2014, Compr Psychol
        3:1).
    n
        Subjects whose values differ.
    """

    a: str
    b: str
    difference: float
    statistic: float
    p: float
    p_holm: float
    rank_biserial: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """A test of whether conditions differ.

    Attributes
    ----------
    name
        "Kruskal-Wallis" or "Friedman".
    statistic
        Distributed as chi-square with `df` degrees of freedom where conditions do not differ.
    df, p
        Degrees of freedom and p-value; NaN where all values are the same.
    effect
        Epsilon squared, H / (n - 1), or Kendall's W, chi2 / (n (k - 1)); both 0 to 1.
    effect_name
        Which of the two.
    n
        Values (Kruskal-Wallis) or subjects (Friedman).
    conditions
        Their names, in order.
    centres
        Median of each condition.
    pairs
        Every pair of conditions; empty for Kruskal-Wallis.
    dropped
        Values left out: undefined ones, or subjects that lack a condition.
    """

    name: str
    statistic: float
    df: int
    p: float
    effect: float
    effect_name: str
    n: int
    conditions: tuple[str, ...]
    centres: tuple[float, ...]
    pairs: tuple[Pairwise, ...] = ()
    dropped: int = 0

    def __str__(self) -> str:
        return (
            f"{self.name}: chi2({self.df}) = {self.statistic:.1f}, {p_text(self.p)}, "
            f"{self.effect_name} = {self.effect:.3f}, n = {self.n}"
        )


def kruskal_wallis(values: Any, conditions: Any) -> Comparison:
    """Compare conditions as if every value were independent of all others.

    As Sci Rep 2023, 13:2574 does with slices, of which many are of one fillet and the same ones are
    in every group; its p-value is far too small there. Effect size after Tomczak and Tomczak 2014,
    Trends Sport Sci 1:19.

    Parameters
    ----------
    values
        (n,), NaN are left out and counted.
    conditions
        (n,) which condition each value is of; in the order in which they come first.

    Raises
    ------
    StatisticsError
        Where fewer than two conditions hold a value.
    """
    array, names, place = _by_condition(values, conditions)
    known = ~np.isnan(array)
    parts = [array[known & (place == index)] for index in range(len(names))]
    if sum(len(part) > 0 for part in parts) < 2:
        raise StatisticsError("A comparison needs values of two conditions or more.")
    kept = [(name, part) for name, part in zip(names, parts, strict=True) if len(part)]
    n = int(known.sum())
    statistic, p = 0.0, 1.0
    if np.ptp(array[known]) > 0:
        found = stats.kruskal(*(part for _, part in kept))
        statistic, p = float(found.statistic), float(found.pvalue)
    return Comparison(
        "Kruskal-Wallis",
        statistic,
        len(kept) - 1,
        p,
        statistic / (n - 1) if n > 1 else math.nan,
        "epsilon squared",
        n,
        tuple(name for name, _ in kept),
        tuple(float(np.median(part)) for _, part in kept),
        dropped=int((~known).sum()),
    )


def friedman(values: Any, conditions: Any, subjects: Any) -> Comparison:
    """Compare conditions over the same subjects, each of which counts once.

    The values of a subject are averaged first (:func:`subject_means`). Friedman 1937, J Am Stat
    Assoc 32:675, with the correction for ties; two conditions alone give Wilcoxon's test, whose p
    then stands for both. Pairs are tested by Wilcoxon's signed-rank test with Holm's correction.

    Parameters
    ----------
    values, conditions, subjects
        (n,) each; NaN are left out, and subjects that lack a condition then are dropped.

    Raises
    ------
    StatisticsError
        Where fewer than two conditions, or two subjects that have all of them, are left.
    """
    table, names, dropped = subject_means(values, conditions, subjects)
    n, k = table.shape
    if k < 2 or n < 2:
        raise StatisticsError(
            f"A comparison over subjects needs two conditions and two subjects that have all of "
            f"them; there are {k} conditions and {n} such subjects."
        )
    pairs = _pairs(table, names)
    statistic, p = _friedman(table)
    if k == 2:
        p = pairs[0].p
    return Comparison(
        "Friedman",
        statistic,
        k - 1,
        p,
        statistic / (n * (k - 1)),
        "Kendall's W",
        n,
        names,
        tuple(np.median(table, axis=0).tolist()),
        pairs,
        dropped,
    )


def subject_means(
    values: Any, conditions: Any, subjects: Any
) -> tuple[Floats, tuple[str, ...], int]:
    """Return the mean of each subject under each condition, (subjects, conditions).

    Returns
    -------
    tuple
        The table of subjects that have every condition, the conditions' names, and how many
        subjects were dropped because they lack one.
    """
    array, names, place = _by_condition(values, conditions)
    whose = np.asarray(subjects).astype(str)
    if whose.shape != array.shape:
        raise StatisticsError(
            f"There are {len(array)} values but {whose.size} subjects; give one each."
        )
    row = np.unique(whose, return_inverse=True)[1]
    known = ~np.isnan(array)
    shape = (int(row.max(initial=-1)) + 1, len(names))
    cell = row[known] * len(names) + place[known]
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, array[known], shape[0] * shape[1]).reshape(shape)
    complete = (counts > 0).all(axis=1)
    return sums[complete] / counts[complete], names, int((~complete).sum())


def _by_condition(
    values: Any, conditions: Any
) -> tuple[Floats, tuple[str, ...], NDArray[np.int64]]:
    """Return values, the conditions' names in order of appearance, and each value's condition."""
    array = np.asarray(values, dtype=np.float64)
    given = [str(each) for each in np.asarray(conditions).ravel().tolist()]
    if array.ndim != 1 or len(given) != len(array) or not len(array):
        raise StatisticsError(
            f"There are values of shape {array.shape} but {len(given)} conditions; give one "
            "condition for each value."
        )
    names = tuple(dict.fromkeys(given))
    index = {name: number for number, name in enumerate(names)}
    return array, names, np.array([index[name] for name in given])


def _friedman(table: Floats) -> tuple[float, float]:
    """Return Friedman's statistic with the correction for ties, and its p."""
    n, k = table.shape
    ranks = stats.rankdata(table, axis=1)
    # Equals 12 / (n k (k + 1)) sum_j (R_j - n (k + 1) / 2)^2 where no ranks are tied.
    spread = ((ranks - (k + 1) / 2) ** 2).sum()
    if spread == 0:
        return 0.0, 1.0
    statistic = float((k - 1) * ((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2).sum() / spread)
    return statistic, float(stats.chi2.sf(statistic, k - 1))


def _pairs(table: Floats, names: tuple[str, ...]) -> tuple[Pairwise, ...]:
    places = list(combinations(range(len(names)), 2))
    found = [_wilcoxon(table[:, i] - table[:, j]) for i, j in places]
    corrected = holm([p for _, p, _, _ in found])
    return tuple(
        Pairwise(
            names[i],
            names[j],
            float(np.median(table[:, i] - table[:, j])),
            statistic,
            p,
            float(p_holm),
            effect,
            n,
        )
        for (i, j), (statistic, p, effect, n), p_holm in zip(places, found, corrected, strict=True)
    )


def _wilcoxon(differences: Floats) -> tuple[float, float, float, int]:
    """Return the signed-rank statistic, p, rank-biserial correlation and how many differ."""
    kept = differences[differences != 0]
    if not len(kept):
        return 0.0, 1.0, 0.0, 0
    ranks = stats.rankdata(np.abs(kept))
    above, below = float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum())
    smaller = min(above, below)
    if len(kept) <= _EXACT:
        p = _signed_rank_p(ranks, smaller)
    else:
        spread = math.sqrt((ranks**2).sum() / 4)
        p = float(2 * stats.norm.cdf((smaller - ranks.sum() / 2) / spread))
    return smaller, p, (above - below) / (above + below), len(kept)


def _signed_rank_p(ranks: Floats, smaller: float) -> float:
    """Return the two-sided p of a smaller sum of ranks: the share of all signs as extreme.

    Exact with ties too, where the normal approximation falls below what so few subjects allow.
    """
    doubled = np.round(2 * ranks).astype(np.int64)  # ties have ranks of halves
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1
    for rank in doubled.tolist():
        ways[rank:] += ways[:-rank].copy()
    return float(min(1.0, 2 * ways[: round(2 * smaller) + 1].sum() / 2.0 ** len(ranks)))
