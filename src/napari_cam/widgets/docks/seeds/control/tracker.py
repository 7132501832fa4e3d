"""Which voxels of a labels layer a person touched: a journal beside napari's own undo.

:class:`~napari_cam.labels.seeds.hand_edits.ProgramState` compares the labels with what the program
wrote. Two things need to be known beside that: a voxel that a person painted to and fro, which
compares as untouched, and an undo, which compares as an edit. Both are told by a journal of what
changed from one update to the next. Nothing here asks napari for its history, which is its own
business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.seeds.commit import Commit, Where
from napari_cam.labels.seeds.hand_edits import ProgramState

Change = Literal["none", "undo", "redo", "edit"]
_LIMIT = 100  # as many steps as napari keeps


@dataclass(frozen=True, eq=False)
class _Step:
    """What changed at once: where, from what, into what, and whose it was.

    `kept` says for each voxel whether it was a person's before; `commit` is None for a person's.
    """

    where: Where
    before: NDArray[Any]
    after: NDArray[Any]
    kept: NDArray[np.bool_]
    commit: Commit | None


class Tracker:
    """Follows the labels of one layer from update to update.

    Parameters
    ----------
    labels
        Integers as they are now.
    state
        What the program wrote; None for labels that are all a person's, as those that were opened
        from elsewhere.

    Attributes
    ----------
    state
        What the program wrote, and which voxels are a person's whatever they compare like.
    """

    def __init__(self, labels: NDArray[Any], state: ProgramState | None = None) -> None:
        self._begin(labels, state)

    def _begin(self, labels: NDArray[Any], state: ProgramState | None) -> None:
        self._known = np.array(labels)
        self.state = _all_by_hand(labels) if state is None else state
        self._done: deque[_Step] = deque(maxlen=_LIMIT)
        self._undone: list[_Step] = []

    @classmethod
    def reopened(cls, labels: NDArray[Any], record: Any) -> Tracker:
        """Return the tracker of labels that were saved with the `record` of `ProgramState`.

        What changed in between is a person's: another program may have edited the file.

        Raises
        ------
        MaskError
            Where the record is damaged or of other labels.
        """
        state = ProgramState.from_json(record)
        state.touched(labels)  # raises where the shape is another
        return cls(labels, state)

    @property
    def from_cam(self) -> NDArray[np.bool_]:
        """Where labels came from a CAM and nobody has changed them since."""
        return self.state.from_cam & ~self.state.touched(self._known)

    @property
    def touched(self) -> NDArray[np.bool_]:
        """Where labels are a person's, as of the last update."""
        return self.state.touched(self._known)

    def update(self, labels: NDArray[Any], announced: bool = False) -> Change:
        """Take note of what changed since the last update.

        Parameters
        ----------
        labels
            As they are now.
        announced
            Whether napari said that something is being painted; else a change that equals a step
            of the journal backwards or forwards is that undo or redo.
        """
        if labels.shape != self._known.shape:
            self._begin(labels, None)  # other labels were put in their place
            return "edit"
        changed = labels != self._known
        if not changed.any():
            return "none"
        if not announced:
            if self._walk(labels, changed, self._done, self._undone, back=True):
                return "undo"
            if self._walk(labels, changed, self._undone, self._done, back=False):
                return "redo"
        where = np.nonzero(changed)
        self._note(where, labels[where], None)
        self.state = self.state.keep(where)
        return "edit"

    def committed(self, step: Commit) -> None:
        """Take note of a commit that has just been written, and of nothing else."""
        self._note(step.where, step.values, step)
        self.state = self.state.committed(step)

    def _note(self, where: Where, after: NDArray[Any], commit: Commit | None) -> None:
        kept = self.state.kept[where]
        self._done.append(_Step(where, self._known[where], np.array(after), kept, commit))
        self._undone.clear()
        self._known[where] = after

    def _walk(
        self,
        labels: NDArray[Any],
        changed: NDArray[np.bool_],
        source: deque[_Step] | list[_Step],
        target: deque[_Step] | list[_Step],
        back: bool,
    ) -> bool:
        """Go so many steps back (or on) as explain all that changed; False where none do.

        Several at once happen while a layer is hidden: napari then says nothing of an undo.
        """
        steps = _explaining(labels, changed, self._known, reversed(source), back)
        for _ in range(steps):
            step = source.pop()
            target.append(step)
            self._known[step.where] = step.before if back else step.after
            self.state = _back(self.state, step) if back else _on(self.state, step)
        return steps > 0


def _explaining(
    labels: NDArray[Any],
    changed: NDArray[np.bool_],
    known: NDArray[Any],
    steps: Iterable[_Step],
    back: bool,
) -> int:
    """Return how many `steps` turn `known` into `labels`, 0 where none do."""
    trial: NDArray[Any] | None = None
    for number, step in enumerate(steps, 1):
        values = step.before if back else step.after
        if trial is None:
            if not changed[step.where].any():
                return 0  # what changed has nothing to do with the journal's end
            trial = known.copy()
        trial[step.where] = values
        if np.array_equal(trial, labels):
            return number
    return 0


def _back(state: ProgramState, step: _Step) -> ProgramState:
    if step.commit is not None:
        return state.undone(step.commit)
    kept = state.kept.copy()
    kept[step.where] = step.kept
    return replace(state, kept=kept)


def _on(state: ProgramState, step: _Step) -> ProgramState:
    return state.keep(step.where) if step.commit is None else state.committed(step.commit)


def _all_by_hand(labels: NDArray[Any]) -> ProgramState:
    return ProgramState.start(labels).keep(labels != 0)


def open_tracker(labels: NDArray[Any], record: Any) -> tuple[Tracker, str]:
    """Return the tracker of a layer's labels and what to tell: "" where all is as it was saved.

    Parameters
    ----------
    labels
        As they are now.
    record
        What the layer's metadata says of what the program wrote; None where it says nothing.
    """
    if record is None:
        return Tracker(labels), ""
    try:
        return Tracker.reopened(labels, record), ""
    except MaskError as error:
        return Tracker(labels), str(error)
