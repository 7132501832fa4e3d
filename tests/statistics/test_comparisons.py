"""Tests of several conditions, against SciPy and numbers by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics import friedman, kruskal_wallis, subject_means

pytestmark = pytest.mark.quick


def long(table):
    """Return a table (subjects, conditions) as values, conditions, subjects."""
    n, k = np.shape(table)
    return np.ravel(table), np.tile([f"c{j}" for j in range(k)], n), np.repeat(np.arange(n), k)


def test_kruskal_wallis_is_scipys_and_its_effect_by_hand():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=9), rng.normal(1, size=14), rng.normal(size=7)])
    values = values.round(1)  # ties
    names = ["b"] * 9 + ["a"] * 14 + ["c"] * 7
    found = kruskal_wallis(values, names)
    expected = stats.kruskal(values[:9], values[9:23], values[23:])
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.effect == pytest.approx(expected.statistic / 29)
    assert (found.conditions, found.df, found.n) == (("b", "a", "c"), 2, 30)
    assert found.centres[1] == np.median(values[9:23])


def test_the_published_sizes_give_the_published_p():
    # 752 slices under each of 6 networks and 5 methods: chi2(5) = 1793.2, chi2(4) = 988.9.
    assert stats.chi2.sf(1793.2, 5) < 0.001
    assert stats.chi2.sf(988.9, 4) < 0.001
    one = np.arange(6 * 752.0)
    text = str(kruskal_wallis(one, np.repeat(list("abcdef"), 752)))
    # Groups that do not overlap reach the largest H: 12 / (N (N + 1)) n sum (R_j - R)^2.
    largest = 12 / (4512 * 4513) * 752**3 * 17.5
    assert text.startswith(f"Kruskal-Wallis: chi2(5) = {largest:.1f}, p < .001, epsilon squared")


def test_friedman_is_scipys_with_ties():
    table = np.random.default_rng(3).integers(0, 4, (13, 4)).astype(float)
    found = friedman(*long(table))
    expected = stats.friedmanchisquare(*table.T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.effect == pytest.approx(expected.statistic / (13 * 3))


def test_subjects_that_all_agree_have_a_concordance_of_one():
    found = friedman(*long([[1, 2, 3], [10, 20, 30], [5, 6, 9]]))
    assert (found.statistic, found.effect, found.df) == (pytest.approx(6), pytest.approx(1), 2)


def test_pairs_by_hand():
    # c1 is always larger: all of 5 ranks on one side, exact p = 2 / 2^5.
    a = np.array([1.0, 2, 3, 4, 5])
    b, c = a + np.arange(1, 6), a + np.array([-1, 2, -3, 4, 5.5])
    found = friedman(*long(np.c_[a, b, c]))
    first, second, _ = found.pairs
    assert (first.a, first.b, first.difference) == ("c0", "c1", -3)
    assert (first.p, first.rank_biserial, first.n) == (0.0625, -1, 5)
    # c0 - c2 = 1, -2, 3, -4, -5.5: ranks 1 and 3 above, 2, 4 and 5 below.
    assert second.statistic == 4
    assert second.rank_biserial == pytest.approx((4 - 11) / 15)
    assert second.p == pytest.approx(stats.wilcoxon([1, -2, 3, -4, -5.5]).pvalue)
    p = sorted(pair.p for pair in found.pairs)
    assert min(pair.p_holm for pair in found.pairs) == pytest.approx(3 * p[0])


@pytest.mark.parametrize(
    "differences",
    [
        [0.1, 0.1, 0.3],
        [0.1, 0.1, 0.2, 0.3, 0.4],
        [0.1] * 6,
        [0.1, -0.1, 0.2, 0.3, -0.4, 0.5, 0.5],
        [0.3, -0.2, 0.7, 1.1, -0.5],
    ],
)
def test_the_signed_ranks_of_few_subjects_are_counted_out_ties_too(differences):
    d = np.array(differences)
    ranks = stats.rankdata(np.abs(d))
    apart = [abs(np.dot(ranks, signs)) for signs in product((-1, 1), repeat=len(d))]
    exact = np.mean(np.array(apart) >= abs(np.dot(ranks, np.sign(d))) - 1e-9)
    found = friedman(*long(np.c_[d, np.zeros(len(d))]))
    assert found.pairs[0].p == pytest.approx(exact)
    assert found.pairs[0].p >= 2 / 2 ** len(d)


def test_the_signed_ranks_of_many_subjects_are_scipys():
    d = np.random.default_rng(4).normal(0.2, size=70)
    p = friedman(*long(np.c_[d, np.zeros(70)])).pairs[0].p
    assert p == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=0.05)
    tied = d.round(1)
    p = friedman(*long(np.c_[tied, np.zeros(70)])).pairs[0].p
    expected = stats.wilcoxon(tied[tied != 0], method="approx", correction=False)
    assert p == pytest.approx(expected.pvalue)


def test_every_subject_counts_once():
    # Subject s has 30 units, t and u one each; units must not outvote subjects.
    values = [*([1.0] * 30), 0, 0, *([0.0] * 30), 1, 1]
    subjects = [*(["s"] * 30), "t", "u"] * 2
    conditions = ["a"] * 32 + ["b"] * 32
    table, names, dropped = subject_means(values, conditions, subjects)
    assert table.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert (names, dropped) == (("a", "b"), 0)
    assert friedman(values, conditions, subjects).n == 3


def test_subjects_that_lack_a_condition_are_dropped_and_counted():
    values, conditions, subjects = long([[1.0, 2.0], [3.0, np.nan], [4.0, 6.0], [7.0, 7.5]])
    found = friedman(values, conditions, subjects)
    assert (found.n, found.dropped) == (3, 1)
    assert found.p == found.pairs[0].p == 0.25


def test_dependent_slices_deceive_kruskal_wallis_alone():
    # Each subject has a level of its own under each method, shared by its 24 slices; the methods
    # do not differ.
    deceived = {"kruskal": 0, "friedman": 0}
    subjects = np.tile(np.repeat(np.arange(12), 24), 3)
    conditions = np.repeat(["a", "b", "c"], 12 * 24)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        values = (rng.normal(size=(3, 12, 1)) + 0.3 * rng.normal(size=(3, 12, 24))).ravel()
        deceived["kruskal"] += kruskal_wallis(values, conditions).p < 0.05
        deceived["friedman"] += friedman(values, conditions, subjects).p < 0.05
    assert deceived["kruskal"] > 60
    assert deceived["friedman"] <= 11


def test_conditions_that_are_all_the_same_do_not_differ():
    assert kruskal_wallis([2.0] * 6, list("aabbcc")).p == 1
    found = friedman(*long(np.full((4, 3), 0.5)))
    assert (found.statistic, found.p, found.pairs[0].n) == (0, 1, 0)


def test_too_little_is_refused():
    with pytest.raises(StatisticsError, match="two conditions or more"):
        kruskal_wallis([1, 2, np.nan], ["a", "a", "b"])
    with pytest.raises(StatisticsError, match="there are 2 conditions and 1 such"):
        friedman([1, 2, 3], ["a", "b", "a"], ["s", "s", "t"])
    with pytest.raises(StatisticsError, match="one condition for each"):
        kruskal_wallis([1, 2], ["a"])
