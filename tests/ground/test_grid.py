from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid

# z grows to superior by 3 mm, y to posterior by 0.5 mm, x to the patient's left by 2 mm.
SPL = np.array([[0, 0, -2, 90], [0, -0.5, 0, 40], [3, 0, 0, -15], [0, 0, 0, 1]], dtype=float)


def test_world_of_hand_computed_voxels() -> None:
    grid = Grid((4, 5, 6), SPL, "SPL")
    assert grid.world((0, 0, 0)).tolist() == [90, 40, -15]
    assert grid.world([(1, 0, 0), (0, 2, 0), (2, 4, 5)]).tolist() == [
        [90, 40, -12],
        [90, 39, -15],
        [80, 38, -9],
    ]
    assert grid.spacing == (3, 0.5, 2)


def test_spacing_of_an_oblique_grid_is_the_length_of_a_step() -> None:
    angle = np.deg2rad(30)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ SPL[:3, :3]
    assert Grid((4, 5, 6), affine).spacing == pytest.approx((3, 0.5, 2), rel=1e-14)


def test_plain_grid_orders_world_as_x_y_z() -> None:
    grid = Grid.plain((4, 5, 6), (3, 0.5, 2), "mm")
    assert grid.world((1, 2, 3)).tolist() == [6, 1, 3]
    assert grid.orientation is None
    assert Grid.plain((4, 5, 6)).units == "pixel"


def test_same_as_notices_shape_shift_and_turn() -> None:
    grid = Grid((4, 5, 6), SPL, "SPL")
    moved = SPL.copy()
    moved[2, 3] += 0.0005
    assert grid.same_as(Grid((4, 5, 6), moved))
    moved[2, 3] += 0.001
    assert not grid.same_as(Grid((4, 5, 6), moved))
    assert not grid.same_as(Grid((4, 5, 7), SPL))
    flipped = SPL * [1, 1, -1, 1]
    assert not grid.same_as(Grid((4, 5, 6), flipped))


@pytest.mark.parametrize(
    ("affine", "what"),
    [
        (np.eye(3), "4x4"),
        (np.full((4, 4), np.nan), "finite"),
        (np.diag([1.0, 0, 1, 1]), "singular"),
    ],
)
def test_unusable_affines_are_refused(affine: np.ndarray, what: str) -> None:
    with pytest.raises(VolumeError, match=what):
        Grid((4, 5, 6), affine)


def test_affine_is_a_read_only_copy() -> None:
    affine = SPL.copy()
    grid = Grid((4, 5, 6), affine)
    affine[0, 0] = 7
    assert grid.affine[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 1
