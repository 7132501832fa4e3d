"""Wilson's interval against published numbers and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from napari_cam.errors import TrainingError
from napari_cam.statistics.accuracy import Proportion, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, Stat Med 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (7, 7), (3, 11), (985, 1202)])
def test_as_scipy(successes: int, n: int, confidence: float) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_nothing_known_without_trials() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert math.isnan(Proportion(0, 0).share)
    assert Proportion(0, 0).to_json()["share"] is None


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(TrainingError, match="no proportion"):
        wilson_interval(successes, n)
    with pytest.raises(TrainingError, match="no proportion"):
        wilson_interval(1, 2, confidence=1.0)


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
