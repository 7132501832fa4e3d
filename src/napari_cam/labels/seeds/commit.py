"""Committing: a proposal becomes labels in one step, and never where a person has painted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.labels.choices import MODES, Mode
from napari_cam.labels.classes import HIGHEST, UNLABELLED

Where = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, eq=False)
class Commit:
    """One step of editing: the k voxels that change, with what stood there and what will.

    Attributes
    ----------
    where
        One (k,) index array per axis, for ``labels[where]`` and napari's ``data_setitem``.
    values
        (k,) of the labels' type, each other than what stands there.
    before
        (k,) what stood there.
    from_cam
        bool of the labels' shape: whether each label will have come from a CAM.
    was_from_cam
        (k,) bool, whether it had come from one before.
    """

    where: Where
    values: NDArray[Any]
    before: NDArray[Any]
    from_cam: NDArray[np.bool_] = field(repr=False)
    was_from_cam: NDArray[np.bool_] = field(repr=False)

    def __len__(self) -> int:
        return len(self.values)

    def apply(self, labels: NDArray[Any]) -> None:
        """Write the step into `labels`."""
        labels[self.where] = self.values

    def undo(self, labels: NDArray[Any]) -> None:
        """Write back what stood in `labels` before the step."""
        labels[self.where] = self.before


def commit(
    labels: NDArray[Any],
    proposal: NDArray[Any],
    mode: Mode,
    touched: NDArray[np.bool_],
    from_cam: NDArray[np.bool_],
    *,
    code: int | None = None,
    erase: bool = True,
    within: NDArray[np.bool_] | None = None,
) -> Commit:
    """Say what a proposal changes in labels; nothing is written yet.

    What a person touched stays as it is in every mode, also where they erased. A proposal's 0
    says nothing about a voxel, so it takes back nothing but what a CAM once said there (`erase`):
    labels that came with a file stay.

    Parameters
    ----------
    labels
        Integers of any shape.
    proposal
        Seeds: uint8 of the same shape, 0 unlabelled. Or a mask (bool), with the `code` of its
        class.
    mode
        "replace": everywhere. "unlabelled": only where the labels are 0. "from-cam": only where
        the label came from a CAM before.
    touched
        bool of the same shape, what a person painted or erased (see
        :class:`napari_cam.labels.seeds.hand_edits.ProgramState`).
    from_cam
        bool of the same shape, where the label came from a CAM. A label that a CAM merely agrees
        with does not come from it.
    code
        The class of a mask, 1 to 255; earlier CAM labels of other classes are then not erased.
    erase
        Whether earlier CAM labels go where the proposal is 0; nothing is erased in mode
        "unlabelled".
    within
        bool of the same shape, to commit a slice or a region alone; None for everywhere.

    Raises
    ------
    MaskError
        Where shapes or types do not fit, the mode is unknown, or a mask comes without a code.
    """
    MODES.checked(mode)
    labels = np.asarray(labels)
    if labels.dtype.kind not in "ui":
        raise MaskError(f"The labels hold {labels.dtype}, not integers; convert them to uint8.")
    proposed = _proposed(np.asarray(proposal), code, labels)
    for name, mask in (("touched", touched), ("from_cam", from_cam), ("within", within)):
        if mask is not None:
            checks.mask(mask, f"'{name}'", MaskError, labels.shape)
    allowed = ~touched if within is None else ~touched & within
    if mode == "unlabelled":
        allowed &= labels == UNLABELLED
    elif mode == "from-cam":
        allowed &= from_cam
    erased = proposed == UNLABELLED
    if erase and mode != "unlabelled":
        erased &= ~from_cam if code is None else ~(from_cam & (labels == code))
    allowed &= ~erased
    allowed &= labels != proposed
    flat = np.flatnonzero(allowed)  # one number per voxel is much faster than one per axis
    values, was_from_cam = proposed.reshape(-1)[flat], from_cam.reshape(-1)[flat]
    updated = from_cam.copy()
    updated.reshape(-1)[flat] = values != UNLABELLED
    before = labels.reshape(-1)[flat]
    return Commit(np.unravel_index(flat, labels.shape), values, before, updated, was_from_cam)


def _proposed(proposal: NDArray[Any], code: int | None, labels: NDArray[Any]) -> NDArray[Any]:
    """Return the proposal as codes of the labels' type."""
    if proposal.shape != labels.shape:
        raise MaskError(
            f"The proposal has shape {proposal.shape} but the labels {labels.shape}; "
            "give both on one grid."
        )
    highest = min(HIGHEST, int(np.iinfo(labels.dtype).max))
    if proposal.dtype == np.bool_:
        what = "The code of the class that a mask is of"
        code = checks.whole(code, what, MaskError, least=1, most=highest)
        painted: NDArray[Any] = proposal * labels.dtype.type(code)
        return painted
    if code is not None:
        raise MaskError("Seeds state their own codes; give a code with a mask (bool) only.")
    if proposal.dtype != np.uint8:
        raise MaskError(
            f"A proposal is seeds (uint8) or a mask (bool), not {proposal.dtype}; convert it."
        )
    if proposal.size and int(proposal.max()) > highest:
        raise MaskError(
            f"The proposal holds {int(proposal.max())}, which labels of {labels.dtype} cannot; "
            "convert them to uint8."
        )
    return proposal.astype(labels.dtype, copy=False)
