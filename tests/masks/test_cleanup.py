"""Clean-up of masks: typed by hand, SciPy's own morphology as the measure, identities."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.cleanup import Cleanup, clean
from napari_cam.masks.morphology import closed, dilated, eroded, opened, pieces

pytestmark = pytest.mark.quick

Mask = NDArray[np.bool_]


def typed(*slices: str) -> Mask:
    """Return a mask (z, y, x) from rows of '#' and '.'."""
    return np.array([[[c == "#" for c in row] for row in each.split()] for each in slices])


def grid(mask: Mask, spacing: tuple[float, float, float] = (1, 1, 1)) -> Grid:
    return Grid.plain((mask.shape[0], mask.shape[1], mask.shape[2]), spacing, "mm")


def cleaned(
    mask: Mask,
    cleanup: Cleanup,
    spacing: tuple[float, float, float] = (1, 1, 1),
    unit_axis: int | None = 0,
    allowed: Mask | None = None,
) -> list[str]:
    found = clean(mask, grid(mask, spacing), cleanup, unit_axis, allowed)
    assert found.dtype == np.bool_
    return [" ".join("".join(".#"[int(v)] for v in row) for row in each) for each in found]


PICTURE = "#######. #.....#. #..#..#. #.....#. #######. ........ .##...#. .##....."


def test_nothing_asked_for_is_nothing_done() -> None:
    mask = typed(PICTURE)
    found = clean(mask, grid(mask), Cleanup(), 0)
    np.testing.assert_array_equal(found, mask)
    assert found is not mask
    assert not Cleanup()
    assert not Cleanup(per="unit")
    assert all(
        (
            *(Cleanup(opening_mm=1), Cleanup(closing_mm=1), Cleanup(fill_holes=True)),
            *(Cleanup(smallest=1), Cleanup(largest_only=True), Cleanup(touching=mask)),
        )
    )


def test_holes_are_filled() -> None:
    (found,) = cleaned(typed(PICTURE), Cleanup(fill_holes=True))
    assert found == "#######. #######. #######. #######. #######. ........ .##...#. .##....."


def test_the_largest_piece_and_of_equals_the_first() -> None:
    (found,) = cleaned(typed(PICTURE), Cleanup(largest_only=True))
    assert found == "#######. #.....#. #.....#. #.....#. #######. ........ ........ ........"
    (found,) = cleaned(typed("##.## .....  ##..."), Cleanup(largest_only=True))
    assert found == "##... ..... ....."


@pytest.mark.parametrize(
    ("smallest", "kept"),
    # Pieces of 20, 1, 4 and 1 pixels of 2 x 1.5 mm: 60, 3, 12 and 3 mm2.
    [(0, 26), (3, 26), (3.1, 24), (12, 24), (12.1, 20), (60, 20), (60.1, 0)],
)
def test_small_pieces_of_a_slice_go_by_their_area(smallest: float, kept: int) -> None:
    mask = typed(PICTURE)
    cleanup = Cleanup(smallest=smallest, per="unit")
    assert clean(mask, grid(mask, (9, 2, 1.5)), cleanup, 0).sum() == kept
    # The same as a volume: each voxel holds 9 x 2 x 1.5 = 27 mm3.
    cleanup = Cleanup(smallest=smallest * 9, per="volume")
    assert clean(mask, grid(mask, (9, 2, 1.5)), cleanup, 0).sum() == kept


def test_voxel_sizes_with_rounding_noise_do_not_decide() -> None:
    mask = typed("###. ....")
    noisy = (1.0, float(np.float32(0.1)) - 1e-9, 0.1)
    assert clean(mask, grid(mask, noisy), Cleanup(smallest=0.03), 0).sum() == 3
    # 3 x 0.1 is 0.30000000000000004 in double precision.
    assert dilated(typed("#.....")[0], 0.3, (0.1, 0.1)).sum() == 4


def test_a_volume_is_cleaned_in_three_dimensions_a_unit_in_its_plane() -> None:
    mask = typed("##. ...", "#.. ...", ".#. ..#")
    assert cleaned(mask, Cleanup(largest_only=True)) == ["##. ...", "#.. ...", "... ..."]
    assert cleaned(mask, Cleanup(largest_only=True, per="unit")) == [
        "##. ...",
        "#.. ...",
        ".#. ...",
    ]
    # Across the last axis: units are the columns.
    assert cleaned(mask, Cleanup(smallest=2, per="unit"), unit_axis=2) == [
        "#.. ...",
        "#.. ...",
        "... ...",
    ]
    # The unit of a 3D network is the volume.
    alone = Cleanup(largest_only=True, per="unit")
    assert cleaned(mask, alone, unit_axis=None) == ["##. ...", "#.. ...", "... ..."]


def test_a_tunnel_is_a_hole_of_slices_but_not_of_the_volume() -> None:
    ring = "### #.# ###"
    assert cleaned(typed(ring, ring), Cleanup(fill_holes=True)) == [ring, ring]
    assert cleaned(typed(ring, ring), Cleanup(fill_holes=True, per="unit")) == ["### ### ###"] * 2
    full = "### ### ###"
    assert cleaned(typed(full, ring, full), Cleanup(fill_holes=True)) == [full] * 3


def test_corners_connect_where_asked() -> None:
    mask = typed("#... .#.. ..## ....")
    assert cleaned(mask, Cleanup(largest_only=True)) == [".... .... ..## ...."]
    both = Cleanup(largest_only=True, connectivity="corners")
    assert cleaned(mask, both) == ["#... .#.. ..## ...."]


def test_pieces_stay_that_overlap_or_lie_against_another_mask() -> None:
    mask = typed("##..#..# ........ #......#")
    other = typed(".#.....# ........ .#...#..")
    (found,) = cleaned(mask, Cleanup(touching=other))
    assert found == "##.....# ........ #......."
    (found,) = cleaned(
        typed("#.. .#. ..."), Cleanup(touching=typed("... ... ..#"), connectivity="corners")
    )
    assert found == "#.. .#. ..."
    (found,) = cleaned(mask, Cleanup(touching=np.zeros_like(mask)))
    assert "#" not in found


def test_the_other_mask_is_looked_at_slice_by_slice_where_units_are() -> None:
    mask, other = typed("#.. ...", "#.. ..."), typed("#.. ...", "... ...")
    assert cleaned(mask, Cleanup(touching=other)) == ["#.. ...", "#.. ..."]
    assert cleaned(mask, Cleanup(touching=other, per="unit")) == ["#.. ...", "... ..."]


def test_an_opening_takes_specks_and_bridges() -> None:
    mask = typed(
        "......... .###..... .###...#. .######.. .###.##.. .....##.. .........",
    )
    (found,) = cleaned(mask, Cleanup(opening_mm=1))
    # A cross of five pixels fits in around three: two of the block's column, one by the bridge.
    assert found == "......... ..#...... .###..... .####.... ..##..... ......... ........."


def test_a_closing_fills_gaps() -> None:
    (found,) = cleaned(typed("........ .##.##.. .##.##.. .##.##.. ........"), Cleanup(closing_mm=1))
    assert found == "........ .##.##.. .#####.. .##.##.. ........"


def test_thick_slices_are_further_apart_than_pixels() -> None:
    mask = np.zeros((3, 5, 5), dtype=bool)
    mask[:, 2, 2] = True
    # 1.5 mm reach the neighbours in the plane but not the next slice, 4 mm away.
    grown = dilated(mask[1:2], 1.5, (4, 1, 1))
    assert grown.sum() == 9
    assert dilated(mask[1:2], 1.0, (4, 1, 1)).sum() == 5
    assert clean(mask, grid(mask, (4, 1, 1)), Cleanup(opening_mm=1), 0).sum() == 0
    slabs = np.ones((3, 15, 17), dtype=bool)
    slabs[1] = False
    assert not clean(slabs, grid(slabs, (4, 1, 1)), Cleanup(closing_mm=3.9), 0)[1].any()
    found = clean(slabs, grid(slabs, (4, 1, 1)), Cleanup(closing_mm=4), 0)[1]
    # What lies 4 mm from the sides is closed; nearer the ball fits in from there.
    assert found[4:-4, 4:-4].all()
    assert found.sum() == 7 * 9


def test_the_image_edge_takes_nothing_away() -> None:
    mask = typed("####.... ####.... ####.... ........")
    (found,) = cleaned(mask, Cleanup(opening_mm=2))
    # A ball's quarter, and not nothing.
    assert found == "####.... ###..... ##...... ........"
    assert cleaned(typed("### ###"), Cleanup(opening_mm=9)) == ["### ###"]


def test_steps_come_in_their_order() -> None:
    # Opening first: the speck beside the block is gone before a closing could join it.
    mask = typed(".......... .###...... .###.#.... .###...... ..........")
    (found,) = cleaned(mask, Cleanup(opening_mm=1, closing_mm=1))
    assert found == ".......... ..#....... .###...... ..#....... .........."
    # Closing before holes: the open ring is closed, then filled.
    ring = typed("..#####. ..#...#. ..#..... ..#...#. ..#####.")
    (found,) = cleaned(ring, Cleanup(closing_mm=1.5, fill_holes=True))
    assert found == "..#####. ..#####. ..#####. ..#####. ..#####."
    assert cleaned(ring, Cleanup(fill_holes=True))[0].count("#") == ring.sum()
    # Touching before largest: the largest of those that touch.
    mask, other = typed("####.## ....... #......"), typed("....... ......# ......#")
    (found,) = cleaned(mask, Cleanup(touching=other, largest_only=True))
    assert found == ".....## ....... ......."
    # Small ones go before the largest is looked for: of nothing nothing stays.
    assert "#" not in cleaned(mask, Cleanup(smallest=5, largest_only=True))[0]


def test_no_step_adds_what_is_not_allowed_and_pieces_are_counted_after() -> None:
    ring = typed("##### #...# #...# #...# #####")
    allowed = typed("##### ##.## ##.## ##.## #####")
    (found,) = cleaned(ring, Cleanup(fill_holes=True), allowed=allowed)
    assert found == "##### ##.## ##.## ##.## #####"
    # The limit parts the filled mask; the smaller part then goes.
    bar, limit = typed("......."), typed("##.####")
    bar[:] = True
    (found,) = cleaned(bar, Cleanup(largest_only=True), allowed=limit)
    assert found == "...####"


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (1, 4, 6), (3, 1, 1), (2, 3, 4)])
@pytest.mark.parametrize("fill", [False, True])
def test_empty_full_and_tiny_masks_stay_as_they_are(shape: Any, fill: bool) -> None:
    mask = np.full(shape, fill)
    everything = Cleanup(opening_mm=1, closing_mm=1, fill_holes=True, smallest=1, largest_only=True)
    for cleanup in (everything, replace(everything, per="unit")):
        np.testing.assert_array_equal(clean(mask, grid(mask), cleanup, 0), mask)


# --- beside SciPy's own morphology


def ball(radius: float, spacing: tuple[float, ...]) -> Mask:
    """The offsets within `radius`, as a structuring element of odd size."""
    reach = [int(radius / size) for size in spacing]
    axes = [np.arange(-n, n + 1) * size for n, size in zip(reach, spacing, strict=True)]
    squares = sum(each**2 for each in np.meshgrid(*axes, indexing="ij"))
    return np.asarray(np.sqrt(squares) <= radius + 1e-9)


CASES = [
    ((11, 13), 1.0, (1.0, 1.0)),
    ((11, 13), 2.5, (1.0, 0.7)),
    ((6, 9, 10), 2.0, (2.0, 1.0, 0.8)),
    ((6, 9, 10), 3.1, (3.0, 1.0, 1.0)),
]


@pytest.mark.parametrize(("shape", "radius", "spacing"), CASES)
def test_the_ball_is_that_of_a_structuring_element(
    shape: tuple[int, ...], radius: float, spacing: tuple[float, ...]
) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=shape), 1.2) > 0
    around = ball(radius, spacing)
    np.testing.assert_array_equal(
        dilated(mask, radius, spacing), ndimage.binary_dilation(mask, around)
    )
    np.testing.assert_array_equal(
        eroded(mask, radius, spacing), ndimage.binary_erosion(mask, around, border_value=1)
    )
    wide = ndimage.binary_closing(np.pad(mask, 9), around)
    np.testing.assert_array_equal(closed(mask, radius, spacing), wide[(slice(9, -9),) * mask.ndim])
    assert closed(mask, radius, spacing).sum() > mask.sum()


MASKS = arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 8)))
RADII = st.floats(0.3, 4)
SPACINGS = st.tuples(*[st.floats(0.5, 3)] * 3)


@settings(max_examples=60, deadline=None)
@given(mask=MASKS, radius=RADII, spacing=SPACINGS)
def test_identities_of_openings_and_closings(
    mask: Mask, radius: float, spacing: tuple[float, float, float]
) -> None:
    open_, close = opened(mask, radius, spacing), closed(mask, radius, spacing)
    assert not (open_ & ~mask).any()  # an opening only takes
    assert not (mask & ~close).any()  # a closing only gives
    np.testing.assert_array_equal(opened(open_, radius, spacing), open_)
    np.testing.assert_array_equal(closed(close, radius, spacing), close)


@settings(max_examples=60, deadline=None)
@given(
    mask=MASKS,
    smallest=st.floats(0, 12),
    per=st.sampled_from(["unit", "volume"]),
    connectivity=st.sampled_from(["faces", "corners"]),
)
def test_identities_of_pieces(mask: Mask, smallest: float, per: Any, connectivity: Any) -> None:
    def done(cleanup: Cleanup) -> Mask:
        return clean(mask, grid(mask), replace(cleanup, per=per, connectivity=connectivity), 0)

    small = done(Cleanup(smallest=smallest))
    assert not (small & ~mask).any()
    assert not (done(Cleanup(smallest=smallest + 1)) & ~small).any()  # asking more keeps less
    np.testing.assert_array_equal(done(Cleanup(smallest=1)), mask)
    largest = done(Cleanup(largest_only=True))
    assert not (largest & ~mask).any()
    assert largest.any() == mask.any()
    if per == "volume":
        assert pieces(largest, connectivity)[1] == int(mask.any())
        sizes = np.bincount(pieces(mask, connectivity)[0].ravel())[1:]
        assert largest.sum() == max(sizes, default=0)
    np.testing.assert_array_equal(done(Cleanup(touching=np.ones_like(mask))), mask)
    assert not done(Cleanup(touching=np.zeros_like(mask))).any()


@settings(max_examples=60, deadline=None)
@given(mask=MASKS)
def test_filling_holes_twice_is_filling_once(mask: Mask) -> None:
    cleanup = Cleanup(fill_holes=True)
    once = clean(mask, grid(mask), cleanup, 0)
    assert not (mask & ~once).any()
    np.testing.assert_array_equal(clean(once, grid(mask), cleanup, 0), once)
    if min(mask.shape) > 1:
        np.testing.assert_array_equal(once, ndimage.binary_fill_holes(mask))


# --- as a value


def test_two_clean_ups_are_equal_where_all_they_do_is() -> None:
    mask = typed(PICTURE)
    assert Cleanup(1, 2) == Cleanup(opening_mm=1.0, closing_mm=2.0)
    assert Cleanup(smallest=1) != Cleanup(smallest=2)
    assert Cleanup(touching=mask) == Cleanup(touching=mask.copy())
    assert Cleanup(touching=mask) != Cleanup(touching=~mask)
    assert Cleanup(touching=mask) != Cleanup()
    assert Cleanup() != "nothing"
    assert len({Cleanup(1), Cleanup(1.0), Cleanup(touching=mask), Cleanup(touching=mask)}) == 2


def test_the_other_mask_is_kept_as_it_was() -> None:
    mask = typed(PICTURE)
    cleanup = Cleanup(touching=mask)
    mask[:] = False
    assert cleanup.touching is not None
    assert cleanup.touching.sum() == 26


def test_what_it_does_is_plain_json() -> None:
    facts = Cleanup(opening_mm=1, fill_holes=True, per="unit", touching=typed("#.#")).to_json()
    digest = facts["touching"].pop("sha256")
    assert len(digest) == 64
    assert json.loads(json.dumps(facts)) == {
        "opening_mm": 1.0,
        "closing_mm": 0.0,
        "fill_holes": True,
        "smallest": 0.0,
        "largest_only": False,
        "per": "unit",
        "connectivity": "faces",
        "touching": {"voxels": 2},
    }
    assert Cleanup().to_json()["touching"] is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cleanup(opening_mm=-1), "opening_mm of a clean-up is a number from 0 on, not -1"),
        (lambda: Cleanup(closing_mm=np.inf), "closing_mm .* not inf"),
        (lambda: Cleanup(smallest=np.nan), "smallest .* not nan"),
        (lambda: Cleanup(smallest="2"), "smallest .* not '2'"),  # type: ignore[arg-type]
        (lambda: Cleanup(per="slice"), "volume, unit, not 'slice'"),  # type: ignore[arg-type]
        (lambda: Cleanup(connectivity="8"), "faces, corners, not '8'"),  # type: ignore[arg-type]
        (lambda: Cleanup(touching=np.zeros((2, 3, 4))), "boolean array, not float64"),  # type: ignore[arg-type]
        (lambda: Cleanup(touching=[[[True]]]), "not list"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_done_is_refused(make: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        make()


def test_shapes_must_agree() -> None:
    mask = typed(PICTURE)
    with pytest.raises(MaskError, match=r"The mask has shape \(1, 8, 8\) but the grid \(1, 2, 3\)"):
        clean(mask, Grid.plain((1, 2, 3)), Cleanup(), 0)
    with pytest.raises(MaskError, match=r"The mask to be touched has shape \(1, 1, 2\)"):
        clean(mask, grid(mask), Cleanup(touching=typed("##")), 0)
    with pytest.raises(MaskError, match="The area where masks may lie has shape"):
        clean(mask, grid(mask), Cleanup(), 0, allowed=typed("##"))
