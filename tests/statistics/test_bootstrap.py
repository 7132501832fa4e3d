"""Resampling whole groups, against SciPy, against loops, and by its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_cam.errors import StatisticsError
from napari_cam.statistics import (
    cluster_bootstrap,
    mean_of,
    of_rows,
    ratio_of,
    resampled,
)

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_independent_observations_get_scipys_interval(method):
    values = np.random.default_rng(2).exponential(size=23)
    found = cluster_bootstrap(mean_of(values), 23, resamples=20_000, method=method)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(7)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.012)
    assert found.value == pytest.approx(values.mean())
    assert found.groups is None


def test_groups_are_drawn_whole():
    # Two groups: a resample holds both, or one of them twice.
    values = np.array([1.0, 2.0, 6.0, 30.0, 50.0])
    drawn = resampled(mean_of(values), ["a", "a", "a", "b", "b"], 400, seed=1)
    assert sorted(set(np.round(drawn, 9))) == [3.0, 17.8, 40.0]
    assert np.mean(drawn == 17.8) == pytest.approx(0.5, abs=0.08)


def test_weights_say_what_a_loop_over_drawn_rows_says():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=30), np.repeat(np.arange(6), 5)
    by_weights = resampled(mean_of(values), groups, 50, seed=4)
    by_rows = resampled(of_rows(lambda rows: float(values[rows].mean())), groups, 50, seed=4)
    assert by_weights == pytest.approx(by_rows, rel=1e-12)


def test_chunks_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=12)
    groups = np.repeat(np.arange(4), 3)
    whole = resampled(mean_of(values), groups, 101, seed=9)
    monkeypatch.setattr("napari_cam.statistics.bootstrap._CHUNK", 40)
    assert resampled(mean_of(values), groups, 101, seed=9) == pytest.approx(whole, rel=1e-12)


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=12)
    ends = [cluster_bootstrap(mean_of(values), 12, seed=seed).low for seed in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]


def test_a_median_of_anything():
    values = np.arange(1.0, 100.0)
    found = cluster_bootstrap(
        of_rows(lambda rows: float(np.median(values[rows]))), 99, resamples=500
    )
    # The binomial interval of the median of 99 ordered values is the 40th to the 60th.
    assert (found.value, found.low, found.high) == pytest.approx((50, 40, 60), abs=2.5)


def test_only_drawing_groups_covers_the_mean_of_dependent_values():
    naive, grouped = [], []
    groups = np.repeat(np.arange(25), 8)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = 3 + rng.normal(size=25)[groups] + 0.5 * rng.normal(size=200)
        naive.append(cluster_bootstrap(mean_of(values), 200, resamples=500).covers(3))
        grouped.append(cluster_bootstrap(mean_of(values), 200, groups, resamples=500).covers(3))
    assert 0.90 <= np.mean(grouped) <= 0.99
    assert np.mean(naive) < 0.6


def test_bca_covers_a_skewed_mean_at_least_as_well_as_percentiles():
    covered = {"percentile": 0, "bca": 0}
    for seed in range(300):
        values = np.random.default_rng(seed).lognormal(0, 0.8, size=30)
        for method in covered:
            found = cluster_bootstrap(mean_of(values), 30, method=method, resamples=800)
            covered[method] += found.covers(math.exp(0.32))
    assert covered["bca"] >= covered["percentile"]
    assert covered["bca"] / 300 > 0.87


def test_resamples_without_a_value_are_counted():
    # A ratio whose denominator lies in one of four groups: drawn without it with (3/4)^4.
    found = cluster_bootstrap(ratio_of([1, 1, 1, 1], [2, 0, 0, 0]), 4, [1, 2, 3, 4], resamples=4000)
    assert found.undefined / 4000 == pytest.approx(0.3164, abs=0.03)
    assert found.value == 2


def test_undefined_values_are_left_out_of_a_mean():
    found = cluster_bootstrap(mean_of([1, np.nan, 3]), 3)
    assert found.value == 2


def test_one_group_has_no_interval():
    found = cluster_bootstrap(mean_of([1, 2, 4]), 3, ["fish"] * 3)
    assert found.groups == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(StatisticsError, match="3 observations but groups of shape"):
        cluster_bootstrap(mean_of([1, 2, 4]), 3, ["a", "b"])
    with pytest.raises(StatisticsError, match="'percentile' or 'bca'"):
        cluster_bootstrap(mean_of([1, 2, 4]), 3, method="studentized")
    with pytest.raises(StatisticsError, match="no observations"):
        cluster_bootstrap(mean_of([]), 0)
