"""Foregrounds of volumes whose tissue is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_cam as nc
from napari_cam.errors import MaskError
from napari_cam.volumes.foreground import METHODS

pytestmark = pytest.mark.quick

H, W = 44, 52


def disc(radius: float, y: float = 22, x: float = 26) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:H, :W]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def values() -> NDArray[np.float64]:
    """Three slices: bright tissue, fainter tissue, and noise alone."""
    random = np.random.default_rng(0)
    stack = np.abs(random.normal(0, 5, (3, H, W)))
    stack[0][disc(13)] += 2000
    stack[0, 20:24, 24:28] = 0  # a cavity
    stack[1][disc(9)] += 700
    return stack


def volume(array: Any = None, axis: int = 0, **more: Any) -> nc.Volume:
    stack = np.moveaxis(values() if array is None else array, 0, axis)
    return nc.Volume(stack, nc.Grid.plain(stack.shape, units="mm"), stack_axis=axis, **more)


def share(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("method", ["kmeans", "otsu"])
def test_the_tissue_is_found_with_its_cavity(method: Any) -> None:
    found = nc.foreground(volume(), method, per="slice")
    assert found.dtype == np.bool_
    assert share(found[0], disc(13)) > 0.8
    assert found[0, 20:24, 24:28].all()
    assert share(found[1], disc(9)) > 0.7


def test_a_slice_of_noise_has_tissue_only_where_it_is_asked_alone() -> None:
    # Slices 20 mm apart, so that filters do not reach from one to the next.
    apart = nc.Volume(values(), nc.Grid.plain((3, H, W), (20, 1, 1), "mm"))
    assert nc.foreground(apart, "kmeans", per="slice")[2].any()
    assert not nc.foreground(apart, "kmeans")[2].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_lie_across_the_axis_of_acquisition_or_the_one_named(axis: int) -> None:
    expected = nc.foreground(volume(), "otsu", per="slice")
    found = nc.foreground(volume(axis=axis), "otsu", per="slice")
    np.testing.assert_array_equal(np.moveaxis(found, axis, 0), expected)
    named = nc.foreground(volume(np.moveaxis(values(), 0, axis)), "otsu", per="slice", axis=axis)
    np.testing.assert_array_equal(named, found)


def test_each_slice_is_that_of_the_method_by_itself() -> None:
    found = nc.foreground(volume(), per="slice")
    for index, each in enumerate(values()):
        np.testing.assert_array_equal(found[index], METHODS["kmeans"](each[None], (1.0, 1.0)))


def test_nonzero_voxels_and_what_they_enclose() -> None:
    stack = np.zeros((2, 5, 6))
    stack[0, 1:4, 1:4] = -3
    stack[0, 2, 2] = 0
    stack[1, 0, 0] = 1
    expected = stack != 0
    assert nc.foreground(volume(stack), "nonzero").sum() == 9  # in 3D the ring is open
    expected[0, 2, 2] = True
    np.testing.assert_array_equal(nc.foreground(volume(stack), "nonzero", per="slice"), expected)


def test_voxels_that_are_no_numbers_are_dark() -> None:
    spoiled = values()
    spoiled[0, :3] = np.nan
    spoiled[1, 0, 0] = -np.inf
    found = nc.foreground(volume(spoiled), "otsu", per="slice")
    np.testing.assert_array_equal(found, nc.foreground(volume(), "otsu", per="slice"))


def test_flat_images_have_no_foreground() -> None:
    for per in ("volume", "slice"):
        assert not nc.foreground(volume(np.full((2, 5, 6), 7)), "kmeans", per).any()  # type: ignore[arg-type]


def test_channels_count_alike() -> None:
    stack = np.stack([values(), values() / 1000])
    two = nc.Volume(stack, nc.Grid.plain((3, H, W), units="mm"))
    np.testing.assert_array_equal(
        nc.foreground(two, "otsu", per="slice"), nc.foreground(volume(), "otsu", per="slice")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("brain",), "The method of a foreground is one of kmeans, otsu, nonzero, not 'br"),
        (("otsu", "unit"), "The per of a foreground is one of volume, slice, not 'unit'"),
        (("otsu", "slice", 3), "The axis of a foreground is one of None, 0, 1, 2, not 3"),
    ],
)
def test_unknown_words_are_named(arguments: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        nc.foreground(volume(), *arguments)


def test_a_channel_without_numbers_is_named() -> None:
    stack = np.stack([values(), np.full((3, H, W), np.nan)])
    with pytest.raises(MaskError, match="Channel 2 of the image holds no finite number"):
        nc.foreground(nc.Volume(stack, nc.Grid.plain((3, H, W))), "otsu")
