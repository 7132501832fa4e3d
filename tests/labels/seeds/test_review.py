"""Review: slices of disagreement counted by hand, ticks that see later changes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from napari_cam.errors import MaskError
from napari_cam.labels.seeds.review import (
    Reviewed,
    disagreement,
    disagreement_of_spread,
    next_slice,
    previous_slice,
)
from napari_cam.masks.counts import iou

A = np.array([[[1, 1, 0]], [[0, 0, 0]], [[1, 1, 1]], [[1, 1, 1]]], bool)
B = np.array([[[1, 1, 0]], [[0, 0, 0]], [[1, 0, 0]], [[0, 1, 1]]], bool)
C = np.array([[[1, 1, 0]], [[0, 0, 1]], [[1, 0, 0]], [[0, 1, 1]]], bool)


def test_two_and_three_masks_by_hand() -> None:
    two = disagreement([A, B])
    assert two.disputed.tolist() == [0, 0, 2, 1]
    assert two.share.tolist() == [0, 0, pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert two.slices() == (2, 3)
    assert two.slices(above=0.5) == (2,)
    three = disagreement({"a": A, "b": B, "c": C})
    assert three.disputed.tolist() == [0, 1, 2, 1]
    assert three.share[1] == 1
    assert three.worst == (2, 1, 3)
    assert disagreement([A, B], axis=2).disputed.tolist() == [1, 1, 1]


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(bool, (3, 2, 5)), hnp.arrays(bool, (3, 2, 5)))
def test_of_two_masks_it_is_what_iou_leaves(a: Any, b: Any) -> None:
    expected = [1 - iou(x, y, empty=1.0) for x, y in zip(a, b, strict=True)]
    assert disagreement([a, b]).share.tolist() == pytest.approx(expected)


def test_the_spread_of_a_consensus() -> None:
    share = (A.astype(float) + B + C) / 3
    spread = 4 * share * (1 - share)  # 8/9 where two of three agree
    by_spread, by_masks = disagreement_of_spread(spread, 0, share), disagreement([A, B, C])
    assert by_spread.disputed.tolist() == by_masks.disputed.tolist()
    assert by_spread.share.tolist() == by_masks.share.tolist()
    assert disagreement_of_spread(spread, 0.9, share).slices() == ()
    assert disagreement_of_spread(spread).share[2] == pytest.approx(2 / 3)


def test_stepping_through_slices() -> None:
    assert [next_slice((2, 5, 9), z) for z in (0, 2, 8, 9)] == [2, 5, 9, None]
    assert [previous_slice((2, 5, 9), z) for z in (2, 3, 9, 20)] == [None, 2, 5, 9]
    assert next_slice((), 0) is None


def test_ticks_are_kept_and_see_changes() -> None:
    labels = np.zeros((4, 2, 3), np.uint8)
    state = Reviewed(4).tick(2, labels).tick(0, labels)
    assert state.slices == (0, 2)
    assert state.open == (1, 3)
    labels[2, 1, 1] = 3
    labels[1, 1, 1] = 3
    assert state.changed(labels) == (2,)
    again = Reviewed.from_json(json.loads(json.dumps(state.to_json())))
    assert again == state
    assert again.changed(labels.astype(np.int32)) == (2,)
    assert again.untick(2).changed(labels) == ()
    assert again.tick(2, labels).changed(labels) == ()


def test_ticks_along_another_axis() -> None:
    labels = np.zeros((4, 2, 3), np.uint8)
    state = Reviewed(3, axis=2).tick(1, labels)
    labels[:, :, 0] = 1
    assert state.changed(labels) == ()
    labels[3, 1, 1] = 1
    assert state.changed(labels) == (1,)


@pytest.mark.parametrize(
    "masks", [[A], [], [A, B[:2]], [A, B.astype(np.uint8)], {"a": A.astype(int), "b": B}]
)
def test_masks_that_cannot_be_compared(masks: Any) -> None:
    with pytest.raises(MaskError):
        disagreement(masks)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MaskError, match="axis 3"):
        disagreement([A, B], axis=3)
    with pytest.raises(MaskError, match="one consensus"):
        disagreement_of_spread(np.zeros((2, 3)), 0, np.zeros((3, 2)))
    with pytest.raises(MaskError, match="no slice 4"):
        Reviewed(4).tick(4, np.zeros((4, 1, 1)))
    with pytest.raises(MaskError, match="other labels"):
        Reviewed(4).changed(np.zeros((3, 1, 1)))


@pytest.mark.parametrize(
    "facts",
    [
        None,
        {},
        {"version": 2, "n_slices": 1, "axis": 0, "slices": []},
        {"version": 1, "n_slices": 1, "axis": 0, "slices": [{"slice": 1, "labels": ""}]},
        {"version": 1, "n_slices": 1, "axis": 7, "slices": []},
        {"version": 1, "n_slices": "many", "axis": 0, "slices": []},
    ],
)
def test_a_damaged_record_is_refused(facts: Any) -> None:
    with pytest.raises(MaskError, match="tick them anew"):
        Reviewed.from_json(facts)
