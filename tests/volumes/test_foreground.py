"""Tissue masks of synthetic objects whose outline is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_cam.volumes import foreground

pytestmark = pytest.mark.quick

H, W = 60, 80


def disc(radius: float = 18.0) -> np.ndarray:
    y, x = np.mgrid[:H, :W]
    return (y - 28) ** 2 + (x - 45) ** 2 <= radius**2


def picture() -> np.ndarray:
    """Noisy tissue around 100 with zero-valued voxels inside, and a bright speck outside."""
    rng = np.random.default_rng(0)
    image = np.abs(rng.normal(0, 3, (H, W)))
    image[disc()] = rng.normal(100, 8, disc().sum())
    image[24:30, 40:47] = 0  # a cavity
    image[33, 50] = image[20, 45] = 0  # single dark voxels
    image[4:8, 4:9] = 180  # a speck
    return image[None]


def share(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_otsu_finds_the_tissue_with_its_zero_voxels_and_without_the_speck():
    found = foreground.otsu(picture())
    assert share(found, disc()) > 0.97
    assert found[24:30, 40:47].all()
    assert found[33, 50]
    assert not found[4:8, 4:9].any()


def test_kmeans_finds_the_tissue_with_its_zero_voxels():
    found = foreground.kmeans(picture())
    assert found[disc(16)].all()
    assert share(found, disc()) > 0.8  # its filters swallow or add about a pixel of the edge
    assert not found[0:2].any()


def test_kmeans_takes_the_background_from_the_border_not_from_a_corner():
    dark_on_bright = 4000 - 30 * picture()
    dark_on_bright[:, 4:8, 4:9] = 4000
    dark_on_bright[0, :9, :9] = 900  # a label in the very corner
    found = foreground.kmeans(dark_on_bright)
    assert found[disc(12)].all()
    assert not found[:9, :9].any()
    assert not found[:, -3:].any()


def test_kmeans_does_not_wrap_at_eight_bits():
    # 12-bit data above 2559 is where the published code's cast turned over.
    small, large = foreground.kmeans(picture()), foreground.kmeans(picture() * 4095 / 200)
    assert share(small, large) > 0.999


def test_nonzero_keeps_enclosed_zeros_and_all_pieces():
    image = np.zeros((2, H, W))
    image[1][disc()] = 7
    image[0, 2, 3] = -1
    image[1, 24:30, 40:47] = 0
    found = foreground.nonzero(image)
    expected = disc()
    expected[2, 3] = True
    assert np.array_equal(found, expected)


def test_largest_piece_and_holes_by_hand():
    mask = np.array(
        [
            [1, 1, 1, 0, 0],
            [1, 0, 1, 0, 1],
            [1, 1, 1, 0, 1],
        ],
        dtype=bool,
    )
    ring = foreground.largest_piece(mask)
    assert ring.astype(int).tolist() == [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]]
    filled = foreground.fill_holes(ring)
    assert filled.astype(int).tolist() == [[1, 1, 1, 0, 0]] * 3
    # A notch that reaches the border is no hole.
    mask[0, 1] = False
    assert np.array_equal(foreground.fill_holes(mask), mask)


def test_holes_of_a_single_slice_are_filled_in_its_plane():
    mask = np.ones((1, 3, 4), dtype=bool)
    mask[0, 1, 1] = False
    assert foreground.fill_holes(mask).all()
    deep = np.ones((3, 3, 4), dtype=bool)
    deep[1, 1, 1] = False
    assert foreground.fill_holes(deep).all()
    deep[0, 1, 1] = False  # open towards the first slice
    assert not foreground.fill_holes(deep)[1, 1, 1]


def test_two_means_is_the_least_squares_cut():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(2, 1, 37), rng.normal(8, 2, 11)])

    def cost(cut: float) -> float:
        parts = values[values <= cut], values[values > cut]
        return sum(((part - part.mean()) ** 2).sum() for part in parts)

    ordered = np.sort(values)
    cuts = [(a + b) / 2 for a, b in pairwise(ordered)]
    assert foreground.two_means_cut(values) == pytest.approx(min(cuts, key=cost))
    assert foreground.two_means_cut(np.array([1.0, 1, 1, 5, 5, 9])) == 3
    assert foreground.two_means_cut(np.array([0, 0, 0, 0, 0, 1])) == 0.5


def test_thick_slices_are_not_smeared_into_each_other():
    # One tissue slice among blank ones: at 8 mm the neighbours stay blank.
    image = np.zeros((1, 5, H, W), dtype=np.float32)
    image[0, 2][disc()] = 100
    for method in (foreground.otsu, foreground.kmeans):
        found = method(image, (8.0, 0.5, 0.5))
        assert found[2].any()
        assert not found[[0, 1, 3, 4]].any()
    assert foreground.kmeans(image, (0.5, 0.5, 0.5))[1].any()


@pytest.mark.parametrize("method", list(foreground.METHODS.values()))
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (2, 3, 4), (1, 1, 5, 6)])
def test_tiny_and_flat_images(method, shape):
    assert not method(np.zeros(shape), None).any()
    found = method(np.arange(np.prod(shape), dtype=np.float64).reshape(shape), None)
    assert found.dtype == bool
    assert found.shape == shape[1:]


def test_channels_weigh_the_same():
    two = np.concatenate([picture() * 1e4, np.random.default_rng(1).normal(0, 1e-3, (1, H, W))])
    assert share(foreground.otsu(two), disc()) > 0.9
