from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import MaskError, VolumeError
from napari_cam.grid import Grid, check_same_place

pytestmark = pytest.mark.quick

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


def shifted(grid: Grid, z: float = 0.0, y: float = 0.0, x: float = 0.0) -> Grid:
    """Return a grid moved by so many units along the axes of its world, (x, y, z)."""
    affine = grid.affine.copy()
    affine[:3, 3] += (x, y, z)
    return Grid(grid.shape, affine, grid.orientation, grid.units)


def test_same_as_notices_shape_and_direction() -> None:
    grid = Grid((4, 5, 6), SPL, "SPL")
    assert grid.same_as(Grid((4, 5, 6), SPL))
    assert not grid.same_as(Grid((4, 5, 7), SPL))
    assert not grid.same_as(Grid((4, 6, 5), SPL))
    flipped = SPL * [1, 1, -1, 1]
    assert not grid.same_as(Grid((4, 5, 6), flipped))


@pytest.mark.parametrize(
    ("spacing", "near", "far"),
    [
        # Voxels of 0.4 micrometres: two of them make 0.0008 mm.
        ((0.0004, 0.0004, 0.0004), {"x": 0.000_016}, {"x": 0.0008}),
        ((0.0004, 0.0004, 0.0004), {"z": -0.000_019}, {"z": -0.000_021}),
        # Voxels of two metres.
        ((2000, 2000, 2000), {"y": 90}, {"y": 110}),
        # Thick slices: 0.2 mm is little of 5 mm and much of 0.5 mm.
        ((5, 0.5, 0.5), {"z": 0.2}, {"x": 0.2}),
        ((5, 0.5, 0.5), {"z": 0.2, "y": 0.02, "x": -0.02}, {"z": 0.3}),
    ],
)
def test_same_place_is_a_twentieth_of_a_voxel(
    spacing: tuple[float, float, float], near: dict[str, float], far: dict[str, float]
) -> None:
    grid = Grid.plain((7, 8, 9), spacing, "mm")
    assert grid.same_as(shifted(grid, **near))
    assert not grid.same_as(shifted(grid, **far))


@pytest.mark.parametrize(("n", "near", "far"), [(2000, 2e-5, 3e-5), (100, 4e-4, 6e-4)])
def test_the_far_corner_counts(n: int, near: float, far: float) -> None:
    # Voxels larger by 2e-5 move the 2000th by 0.04 of a voxel, by 3e-5 by 0.06.
    grid = Grid.plain((3, 4, n), (1, 1, 0.5), "mm")
    assert grid.same_as(Grid.plain((3, 4, n), (1, 1, 0.5 * (1 + near)), "mm"))
    assert not grid.same_as(Grid.plain((3, 4, n), (1, 1, 0.5 * (1 + far)), "mm"))


def turned(degrees: float, spacing: tuple[float, float, float]) -> Grid:
    """Return an oblique grid: turned about the z axis, then about the x axis by 10 degrees."""
    a, b = np.deg2rad([degrees, 10])
    about_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    affine = np.eye(4)
    affine[:3, :3] = (np.array(about_x) @ about_z)[:, ::-1] * spacing
    affine[:3, 3] = (-250, 180.5, 77)
    return Grid((60, 400, 400), affine, "SAR")


def test_oblique_grids_are_compared_along_their_own_axes() -> None:
    grid = turned(30, (3, 0.5, 0.5))
    # An angle of 1e-4 moves the 400th voxel by 0.04 of one, 1.5e-4 by 0.06.
    assert grid.same_as(turned(30 + np.rad2deg(1e-4), (3, 0.5, 0.5)))
    assert not grid.same_as(turned(30 + np.rad2deg(1.5e-4), (3, 0.5, 0.5)))
    millimetre = grid.affine[:3, 0] / 3  # across the slices, which are 3 mm thick
    affine = grid.affine.copy()
    affine[:3, 3] += 0.12 * millimetre
    assert grid.same_as(Grid(grid.shape, affine))
    affine[:3, 3] += 0.06 * millimetre
    assert not grid.same_as(Grid(grid.shape, affine))


@pytest.mark.parametrize("spacing", [(3, 0.5, 0.5), (0.9765625, 0.3, 0.3), (0.004, 0.003, 0.003)])
def test_what_formats_round_lies_at_the_same_place(spacing: tuple[float, float, float]) -> None:
    grid = turned(33.3, spacing)
    assert grid.same_as(Grid(grid.shape, grid.affine.astype(np.float32), "SAR"))
    affine = grid.affine.copy()  # DICOM: direction cosines of six decimals
    affine[:3, :3] = np.round(grid.affine[:3, :3] / spacing, 6) * spacing
    assert grid.same_as(Grid(grid.shape, affine, "SAR"))


def test_fits_compares_places_only_where_both_state_them() -> None:
    patient = Grid((4, 5, 6), SPL, "SPL")
    picture = Grid.plain((4, 5, 6))
    assert patient.fits(picture)
    assert picture.fits(patient)
    assert picture.fits(Grid.plain((4, 5, 6), (3, 2, 1), "mm"))
    assert not picture.fits(Grid.plain((4, 6, 5)))
    assert not patient.fits(shifted(patient, z=1))


def test_one_sentence_says_where_both_lie() -> None:
    one, other = Grid.plain((4, 5, 6)), Grid.plain((4, 5, 7), (3, 0.5, 2), "mm")
    check_same_place("The mask", one, "the image", one, MaskError)
    with pytest.raises(MaskError) as caught:
        check_same_place("The mask", one, "the image", other, MaskError)
    assert str(caught.value) == (
        "The mask lies on a grid of (4, 5, 6) voxels of 1 x 1 x 1 pixel from (0, 0, 0) but the "
        "image on a grid of (4, 5, 7) voxels of 3 x 0.5 x 2 mm from (0, 0, 0); resample one of "
        "them first."
    )
    wider = Grid.plain((4, 5, 6), (3, 0.5, 2), "mm")
    check_same_place("The mask", one, "the image", wider, MaskError, strict=False)
    with pytest.raises(MaskError):
        check_same_place("The mask", one, "the image", wider, MaskError)


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
