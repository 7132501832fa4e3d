"""Correlations by group and within groups, against SciPy and planted truths."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics import (
    correlate,
    correlate_within,
    of_rows,
    pearson_of,
    resampled,
    spearman_of,
)

FISH = np.repeat(np.arange(16), 2)


def fillets(seed, correlation, shared=0.5):
    """Return two quantities of two fillets each of 16 fish, with a correlation of normal ones."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(2, 16, 1)), rng.normal(size=(2, 16, 2))
    a, e = (math.sqrt(shared) * parts[0] + math.sqrt(1 - shared) * parts[1]).reshape(2, 32)
    return a, correlation * a + math.sqrt(1 - correlation**2) * e


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_coefficient_and_p_are_scipys(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=31).round(1)
    y = (x + rng.normal(size=31)).round(1)
    expected = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[kind](x, y)
    found = correlate(np.r_[x, np.nan], np.r_[y, 3], kind)
    assert (found.value, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert (found.n, found.df, found.within) == (31, 29, None)


@pytest.mark.parametrize(
    ("make", "expected"), [(spearman_of, stats.spearmanr), (pearson_of, stats.pearsonr)]
)
def test_resamples_are_ranked_anew(make, expected):
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 20).astype(float), rng.normal(size=20)
    groups = np.repeat(np.arange(5), 4)
    by_rows = of_rows(lambda rows: float(expected(x[rows], y[rows]).statistic))
    assert resampled(make(x, y), groups, 60) == pytest.approx(
        resampled(by_rows, groups, 60), rel=1e-10, abs=1e-12
    )


@pytest.mark.parametrize("planted", [0.0, 0.4, 0.8])
def test_the_interval_covers_the_planted_rank_correlation(planted):
    # Of normal quantities it is 6 / pi arcsin(r / 2), and monotone changes leave it.
    truth = 6 / math.pi * math.asin(planted / 2)
    covered = []
    for seed in range(200):
        a, b = fillets(seed, planted)
        found = correlate(np.exp(a), b**3, groups=FISH, resamples=1000, seed=seed)
        covered.append(found.interval.covers(truth))
    assert 0.90 <= np.mean(covered) <= 0.99


def test_fish_that_differ_deceive_a_p_that_ignores_them():
    # Both quantities belong to the fish, ten fillets each, and are not correlated.
    deceived = {"p": 0, "p_groups": 0}
    fish = np.repeat(np.arange(12), 10)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 12))[:, fish] + 0.2 * rng.normal(size=(2, 120))
        found = correlate(x, y, groups=fish, resamples=400, seed=seed)
        deceived["p"] += found.p < 0.05
        deceived["p_groups"] += found.p_groups < 0.05
    assert deceived["p"] > 100
    assert deceived["p_groups"] <= 20


def test_protocols_that_move_both_quantities_make_the_pooled_correlation():
    rng = np.random.default_rng(4)
    protocol = np.repeat([0, 1, 2], 40)
    x, y = rng.normal(size=(2, 120)) + 5 * protocol
    for kind in ("spearman", "pearson"):
        assert correlate(x, y, kind).value > 0.8
        within = correlate_within(x, y, protocol, kind)
        assert abs(within.value) < 0.2
        assert within.interval.covers(0)
        assert (within.within, within.df) == (3, 120 - 4)


def test_the_correlation_within_groups_is_that_of_what_is_left():
    rng = np.random.default_rng(6)
    group = np.repeat(["a", "b", "c"], [5, 9, 8])
    shift = np.array([{"a": 0.0, "b": 3.0, "c": -7.0}[name] for name in group])
    x = rng.normal(size=22) + shift
    y = 0.7 * x + rng.normal(size=22) - 2 * shift
    found = correlate_within(x, y, group, "pearson")
    # The slope of an analysis of covariance has the same t and degrees of freedom.
    design = np.column_stack([x, *(group == name for name in "abc")]).astype(float)
    coefficients, residual, *_ = np.linalg.lstsq(design, y)
    variance = residual[0] / (22 - 4) * np.linalg.inv(design.T @ design)[0, 0]
    t = coefficients[0] / math.sqrt(variance)
    assert found.value == pytest.approx(t / math.sqrt(t**2 + 18))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 18))


def test_within_one_group_is_the_pooled_correlation():
    a, b = fillets(0, 0.6)
    for kind in ("spearman", "pearson"):
        within, pooled = correlate_within(a, b, ["x"] * 32, kind), correlate(a, b, kind)
        assert within.value == pytest.approx(pooled.value)
        assert within.p == pytest.approx(pooled.p)


def test_a_quantity_that_does_not_vary_has_no_correlation():
    found = correlate([0.1] * 7, np.arange(7.0))
    assert math.isnan(found.value)
    assert math.isnan(found.p)
    assert math.isnan(found.interval.low)
    assert math.isnan(correlate([1e9 + 0.1] * 7, np.arange(7.0), "pearson").value)


def test_a_perfect_correlation_is_one():
    found = correlate(np.arange(9.0), np.arange(9.0) ** 3)
    assert found.value == 1
    assert (found.p, found.p_groups) == pytest.approx((2 / 362880, 2 / 362880))
    assert (found.interval.low, found.interval.high) == (1, 1)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_few_subjects_in_one_order_are_no_proof(n):
    x, y = np.arange(float(n)), np.array([1.0, 4, 9, 16, 25][:n])
    orders = [stats.spearmanr(x, each).statistic for each in permutations(y)]
    exact = np.mean(np.abs(orders) > 1 - 1e-9)
    found = correlate(x, y, groups=list("abcde"[:n]))
    assert (found.p, found.p_groups) == pytest.approx((exact, exact))
    assert correlate(x, x, "pearson").p_groups == pytest.approx(exact)
    both = correlate_within(np.r_[x, x], np.r_[y, y + 9], ["a"] * n + ["b"] * n)
    assert both.p == pytest.approx(2 / math.factorial(n) ** 2)


def test_too_little_is_refused():
    with pytest.raises(StatisticsError, match="three pairs"):
        correlate([1, 2, np.nan, 4], [1, np.nan, 3, 4])
    with pytest.raises(StatisticsError, match="too few for a correlation within"):
        correlate_within([1, 2, 3, 4], [2, 1, 4, 3], ["a", "b", "c", "c"])
    with pytest.raises(StatisticsError, match="'spearman' or 'pearson'"):
        correlate([1, 2, 3], [1, 2, 3], "kendall")
    with pytest.raises(StatisticsError, match="one group for each"):
        correlate([1, 2, 3], [1, 2, 3], groups=["a"])
