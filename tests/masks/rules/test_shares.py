"""The share that quantiles and area fractions keep, by hand and for any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cam.masks.rules import AreaFraction, Quantile

pytestmark = pytest.mark.quick

TEN = np.array([[9, 0, 8, 1, 7], [2, 6, 3, 5, 4]], dtype=np.float32) / 10


@pytest.mark.parametrize(
    ("share", "by_hand"),
    # Midway between what is kept and what is left out; beyond the ends for all and nothing.
    [(0.1, 0.85), (0.25, 0.65), (0.3, 0.65), (0.9, 0.05), (0.96, -0.0), (0.04, 0.9)],
)
def test_area_cuts_lie_midway(share: float, by_hand: float) -> None:
    cut = AreaFraction(share).cut(TEN)
    assert cut == pytest.approx(by_hand, abs=1e-7)
    assert np.sum(cut < TEN) == np.sum(cut <= TEN) == round(share * 10 + 1e-9)


def test_a_share_is_rounded_to_whole_voxels() -> None:
    hundred = np.arange(100, dtype=np.float32)
    # In double precision 0.29 x 100 is 28.999999999999996.
    assert (hundred > AreaFraction(0.29).cut(hundred)).sum() == 29
    assert (hundred > AreaFraction(0.294).cut(hundred)).sum() == 29
    assert (hundred > AreaFraction(0.296).cut(hundred)).sum() == 30


@pytest.mark.parametrize(
    ("share", "above", "reaching"),
    # 9 7 7 7 3 0 0 0 0 0: the boundary falls between 9 and 7, among the 7s, at 3, among the 0s.
    [(0.1, 1, 1), (0.2, 1, 4), (0.3, 1, 4), (0.4, 4, 4), (0.5, 5, 5), (0.7, 5, 10)],
)
def test_equals_are_all_out_or_all_in(share: float, above: int, reaching: int) -> None:
    values = np.array([0, 7, 0, 3, 0, 9, 7, 0, 7, 0], dtype=np.float32)
    cut = AreaFraction(share).cut(values)
    assert (values > cut).sum() == above
    assert (values >= cut).sum() == reaching


def test_neighbours_in_float32_have_nothing_between_them() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    values = np.array([low, high], dtype=np.float32)
    assert AreaFraction(0.5).cut(values) == float(low)
    assert (values > np.float32(AreaFraction(0.5).cut(values))).tolist() == [False, True]


DISTINCT = st.lists(st.integers(-(2**20), 2**20), min_size=2, max_size=60, unique=True)
SHARES = st.floats(0, 1)


@given(values=DISTINCT, share=SHARES)
def test_barring_ties_an_area_holds_its_share(values: list[int], share: float) -> None:
    array = np.array(values, dtype=np.float32)
    cut = np.float32(AreaFraction(share).cut(array))
    kept = int((array > cut).sum())
    assert kept == int((array >= cut).sum())
    assert abs(kept - share * len(values)) <= 0.5 + 1e-9


@given(values=DISTINCT, q=SHARES)
def test_barring_ties_a_quantile_leaves_its_share_above(values: list[int], q: float) -> None:
    array = np.array(values, dtype=np.float32)
    cut = Quantile(q).cut(array)
    above = int((array > cut).sum())
    assert abs(above - (1 - q) * len(values)) <= 1 + 1e-9


@given(values=st.lists(st.integers(-4, 4), min_size=2, max_size=40), share=SHARES)
def test_with_ties_the_share_lies_between_both_inequalities(
    values: list[int], share: float
) -> None:
    array = np.array(values, dtype=np.float32)
    cut = AreaFraction(share).cut(array)
    if np.isnan(cut):
        assert len(set(values)) == 1
        return
    above, reaching = int((array > np.float32(cut)).sum()), int((array >= np.float32(cut)).sum())
    assert above <= share * len(values) + 0.5 + 1e-9
    assert reaching >= share * len(values) - 0.5 - 1e-9
    # They differ by what lies exactly at the cut.
    assert reaching - above == int((array == np.float32(cut)).sum())
