"""Counts, IoU and Dice: counted by hand, scikit-learn, and the papers' identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from napari_cam.errors import MaskError
from napari_cam.masks.counts import counts, dice, iou

pytestmark = pytest.mark.quick

A = np.array([[1, 1, 0], [0, 1, 0]], dtype=bool)
B = np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)
NONE = np.zeros((2, 3), dtype=bool)
ALL = np.ones((2, 3), dtype=bool)


def masks(seed: int, share: float = 0.4) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((4, 5, 7)) < share


def test_counted_by_hand() -> None:
    found = counts(A, B)
    assert (found.tp, found.fp, found.fn, found.tn) == (2, 1, 1, 2)
    assert iou(A, B) == 0.5
    assert dice(A, B) == pytest.approx(2 / 3)


def test_prediction_and_reference_are_told_apart() -> None:
    found = counts(ALL, A)
    assert (found.tp, found.fp, found.fn, found.tn) == (3, 3, 0, 0)
    found = counts(NONE, A)
    assert (found.tp, found.fp, found.fn, found.tn) == (0, 0, 3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed: int) -> None:
    a, b = masks(seed, 0.3), masks(seed + 50, 0.6)
    tn, fp, fn, tp = confusion_matrix(b.ravel(), a.ravel()).ravel()
    found = counts(a, b)
    assert (found.tp, found.fp, found.fn, found.tn) == (tp, fp, fn, tn)
    assert iou(a, b) == pytest.approx(jaccard_score(b.ravel(), a.ravel()), rel=1e-12)
    assert dice(a, b) == pytest.approx(f1_score(b.ravel(), a.ravel()), rel=1e-12)


@pytest.mark.parametrize(("axis", "lengths"), [((1, 2), (4,)), (0, (5, 7)), ((0, -1), (5,))])
def test_units_are_counted_apart(axis: Any, lengths: tuple[int, ...]) -> None:
    a, b = masks(1), masks(2)
    found = counts(a, b, axis=axis)
    assert np.shape(found.tp) == lengths
    assert np.array_equal(found.tp + found.fp, a.sum(axis=axis))
    assert np.array_equal(found.tp + found.fn, b.sum(axis=axis))
    total = np.asarray(found.tp + found.fp + found.fn + found.tn)
    assert (total == a.size // np.prod(lengths)).all()


def test_iou_of_each_slice_with_an_empty_one() -> None:
    a, b = np.stack([A, NONE, A, NONE]), np.stack([B, NONE, A, B])
    found = counts(a, b, axis=(1, 2))
    assert found.iou(empty=1.0).tolist() == [0.5, 1, 1, 0]
    assert found.dice(empty=0.0).tolist() == [pytest.approx(2 / 3), 0, 1, 0]
    assert np.isnan(found.iou()).tolist() == [False, True, False, False]


def test_two_empty_masks_are_what_one_says_they_are() -> None:
    assert np.isnan(iou(NONE, NONE))
    assert np.isnan(dice(NONE, NONE))
    assert iou(NONE, NONE, empty=0.0) == 0
    assert dice(NONE, NONE, empty=1.0) == 1
    assert iou(NONE, A) == dice(A, NONE) == 0  # one empty mask is no special case


def test_the_identities_of_the_papers() -> None:
    a, b = masks(3), masks(4)
    assert iou(a, a) == dice(a, a) == 1
    assert iou(a, ~a) == dice(a, ~a) == 0
    assert iou(a, b) == iou(b, a)
    assert dice(a, b) == pytest.approx(2 * iou(a, b) / (1 + iou(a, b)), rel=1e-12)
    # Predicting nothing: the mean over background and foreground is half the background's IoU.
    nothing = np.zeros_like(b)
    both = (iou(nothing, b) + iou(~nothing, ~b)) / 2
    assert both == pytest.approx(np.mean(~b) / 2, rel=1e-12)


@pytest.mark.parametrize("function", [iou, dice, counts])
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (A.astype(np.float32), B, "The prediction holds float32, not booleans; cut a heatmap"),
        (A, B.astype(np.uint8), "The reference holds uint8, .* labels == 1"),
        (A, B.T, r"shape \(2, 3\) but the reference \(3, 2\)"),
        (A, B[:1], r"but the reference \(1, 3\)"),  # never broadcast
    ],
)
def test_what_is_no_pair_of_masks_is_refused(function: Any, a: Any, b: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        function(a, b)


@pytest.mark.parametrize("axis", [2, -3, (0, 0)])
def test_an_axis_that_does_not_exist_is_refused(axis: Any) -> None:
    with pytest.raises(MaskError, match="cannot be counted over axis"):
        counts(A, B, axis=axis)


@pytest.mark.parametrize("empty", [0.5, -1, np.inf])
def test_another_value_for_two_empty_masks_is_refused(empty: float) -> None:
    with pytest.raises(MaskError, match=r"may count as nan, 0\.0 or 1\.0"):
        iou(A, B, empty=empty)
