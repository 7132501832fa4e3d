"""Which voxels are a person's: through strokes, undo, fill, other hands, saving and reopening."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.seeds.commit import Commit, commit
from napari_cam.labels.seeds.hand_edits import ProgramState

pytestmark = pytest.mark.quick

SEEDS = np.array([[[2, 2, 0], [1, 0, 3]]], np.uint8)


def committed(
    state: ProgramState, labels: NDArray[Any], seeds: NDArray[Any]
) -> tuple[ProgramState, Commit]:
    step = commit(labels, seeds, "replace", state.touched(labels), state.from_cam)
    step.apply(labels)
    return state.committed(step), step


def fresh() -> tuple[ProgramState, NDArray[np.uint8]]:
    labels = np.zeros(SEEDS.shape, np.uint8)
    return ProgramState.start(labels), labels


def test_a_stroke_touches_and_its_undo_does_not() -> None:
    state, labels = fresh()
    state, _ = committed(state, labels, SEEDS)
    assert not state.touched(labels).any()
    labels[0, 0, 0] = 3  # painted
    labels[0, 1, 2] = 0  # erased
    assert np.argwhere(state.touched(labels)).tolist() == [[0, 0, 0], [0, 1, 2]]
    labels[0, 0, 0] = 2  # undone
    assert np.argwhere(state.touched(labels)).tolist() == [[0, 1, 2]]


def test_a_later_commit_leaves_a_persons_voxels_a_persons() -> None:
    state, labels = fresh()
    state, _ = committed(state, labels, SEEDS)
    labels[0, 0, 0] = 0
    state, _ = committed(state, labels, np.full(SEEDS.shape, 3, np.uint8))
    assert labels.tolist() == [[[0, 3, 3], [3, 3, 3]]]
    assert np.argwhere(state.touched(labels)).tolist() == [[0, 0, 0]]


def test_undoing_a_commit_touches_nothing_and_redoing_it_neither() -> None:
    state, labels = fresh()
    state, _ = committed(state, labels, SEEDS)
    both, step = committed(state, labels, np.flip(SEEDS, axis=2).copy())
    step.undo(labels)
    assert both.touched(labels).any()  # nothing in the labels tells whose doing it was
    back = both.undone(step)
    assert not back.touched(labels).any()
    assert (back.from_cam == state.from_cam).all()
    step.apply(labels)
    again = back.committed(step)
    assert not again.touched(labels).any()
    assert (again.from_cam == both.from_cam).all()


def test_what_is_kept_counts_as_touched_until_released() -> None:
    state, labels = fresh()
    state, _ = committed(state, labels, SEEDS)
    kept = state.keep(np.s_[:, 1])
    assert kept.touched(labels).tolist() == [[[False] * 3, [True] * 3]]
    kept, _ = committed(kept, labels, np.full(SEEDS.shape, 3, np.uint8))
    assert labels.tolist() == [[[3, 3, 3], [1, 0, 3]]]
    assert not kept.release(np.s_[:, 1]).touched(labels).any()
    assert not state.kept.any()  # each state stays as it was


def test_edits_between_saving_and_reopening_count() -> None:
    state, labels = fresh()
    state, _ = committed(state, labels, SEEDS)
    labels[0, 0, 1] = 1
    record = json.loads(json.dumps(state.to_json()))
    labels[0, 1, 1] = 2  # by some other program
    again = ProgramState.from_json(record)
    assert np.argwhere(again.touched(labels)).tolist() == [[0, 0, 1], [0, 1, 1]]


@settings(deadline=None)
@given(st.data())
def test_a_record_comes_back_as_it_was(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=7))
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.dtype(">u4"), np.int64]))
    state = ProgramState(
        data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 100))),
        data.draw(hnp.arrays(bool, shape)),
        data.draw(hnp.arrays(bool, shape)),
    )
    again = ProgramState.from_json(json.loads(json.dumps(state.to_json())))
    assert again.labels.dtype == np.dtype(dtype).newbyteorder("=")
    for name in ("labels", "from_cam", "kept"):
        assert getattr(again, name).shape == shape
        assert (getattr(again, name) == getattr(state, name)).all()


def test_the_record_spelt_out() -> None:
    # 3 x 3 voxels: bit by bit from the highest, 9 bits in two bytes.
    marked = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1]], bool)
    facts = ProgramState(np.arange(9, dtype=np.uint8).reshape(3, 3), marked, ~marked).to_json()
    unpacked = {
        name: zlib.decompress(base64.b64decode(facts[name]))
        for name in ("labels", "from_cam", "kept")
    }
    assert unpacked == {
        "labels": bytes(range(9)),
        "from_cam": bytes([0b10000001, 0b10000000]),
        "kept": bytes([0b01111110, 0]),
    }


def _inflating() -> str:
    return base64.b64encode(zlib.compress(bytes(100_000))).decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [1, 2]},
        {"shape": [-1, 6]},
        {"shape": None},
        {"dtype": "|O"},
        {"dtype": "<f4"},
        {"labels": "no base64!"},
        {"labels": base64.b64encode(b"nothing deflated").decode()},
        {"labels": _inflating()},
        {"kept": _inflating()},
        {"labels": None},
    ],
)
def test_a_damaged_record_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(MaskError, match="damaged"):
        ProgramState.from_json({**fresh()[0].to_json(), **changed})


@pytest.mark.parametrize("facts", [None, [], {}, {"version": 2}])
def test_another_record_is_refused(facts: Any) -> None:
    with pytest.raises(MaskError, match="version"):
        ProgramState.from_json(facts)


def test_other_labels_are_refused() -> None:
    with pytest.raises(MaskError, match=r"\(2, 3\)"):
        fresh()[0].touched(np.zeros((2, 3), np.uint8))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["paint", "commit", "undo"]),
        hnp.arrays(np.uint8, (2, 2, 3), elements=st.integers(0, 3)),
        hnp.arrays(bool, (2, 2, 3)),
        st.sampled_from(["replace", "unlabelled", "from-cam"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(STEPS)
def test_any_course_of_painting_committing_and_undoing(steps: Any) -> None:
    """What a person's last stroke changed stands until the person changes or undoes it."""
    labels = np.zeros((2, 2, 3), np.uint8)
    state = ProgramState.start(labels)
    persons = np.zeros(labels.shape, bool)  # whose the last change was, kept by hand
    history: list[tuple[Commit | None, Any]] = []
    for what, values, where, mode in steps:
        before = (labels.copy(), persons.copy(), state)
        if what == "undo" and history:
            step, (old, owners, earlier) = history.pop()
            labels[...], persons[...] = old, owners
            state = state if step is None else state.undone(step)
            assert (state.labels == earlier.labels).all()
            assert (state.from_cam == earlier.from_cam).all()
        elif what == "paint":
            persons |= where & (labels != values)
            labels[where] = values[where]
            history.append((None, before))
        elif what == "commit":
            step = commit(labels, values, mode, state.touched(labels), state.from_cam)
            step.apply(labels)
            state = state.committed(step)
            history.append((step, before))
            kept = labels == before[0]
            # Painted back to what the program wrote, a voxel is the program's again.
            assert kept[persons & (before[0] != before[2].labels)].all()
            persons &= kept
        assert not (state.touched(labels) & ~persons).any()
