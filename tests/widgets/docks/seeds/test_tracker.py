"""Whose voxels are whose, against a model that remembers every state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cam.labels.seeds.commit import commit
from napari_cam.labels.seeds.hand_edits import ProgramState
from napari_cam.widgets.docks.seeds.control.tracker import Tracker, open_tracker

SHAPE = (2, 3, 4)
SIZE = 24


class Editor:
    """Labels with an undo like napari's, and for each state which voxels a person touched."""

    def __init__(self):
        self.labels = np.zeros(SHAPE, np.uint8)
        self.hand = np.zeros(SHAPE, bool)
        self.done, self.undone = [], []
        self.tracker = Tracker(self.labels, ProgramState.start(self.labels))

    def step(self, labels, hand):
        self.done.append((self.labels, self.hand))
        self.undone.clear()
        self.labels, self.hand = labels, hand

    def paint(self, places, label):
        labels = self.labels.copy()
        labels.reshape(-1)[places] = label
        if (labels == self.labels).all():
            return  # napari notes nothing then
        self.step(labels, self.hand | (labels != self.labels))
        self.tracker.update(self.labels, announced=True)

    def commit(self, values, mode):
        proposal = np.array(values, np.uint8).reshape(SHAPE)
        made = commit(self.labels, proposal, mode, self.tracker.touched, self.tracker.from_cam)
        if not len(made):
            return
        assert not self.hand[made.where].any(), "a commit changed what a person touched"
        labels = self.labels.copy()
        made.apply(labels)
        self.step(labels, self.hand)
        self.tracker.committed(made)

    def walk(self, source, target, times):
        for _ in range(times):
            if source:
                target.append((self.labels, self.hand))
                self.labels, self.hand = source.pop()
        self.tracker.update(self.labels)


OPS = st.one_of(
    st.tuples(
        st.just("paint"),
        st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=5, unique=True),
        st.integers(0, 3),
    ),
    st.tuples(
        st.just("commit"),
        st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE),
        st.sampled_from(["replace", "unlabelled", "from-cam"]),
    ),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPS, max_size=14))
def test_what_a_person_touched_is_known_through_any_sequence(operations):
    editor = Editor()
    for name, *arguments in operations:
        if name == "undo":
            editor.walk(editor.done, editor.undone, 1)
        elif name == "redo":
            editor.walk(editor.undone, editor.done, 1)
        else:
            getattr(editor, name)(*arguments)
        np.testing.assert_array_equal(editor.tracker.touched, editor.hand)


def test_several_steps_undone_at_once_as_of_a_hidden_layer():
    editor = Editor()
    editor.paint([0, 1], 2)
    editor.commit([1] * SIZE, "replace")
    editor.paint([5], 3)
    editor.commit([2] * SIZE, "from-cam")
    before = editor.tracker.touched
    assert before.sum() == 3
    editor.walk(editor.done, editor.undone, 3)
    np.testing.assert_array_equal(editor.tracker.touched, editor.hand)
    assert editor.hand.sum() == 2
    editor.walk(editor.undone, editor.done, 3)
    np.testing.assert_array_equal(editor.tracker.touched, before)


def test_painted_to_and_fro_is_touched():
    labels = np.zeros(SHAPE, np.uint8)
    tracker = Tracker(labels, ProgramState.start(labels))
    for value in (2, 0):
        labels[1, 2, 3] = value
        assert tracker.update(labels, announced=True) == "edit"
    assert np.argwhere(tracker.touched).tolist() == [[1, 2, 3]]
    made = commit(labels, np.full(SHAPE, 2, np.uint8), "replace", tracker.touched, tracker.from_cam)
    assert len(made) == SIZE - 1


def test_undo_is_told_from_an_edit_and_redo_too():
    labels = np.zeros(SHAPE, np.uint8)
    tracker = Tracker(labels, ProgramState.start(labels))
    labels[0, 1] = 2
    assert tracker.update(labels, announced=True) == "edit"
    labels[0, 1] = 0
    assert tracker.update(labels) == "undo"
    assert not tracker.touched.any()
    labels[0, 1] = 2
    assert tracker.update(labels) == "redo"
    assert tracker.touched.sum() == 4
    labels[0, 1, 0] = 0
    assert tracker.update(labels) == "edit"
    assert tracker.update(labels) == "none"


def test_labels_of_another_shape_are_all_a_persons():
    tracker = Tracker(np.zeros(SHAPE, np.uint8))
    other = np.zeros((2, 3, 5), np.uint8)
    other[1, 1] = 3
    assert tracker.update(other) == "edit"
    np.testing.assert_array_equal(tracker.touched, other != 0)


def test_labels_without_a_record_are_a_persons():
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0] = 7
    tracker, note = open_tracker(labels, None)
    assert not note
    np.testing.assert_array_equal(tracker.touched, labels == 7)


@pytest.mark.parametrize(
    "record", [{"version": 1}, {"version": 99}, "x", ProgramState.start(np.zeros(3)).__dict__]
)
def test_a_damaged_record_protects_everything(record):
    labels = np.full(SHAPE, 2, np.uint8)
    tracker, note = open_tracker(labels, record)
    assert tracker.touched.all()
    assert note.endswith(".")
