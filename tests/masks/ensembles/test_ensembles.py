"""Ensembles: hand-typed masks, the paper's oracles as properties, STAPLE beside our own EM."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.binarize import binarize
from napari_cam.masks.choices import OPERATORS
from napari_cam.masks.ensembles.box_shapes import CentredBox
from napari_cam.masks.ensembles.combine import combine
from napari_cam.masks.rules import Fixed
from tests.masks.maps import heatmap_of

pytestmark = pytest.mark.quick

Mask = NDArray[np.bool_]


def typed(*rows: str) -> Mask:
    """Return (z, 1, x) masks typed as one text per slice: "##.." is two voxels and two without."""
    return np.array([[[letter == "#" for letter in row]] for row in rows])


A = typed("##...", ".....", "###..")
B = typed(".##..", "....#", "#....")
C = typed(".#.#.", "...##", ".....")


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("or", typed("####.", "...##", "###..")),
        ("and", typed(".#...", ".....", ".....")),
        ("smallest", typed("##...", ".....", ".....")),  # 2 2 2 | 0 1 2 | 3 1 0
        ("largest", typed("##...", "...##", "###..")),
        ("majority", typed(".#...", "....#", "#....")),
    ],
)
def test_three_masks_typed_by_hand(operator: Any, expected: Mask) -> None:
    got = combine({"a": A, "b": B, "c": C}, operator)
    assert np.array_equal(got.mask, expected)
    assert got.members == ("a", "b", "c")
    assert got.mask.dtype == np.bool_


def test_which_member_was_chosen() -> None:
    masks = {"a": A, "b": B, "c": C}
    assert combine(masks, "smallest").chosen.tolist() == [0, 0, 2]
    assert combine(masks, "smallest", ties="last").chosen.tolist() == [2, 0, 2]
    assert combine(masks, "largest").chosen.tolist() == [0, 2, 0]
    assert combine(masks, "largest", ties="last").chosen.tolist() == [2, 2, 0]
    assert combine(masks, "or").chosen is None


def test_the_papers_symbols_are_understood() -> None:
    assert combine({"a": A, "b": B}, "<").operator == "smallest"  # type: ignore[arg-type]
    assert combine({"a": A, "b": B}, ">").operator == "largest"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "expected", "chosen"),
    [
        ("smallest", typed("##...", "....#", "#...."), [0, 1, 1]),
        ("largest", typed("##...", "...##", "###.."), [0, 2, 0]),
        ("and", typed(".#...", "....#", "#...."), None),
        ("or", typed("####.", "...##", "###.."), None),
        # Two members are left in the second and the third slice: a vote of one is no majority.
        ("majority", typed(".#...", "....#", "#...."), None),
    ],
)
def test_empty_members_can_be_skipped(
    operator: Any, expected: Mask, chosen: list[int] | None
) -> None:
    got = combine({"a": A, "b": B, "c": C}, operator, empty="skip")
    assert np.array_equal(got.mask, expected)
    assert (None if got.chosen is None else got.chosen.tolist()) == chosen


@pytest.mark.parametrize("operator", [*OPERATORS])
@pytest.mark.parametrize("empty", ["keep", "skip"])
def test_only_empty_members_give_an_empty_mask(operator: Any, empty: Any) -> None:
    nothing = np.zeros((3, 4, 5), bool)
    got = combine({"a": nothing, "b": nothing.copy()}, operator, empty=empty)
    assert not got.mask.any()
    if operator in ("smallest", "largest"):
        assert got.chosen.tolist() == ([0, 0, 0] if empty == "keep" else [-1, -1, -1])


@pytest.mark.parametrize(
    ("tied", "expected"),
    [
        ("out", typed(".#...", ".....", "#....")),
        ("in", typed("###..", "....#", "###..")),
        ("first", typed("##...", ".....", "###..")),
    ],
)
def test_half_of_the_votes(tied: Any, expected: Mask) -> None:
    assert np.array_equal(combine({"a": A, "b": B}, "majority", tied_votes=tied).mask, expected)


def test_the_first_member_that_takes_part_decides_tied_votes() -> None:
    # In the second slice "a" is empty and left out, so that "b" is the first of b and c.
    got = combine({"a": A, "b": B, "c": C}, "majority", empty="skip", tied_votes="first")
    assert np.array_equal(got.mask[1], typed("....#")[0])
    swapped = combine({"a": A, "c": C, "b": B}, "majority", empty="skip", tied_votes="first")
    assert np.array_equal(swapped.mask[1], typed("...##")[0])


@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_sizes_are_compared_along_the_unit_axis(axis: int | None) -> None:
    rng = np.random.default_rng(3)
    one, two = rng.random((2, 4, 6, 9)) < 0.4
    got = combine({"one": one, "two": two}, "smallest", unit_axis=axis)
    if axis is None:
        assert np.array_equal(got.mask, one if one.sum() <= two.sum() else two)
        return
    for unit in range(one.shape[axis]):
        first, second = (np.take(mask, unit, axis=axis) for mask in (one, two))
        smaller = first if first.sum() <= second.sum() else second
        assert np.array_equal(np.take(got.mask, unit, axis=axis), smaller)


masks_of_one_shape = st.tuples(st.integers(1, 4), st.integers(2, 4)).flatmap(
    lambda n: hnp.arrays(np.bool_, (n[0], n[1], 3, 5))
)


@given(masks_of_one_shape, st.sampled_from(["keep", "skip"]))
def test_and_lies_within_each_member_and_each_within_or(masks: Mask, empty: Any) -> None:
    named = {f"m{n}": mask for n, mask in enumerate(masks)}
    both, either = combine(named, "and").mask, combine(named, "or", empty=empty).mask
    majority = combine(named, "majority", empty=empty).mask
    for mask in masks:
        assert not (both & ~mask).any()
        assert not (mask & ~either).any()
    assert not (both & ~majority).any()
    assert not (majority & ~either).any()


@given(masks_of_one_shape)
def test_the_smallest_has_the_minimum_and_the_largest_the_maximum(masks: Mask) -> None:
    named = {f"m{n}": mask for n, mask in enumerate(masks)}
    sizes = masks.sum(axis=(2, 3))
    assert np.array_equal(
        combine(named, "smallest").mask.sum(axis=(1, 2)), sizes.min(axis=0, initial=99)
    )
    assert np.array_equal(combine(named, "largest").mask.sum(axis=(1, 2)), sizes.max(axis=0))
    filled = np.where(sizes == 0, 99, sizes).min(axis=0)
    got = combine(named, "smallest", empty="skip").mask.sum(axis=(1, 2))
    assert np.array_equal(got, np.where(filled == 99, 0, filled))


@pytest.mark.parametrize("operator", [*OPERATORS])
def test_one_member_is_the_ensemble(operator: Any) -> None:
    assert np.array_equal(combine({"a": A}, operator).mask, A)


# STAPLE


def expectation_maximisation(votes: Mask, steps: int) -> tuple[Any, Any, Any]:
    """STAPLE as Warfield et al. 2004 write it (eqs. 14, 15, 18, 19), voxel by voxel in float64.

    The mean share of votes is the prior, and where it starts, as in ITK.
    """
    prior, w = votes.mean(), votes.mean(axis=0)
    for _ in range(steps):
        p = (votes * w).sum(axis=1) / w.sum()
        q = (~votes * (1 - w)).sum(axis=1) / (1 - w).sum()
        a = prior * np.prod(np.where(votes, p[:, None], 1 - p[:, None]), axis=0)
        b = (1 - prior) * np.prod(np.where(votes, 1 - q[:, None], q[:, None]), axis=0)
        w = a / (a + b)
    return w, p, q


def noisy(seed: int, shape: tuple[int, int, int] = (4, 20, 15), members: int = 3) -> Mask:
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, bool)
    truth[:, 5:12, 4:11] = True
    return np.stack([truth ^ (rng.random(shape) < 0.04 * n) for n in range(1, members + 1)])


def test_staple_is_the_expectation_maximisation_of_the_paper() -> None:
    masks = noisy(1)
    got = combine(dict(zip("abc", masks, strict=True)), "staple")
    w, p, q = expectation_maximisation(masks.reshape(3, -1), 500)
    np.testing.assert_allclose(got.probability.ravel(), w, atol=2e-6)
    np.testing.assert_allclose(got.sensitivity, [p], atol=1e-6)
    np.testing.assert_allclose(got.specificity, [q], atol=1e-6)
    assert np.array_equal(got.mask.ravel(), w > 0.5)
    assert 0 < got.mask.sum() < got.mask.size


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_staple_is_the_same_after_few_steps(steps: int) -> None:
    masks = noisy(6, members=4)
    got = combine(dict(zip("abcd", masks, strict=True)), "staple", iterations=steps)
    w, p, q = expectation_maximisation(masks.reshape(4, -1), steps)
    np.testing.assert_allclose(got.probability.ravel(), w, atol=1e-7)
    np.testing.assert_allclose([got.sensitivity[0], got.specificity[0]], [p, q], atol=1e-12)


@pytest.mark.parametrize("members", [1, 2, 3, 8, 9, 17, 20])
def test_staple_of_few_and_many_members_is_that_of_itk(members: int) -> None:
    masks = noisy(7, (2, 11, 9), members)
    ours = combine({f"m{n}": mask for n, mask in enumerate(masks)}, "staple", iterations=12)
    itk = SimpleITK.STAPLEImageFilter()
    itk.SetForegroundValue(1)
    itk.SetMaximumIterations(12)
    probability = itk.Execute(
        [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    )
    if members > 1:
        np.testing.assert_allclose(ours.sensitivity, [itk.GetSensitivity()], atol=1e-9)
        np.testing.assert_allclose(ours.specificity, [itk.GetSpecificity()], atol=1e-9)
    wanted = masks[0] if members == 1 else SimpleITK.GetArrayFromImage(probability)
    np.testing.assert_allclose(ours.probability, wanted, atol=1e-6)


def test_staple_of_each_unit_by_itself() -> None:
    masks = noisy(2)
    got = combine(dict(zip("abc", masks, strict=True)), "staple", staple_per="unit")
    assert got.sensitivity.shape == (4, 3)
    for z in range(4):
        w, p, _ = expectation_maximisation(masks[:, z].reshape(3, -1), 500)
        np.testing.assert_allclose(got.probability[z].ravel(), w, atol=2e-6)
        np.testing.assert_allclose(got.sensitivity[z], p, atol=1e-6)


def test_staple_counts_only_what_lies_in_the_box() -> None:
    masks = noisy(3)
    box = CentredBox((None, 12, 9), "pixel")
    got = combine(dict(zip("abc", masks, strict=True)), "staple", box=box)
    region = np.zeros(masks[0].shape, bool)
    region[:, 4:16, 3:12] = True
    w, _, _ = expectation_maximisation(masks[:, region], 500)
    np.testing.assert_allclose(got.probability[region], w, atol=2e-5)
    assert not got.probability[~region].any()
    assert not got.mask[~region].any()


def test_staple_of_members_that_agree_is_what_they_say() -> None:
    got = combine({"a": A, "b": A.copy()}, "staple")
    assert np.array_equal(got.mask, A)
    assert np.isnan(got.sensitivity).all()


def test_staple_can_leave_out_empty_members() -> None:
    masks = noisy(4)
    named = {"none": np.zeros(masks[0].shape, bool), **dict(zip("abc", masks, strict=True))}
    got = combine(named, "staple", empty="skip")
    without = combine(dict(zip("abc", masks, strict=True)), "staple")
    assert np.array_equal(got.mask, without.mask)
    assert np.isnan(got.sensitivity[0, 0])
    assert not combine(named, "staple").sensitivity[0, 0]


def test_staple_ends_where_told() -> None:
    masks = dict(zip("abc", noisy(5), strict=True))
    assert combine(masks, "staple", iterations=2).provenance["ensemble"]["iterations"] == [2]
    with pytest.raises(MaskError, match="iterations is a whole number from 1 on, not 0"):
        combine(masks, "staple", iterations=0)


# What may be combined


def test_masks_of_binarize_bring_their_units_and_grid() -> None:
    grid = Grid.plain((3, 4, 5), (2.0, 1.0, 1.0), "mm")
    values = np.random.default_rng(5).random((2, 3, 4, 5))
    maps = {name: heatmap_of(v, 1, grid=grid) for name, v in zip("pq", values, strict=True)}
    got = combine(binarize(maps, Fixed(0.5)), "smallest")
    assert got.unit_axis == 1
    assert got.chosen.shape == (4,)
    assert got.grid is grid
    for y in range(4):
        first, second = values[:, :, y] > np.float32(0.5)
        smaller = first if first.sum() <= second.sum() else second
        assert np.array_equal(got.mask[:, y], smaller)


def test_members_may_come_from_several_places() -> None:
    maps = {name: heatmap_of(np.full((2, 3, 4), 0.7)) for name in ("gradcam", "hirescam")}
    one = binarize(maps, Fixed(0.5))
    other = binarize(heatmap_of(np.full((2, 3, 4), 0.2)), Fixed(0.5))
    drawn = np.ones((2, 3, 4), bool)
    nested = combine({"drawn": drawn}, "or")
    got = combine({"resnet": one, "vgg": other, "drawn": drawn, "nested": nested}, "and")
    assert got.members == ("resnet / gradcam", "resnet / hirescam", "vgg", "drawn", "nested")
    assert not got.mask.any()
    listed = combine([one, drawn], "and")
    assert listed.members == ("gradcam", "hirescam", "mask 2")
    assert listed.mask.all()


def test_the_record_lists_the_members_and_is_json() -> None:
    maps = {"p": heatmap_of(np.full((2, 3, 4), 0.7)), "q": heatmap_of(np.full((2, 3, 4), 0.2))}
    box = CentredBox((None, 2, 2), "pixel")
    got = combine(binarize(maps, Fixed(0.5)), "smallest", box=box)
    facts = json.loads(json.dumps(got.provenance))
    assert facts["ensemble"] == {
        "operator": "smallest",
        "ties": "first",
        "empty": "keep",
        "tied_votes": "out",
        "unit_axis": 0,
        "box": {
            "kind": "centred box",
            "size": [None, 2.0, 2.0],
            "unit": "pixel",
            "offset": [0.0, 0.0, 0.0],
        },
        "chosen": [1, 1],
    }
    assert [(m["name"], m["rule"]) for m in facts["members"]] == [
        ("p", "fixed(0.5)"),
        ("q", "fixed(0.5)"),
    ]
    assert facts["members"][0]["heatmap"] == {"method": "gradcam"}


def test_what_a_box_removes_counts_for_nobody() -> None:
    masks = {"wide": typed("###......#"), "narrow": typed("....##....")}
    assert combine(masks, "smallest").chosen.tolist() == [1]
    box = np.arange(10).reshape(1, 1, 10) > 4
    got = combine(masks, "smallest", box=box)  # one voxel is left of each
    assert got.chosen.tolist() == [0]
    assert np.array_equal(got.mask, typed(".........#"))


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({}, "no masks"),
        ({"a": A, "b": B[:2]}, "'b' has shape"),
        ({"a": A.astype(int)}, "not booleans"),
        ({"a": A[0]}, "2 axes"),
        ({"a": "b"}, "str, no mask"),
        (7, "int, no mask"),
        ([binarize(heatmap_of(A), Fixed(0.5))] * 2, "Two masks are called"),
    ],
)
def test_what_is_refused(masks: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        combine(masks, "or")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operator": "xor"}, "operator of an ensemble"),
        ({"ties": "random"}, "ties of an ensemble"),
        ({"empty": "drop"}, "empty of an ensemble"),
        ({"tied_votes": "maybe"}, "tied votes of an ensemble"),
        ({"unit_axis": 3}, "axis 0, 1, 2 or None"),
        ({"operator": "staple", "staple_per": "slice"}, "staple_per is one of volume, unit"),
        ({"operator": "staple", "engine": "simpleitk"}, "leave out the engine"),
        ({"grid": Grid.plain((3, 4, 5))}, "the grid given on a grid of"),
        ({"box": np.ones((3, 1, 5))}, "a boolean array, not float64"),
        ({"box": np.ones((3, 1, 4), bool)}, "shape"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(MaskError, match=said):
        combine({"a": A, "b": B}, **{"operator": "or", **options})


def test_masks_of_different_volumes_are_refused() -> None:
    here = heatmap_of(np.ones((2, 3, 4)))
    there = heatmap_of(np.ones((2, 3, 4)), grid=Grid.plain((2, 3, 4), (1.0, 1.0, 2.0)))
    with pytest.raises(MaskError, match="resample one of them first"):
        combine(binarize({"a": here, "b": there}, Fixed(0.5)), "or")


def test_units_that_differ_must_be_named() -> None:
    maps = {"2d": heatmap_of(np.ones((2, 3, 4))), "3d": heatmap_of(np.ones((2, 3, 4)), None)}
    masks = binarize(maps, Fixed(0.5))
    with pytest.raises(MaskError, match="unit_axis=0, 1, 2, or None"):
        combine(masks, "smallest")
    assert combine(masks, "smallest", unit_axis=None).chosen.shape == (1,)
