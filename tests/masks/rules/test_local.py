"""Local Otsu: pixel by pixel beside Otsu of the pixels around, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from napari_cam.errors import MaskError
from napari_cam.masks.rules import LocalOtsu, Otsu

pytestmark = pytest.mark.quick


def everywhere(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.ones(values.shape, dtype=bool)


def picture(shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Two heaps of values in blotches, on a slope that no global cut follows."""
    random = np.random.default_rng(seed)
    heaps = np.where(random.random(shape) < 0.4, 0.3, 0.0) + random.normal(0, 0.03, shape)
    slope = np.linspace(0, 1, shape[-1])
    return np.asarray(heaps + slope, dtype=np.float32)


def pixel_by_pixel(
    values: NDArray[Any], allowed: NDArray[np.bool_], radius: float, spacing: Sequence[float]
) -> NDArray[np.float64]:
    """Otsu's cut around every pixel, with the whole picture's bins."""
    low, high = float(values[allowed].min()), float(values[allowed].max())
    width = (high - low) / 256
    centres = low + (np.arange(256) + 0.5) * width
    index = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), axis=-1)
    cuts = np.full(values.shape, np.nan)
    for place in np.ndindex(values.shape):
        distance = np.sqrt((((index - place) * np.array(spacing)) ** 2).sum(axis=-1))
        near = values[(distance <= radius + 1e-9) & allowed].astype(np.float64)
        if near.size == 0:
            continue
        bins = np.clip((near - low) / width, 0, 255).astype(int)
        if bins.min() == bins.max():
            continue
        counts = np.bincount(bins, minlength=256)
        cuts[place] = threshold_otsu(hist=(counts, centres))
    return cuts


@pytest.mark.parametrize(
    ("shape", "radius", "units", "spacing", "reach"),
    [
        ((14, 17), 3.0, "px", (5.0, 5.0), (1.0, 1.0)),
        ((14, 17), 4.0, "mm", (2.0, 1.0), (2.0, 1.0)),  # an ellipse of pixels
        ((5, 8, 9), 3.0, "mm", (3.0, 1.0, 1.5), (3.0, 1.0, 1.5)),
    ],
)
def test_each_pixel_has_the_cut_of_what_lies_around_it(
    shape: tuple[int, ...],
    radius: float,
    units: Any,
    spacing: tuple[float, ...],
    reach: tuple[float, ...],
) -> None:
    values = picture(shape)
    allowed = np.random.default_rng(1).random(shape) < 0.8
    found = LocalOtsu(radius, units).cuts(values, allowed, spacing)
    expected = pixel_by_pixel(values, allowed, radius, reach)
    assert found.dtype == np.float32
    assert found.shape == shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    # Where two cuts are equally good, rounding may choose either: the masks agree nearly always.
    assert np.nanmean(np.abs(found - expected) < 1e-6) > 0.97
    assert np.mean((values > found) == (values > expected)) > 0.99


def test_beyond_the_image_it_is_otsus_own_cut() -> None:
    values = picture((12, 19))
    found = LocalOtsu(500, "px").cuts(values, everywhere(values), (1, 1))
    np.testing.assert_allclose(found, Otsu().cut(values), rtol=1e-6)


def test_it_follows_a_slope_that_a_global_cut_cannot() -> None:
    random = np.random.default_rng(4)
    truth = random.random((40, 60)) < 0.4
    values = (np.where(truth, 0.3, 0.0) + np.linspace(0, 1, 60)).astype(np.float32)
    local = values > LocalOtsu(4, "px").cuts(values, everywhere(values), (1, 1))
    whole = values > Otsu().cut(values)
    assert np.mean(local == truth) > 0.95
    assert np.mean(whole == truth) < 0.75


def test_what_is_not_allowed_changes_nothing() -> None:
    values = picture((15, 18))
    allowed = everywhere(values)
    allowed[4:9, 5:11] = False
    spoiled = values.copy()
    spoiled[4:9, 5:11] = np.array([np.nan, 1e9, -1e9, np.inf, 0, 7])
    rule = LocalOtsu(3, "px")
    np.testing.assert_array_equal(
        rule.cuts(values, allowed, (1, 1)), rule.cuts(spoiled, allowed, (1, 1))
    )
    nan = values.copy()
    nan[~allowed] = np.nan  # no number, no say, although allowed
    np.testing.assert_array_equal(
        rule.cuts(values, allowed, (1, 1)), rule.cuts(nan, everywhere(nan), (1, 1))
    )


def test_flat_surroundings_have_no_cut() -> None:
    values = np.zeros((9, 30), dtype=np.float32)
    values[:, 20:] = 1
    found = LocalOtsu(2, "px").cuts(values, everywhere(values), (1, 1))
    assert np.isnan(found[:, :18]).all()
    assert np.isnan(found[:, 22:]).all()
    assert np.isfinite(found[:, 18:22]).all()
    for flat in (np.full((4, 5), 0.3), np.full((4, 5), np.nan)):
        assert np.isnan(LocalOtsu(2).cuts(flat, everywhere(flat), (1, 1))).all()
    assert np.isnan(LocalOtsu(2).cuts(values, np.zeros_like(values, bool), (1, 1))).all()


def test_a_slice_of_a_volume_knows_nothing_of_its_neighbours() -> None:
    values = picture((1, 12, 14))
    flat = LocalOtsu(3).cuts(values[0], everywhere(values[0]), (1, 1))
    np.testing.assert_array_equal(LocalOtsu(3).cuts(values, everywhere(values), (9, 1, 1))[0], flat)


def test_a_radius_within_one_pixel_is_refused() -> None:
    values = picture((6, 7))
    with pytest.raises(MaskError, match=r"Within 1 mm of a pixel lies no other one .* 2\.5 apart"):
        LocalOtsu(1).cuts(values, everywhere(values), (3, 2.5))
