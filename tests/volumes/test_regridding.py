"""Arrays on other grids: numbers that can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.regridding import covered, index_map, regrid

pytestmark = pytest.mark.quick


def shifted(grid: Grid, by: tuple[float, float, float]) -> Grid:
    """The same grid, `by` (x, y, z) further on."""
    affine = grid.affine.copy()
    affine[:3, 3] += by
    return Grid(grid.shape, affine, grid.orientation, grid.units)


def test_the_same_grid_changes_nothing():
    grid = Grid.plain((2, 3, 5), (3.0, 0.5, 0.75), "mm")
    values = np.random.default_rng(0).random(grid.shape, np.float32)
    places = index_map(grid, grid)
    np.testing.assert_allclose(regrid(values, places, grid.shape, True), values, rtol=1e-6)
    labels = np.arange(30, dtype=np.uint8).reshape(grid.shape)
    np.testing.assert_array_equal(regrid(labels, places, grid.shape, False), labels)
    mask = labels > 7
    again = regrid(mask, places, grid.shape, False)
    assert again.dtype == np.bool_
    np.testing.assert_array_equal(again, mask)


def test_a_row_at_half_the_voxel_size():
    # Two voxels of 2 mm around 0 and 2; four of 1 mm around -0.5, 0.5, 1.5 and 2.5.
    coarse = Grid.plain((1, 1, 2), (1.0, 1.0, 2.0), "mm")
    fine = shifted(Grid.plain((1, 1, 4), (1.0, 1.0, 1.0), "mm"), (-0.5, 0, 0))
    places = index_map(coarse, fine)
    row = np.array([[[10.0, 20.0]]], np.float32)
    np.testing.assert_allclose(regrid(row, places, fine.shape, True), [[[10, 12.5, 17.5, 20]]])
    labels = np.array([[[4, 9]]], np.uint8)
    np.testing.assert_array_equal(regrid(labels, places, fine.shape, False), [[[4, 4, 9, 9]]])
    assert covered((1, 1, 2), places, fine.shape).all()


def test_what_lies_outside_is_nothing():
    grid = Grid.plain((1, 2, 3), units="mm")
    other = shifted(grid, (2.0, 0.0, 0.0))  # its first voxel lies on the last one
    places = index_map(grid, other)
    values = np.array([[[1, 2, 3], [4, 5, 6]]], np.float32)
    np.testing.assert_array_equal(
        regrid(values, places, other.shape, True), [[[3, 0, 0], [6, 0, 0]]]
    )
    np.testing.assert_array_equal(
        regrid(values.astype(np.int16), places, other.shape, False), [[[3, 0, 0], [6, 0, 0]]]
    )
    seen = covered(grid.shape, places, other.shape)
    np.testing.assert_array_equal(seen, [[[True, False, False]] * 2])


def test_turned_axes():
    one = Grid((1, 2, 3), np.eye(4)[[2, 1, 0, 3]], "SAR")
    turned = np.zeros((4, 4))  # index (z, y, x) -> (R, A, S), with y and x exchanged
    turned[0, 1] = turned[1, 2] = turned[2, 0] = turned[3, 3] = 1
    other = Grid((1, 3, 2), turned, "SRA")
    values = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    np.testing.assert_array_equal(
        regrid(values, index_map(one, other), other.shape, False), values.transpose(0, 2, 1)
    )


def test_grids_of_different_worlds_are_refused_with_both_named():
    with pytest.raises(VolumeError, match=r"\(1, 2, 3\).*mm.*\(4, 5, 6\).*pixel"):
        index_map(Grid.plain((1, 2, 3), units="mm"), Grid.plain((4, 5, 6)))
