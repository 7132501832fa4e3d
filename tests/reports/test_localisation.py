"""Energy, peak and baselines on arrays small enough to check by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.reports.localisation import (
    area_share,
    centred_gaussian,
    energy_inside,
    image_intensity,
    peak_inside,
)

pytestmark = pytest.mark.quick

HEATMAP = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0]], np.float32)
TRUTH = np.array([[False, True, False], [False, True, True]])


def test_energy_is_a_share_of_the_sum() -> None:
    assert energy_inside(HEATMAP, TRUTH) == pytest.approx(5 / 10)
    assert energy_inside(HEATMAP * 1e-30, TRUTH) == pytest.approx(5 / 10)
    assert energy_inside(HEATMAP, np.zeros_like(TRUTH)) == 0
    assert math.isnan(energy_inside(np.zeros_like(HEATMAP), TRUTH))


def test_peak() -> None:
    assert peak_inside(HEATMAP, TRUTH)
    assert not peak_inside(HEATMAP, ~TRUTH)
    tied = HEATMAP.copy()
    tied[1, 0] = 4.0
    assert not peak_inside(tied, TRUTH)
    assert not peak_inside(np.ones_like(HEATMAP), TRUTH)


def test_area_share_is_the_energy_of_a_flat_map() -> None:
    foreground = np.array([[False, True, True], [True, False, True]])
    assert area_share(TRUTH, foreground) == pytest.approx(2 / 4)
    assert math.isnan(area_share(TRUTH, np.zeros_like(TRUTH)))


def test_gaussian_sits_on_the_foreground_with_its_spread() -> None:
    foreground = np.zeros((7, 12), bool)
    foreground[1:6, 2:11] = True  # middle (3, 6); variances 2 and 60 / 9
    blob = centred_gaussian(foreground)
    assert np.unravel_index(blob.argmax(), blob.shape) == (3, 6)
    assert blob[3, 6] == pytest.approx(1)
    assert blob[5, 6] == pytest.approx(math.exp(-4 / 2 / 2))
    assert blob[3, 8] == pytest.approx(math.exp(-4 / (60 / 9) / 2))
    assert not blob[~foreground].any()


def test_gaussian_in_three_dimensions() -> None:
    foreground = np.zeros((5, 7, 9), bool)
    foreground[1:4, 2:5, 3:8] = True
    assert np.unravel_index(centred_gaussian(foreground).argmax(), foreground.shape) == (2, 3, 5)


def test_intensity_counts_from_the_darkest_voxel_inside() -> None:
    image = np.array([[900, 10, 30], [20, 500, 60]], np.uint16)
    foreground = np.array([[False, True, True], [True, False, True]])
    np.testing.assert_array_equal(image_intensity(image, foreground), [[0, 0, 20], [10, 0, 50]])


@pytest.mark.parametrize(
    ("heatmap", "truth", "words"),
    [
        (HEATMAP, TRUTH.T, "shape"),
        (HEATMAP, TRUTH.astype(int), "True and False"),
        (-HEATMAP, TRUTH, "negative"),
        (np.full_like(HEATMAP, np.nan), TRUTH, "NaN"),
    ],
)
def test_what_is_refused(heatmap: np.ndarray, truth: np.ndarray, words: str) -> None:
    with pytest.raises(MaskError, match=words):
        energy_inside(heatmap, truth)


def test_nan_has_no_peak_and_emptiness_no_middle() -> None:
    with pytest.raises(MaskError, match="NaN"):
        peak_inside(np.full_like(HEATMAP, np.nan), TRUTH)
    with pytest.raises(MaskError, match="empty"):
        centred_gaussian(np.zeros((4, 5), bool))
    with pytest.raises(MaskError, match="empty"):
        image_intensity(HEATMAP, np.zeros_like(TRUTH))
