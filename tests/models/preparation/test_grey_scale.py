"""Grey-scale arithmetic against numbers typed by hand and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.exposure import equalize_adapthist

from napari_cam.models.preparation.steps import grey_scale as intensity

pytestmark = pytest.mark.quick

# Two channels of 2 x 3 pixels.
IMAGE = np.array([[[0, 1, 2], [3, 4, 10]], [[5, 5, 5], [5, 5, 5]]], dtype=np.float32)
LEFT = np.array([[True, True, False], [True, True, False]])


def test_percentiles_of_each_channel_and_of_all_together():
    low, high = intensity.percentiles(IMAGE, None, 0, 100)
    assert low.tolist() == [0, 5]
    assert high.tolist() == [10, 5]
    low, high = intensity.percentiles(IMAGE, None, 20, 80)
    assert low.tolist() == [1, 5]  # place 0.2 * 5 of 0 1 2 3 4 10
    assert high.tolist() == [4, 5]
    low, high = intensity.percentiles(IMAGE, None, 0, 100, per_channel=False)
    assert low.tolist() == [0, 0]
    assert high.tolist() == [10, 10]


def test_percentiles_come_from_the_foreground():
    low, high = intensity.percentiles(IMAGE, LEFT, 0, 100)
    assert low.tolist() == [0, 5]
    assert high.tolist() == [4, 5]
    low, high = intensity.percentiles(IMAGE, LEFT, 50, 100)  # the median of 0 1 3 4
    assert low.tolist() == [2, 5]
    nothing = np.zeros_like(LEFT)
    assert np.array(intensity.percentiles(IMAGE, nothing, 1, 99)).tolist() == [[0, 0], [0, 0]]


def test_stretch_clips_only_where_asked_and_a_flat_channel_becomes_zero():
    low, high = np.array([2.0, 5.0]), np.array([4.0, 5.0])
    clipped = intensity.stretch(IMAGE, low, high, clip=True)
    assert clipped.tolist() == [[[0, 0, 0], [0.5, 1, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert clipped.dtype == np.float32
    free = intensity.stretch(IMAGE, low, high, clip=False)
    assert free[0].tolist() == [[-1, -0.5, 0], [0.5, 1, 4]]
    assert not free[1].any()
    assert IMAGE[0, 1, 2] == 10  # the input is left alone


def test_stretch_maps_the_extremes_to_exactly_zero_and_one():
    values = np.random.default_rng(3).uniform(-7, 1e5, (1, 40, 41)).astype(np.float32)
    stretched = intensity.stretch(values, *intensity.percentiles(values, None, 0, 100), clip=False)
    assert stretched.min() == 0
    assert stretched.max() == 1


def test_moments_by_hand():
    mean, deviation = intensity.moments(IMAGE, LEFT)  # 0 1 3 4
    assert mean.tolist() == [2, 5]
    assert deviation.tolist() == [np.sqrt(2.5), 0]
    mean, deviation = intensity.moments(IMAGE, None, per_channel=False)
    twelve = [0, 1, 2, 3, 4, 10, 5, 5, 5, 5, 5, 5]
    assert mean == pytest.approx([np.mean(twelve)] * 2)
    assert deviation == pytest.approx([np.std(twelve)] * 2)
    assert np.array(intensity.moments(IMAGE, np.zeros_like(LEFT))).tolist() == [[0, 0], [0, 0]]


def test_a_constant_image_has_no_deviation_despite_rounding():
    values = np.full((1, 7, 11), 0.1, dtype=np.float32)
    mean, deviation = intensity.moments(values, None)
    assert deviation.tolist() == [0]
    assert not intensity.standardize(values, mean, deviation).any()


def test_standardize_by_hand():
    result = intensity.standardize(IMAGE, np.array([2.0, 1.0]), np.array([4.0, 0.5]))
    assert result[0].tolist() == [[-0.5, -0.25, 0], [0.25, 0.5, 2]]
    assert result[1].tolist() == [[8, 8, 8], [8, 8, 8]]


def test_divide_and_two_valued():
    assert intensity.divide(IMAGE, 4)[0].tolist() == [[0, 0.25, 0.5], [0.75, 1, 2.5]]
    cut = intensity.two_valued(IMAGE, cut=3, low=0, high=255)
    assert cut[0].tolist() == [[0, 0, 0], [255, 255, 255]]  # the cut itself is high


def test_equalization_by_hand():
    # 0 0 1 1 1 4 in 4 bins of width 1: counts 2 3 0 1 (the last bin holds its upper edge),
    # cumulative 2 5 5 6; the lowest occupied bin is the origin: 0 3/4 3/4 1.
    values = np.array([[[0, 0, 1], [1, 1, 4]]], dtype=np.float32)
    low, high, table = intensity.equalization(values, None, bins=4)
    assert table.tolist() == [[0, 0.75, 0.75, 1]]
    result = intensity.look_up(values, low, high, table)
    assert result.tolist() == [[[0, 0, 0.75], [0.75, 0.75, 1]]]
    beyond = intensity.look_up(np.array([[[-9, 2.5, 99]]], np.float32), low, high, table)
    assert beyond.tolist() == [[[0, 0.75, 1]]]


def test_equalization_leaves_the_background_out():
    # Tissue 10 20 30 beside three background zeros: by itself it spreads evenly.
    values = np.array([[[0, 0, 0], [10, 20, 30]]], dtype=np.float32)
    tissue = values[0] > 0
    low, high, table = intensity.equalization(values, tissue, bins=4096)
    result = intensity.look_up(values, low, high, table)
    assert result.tolist() == [[[0, 0, 0], [0, 0.5, 1]]]


def test_equalization_of_a_flat_or_empty_image_is_zero():
    flat = IMAGE[1:]
    for foreground in (None, np.zeros_like(LEFT)):
        fitted = intensity.equalization(flat, foreground, bins=8)
        assert not intensity.look_up(flat, *fitted).any()


def test_clahe_is_scikit_images_on_the_unit_range():
    values = np.random.default_rng(5).gamma(2, 300, (2, 40, 56)).astype(np.float32)
    result = intensity.clahe(values, None, clip_limit=0.03, tiles=8, bins=256)
    for channel, image in zip(result, values, strict=True):
        unit = (image - image.min()) / (image.max() - image.min())
        expected = equalize_adapthist(unit, kernel_size=(5, 7), clip_limit=0.03, nbins=256)
        assert np.abs(channel - expected).max() < 1e-3
        assert channel.max() - channel.min() > 0.9


def test_clahe_blanks_the_outside_and_takes_its_range_from_the_tissue():
    rng = np.random.default_rng(6)
    values = rng.uniform(100, 200, (1, 33, 47))
    tissue = np.zeros((33, 47), dtype=bool)
    tissue[5:25, 8:40] = True
    spiked = values.copy()
    spiked[0, 30, 2] = 1e6
    result = intensity.clahe(spiked, tissue, 0.03, 8, 256)
    assert not result[:, ~tissue].any()
    # Without the foreground's range the spike would leave one grey level to the tissue.
    assert result[0][tissue].std() > 0.2


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (2, 3, 2), (1, 2, 9, 7)])
def test_clahe_of_tiny_and_flat_images_is_finite(shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert np.isfinite(intensity.clahe(values, None, 0.03, 8, 256)).all()
    assert not intensity.clahe(np.full(shape, 3.0), None, 0.03, 8, 256).any()
