"""Commit: typed by hand, and for any labels: a touched voxel never changes, undo restores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.choices import MODES
from napari_cam.labels.seeds.commit import Commit, commit

LABELS = [[0, 0, 2, 2, 2, 3, 1]]
SEEDS = [[2, 0, 0, 3, 0, 0, 2]]
FROM_CAM = [[0, 0, 1, 1, 0, 1, 0]]
UNTOUCHED = [[0, 0, 0, 0, 0, 0, 0]]


def codes(values: Any) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


def flags(values: Any) -> NDArray[np.bool_]:
    return np.array(values, bool)


def after(step: Commit, labels: NDArray[Any]) -> list[Any]:
    written = labels.copy()
    step.apply(written)
    return written.tolist()


@pytest.mark.parametrize(
    ("mode", "erase", "expected", "from_cam"),
    [
        # A 0 takes back what a CAM said (third, sixth), not what it did not (fifth).
        ("replace", True, [2, 0, 0, 3, 2, 0, 2], [1, 0, 0, 1, 0, 0, 1]),
        ("replace", False, [2, 0, 2, 3, 2, 3, 2], [1, 0, 1, 1, 0, 1, 1]),
        ("unlabelled", True, [2, 0, 2, 2, 2, 3, 1], [1, 0, 1, 1, 0, 1, 0]),
        ("unlabelled", False, [2, 0, 2, 2, 2, 3, 1], [1, 0, 1, 1, 0, 1, 0]),
        ("from-cam", True, [0, 0, 0, 3, 2, 0, 1], [0, 0, 0, 1, 0, 0, 0]),
        ("from-cam", False, [0, 0, 2, 3, 2, 3, 1], [0, 0, 1, 1, 0, 1, 0]),
    ],
)
def test_every_mode_typed_by_hand(mode, erase, expected, from_cam) -> None:
    labels = codes(LABELS)
    step = commit(labels, codes(SEEDS), mode, flags(UNTOUCHED), flags(FROM_CAM), erase=erase)
    assert after(step, labels) == [expected]
    assert step.from_cam.astype(int).tolist() == [from_cam]
    assert labels.tolist() == LABELS  # nothing is written until it is asked for


@pytest.mark.parametrize("mode", [*MODES])
def test_what_a_person_touched_stays(mode) -> None:
    labels = codes(LABELS)
    touched = flags([[1, 0, 1, 1, 0, 1, 1]])  # the first: erased by hand
    step = commit(labels, codes(SEEDS), mode, touched, flags(FROM_CAM))
    assert len(step) == 0
    assert step.from_cam.astype(int).tolist() == FROM_CAM  # undone, it came from a CAM again


def test_a_mask_takes_back_its_own_class_alone() -> None:
    labels, mask = codes(LABELS), flags([[1, 0, 0, 0, 0, 0, 1]])
    step = commit(labels, mask, "replace", flags(UNTOUCHED), flags(FROM_CAM), code=2)
    assert after(step, labels) == [[2, 0, 0, 0, 2, 3, 2]]  # the 3 of another class stays
    assert [index.tolist() for index in step.where] == [[0, 0, 0, 0], [0, 2, 3, 6]]
    assert step.values.tolist() == [2, 0, 0, 2]
    assert step.before.tolist() == [0, 2, 2, 1]


def test_agreeing_with_a_label_does_not_claim_it() -> None:
    labels = codes([[2, 2]])
    step = commit(labels, codes([[2, 2]]), "replace", flags([[0, 0]]), flags([[0, 1]]))
    assert len(step) == 0
    assert step.from_cam.tolist() == [[False, True]]


def test_one_slice_alone() -> None:
    labels, seeds = np.zeros((2, 1, 3), np.uint8), np.full((2, 1, 3), 2, np.uint8)
    nowhere, within = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    within[1] = True
    step = commit(labels, seeds, "replace", nowhere, nowhere, within=within)
    assert after(step, labels) == [[[0, 0, 0]], [[2, 2, 2]]]


def test_labels_of_another_type_keep_it() -> None:
    labels = np.array([[0, 7]], np.int32)
    step = commit(labels, codes([[3, 4]]), "replace", flags([[0, 0]]), flags([[0, 0]]))
    assert step.values.dtype == np.int32
    assert after(step, labels) == [[3, 4]]


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=4))
    few = st.integers(0, 4)
    masked = draw(st.booleans())
    return {
        "labels": draw(hnp.arrays(np.uint8, shape, elements=few)),
        "proposal": draw(
            hnp.arrays(bool, shape) if masked else hnp.arrays(np.uint8, shape, elements=few)
        ),
        "mode": draw(st.sampled_from([*MODES])),
        "touched": draw(hnp.arrays(bool, shape)),
        "from_cam": draw(hnp.arrays(bool, shape)),
        "code": draw(st.integers(1, 4)) if masked else None,
        "erase": draw(st.booleans()),
        "within": draw(st.none() | hnp.arrays(bool, shape)),
    }


@settings(deadline=None)
@given(situations())
def test_a_touched_voxel_never_changes(given_: dict[str, Any]) -> None:
    written = given_["labels"].copy()
    step = commit(**given_)
    step.apply(written)
    touched = given_["touched"]
    assert (written[touched] == given_["labels"][touched]).all()
    assert (step.from_cam[touched] == given_["from_cam"][touched]).all()
    if given_["within"] is not None:
        assert (written == given_["labels"])[~given_["within"]].all()
    if given_["mode"] == "unlabelled":
        assert (written == given_["labels"])[given_["labels"] != 0].all()
    if given_["mode"] == "from-cam":
        assert (written == given_["labels"])[~given_["from_cam"]].all()
    assert (step.values != step.before).all()


@settings(deadline=None)
@given(situations())
def test_undo_restores_the_bytes(given_: dict[str, Any]) -> None:
    labels = given_["labels"]
    before = labels.tobytes()
    step = commit(**given_)
    step.apply(labels)
    step.undo(labels)
    assert labels.tobytes() == before


@settings(deadline=None)
@given(situations())
def test_a_second_commit_changes_nothing(given_: dict[str, Any]) -> None:
    first = commit(**given_)
    first.apply(given_["labels"])
    second = commit(**{**given_, "from_cam": first.from_cam})
    assert len(second) == 0
    assert (second.from_cam == first.from_cam).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mode": "merge"}, "replace, unlabelled, from-cam"),
        ({"labels": np.zeros((1, 2), np.float32)}, "float32"),
        ({"proposal": np.zeros((2, 2), np.uint8)}, "one grid"),
        ({"proposal": np.zeros((1, 2), bool)}, "code"),
        ({"proposal": np.zeros((1, 2), bool), "code": 256}, "1 to 255"),
        ({"proposal": np.zeros((1, 2), np.int64)}, "int64"),
        ({"code": 2}, "mask"),
        ({"touched": np.zeros((1, 2), np.uint8)}, "touched"),
        ({"from_cam": np.zeros((2, 1), bool)}, "from_cam"),
        ({"within": np.zeros((2, 1), bool)}, "within"),
        ({"labels": np.zeros((1, 2), np.int8), "proposal": np.full((1, 2), 200, np.uint8)}, "200"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], said: str) -> None:
    nowhere = np.zeros((1, 2), bool)
    given_ = {
        "labels": np.zeros((1, 2), np.uint8),
        "proposal": np.zeros((1, 2), np.uint8),
        "mode": "replace",
        "touched": nowhere,
        "from_cam": nowhere,
    }
    with pytest.raises(MaskError, match=said):
        commit(**{**given_, **changed})
