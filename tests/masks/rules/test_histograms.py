"""Li, triangle and Yen beside their definitions, worked out here without scikit-image's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cam.masks.rules import AreaFraction, Li, Otsu, Quantile, ThresholdRule, Triangle, Yen

pytestmark = pytest.mark.quick


def heaps(seed: int = 3) -> NDArray[np.float32]:
    """A thousand values as heatmaps have them: most near 0, some around 0.7."""
    random = np.random.default_rng(seed)
    low, high = random.exponential(0.08, 800), random.normal(0.7, 0.08, 200)
    return np.clip(np.concatenate([low, high]), 0, 1).astype(np.float32)


def histogram(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    counts, edges = np.histogram(values.astype(np.float64), 256)
    return counts, (edges[:-1] + edges[1:]) / 2


def between_class_variance(values: NDArray[Any]) -> float:
    counts, centres = histogram(values)
    best, found = -1.0, 0.0
    for t in range(255):
        low, high = counts[: t + 1], counts[t + 1 :]
        if not low.sum() or not high.sum():
            continue
        means = (
            (low * centres[: t + 1]).sum() / low.sum(),
            (high * centres[t + 1 :]).sum() / high.sum(),
        )
        variance = low.sum() * high.sum() * (means[0] - means[1]) ** 2
        if variance > best * (1 + 1e-12):
            best, found = variance, centres[t]
    return found


def entropic_correlation(values: NDArray[Any]) -> float:
    """Yen et al., eq. 4: -ln(G(s) G'(s)) + 2 ln(P(s) (1 - P(s)))."""
    counts, centres = histogram(values)
    p = counts / counts.sum()
    best, found = -np.inf, 0.0
    for s in range(255):
        below = p[: s + 1].sum()
        if below <= 0 or below >= 1:
            continue
        product = (p[: s + 1] ** 2).sum() * (p[s + 1 :] ** 2).sum()
        criterion = -np.log(product) + 2 * np.log(below * (1 - below))
        if criterion > best:
            best, found = criterion, centres[s]
    return found


def farthest_from_the_line(values: NDArray[Any]) -> float:
    """Zack et al.: the peak of `heaps` lies left, so its line runs down to the last bin."""
    counts, centres = histogram(values)
    peak, last = int(counts.argmax()), int(np.flatnonzero(counts)[-1])
    assert peak < last - peak
    run, fall = last - peak, counts[peak] - 0
    # Distance of (i, count) below the line from (last, 0) up to (peak, its count).
    distance = [
        fall * (last - i) / run - counts[i] if i > peak else -np.inf for i in range(last + 1)
    ]
    return float(centres[int(np.argmax(distance))])


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize(
    ("rule", "definition", "bins"),
    [
        (Otsu(), between_class_variance, 0),
        (Yen(), entropic_correlation, 0),
        # Where the line starts differs by a bin between implementations.
        (Triangle(), farthest_from_the_line, 2),
    ],
)
def test_the_cut_is_that_of_the_definition(
    rule: ThresholdRule, definition: Callable[[NDArray[Any]], float], bins: int, seed: int
) -> None:
    values = heaps(seed)
    width = (float(values.max()) - float(values.min())) / 256
    assert rule.cut(values) == pytest.approx(definition(values), abs=bins * width + 1e-9)


def test_li_has_the_least_cross_entropy_around() -> None:
    values = heaps().astype(np.float64)
    values -= values.min()  # which counts as 0

    def cross_entropy(t: float) -> float:
        low, high = values[values <= t], values[values > t]
        return float(-low.sum() * np.log(low.mean()) - high.sum() * np.log(high.mean()))

    cut = Li().cut(values)
    assert 0.1 < cut < 0.6
    others = np.linspace(0.02, 0.95, 187)
    assert cross_entropy(cut) <= min(map(cross_entropy, others)) + 1e-9


def test_li_counts_from_the_lowest_value() -> None:
    assert Li().cut(heaps() - np.float32(5)) == pytest.approx(Li().cut(heaps()) - 5, abs=1e-5)


RULES = [Otsu(), Li(), Triangle(), Yen(), Quantile(0.7), AreaFraction(0.3)]
NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)


@pytest.mark.parametrize("rule", RULES)
@given(values=st.lists(NUMBERS, min_size=1, max_size=30))
def test_cuts_lie_among_the_values_and_part_them(rule: ThresholdRule, values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    cut = rule.cut(array)
    if len(set(array.tolist())) == 1:
        assert np.isnan(cut)
    elif not isinstance(rule, AreaFraction):  # whose ends lie just beyond
        assert array.min() <= cut <= array.max()
    else:
        assert np.isfinite(cut)


@pytest.mark.parametrize("rule", RULES)
@given(values=st.lists(st.integers(0, 40), min_size=3, max_size=60))
def test_cuts_do_not_depend_on_the_order(rule: ThresholdRule, values: list[int]) -> None:
    array = np.array(values, dtype=np.float32)
    np.testing.assert_equal(rule.cut(array), rule.cut(array[::-1].reshape(1, -1)))
