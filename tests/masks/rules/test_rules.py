"""Threshold rules: hand-worked numbers, scikit-image, percentiles of Kang et al. 2021."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from napari_cam.errors import MaskError
from napari_cam.masks.rules import (
    FORMS,
    RULES,
    AreaFraction,
    Fixed,
    Li,
    LocalOtsu,
    Otsu,
    OutOf255,
    Quantile,
    ThresholdRule,
    Triangle,
    Yen,
    rule_from_text,
)

pytestmark = pytest.mark.quick

TEN = np.array([[9, 0, 8, 1, 7], [2, 6, 3, 5, 4]], dtype=np.float32) / 10


def test_fixed_cuts_do_not_depend_on_the_values() -> None:
    assert Fixed(0.25).cut(TEN) == 0.25
    assert OutOf255(200).cut(TEN) == pytest.approx(0.7843137254901961, abs=1e-15)
    assert OutOf255(225).cut(np.empty(0)) == pytest.approx(0.8823529411764706, abs=1e-15)


@pytest.mark.parametrize(
    ("q", "by_hand"),
    # Ten values 0, .1, ..., .9: the cut lies at position 9 q, so its value is 0.9 q.
    [(0.0, 0.0), (0.5, 0.45), (0.9, 0.81), (0.95, 0.855), (1.0, 0.9)],
)
def test_quantiles_interpolate_linearly_between_sorted_values(q: float, by_hand: float) -> None:
    assert Quantile(q).cut(TEN) == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.parametrize(("q", "share"), [(0.9, 0.10), (0.95, 0.05)])
@pytest.mark.parametrize("n", [200, 2000, 54 * 40])
def test_quantiles_of_paper_b_leave_their_share_above(q: float, share: float, n: int) -> None:
    values = np.random.default_rng(4).permutation(n).astype(np.float32)
    assert np.mean(values > Quantile(q).cut(values)) == pytest.approx(share, abs=1e-12)


def test_otsu_separates_two_hand_made_heaps() -> None:
    # 256 bins over [0, 1]; every cut between the heaps is as good, and the first is taken: the
    # bin that ends the lower heap, whose centre is 51.5 / 256 (0.2 lies in bin 51).
    values = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    assert Otsu().cut(values) == pytest.approx(51.5 / 256)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_otsu_is_that_of_scikit_image(scale: float) -> None:
    random = np.random.default_rng(5)
    values = np.concatenate([random.normal(0.2, 0.05, 700), random.normal(0.7, 0.1, 300)]) * scale
    assert Otsu().cut(values) == pytest.approx(threshold_otsu(values), rel=1e-12)


def test_otsu_finds_room_for_its_bins_in_the_smallest_ranges() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    assert low <= Otsu().cut(np.array([low, high, low], dtype=np.float32)) <= high


STATISTICS = [Quantile(0.9), Quantile(0.0), AreaFraction(0.2), Otsu(), Li(), Triangle(), Yen()]


@pytest.mark.parametrize("rule", STATISTICS)
def test_values_that_are_not_numbers_do_not_count(rule: ThresholdRule) -> None:
    spoiled = np.concatenate([TEN.ravel(), [np.nan, np.inf, -np.inf, np.nan]])
    assert rule.cut(spoiled) == rule.cut(TEN)


@pytest.mark.parametrize("rule", STATISTICS)
@pytest.mark.parametrize(
    "values", [np.full((3, 4), 0.7), np.zeros(5), np.full(6, np.nan), np.empty(0), np.array([0.3])]
)
def test_values_that_cannot_be_told_apart_give_no_cut(
    rule: ThresholdRule, values: np.ndarray[Any, Any]
) -> None:
    assert np.isnan(rule.cut(values))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Fixed(1.01), "Fixed takes a number from 0 to 1, not 1.01"),
        (lambda: Fixed(-0.1), "from 0 to 1"),
        (lambda: Fixed(np.nan), "from 0 to 1, not nan"),
        (lambda: Fixed("0.5"), "not '0.5'"),  # type: ignore[arg-type]
        (lambda: OutOf255(256), "from 0 to 255, not 256"),
        (lambda: Quantile(90), "from 0 to 1, not 90"),
        (lambda: Quantile(0.9, "slice"), "unit, volume, cohort, not 'slice'"),  # type: ignore[arg-type]
        (lambda: Otsu("local"), "unit, volume, cohort, not 'local'"),  # type: ignore[arg-type]
        (lambda: Fixed(True), "from 0 to 1, not True"),
        (lambda: AreaFraction(1.5), "AreaFraction takes a number from 0 to 1, not 1.5"),
        (lambda: AreaFraction(0.1, "all"), "not 'all'"),  # type: ignore[arg-type]
        (lambda: Li("local"), "not 'local'"),  # type: ignore[arg-type]
        (lambda: LocalOtsu(0), "a radius above 0, not 0"),
        (lambda: LocalOtsu(np.inf), "a radius above 0, not inf"),
        (lambda: LocalOtsu("3"), "a radius above 0, not '3'"),  # type: ignore[arg-type]
        (lambda: LocalOtsu(3, "cm"), "radius is one of mm, px, not 'cm'"),  # type: ignore[arg-type]
    ],
)
def test_a_rule_out_of_range_is_refused(make: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        make()


@pytest.mark.parametrize(
    ("text", "rule", "name"),
    [
        ("fixed:0.5", Fixed(0.5), "fixed(0.5)"),
        ("255:200", OutOf255(200), "out-of-255(200)"),
        ("quantile:0.9", Quantile(0.9), "quantile(0.9)"),
        (" Quantile : 0.95 : volume ", Quantile(0.95, "volume"), "quantile(0.95, volume)"),
        ("otsu", Otsu(), "otsu"),
        ("OTSU:volume", Otsu("volume"), "otsu(volume)"),
        ("otsu:cohort", Otsu("cohort"), "otsu(cohort)"),
        ("area:0.1", AreaFraction(0.1), "area(0.1)"),
        ("area:0.1:volume", AreaFraction(0.1, "volume"), "area(0.1, volume)"),
        ("li", Li(), "li"),
        ("triangle:cohort", Triangle("cohort"), "triangle(cohort)"),
        ("yen:volume", Yen("volume"), "yen(volume)"),
        ("local-otsu:15", LocalOtsu(15), "local-otsu(15)"),
        ("local-otsu:2.5:px", LocalOtsu(2.5, "px"), "local-otsu(2.5, px)"),
        ("fixed:0.30000000000000004", Fixed(0.1 + 0.2), "fixed(0.3)"),
    ],
)
def test_rules_are_spelled_on_the_command_line(text: str, rule: ThresholdRule, name: str) -> None:
    read = rule_from_text(text)
    assert read == rule
    assert hash(read) == hash(rule)
    assert str(read) == read.name == name
    assert read.text == text.lower().replace(" ", "")
    assert rule_from_text(read.text) == rule


def test_every_rule_has_a_word_of_its_own() -> None:
    assert list(RULES) == [
        *("fixed", "255", "quantile", "area", "otsu", "local-otsu", "li", "triangle", "yen")
    ]
    for word in RULES:
        assert word in FORMS


def test_whose_values_are_looked_at() -> None:
    assert [rule.scope for rule in (Fixed(0.1), OutOf255(3), LocalOtsu(2))] == ["unit"] * 3
    assert [Yen().scope, Yen("volume").scope, Yen("cohort").scope] == ["unit", "volume", "cohort"]


@pytest.mark.parametrize(
    "text", ["", "0.5", "lee", "fixed", "fixed:0.5:volume", "quantile::", "a:b"]
)
def test_an_unknown_spelling_lists_the_forms(text: str) -> None:
    with pytest.raises(MaskError) as caught:
        rule_from_text(text)
    if text != "quantile::":
        assert "fixed:0.5, 255:200, quantile:0.9, area:0.1" in str(caught.value)


def test_a_number_out_of_range_in_a_text_is_named() -> None:
    with pytest.raises(MaskError, match="OutOf255 takes a number from 0 to 255, not 300"):
        rule_from_text("255:300")
    with pytest.raises(MaskError, match=r"unit, volume, cohort, not 0\.5"):
        rule_from_text("otsu:0.5")
