from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from napari_cam.volumes.resample import AxisMap, carry_back, resize

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(20)


@pytest.mark.parametrize(
    ("shape", "mode", "sizes"),
    [
        ((2, 3, 7, 5), "bilinear", (23, 11)),
        ((2, 3, 7, 5), "bilinear", (3, 4)),
        ((2, 3, 1, 5), "bilinear", (4, 9)),
        ((2, 3, 4, 7, 5), "trilinear", (9, 16, 11)),
        ((2, 3, 4, 7, 5), "trilinear", (3, 20, 2)),
    ],
)
def test_resize_is_torchs_linear_half_pixel_resize(
    shape: tuple[int, ...], mode: str, sizes: tuple[int, ...]
) -> None:
    values = RNG.normal(size=shape).astype(np.float32)
    reference = interpolate(
        torch.from_numpy(values).double(), size=sizes, mode=mode, align_corners=False
    ).numpy()
    np.testing.assert_allclose(resize(values, sizes), reference, atol=2e-6)


@pytest.mark.parametrize("sizes", [(9, 5), (13, 40), (24, 17)])
def test_antialiased_resize_is_torchs(sizes: tuple[int, int]) -> None:
    values = RNG.normal(size=(2, 3, 24, 17)).astype(np.float32)
    reference = interpolate(
        torch.from_numpy(values).double(), size=sizes, mode="bilinear", antialias=True
    ).numpy()
    np.testing.assert_allclose(resize(values, sizes, antialias=True), reference, atol=2e-6)


def test_antialiased_resize_is_pillows() -> None:
    values = RNG.normal(size=(31, 22)).astype(np.float32)
    reference = np.asarray(Image.fromarray(values).resize((7, 12), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resize(values, (12, 7), antialias=True), reference, atol=2e-6)


def test_hand_typed_doubling() -> None:
    doubled = resize(np.array([[0.0, 4.0]]), (1, 4))
    assert doubled.tolist() == [[0.0, 1.0, 3.0, 4.0]]


@pytest.mark.parametrize(
    ("shape", "cell", "sizes"),
    [((7, 5), (1, 3), (224, 160)), ((5, 7, 6), (2, 1, 4), (40, 112, 90))],
)
def test_a_cells_centroid_lands_within_half_a_voxel(
    shape: tuple[int, ...], cell: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    one_hot = np.zeros(shape, np.float32)
    one_hot[cell] = 1
    large = carry_back(one_hot, [AxisMap(size, size) for size in sizes])
    assert large.shape == sizes
    places = np.indices(sizes).reshape(len(sizes), -1)
    centroid = places @ large.ravel() / large.sum()
    expected = (np.array(cell) + 0.5) * np.array(sizes) / np.array(shape) - 0.5
    assert np.abs(centroid - expected).max() < 0.5
    # Away from the border the triangle is whole, so the centroid is exact.
    np.testing.assert_allclose(centroid, expected, atol=1e-3)


def test_carry_back_undoes_resize_crop_and_pad() -> None:
    """A ramp over the network's input is read at each pixel's own place in it."""
    # 20 pixels, resized to 40, 6 cropped from the front, 30 kept, 5 padded on both sides.
    axis = AxisMap(20, 20).then(40, scale=2).then(30, offset=-6).then(40, offset=5)
    assert (axis.scale, axis.offset, axis.n_from, axis.n_to) == (2, -1, 20, 40)
    ramp = np.arange(40, dtype=np.float32) + 0.5  # the value is the edge coordinate
    places = (np.arange(20) + 0.5) * 2 - 1
    np.testing.assert_allclose(carry_back(ramp, [axis]), np.clip(places, 0.5, 39.5), atol=1e-5)


def test_pixels_outside_a_crop_are_unseen() -> None:
    axis = AxisMap(10, 10).then(4, offset=-3)
    assert axis.seen().tolist() == [False] * 3 + [True] * 4 + [False] * 3
    values = carry_back(np.array([1.0, 2, 3, 4]), [axis])
    assert values.tolist() == [1, 1, 1, 1, 2, 3, 4, 4, 4, 4]
