"""Calibration beside brute force over real masks, and beside numbers worked out by hand."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cam.errors import MaskError, StatisticsError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import binarize
from napari_cam.masks.calibration.calibrate import THRESHOLDS, calibrate
from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.ensembles.box_shapes import CentredBox
from napari_cam.masks.ensembles.boxes import Within
from napari_cam.masks.ensembles.combine import combine
from napari_cam.masks.overlap_scores import METRICS, OLD_NAMES
from napari_cam.masks.rules import Fixed
from tests.masks.maps import heatmap_of

Mask = NDArray[np.bool_]
COUNTED = ("or", "and", "smallest", "largest", "majority")


def metrics_of(pairs: list[tuple[Mask, Mask]], cases: list[int]) -> dict[str, float]:
    """Return every metric of predicted and true images, written out; `cases` names the volume."""

    def iou(found: Mask, truth: Mask) -> float:
        union = (found | truth).sum()
        return float((found & truth).sum() / union) if union else np.nan

    def dice(found: Mask, truth: Mask) -> float:
        sizes = found.sum() + truth.sum()
        return float(2 * (found & truth).sum() / sizes) if sizes else np.nan

    def mean(values: list[float]) -> float:
        defined = [value for value in values if not np.isnan(value)]
        return float(np.mean(defined)) if defined else np.nan

    def joined(some: list[tuple[Mask, Mask]]) -> tuple[Mask, Mask]:
        found, truth = zip(*some, strict=True)
        return np.concatenate([f.ravel() for f in found]), np.concatenate(
            [t.ravel() for t in truth]
        )

    found, truth = joined(pairs)
    volumes = [
        joined([pair for pair, own in zip(pairs, cases, strict=True) if own == case])
        for case in sorted(set(cases))
    ]
    both = (iou(found, truth) + iou(~found, ~truth)) / 2
    return {
        "iou_pooled_foreground": iou(found, truth),
        "dice_pooled_foreground": dice(found, truth),
        "iou_pooled_background_foreground_mean": both,
        "dice_of_iou_pooled_background_foreground_mean": 2 * both / (1 + both),
        "iou_foreground_unit_mean": mean([iou(*pair) for pair in pairs]),
        "dice_foreground_unit_mean": mean([dice(*pair) for pair in pairs]),
        "iou_foreground_subject_mean": mean([iou(*pair) for pair in volumes]),
        "dice_foreground_subject_mean": mean([dice(*pair) for pair in volumes]),
    }


def images_of(heatmaps: dict[str, Heatmap], mask: Mask, truth: Mask) -> list[tuple[Mask, Mask]]:
    """Return mask and truth of each image that a network saw, without what it did not see."""
    axis = next(iter(heatmaps.values())).unit_axis
    seen = np.any([h.inside for h in heatmaps.values()], axis=0)
    if axis is None:
        return [(mask[seen], truth[seen])]
    units = [
        tuple(np.take(a, u, axis) for a in (mask, truth, seen)) for u in range(seen.shape[axis])
    ]
    return [(m[s], t[s]) for m, t, s in units if s.any()]


def brute_force(
    cases: list[dict[str, Heatmap]],
    truths: list[Mask],
    thresholds: Any,
    strict: bool,
    box: Any = None,
    **options: Any,
) -> dict[str, NDArray[np.float64]]:
    """Return every metric at every combination of thresholds, mask by mask."""
    n = len(cases[0])
    grids = {name: np.full((len(thresholds),) * n, np.nan) for name in METRICS}
    for place in product(range(len(thresholds)), repeat=n):
        pairs, own = [], []
        for number, (maps, truth) in enumerate(zip(cases, truths, strict=True)):
            inside = None if box is None else box.inside(Grid.plain(truth.shape))
            masks = {
                name: binarize(heatmap, Fixed(thresholds[i]), strict, foreground=inside)
                for i, (name, heatmap) in zip(place, maps.items(), strict=True)
            }
            images = images_of(maps, combine(masks, **options).mask, truth)
            pairs += images
            own += [number] * len(images)
        for name, value in metrics_of(pairs, own).items():
            grids[name][place] = value
    return grids


def random_cases(
    seed: int, n_members: int, unit_axis: int | None = 0, n_cases: int = 3, partial: bool = False
) -> tuple[list[dict[str, Heatmap]], list[Mask]]:
    """Return heatmaps with values on the thresholds themselves and between them, and references."""
    rng = np.random.default_rng(seed)
    cases, truths = [], []
    for number in range(n_cases):
        shape = (3 + number, 4, 5)
        maps = {}
        for member in range(n_members):
            values = rng.integers(0, 21, shape) / 20  # every other one equals a threshold
            if number == 1:
                values[1] = 0
            options: dict[str, Any] = {}
            if partial:
                inside = np.ones(shape, bool)
                inside[:, member, :] = False
                inside[-1] = False
                units = 1 if unit_axis is None else shape[unit_axis]
                options = {"inside": inside, "valid": [bool(rng.random() < 0.7)] * units}
            maps[f"m{member}"] = heatmap_of(values, unit_axis, **options)
        cases.append(maps)
        truth = rng.random(shape) < 0.3
        truth[0] = False
        if number == 1:
            truth[1] = False
        truths.append(truth)
    return cases, truths


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("operator", COUNTED)
def test_two_members_equal_brute_force(operator: Any, strict: bool) -> None:
    cases, truths = random_cases(1, 2)
    expected = brute_force(cases, truths, THRESHOLDS, strict, operator=operator)
    for metric in METRICS:
        got = calibrate(cases, truths, "abc", operator, metric, strict=strict)
        np.testing.assert_allclose(got.grid[0], expected[metric], rtol=1e-12, err_msg=metric)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("operator", COUNTED)
def test_three_members_equal_brute_force(operator: Any, strict: bool) -> None:
    cases, truths = random_cases(2, 3, n_cases=2)
    thresholds = (0.0, 0.3, 0.35, 0.7, 1.0)
    got = calibrate(cases, truths, "ab", operator, thresholds=thresholds, strict=strict)
    expected = brute_force(cases, truths, thresholds, strict, operator=operator)
    np.testing.assert_allclose(got.grid[0], expected["iou_pooled_foreground"], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_members=st.integers(1, 4),
    operator=st.sampled_from(COUNTED),
    strict=st.booleans(),
    ties=st.sampled_from(["first", "last"]),
    empty=st.sampled_from(["keep", "skip"]),
    tied_votes=st.sampled_from(["out", "in", "first"]),
    unit_axis=st.sampled_from([0, 1, 2, None]),
    partial=st.booleans(),
    boxed=st.booleans(),
    thresholds=st.lists(st.sampled_from(THRESHOLDS), min_size=1, max_size=3, unique=True),
)
def test_every_option_equals_brute_force(
    seed: int,
    n_members: int,
    operator: Any,
    strict: bool,
    ties: Any,
    empty: Any,
    tied_votes: Any,
    unit_axis: int | None,
    partial: bool,
    boxed: bool,
    thresholds: list[float],
) -> None:
    cases, truths = random_cases(seed, n_members, unit_axis, 2, partial)
    box = CentredBox((None, 3, 3), "pixel") if boxed else None
    options: dict[str, Any] = {"ties": ties, "empty": empty, "tied_votes": tied_votes}
    expected = brute_force(
        cases, truths, sorted(thresholds), strict, box, operator=operator, **options
    )
    for metric in (
        "iou_pooled_foreground",
        "iou_pooled_background_foreground_mean",
        "dice_foreground_unit_mean",
    ):
        if np.isnan(expected[metric]).all():
            continue
        try:
            got = calibrate(
                cases,
                truths,
                "ab",
                operator,
                metric,
                thresholds=thresholds,
                strict=strict,
                boxes=box,
                **options,
            )
        except MaskError as error:  # one of the two cases alone may hold nothing
            assert "undefined on the training cases" in str(error)  # noqa: PT017
            continue
        np.testing.assert_allclose(got.grid[0], expected[metric], rtol=1e-12)


# Choosing


def line(*values: float) -> Heatmap:
    return heatmap_of(np.array(values).reshape(1, 1, -1))


def truth(text: str) -> Mask:
    return np.array([[[letter == "#" for letter in text]]])


def test_a_case_worked_out_by_hand() -> None:
    # Above 0.5 "a" holds the first four voxels, "b" the last four; the truth is what they share.
    case = {"a": line(0.9, 0.9, 0.8, 0.8, 0.2, 0.1), "b": line(0.3, 0.4, 0.7, 0.6, 0.9, 0.9)}
    got = calibrate([case, case], [truth("..##..")] * 2, [1, 2], "and", thresholds=(0.25, 0.5, 0.8))
    np.testing.assert_allclose(
        got.grid[0],
        [
            [2 / 4, 2 / 2, 0],  # a: first four; b: all, last four, last two
            [2 / 4, 2 / 2, 0],
            [0, 0, 0],  # a: first two
        ],
    )
    assert got.oracle.thresholds == (0.25, 0.5)  # of two equal ones the smaller sum
    assert got.out_of_fold["iou_pooled_foreground"] == 1
    assert got.baselines["empty"]["iou_pooled_foreground"] == 0
    assert got.baselines["full"]["iou_pooled_foreground"] == pytest.approx(2 / 6)
    assert got.baselines["full"]["dice_pooled_foreground"] == pytest.approx(4 / 8)


def test_the_paper_s_empty_baseline() -> None:
    # 95.4 % background, as in BraTS: the "mIoU" of nothing is 47.7, its "DSC" 64.6 (Table II).
    values = heatmap_of(np.full((1, 10, 100), 0.5))
    reference = np.zeros((1, 10, 100), bool)
    reference.reshape(-1)[:46] = True
    got = calibrate(
        [{"a": values}] * 2, [reference] * 2, "ab", metric="iou_pooled_background_foreground_mean"
    )
    empty = got.baselines["empty"]
    assert empty["iou_pooled_background_foreground_mean"] == pytest.approx(0.477)
    assert empty["dice_of_iou_pooled_background_foreground_mean"] == pytest.approx(0.646, abs=5e-4)
    assert empty["dice_pooled_foreground"] == 0
    # Nothing beats it here, and the smallest threshold that gives nothing is chosen.
    assert got.oracle.thresholds == (0.5,)


def test_ties_go_to_the_smallest_sum_then_the_first_member() -> None:
    case = {"a": line(0.95, 0.05), "b": line(0.95, 0.05)}
    got = calibrate([case] * 2, [truth("#.")] * 2, "ab", "and")
    # One threshold of 0.1 is enough: (0, 0.1) and (0.1, 0) both sum to 0.1.
    assert got.oracle.thresholds == (0.0, 0.1)
    assert [each.training.thresholds for each in got.folds] == [(0.0, 0.1)] * 2


def test_each_fold_is_judged_at_what_the_others_choose() -> None:
    # Of ten voxels with values 0.1 to 1 the highest 7 are true in case x, the highest 4 in y and z.
    values = np.arange(1, 11).reshape(1, 1, 10) / 10
    cases = [{"a": heatmap_of(values)}] * 3
    truths = [values > 0.35, values > 0.65, values > 0.65]
    got = calibrate(cases, truths, ["x", "y", "z"], "or")
    # On y and z the cut 0.6 is perfect. On x and one of these, n voxels above a cut score
    # (min(7, n) + min(4, n)) / (max(7, n) + max(4, n)): 11/14 for n = 7, 10/13, 9/12, 8/11 below.
    assert [each.training.thresholds for each in got.folds] == [(0.6,), (0.3,), (0.3,)]
    scores = [each.training.scores["iou_pooled_foreground"] for each in got.folds]
    assert scores == pytest.approx([1, 11 / 14, 11 / 14])
    held_out = [each.held_out["iou_pooled_foreground"] for each in got.folds]
    assert held_out == pytest.approx([4 / 7, 4 / 7, 4 / 7])
    assert got.out_of_fold["iou_pooled_foreground"] == pytest.approx(12 / 21)
    # On all three n voxels score (min(7, n) + 2 min(4, n)) / (max(7, n) + 2 max(4, n)).
    assert got.oracle.thresholds == (0.6,)
    assert got.oracle.scores["iou_pooled_foreground"] == pytest.approx(12 / 15)


def test_cases_of_one_group_stay_together() -> None:
    cases, truths = random_cases(5, 2, n_cases=3)
    got = calibrate(cases, truths, ["p", "q", "p"], "and")
    assert [each.cases for each in got.folds] == [2, 1]
    alone = brute_force(cases[1:2], truths[1:2], THRESHOLDS, True, operator="and")
    np.testing.assert_allclose(got.fold_grids[0, 0], alone["iou_pooled_foreground"], rtol=1e-12)
    pair = brute_force(cases[::2], truths[::2], THRESHOLDS, True, operator="and")
    np.testing.assert_allclose(got.fold_grids[1, 0], pair["iou_pooled_foreground"], rtol=1e-12)
    mean = (alone["iou_pooled_foreground"] + pair["iou_pooled_foreground"]) / 2
    np.testing.assert_allclose(got.training_grid[0], mean, rtol=1e-12)


def test_out_of_fold_equals_brute_force() -> None:
    cases, truths = random_cases(6, 2, n_cases=4)
    got = calibrate(cases, truths, "abcd", "smallest", "dice_foreground_unit_mean", folds=2, seed=3)
    assert sorted(each.cases for each in got.folds) == [2, 2]
    pairs: list[tuple[Mask, Mask]] = []
    own: list[int] = []
    fold_of = dict(zip("abcd", np.random.default_rng(3).permutation(4).argsort() % 2, strict=True))
    for number, (maps, reference) in enumerate(zip(cases, truths, strict=True)):
        chosen = got.folds[fold_of["abcd"[number]]].training.thresholds
        masks = {n: binarize(h, Fixed(t)) for (n, h), t in zip(maps.items(), chosen, strict=True)}
        images = images_of(maps, combine(masks, "smallest").mask, reference)
        pairs += images
        own += [number] * len(images)
    for name, value in metrics_of(pairs, own).items():
        assert got.out_of_fold[name] == pytest.approx(value, rel=1e-12)
    for number in range(4):
        alone = [pair for pair, case in zip(pairs, own, strict=True) if case == number]
        for name, value in metrics_of(alone, [0] * len(alone)).items():
            assert got.case_scores[number][name] == pytest.approx(value, rel=1e-12, nan_ok=True)
    undefined = sum(not (found.any() or truth.any()) for found, truth in pairs)
    assert got.undefined_images == undefined > 0
    assert got.images == len(pairs)


def test_folds_can_be_named() -> None:
    cases, truths = random_cases(7, 1, n_cases=3)
    got = calibrate(cases, truths, "abc", folds={"a": 4, "b": 7, "c": 4})
    assert [(each.fold, each.cases) for each in got.folds] == [(4, 2), (7, 1)]


@pytest.mark.parametrize(("both_empty", "mean"), [(np.nan, 1.0), (0.0, 0.5), (1.0, 1.0)])
def test_images_without_anything(both_empty: float, mean: float) -> None:
    values = heatmap_of([[[0.9, 0.1]], [[0.0, 0.0]]])
    reference = np.array([[[True, False]], [[False, False]]])
    got = calibrate(
        [{"a": values}] * 2,
        [reference] * 2,
        "ab",
        metric="iou_foreground_unit_mean",
        both_empty=both_empty,
    )
    assert got.out_of_fold["iou_foreground_unit_mean"] == mean
    assert got.undefined_images == (2 if np.isnan(both_empty) else 0)


# Boxes


def test_a_box_is_chosen_with_the_thresholds() -> None:
    # The whole row exceeds 0.5 but the truth is its middle.
    case = {"a": line(0.6, 0.9, 0.9, 0.6, 0.7)}
    middle = CentredBox((None, None, 3), "pixel")
    boxes = {"none": None, "middle": middle}
    got = calibrate(
        [case] * 2, [truth(".###.")] * 2, "ab", "or", boxes=boxes, thresholds=(0.5, 0.8)
    )
    np.testing.assert_allclose(got.grid, [[3 / 5, 2 / 3], [1, 2 / 3]])
    assert got.oracle.box == "middle"
    assert got.boxes == ("none", "middle")
    assert got.baselines["box only (middle)"]["iou_pooled_foreground"] == 1
    assert "box only (none)" not in got.baselines


def test_each_case_can_have_its_own_box() -> None:
    case = {"a": line(0.9, 0.9, 0.9, 0.9)}
    boxes = [truth("##.."), Within(truth("..##"))]
    got = calibrate([case] * 2, [truth("##.."), truth("..#.")], "ab", boxes=boxes)
    assert got.baselines["box only"]["iou_pooled_foreground"] == pytest.approx(3 / 4)
    assert got.oracle.scores["iou_pooled_foreground"] == pytest.approx(3 / 4)
    assert got.provenance["boxes"] == {"box": {"kind": "one for each case", "kinds": ["within"]}}
    for count, groups in ((3, "abc"), (1, "a")):
        with pytest.raises(MaskError, match=f"2 boxes for {count} cases"):
            calibrate([case] * count, [truth("##..")] * count, groups, boxes=boxes)


# The result


@pytest.fixture
def found() -> Calibration:
    cases, truths = random_cases(8, 2)
    boxes = {"none": None, "middle": CentredBox((None, 3, 3), "pixel")}
    return calibrate(cases, truths, ["Doe", "Roe", "Poe"], "smallest", boxes=boxes)


def test_it_is_json_without_the_names_of_groups(found: Calibration) -> None:
    text = json.dumps(found.to_json(), allow_nan=False)
    assert not any(name in text for name in ("Doe", "Roe", "Poe"))
    facts = json.loads(text)
    assert facts["kind"] == "calibration"
    assert facts["groups"] == facts["folds"] == 3
    assert facts["ensemble"]["operator"] == "smallest"
    assert np.shape(facts["grid_in_sample"]) == (2, 11, 11)
    assert facts["grid_axes"] == ["box", "m0", "m1"]
    assert set(facts["oracle"]) == {"thresholds", "box", "in_sample"}
    assert [each["fold"] for each in facts["per_fold"]] == [0, 1, 2]
    assert facts["per_fold"][0]["held_out"] == dict(found.folds[0].held_out)


def test_its_table_opens_with_the_result(found: Calibration) -> None:
    rows = found.rows()
    assert [row["what"] for row in rows[:2]] == ["out of fold", "oracle (in-sample)"]
    assert {row["what"] for row in rows} >= {"empty", "full", "box only (middle)", "fold 2"}
    assert all(set(METRICS) <= set(row) for row in rows)


def test_it_makes_the_ensemble_of_a_new_case(found: Calibration) -> None:
    cases, _ = random_cases(9, 2, n_cases=1)
    got = found.combine(cases[0])
    a, b = found.oracle.thresholds
    masks = {
        "m0": cases[0]["m0"].values > np.float32(a),
        "m1": cases[0]["m1"].values > np.float32(b),
    }
    assert np.array_equal(got.mask, combine(masks, "smallest").mask)
    assert got.provenance["members"][0]["rule"] == f"fixed({a:g})"
    box = CentredBox((None, 2, 2), "pixel")
    inside = box.inside(cases[0]["m0"].grid)
    assert not found.combine(cases[0], box).mask[~inside].any()
    with pytest.raises(MaskError, match="no heatmap 'm1'"):
        found.combine({"m0": cases[0]["m0"]})


def test_cases_are_read_one_after_the_other() -> None:
    cases, truths = random_cases(10, 2)
    alive: list[int] = []

    def reading() -> Any:
        for number, case in enumerate(cases):
            alive.append(number)
            yield case

    def references() -> Any:
        for number, reference in enumerate(truths):
            assert alive == list(range(number + 1))
            yield reference

    assert calibrate(reading(), references(), "abc").cases == 3


CASES, TRUTHS = random_cases(11, 2)


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_metrics_answer_to_their_former_names_with_a_warning(old: str, new: str) -> None:
    assert old not in METRICS
    known = calibrate(CASES, TRUTHS, "abc", metric=new)
    with pytest.warns(DeprecationWarning, match=f"'{old}' is called '{new}' now"):
        found = calibrate(CASES, TRUTHS, "abc", metric=old)
    assert found.metric == found.provenance["metric"] == new
    np.testing.assert_array_equal(found.grid, known.grid)
    with pytest.warns(DeprecationWarning, match=new):
        assert found.out_of_fold[old] == known.out_of_fold[new]
    assert old not in found.out_of_fold
    with pytest.raises(KeyError, match="miou"):
        found.out_of_fold["miou"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"members": CASES[:2]}, "Case 3 lacks"),
        ({"references": TRUTHS[:2]}, "Case 3 lacks"),
        ({"groups": "ab"}, "Case 3 lacks"),
        ({"groups": "abcd"}, "4 groups for 3 cases"),
        ({"groups": "aaa"}, "at least two"),
        ({"folds": 4}, "2 to 3 folds"),
        ({"folds": 1}, "2 to 3 folds"),
        ({"folds": {"a": 1, "b": 2}}, "1 groups have no fold"),
        ({"folds": {"a": 1, "b": 1, "c": 1}}, "at least two folds"),
        ({"operator": "staple"}, "STAPLE cannot"),
        ({"operator": "xor"}, "operator of an ensemble"),
        ({"metric": "miou"}, "no metric 'miou'"),
        ({"thresholds": ()}, "numbers from 0 to 1"),
        ({"thresholds": (0.5, 1.5)}, "numbers from 0 to 1"),
        ({"thresholds": ("low",)}, "numbers from 0 to 1"),
        ({"thresholds": np.linspace(0, 1, 2000)}, "too many combinations"),
        ({"boxes": {}}, "no boxes"),
        ({"boxes": "tissue"}, "not str"),
        ({"unit_axis": 5}, "axis 0, 1, 2 or None"),
        ({"members": [CASES[0], CASES[1], {"m0": CASES[2]["m0"]}]}, "the members m0 but"),
        ({"members": [{}, {}, {}]}, "no heatmaps"),
        ({"members": [CASES[0]["m0"]] * 3}, "Case 1 must be heatmaps by name"),
        ({"references": [TRUTHS[0].astype(int)] * 3}, "not booleans"),
        ({"references": [TRUTHS[1]] * 3}, "shape"),
        ({"references": [np.zeros_like(t) for t in TRUTHS], "thresholds": [1]}, "undefined"),
    ],
)
def test_what_is_refused(change: dict[str, Any], said: str) -> None:
    given = {"members": CASES, "references": TRUTHS, "groups": "abc", **change}
    with pytest.raises((MaskError, StatisticsError), match=said):
        calibrate(**given)


def test_heatmaps_that_do_not_fit_are_refused() -> None:
    raw = {"a": heatmap_of(np.ones((3, 4, 5)), kind="raw")}
    with pytest.raises(MaskError, match="'a' of case 1 is raw"):
        calibrate([raw] * 2, [TRUTHS[0]] * 2, "ab")
    mixed = {"a": heatmap_of(np.ones((3, 4, 5))), "b": heatmap_of(np.ones((3, 4, 5)), None)}
    with pytest.raises(MaskError, match="case 1 were explained slice by slice and some not"):
        calibrate([mixed] * 2, [TRUTHS[0]] * 2, "ab")
    assert calibrate([mixed] * 2, [TRUTHS[0]] * 2, "ab", unit_axis=0).images == 6
    moved = {
        "a": heatmap_of(np.ones((3, 4, 5))),
        "b": heatmap_of(np.ones((3, 4, 5)), grid=Grid.plain((3, 4, 5), (2.0, 1.0, 1.0))),
    }
    with pytest.raises(MaskError, match="but the case's first on"):
        calibrate([moved] * 2, [TRUTHS[0]] * 2, "ab")
