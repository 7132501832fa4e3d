"""Seeds: typed by hand, properties of any maps, and a phantom whose answer is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import napari_cam as nc
from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.seeds.making import make_seeds
from napari_cam.masks.rules import Quantile
from napari_cam.sample import load_sample_phantom
from tests.masks.maps import heatmap

pytestmark = pytest.mark.quick

VALUES = [[[0.0, 0.2, 0.3], [0.6, 0.7, 1.0]]]


def test_three_levels_typed_by_hand() -> None:
    seeds = make_seeds(heatmap(VALUES))
    # 0.2 and 0.6 are on the cuts themselves: neither below nor above.
    assert seeds.labels.tolist() == [[[1, 0, 0], [0, 2, 2]]]
    assert seeds.labels.dtype == np.uint8
    assert seeds.classes.names == ("background", "gap")
    assert seeds.voxels == {"background": 1, "gap": 2, "unlabelled": 3}
    assert json.loads(json.dumps(seeds.provenance))["high"] == "fixed(0.6)"


def test_reaching_a_cut_is_enough_where_asked() -> None:
    assert make_seeds(heatmap(VALUES), strict=False).labels.tolist() == [[[1, 1, 0], [2, 2, 2]]]


def test_cuts_may_be_rules_and_texts() -> None:
    # Sorted values 0 .2 .3 .6 .7 1: the 0.7-quantile lies at 0.65, the 0.3-quantile at 0.25.
    by_rule = make_seeds(heatmap(VALUES), Quantile(0.7), "quantile:0.3")
    assert by_rule.labels.tolist() == [[[1, 1, 0], [0, 2, 2]]]
    made_of = by_rule.provenance["made_of"]["gap"][0]["cuts"]
    assert made_of == {"high": [pytest.approx(0.65)], "low": [pytest.approx(0.25)]}
    assert make_seeds(heatmap(VALUES), "0.5", 0.25).labels.tolist() == [[[1, 1, 0], [2, 2, 2]]]


def test_where_rules_contradict_each_other_nothing_is_said() -> None:
    seeds = make_seeds(heatmap(VALUES), "quantile:0.3", "quantile:0.7")
    assert seeds.labels.tolist() == [[[1, 1, 0], [0, 2, 2]]]


def test_slices_of_another_class_hold_none_of_this_one() -> None:
    values = [[[0.9, 0.1]], [[0.9, 0.1]], [[0.9, 0.1]]]
    made = heatmap(values, predicted_index=[1, 0, 1], valid=[True, True, False])
    assert make_seeds(made).labels.tolist() == [[[2, 1]], [[1, 1]], [[0, 0]]]
    assert make_seeds(made, negatives="unlabelled").labels.tolist() == [
        [[2, 1]],
        [[0, 0]],
        [[0, 0]],
    ]
    assert make_seeds(made, gate=False).labels.tolist() == [[[2, 1]], [[2, 1]], [[0, 0]]]
    assert "In 1 of 3 slices" in make_seeds(made).notes[0]


def test_a_slice_of_little_evidence_is_not_stretched() -> None:
    # Each slice fills [0, 1] by itself; in the CAM's own scale the second reaches a tenth.
    made = heatmap([[[0, 0.5, 1]], [[0, 0.5, 1]]], raw_max=[10, 1])
    assert make_seeds(made).labels.tolist() == [[[1, 0, 2]], [[1, 1, 1]]]
    assert make_seeds(made, normalize="unit").labels.tolist() == [[[1, 0, 2]], [[1, 0, 2]]]


def test_no_evidence_gives_no_label_unless_another_class_is_predicted() -> None:
    made = heatmap([[[0, 0]], [[0, 0]]], valid=[False, False], predicted_index=[1, 0])
    assert make_seeds(made).labels.tolist() == [[[0, 0]], [[1, 1]]]


def test_the_tissue_limits_seeds_and_statistics() -> None:
    made = heatmap(VALUES)
    tissue = np.array([[[True, True, True], [True, True, False]]])
    assert make_seeds(made, foreground=tissue).labels.tolist() == [[[1, 0, 0], [0, 2, 1]]]
    apart = make_seeds(made, foreground=tissue, outside="unlabelled")
    assert apart.labels.tolist() == [[[1, 0, 0], [0, 2, 0]]]
    # 0 .2 .3 .6 .7: the median is .3, not the .45 of the whole.
    halves = make_seeds(made, "quantile:0.5", "quantile:0.5", foreground=tissue)
    assert halves.labels.tolist() == [[[1, 1, 0], [2, 2, 1]]]


def test_where_nothing_was_seen_nothing_is_said() -> None:
    made = heatmap(VALUES, inside=[[[True, True, True], [True, True, False]]])
    assert make_seeds(made).labels.tolist() == [[[1, 0, 0], [0, 2, 0]]]
    tissue = np.zeros(made.values.shape, bool)
    assert make_seeds(made, foreground=tissue).labels.tolist() == [[[1, 1, 1], [1, 1, 0]]]


A = [[[0.9, 0.9, 0.7, 0.1, 0.1, 0.4, 0.8]]]
B = [[[0.1, 0.7, 0.9, 0.1, 0.3, 0.9, 0.8]]]


@pytest.mark.parametrize(
    ("conflict", "expected"),
    [("ignore", [2, 0, 0, 1, 0, 3, 0]), ("highest", [2, 2, 3, 1, 0, 3, 0])],
)
def test_two_classes(conflict: Any, expected: list[int]) -> None:
    seeds = make_seeds({"a": heatmap(A), "b": heatmap(B)}, conflict=conflict)
    assert seeds.labels.tolist() == [[expected]]
    assert seeds.classes.names == ("background", "a", "b")


def test_three_classes_of_which_the_first_and_the_last_are_equal() -> None:
    maps = {"a": heatmap([[[0.9]]]), "b": heatmap([[[0.7]]]), "c": heatmap([[[0.9]]])}
    assert make_seeds(maps, conflict="highest").labels.tolist() == [[[0]]]
    maps["c"] = heatmap([[[0.95]]])
    assert make_seeds(maps, conflict="highest").labels.tolist() == [[[4]]]


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (1.0, [2, 0, 0, 0, 1]),
        (2 / 3, [2, 2, 0, 1, 1]),
        (0.5, [2, 2, 0, 1, 1]),
        (1 / 3, [2, 2, 0, 0, 1]),  # in the third and fourth one sees it and one its absence
    ],
)
def test_several_heatmaps_of_a_class_vote(votes: float, expected: list[int]) -> None:
    members = [
        heatmap([[[0.9, 0.9, 0.9, 0.1, 0.1]]]),
        heatmap([[[0.9, 0.9, 0.4, 0.1, 0.1]]]),
        heatmap([[[0.9, 0.4, 0.1, 0.9, 0.1]]]),
    ]
    assert make_seeds({"gap": members}, votes=votes).labels.tolist() == [[expected]]


def test_codes_follow_the_order_or_the_table() -> None:
    maps = {"b": heatmap(B), "a": heatmap(A)}
    assert make_seeds(maps).labels.tolist() == [[[3, 0, 0, 1, 0, 2, 0]]]
    table = LabelClasses(
        (
            LabelClass(1, "muscle", "#999999"),
            LabelClass(7, "a", "#000000"),
            LabelClass(4, "b", "#ffffff"),
            LabelClass(5, "c", "#ff0000"),
        )
    )
    seeds = make_seeds(maps, classes=table)
    assert seeds.labels.tolist() == [[[7, 0, 0, 1, 0, 4, 0]]]
    assert seeds.classes == table
    assert seeds.voxels == {"muscle": 1, "b": 1, "c": 0, "a": 1, "unlabelled": 4}
    with pytest.raises(MaskError, match="No class is called 'd'"):
        make_seeds({"d": heatmap(A)}, classes=table)
    with pytest.raises(MaskError, match="'muscle' is the background"):
        make_seeds({"muscle": heatmap(A)}, classes=table)
    with pytest.raises(MaskError, match="no background"):
        make_seeds(maps, classes=LabelClasses(table.classes[1:]))


MAPS = hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32))


@settings(deadline=None, max_examples=40)
@given(MAPS, MAPS, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["ignore", "highest"]))
def test_a_higher_cut_never_seeds_more(one: Any, other: Any, a: float, b: float, how: Any) -> None:
    lower, higher = sorted((a, b))
    maps = {"a": heatmap(one)}
    wide = make_seeds(maps, lower, 0).labels == 2
    narrow = make_seeds(maps, higher, 0).labels == 2
    assert not (narrow & ~wide).any()
    assert not (
        (make_seeds(maps, 1, lower).labels == 1) & ~(make_seeds(maps, 1, higher).labels == 1)
    ).any()
    # Whatever is seeded by either rule of conflict lies above the cut in that class's own map.
    both = make_seeds({"a": heatmap(one), "b": heatmap(other)}, higher, lower, conflict=how).labels
    assert (one[both == 2] > np.float32(higher)).all()
    assert (other[both == 3] > np.float32(higher)).all()
    assert (np.maximum(one, other)[both == 1] < np.float32(lower)).all()


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.int64, 3, elements=st.integers(0, 2)), MAPS)
def test_the_gate_holds_for_any_prediction(predicted: Any, values: Any) -> None:
    seeds = make_seeds(heatmap(values, predicted_index=predicted), 0.5, 0.5)
    assert (seeds.labels[predicted != 1] == 1).all()


def test_a_phantom_whose_answer_is_known() -> None:
    # The heatmap is the truth itself, stretched slice by slice as heatmaps for looking are, with
    # a little noise where nothing is.
    phantom = load_sample_phantom("damaged")
    noise = np.random.default_rng(5).uniform(0, 0.05, phantom.damage.shape)
    raw = np.maximum(phantom.damage, noise).astype(np.float32)
    low, high = raw.min(axis=(1, 2)), raw.max(axis=(1, 2))
    stretched = (raw - low[:, None, None]) / (high - low)[:, None, None]
    grid = phantom.volume.grid
    damaged = phantom.damage.max(axis=(1, 2)) > 0.5
    made = heatmap(
        stretched, raw_min=low, raw_max=high, predicted_index=damaged.astype(int), grid=grid
    )
    seeds = make_seeds(made, 0.6, 0.2, foreground=phantom.tissue).labels
    assert 0 < damaged.sum() < len(damaged)
    assert (seeds[~damaged] == 1).all()
    shown = phantom.tissue & damaged[:, None, None]
    assert ((seeds == 2) == (shown & (raw > 0.6))).mean() > 0.9999  # float32 at the cut
    assert ((seeds == 0) == (shown & (raw >= 0.2) & (raw <= 0.6))).mean() > 0.9999
    # The volume's scale alone keeps noise from being seeded; that of each slice does not.
    ungated = make_seeds(made, gate=False).labels
    assert not (ungated[~damaged] == 2).any()
    assert (make_seeds(made, gate=False, normalize="unit").labels[~damaged] == 2).any()


def test_a_healthy_volume_gets_no_seed_of_damage() -> None:
    model, healthy = nc.load_sample_model(), nc.load_sample_volume("healthy")
    made = nc.explain_one(model, healthy, "gradcam", "damaged")
    assert set(np.unique(make_seeds(made).labels)) == {1}
    assert (make_seeds(made, gate=False).labels == 2).any()  # a volume alone has a maximum too


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"heatmaps": {}}, "dict"),
        ({"heatmaps": {"a": []}}, "'a' has no heatmaps"),
        ({"heatmaps": [1]}, "list"),
        ({"high": 0.2, "low": 0.6}, "low <= high"),
        ({"high": 1.5}, "0 to 1"),
        ({"high": True}, "high cut"),
        ({"low": "median"}, "median"),
        ({"conflict": "first"}, "one of ignore, highest"),
        ({"votes": 0}, "votes"),
        ({"normalize": "cohort"}, "cohort"),
        ({"negatives": "ignore"}, "ignore"),
        ({"outside": "ignore"}, "ignore"),
        ({"foreground": np.ones((1, 2, 4), bool)}, r"\(1, 2, 4\)"),
        ({"foreground": np.ones((1, 2, 3))}, "float64"),
        (
            {"heatmaps": heatmap([[[1]], [[1]]], class_index=[0, 1], predicted_index=[0, 1])},
            "explain one class",
        ),
        (
            {"heatmaps": {"a": heatmap(A), "b": heatmap(B, grid=Grid.plain((1, 1, 7), (1, 1, 1)))}},
            "resample one of them first",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(MaskError, match=said):
        make_seeds(**{"heatmaps": heatmap(VALUES), **changed})
