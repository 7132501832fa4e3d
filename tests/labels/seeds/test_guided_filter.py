"""The guided filter against the loops of its definition, and what its paper says of it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cam.labels.seeds.guided_filter import guided_filter

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(3)


def by_loops(
    guide: NDArray[Any],
    values: NDArray[Any],
    radius: tuple[int, ...],
    epsilon: float,
    counted: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return He et al. 2013, eqs. 5, 6 and 8, voxel by voxel and window by window."""
    a, b = np.zeros(guide.shape), np.zeros(guide.shape)

    def window(centre: tuple[int, ...]) -> list[tuple[int, ...]]:
        ranges = [
            range(max(0, c - r), min(n, c + r + 1))
            for c, r, n in zip(centre, radius, guide.shape, strict=True)
        ]
        return [place for place in product(*ranges) if counted[place]]

    places = [tuple(place) for place in np.argwhere(counted).tolist()]
    for k in places:
        inputs = np.array([guide[i] for i in window(k)])
        targets = np.array([values[i] for i in window(k)])
        covariance = (inputs * targets).mean() - inputs.mean() * targets.mean()
        a[k] = covariance / (inputs.var() + epsilon)
        b[k] = targets.mean() - a[k] * inputs.mean()
    result = np.zeros(guide.shape)
    for i in places:
        result[i] = np.mean([a[k] for k in window(i)]) * guide[i]
        result[i] += np.mean([b[k] for k in window(i)])
    return result


@pytest.mark.parametrize(
    ("shape", "radius"),
    [((7, 9), (2, 2)), ((7, 9), (0, 3)), ((4, 6, 7), (0, 2, 1)), ((4, 6, 5), (1, 1, 1))],
)
@pytest.mark.parametrize("masked", [False, True])
def test_the_definition(shape: Any, radius: Any, masked: bool) -> None:
    guide, values = RNG.normal(size=shape), RNG.uniform(size=shape)
    counted = RNG.uniform(size=shape) > 0.4 if masked else np.ones(shape, bool)
    found = guided_filter(guide, values, radius, 0.05, counted if masked else None)
    assert np.allclose(found, by_loops(guide, values, radius, 0.05, counted), atol=1e-12)


def test_an_edge_of_the_guide_stays_and_noise_goes() -> None:
    guide = np.repeat([[0.0, 1.0]], 8, axis=0).repeat(8, axis=1)
    noisy = guide + 0.2 * RNG.normal(size=guide.shape)
    filtered = guided_filter(guide, noisy, (3, 3), 1e-4)
    assert np.abs(filtered - guide).std() < 0.3 * np.abs(noisy - guide).std()
    assert filtered[:, 8].min() - filtered[:, 7].max() > 0.8


def test_a_flat_guide_gives_two_means_in_a_row() -> None:
    values = np.zeros((1, 9))
    values[0, 4] = 9
    expected = [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert guided_filter(np.zeros((1, 9)), values, (0, 1), 0.1)[0].tolist() == pytest.approx(
        expected
    )


def test_it_is_linear_and_keeps_constants() -> None:
    guide, values = RNG.normal(size=(6, 7)), RNG.uniform(size=(6, 7))
    one = guided_filter(guide, values, (2, 1), 0.3)
    assert np.allclose(guided_filter(guide, 5 * values - 2, (2, 1), 0.3), 5 * one - 2)


def test_what_is_not_counted_changes_nothing() -> None:
    guide, values = RNG.normal(size=(6, 7)), RNG.uniform(size=(6, 7))
    counted = np.ones((6, 7), bool)
    counted[2:4, 3] = False
    other = values.copy()
    other[~counted] = 1e6
    one, two = (guided_filter(guide, v, (1, 2), 0.1, counted) for v in (values, other))
    assert (one == two).all()
    assert not one[~counted].any()
