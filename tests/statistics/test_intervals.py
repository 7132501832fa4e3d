"""Intervals with a formula, against published numbers and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics import (
    Proportion,
    normal_proportion,
    shapiro_wilk,
    t_interval,
    wilson_proportion,
)

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Stat Med 17:857, Table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    found = wilson_proportion(successes, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert found.value == successes / n


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # The same table, method 1.
    [(81, 263, 0.2522, 0.3638), (15, 148, 0.0527, 0.1500)],
)
def test_the_normal_interval_gives_the_published_intervals(successes, n, low, high):
    found = normal_proportion(successes, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_where_all_succeed_only_wilson_leaves_room_for_doubt():
    assert (normal_proportion(153, 153).low, normal_proportion(153, 153).high) == (1, 1)
    assert wilson_proportion(153, 153).high == 1
    # z^2 / (n + z^2) with z = 1.96
    assert 1 - wilson_proportion(153, 153).low == pytest.approx(3.8415 / 156.8415, abs=1e-5)


def test_one_error_of_153_is_the_published_accuracy_of_99_percent():
    found = normal_proportion(152, 153)
    assert (round(found.value, 2), round(found.value - found.low, 2)) == (0.99, 0.01)


def test_an_accuracy_of_nothing_is_refused():
    for wrong in ((1, 0), (3, 2), (-1, 4)):
        with pytest.raises(StatisticsError, match="no proportion"):
            wilson_proportion(*wrong)
    with pytest.raises(StatisticsError, match="confidence"):
        normal_proportion(1, 2, 95)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (7, 7), (3, 11), (985, 1202)])
def test_wilson_by_its_formula(successes, n, confidence):
    # Wilson 1927: the shares p with (successes / n - p)^2 = z^2 p (1 - p) / n.
    z = stats.norm.ppf(0.5 + confidence / 2)
    found = Proportion(successes, n, confidence).interval
    for end in found:
        expected = z**2 * end * (1 - end) / n
        assert (successes / n - end) ** 2 == pytest.approx(expected, abs=1e-12)
    assert found[0] < found[1]


def test_without_trials_nothing_is_known():
    assert Proportion(0, 0).interval == (0.0, 1.0)
    assert math.isnan(Proportion(0, 0).share)
    assert Proportion(0, 0).to_json()["share"] is None


def test_proportion_counts_and_reads_well() -> None:
    one = Proportion.of(np.array([[True, False, True], [True, True, True]]))
    assert (one.successes, one.n, one.share) == (5, 6, pytest.approx(5 / 6))
    assert str(Proportion(81, 263)) == "30.8 % (81 of 263; 95 % interval 25.5 to 36.6)"
    assert Proportion(81, 263).to_json() == {
        "share": 0.307985,
        "successes": 81,
        "n": 263,
        "interval": pytest.approx([0.2553, 0.3662], abs=5e-5),
        "confidence": 0.95,
        "method": "Wilson",
    }


def test_students_interval_by_hand_and_by_scipy():
    found = t_interval([1, 2, np.nan, 3, 4, 5])
    # sd sqrt(2.5), t(4) = 2.7764
    assert (found.value, found.high) == pytest.approx((3, 3 + 2.7764 * math.sqrt(0.5)), abs=1e-4)
    values = np.random.default_rng(0).gamma(2, size=17)
    expected = stats.t.interval(0.9, 16, values.mean(), stats.sem(values))
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert found.n == 17


def test_one_value_has_a_mean_but_no_interval():
    found = t_interval([4.5])
    assert found.value == 4.5
    assert math.isnan(found.low)
    with pytest.raises(StatisticsError, match="undefined"):
        t_interval([np.nan])


def test_students_interval_covers_the_mean_in_95_percent():
    values = np.random.default_rng(3).normal(7, 2, size=(1000, 11))
    covered = np.mean([t_interval(row).covers(7) for row in values])
    assert 0.93 < covered < 0.97


def test_shapiro_rejects_what_is_skewed_and_not_what_is_normal():
    rng = np.random.default_rng(5)
    skewed, bell = rng.lognormal(0, 1.5, 32), rng.normal(size=32)
    for values, rejected in ((skewed, True), (bell, False)):
        found = shapiro_wilk(values)
        expected = stats.shapiro(values)
        assert (found.statistic, found.p) == (expected.statistic, expected.pvalue)
        assert found.rejected is rejected
        # A small p speaks against normality: the published sense is the other way round.
        assert found.rejected == (found.p < 0.05)


def test_shapiro_gives_the_published_statistic():
    # Shapiro and Wilk 1965, the weights of 11 men: W = 0.79, p about 0.01.
    men = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    found = shapiro_wilk(men)
    assert found.statistic == pytest.approx(0.79, abs=0.005)
    assert found.p == pytest.approx(0.01, abs=0.005)
    assert str(found).endswith("normality rejected")


def test_shapiro_says_nothing_of_two_numbers_or_of_the_same_ones():
    for values in ([1.0, 2.0], [4.0] * 9):
        found = shapiro_wilk(values)
        assert found.rejected is None
        assert "undefined" in str(found)
