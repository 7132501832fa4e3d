"""Which labels a person touched: all that differ from what the program itself wrote last.

Comparing, and not following events, is what holds through undo, fill, direct assignment and other
plugins. It has two consequences. A stroke that is undone, or painted back by hand, leaves its
voxels untouched. And painting a voxel with the value it already has cannot be seen (napari itself
emits nothing then): who wants to protect labels as they are says so (`keep`), as a review tick
does.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.seeds.commit import Commit

_VERSION = 1
_TYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")


@dataclass(frozen=True, eq=False)
class ProgramState:
    """What the program wrote into labels, so that all else is a person's.

    Frozen: each method returns the state that follows.

    Attributes
    ----------
    labels
        Integers, what the program wrote last into each voxel (or found there at the start).
    from_cam
        bool, where that came from a CAM.
    kept
        bool, where labels are to stay even though they are as the program left them.
    """

    labels: NDArray[Any] = field(repr=False)
    from_cam: NDArray[np.bool_] = field(repr=False)
    kept: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def start(cls, labels: NDArray[Any], from_cam: NDArray[np.bool_] | None = None) -> ProgramState:
        """Return the state in which nobody has touched `labels`."""
        nowhere = np.zeros(labels.shape, bool)
        return cls(labels.copy(), nowhere if from_cam is None else from_cam.copy(), nowhere)

    def touched(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where `labels` are a person's: changed since the program wrote them, or kept.

        Raises
        ------
        MaskError
            Where the labels have another shape.
        """
        if labels.shape != self.labels.shape:
            raise MaskError(
                f"The labels have shape {labels.shape} but what was written into them "
                f"{self.labels.shape}; they are other labels."
            )
        changed: NDArray[np.bool_] = labels != self.labels
        return changed | self.kept

    def committed(self, step: Commit) -> ProgramState:
        """Return the state after `step` was applied, or undone and redone."""
        return self._written(step, step.values, step.from_cam[step.where])

    def undone(self, step: Commit) -> ProgramState:
        """Return the state after `step`, the last one that stood, was undone.

        Without this its voxels would count as a person's: nothing in the labels themselves tells
        an undo from a person who erases all that the step wrote.
        """
        return self._written(step, step.before, step.was_from_cam)

    def keep(self, where: Any) -> ProgramState:
        """Return the state in which the labels at `where` (any NumPy index) are a person's."""
        return self._kept(where, True)

    def release(self, where: Any) -> ProgramState:
        """Return the state in which the labels at `where` are kept no longer."""
        return self._kept(where, False)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON, for `from_json`.

        The codes are deflated byte for byte, the two masks as packed bits, both then base64: large
        areas of one label, which labels consist of, take next to nothing.
        """
        written = np.ascontiguousarray(self.labels, self.labels.dtype.newbyteorder("<"))
        return {
            "version": _VERSION,
            "shape": list(written.shape),
            "dtype": written.dtype.str,
            "labels": _deflated(written.tobytes()),
            "from_cam": _deflated(np.packbits(self.from_cam).tobytes()),
            "kept": _deflated(np.packbits(self.kept).tobytes()),
        }

    @classmethod
    def from_json(cls, facts: Any) -> ProgramState:
        """Return the state that `to_json` stated.

        Raises
        ------
        MaskError
            Where `facts` is no such record, or one of a later version.
        """
        if not isinstance(facts, Mapping) or facts.get("version") != _VERSION:
            version = facts.get("version") if isinstance(facts, Mapping) else None
            raise MaskError(
                f"The record of edited labels has version {version!r}, but {_VERSION} is what can "
                "be read; open it with the napari-cam that wrote it."
            )
        try:
            shape = tuple(int(n) for n in facts["shape"])
            if min(shape, default=0) < 0 or facts["dtype"] not in _TYPES:
                raise ValueError("shape or type")
            dtype = np.dtype(facts["dtype"])
            size = math.prod(shape)
            written = _inflated(facts["labels"], size * dtype.itemsize)
            labels = np.frombuffer(written, dtype).reshape(shape)
            masks = [
                np.unpackbits(np.frombuffer(_inflated(facts[name], -(-size // 8)), np.uint8))[:size]
                for name in ("from_cam", "kept")
            ]
        except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
            raise MaskError(
                "The record of which labels were edited by hand is damaged; without it all labels "
                "of the file count as edited."
            ) from error
        from_cam, kept = (mask.astype(bool).reshape(shape) for mask in masks)
        return cls(labels.astype(dtype.newbyteorder("=")), from_cam, kept)

    def _written(self, step: Commit, values: NDArray[Any], came: NDArray[np.bool_]) -> ProgramState:
        labels, from_cam = self.labels.copy(), self.from_cam.copy()
        labels[step.where], from_cam[step.where] = values, came
        return replace(self, labels=labels, from_cam=from_cam)

    def _kept(self, where: Any, value: bool) -> ProgramState:
        kept = self.kept.copy()
        kept[where] = value
        return replace(self, kept=kept)


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def _inflated(text: str, size: int) -> bytes:
    """Return exactly `size` bytes; a record that would unfold into more is refused unread."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
    if len(content) != size or not (size == 0 or unpacker.eof):
        raise ValueError("length")
    return content
