"""Corrections for many tests, against published decisions and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import StatisticsError
from napari_cam.statistics import benjamini_hochberg, holm, p_short, p_text, stars

pytestmark = pytest.mark.quick

# Benjamini and Hochberg 1995, section 3.2: four hypotheses are rejected at 0.05, Bonferroni's
# method rejects three.
PUBLISHED = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def test_holm_by_hand():
    # .005 * 4, .01 * 3, .03 * 2, and .04 * 1 must not be smaller than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1, 1]


def test_the_published_decisions():
    assert (benjamini_hochberg(PUBLISHED) <= 0.05).sum() == 4
    assert (holm(PUBLISHED) <= 0.05).sum() == 3
    # p_(4) * 15 / 4
    assert benjamini_hochberg(PUBLISHED)[3] == pytest.approx(0.035625)


def test_a_test_that_could_not_be_made_does_not_count():
    assert holm([0.01, np.nan, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(holm([0.01, np.nan, 0.04])[1])
    table = np.full((2, 3), 0.02)
    assert benjamini_hochberg(table).shape == (2, 3)
    assert np.isnan(holm([np.nan])).all()


def test_holm_keeps_the_family_wise_error():
    p = np.random.default_rng(1).uniform(size=(2000, 12))
    wrong = np.mean([(holm(row) < 0.05).any() for row in p])
    assert wrong == pytest.approx(0.05, abs=0.015)


def test_numbers_that_are_no_p_values_are_refused():
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        holm([0.5, 1.2])


def test_stars_and_words():
    assert [stars(p) for p in (0.0009, 0.001, 0.01, 0.049, 0.05, np.nan)] == [
        *("***", "**", "*", "*", "", ""),
    ]
    assert [stars(p, at_least=True) for p in (0.001, 0.01, 0.05)] == ["***", "**", "*"]
    assert [p_text(p) for p in (0.0004, 0.0321, 1.0, np.nan)] == [
        *("p < .001", "p = .032", "p = 1.000", "p undefined"),
    ]
    assert [p_short(p) for p in (0.0004, 0.0321, np.nan)] == ["<.001", ".032", "–"]
