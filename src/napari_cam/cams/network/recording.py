"""A forward pass recorded: who called whom, what modules returned, and who reads it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from napari_cam.models.hooks import (
    FunctionCall,
    tensors_in,
)

# Functions that look at a tensor without reading its numbers.
_LOOKING = ("size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous",
            "is_floating_point", "is_complex", "storage_offset", "element_size")  # fmt: skip


@dataclass(eq=False)
class Slot:
    """A tensor that a module returned.

    While the pass is recorded it is only watched, so that recording keeps no more alive than the
    forward pass itself and what the rest of the network reads.
    """

    watched: weakref.ref[Tensor]
    version: int
    shape: torch.Size
    like: Tensor  # of no length, of the same type and place
    tensor: Tensor | None = None
    written: bool = False  # whoever reads it writes into it, and gets a copy to write into

    @classmethod
    def of(cls, tensor: Tensor) -> Slot:
        """Return the slot that watches a tensor."""
        version = tensor._version  # noqa: SLF001
        return cls(weakref.ref(tensor), version, tensor.shape, tensor.detach().new_empty(0))

    def rows(self, count: int) -> Tensor:
        """Return the tensor for `count` rows, or one of its shape where nobody reads it."""
        if self.tensor is None:
            # Whoever reads it after all reads what is no number, and the proof fails.
            fill = torch.nan if self.like.is_floating_point() else 0
            return self.like.new_full((1,), fill).expand(count, *self.shape[1:])
        rows = self.tensor.expand(count, *self.shape[1:])
        return rows.clone() if self.written else rows


class NotReplayable(Exception):
    """A module's output is of no kind that could be given back."""


def change_outputs(output: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return a module's output with everything of `kind` in it changed."""
    if isinstance(output, kind):
        return change(output)
    if isinstance(output, dict):
        items = {key: change_outputs(item, kind, change) for key, item in output.items()}
        return items if type(output) is dict else type(output)(items)
    if isinstance(output, (tuple, list)):
        entries = [change_outputs(item, kind, change) for item in output]
        return type(output)(*entries) if hasattr(output, "_fields") else type(output)(entries)
    if output is None or isinstance(output, (bool, int, float, str)):
        return output
    raise NotReplayable


@dataclass(frozen=True, eq=False)
class _Read:
    """A function took a tensor that a module returned, in one of its versions."""

    tensor: Tensor
    version: int
    before: Tensor | None  # its numbers where the function is about to write into it


@dataclass(eq=False)
class Call:
    """One call of a submodule, or the network's own."""

    part: nn.Module | None
    parent: Call | None
    reads: list[_Read] = field(default_factory=list)
    pooled: int = 0  # calls of the pooling function inside of it
    largest: int = 0  # bytes of the largest tensor that a function made inside of it
    recorded: Any = None
    fixed: bool = False  # its output does not depend on the layer

    @property
    def visible(self) -> bool:
        """Whether it is met when fixed modules do not run."""
        return self.parent is None or (not self.parent.fixed and self.parent.visible)


class Recorder:
    """Follows one forward pass: who called whom, and who reads what."""

    def __init__(self, pooling: FunctionCall | None) -> None:
        self.root = Call(None, None)
        self.calls: list[Call] = []
        self.needed: dict[tuple[int, int], _Read] = {}
        self.hidden = 0  # pooling calls made inside fixed modules
        self._open = [self.root]
        self._slots: dict[int, Slot] = {}
        self._pooling = pooling
        self._pooling_met = False
        self._quiet = False  # while the recorder itself looks at tensors

    def begin(self, part: nn.Module) -> None:
        """Note that a submodule is called."""
        call = Call(part, self._open[-1])
        self.calls.append(call)
        self._open.append(call)

    def end(self, part: nn.Module, output: Any) -> None:
        """Note what a submodule returned, and whether it depends on the layer."""
        call = self._open.pop()
        if call.part is not part:
            raise NotReplayable
        self._quiet = True
        try:
            self._record(call, output)
        finally:
            self._quiet = False
        parent = self._open[-1]
        parent.pooled += call.pooled
        parent.largest = max(parent.largest, 0 if call.fixed else call.largest)
        if not call.fixed:
            self.keep(call)
        call.reads.clear()

    def _record(self, call: Call, output: Any) -> None:
        tensors: list[Tensor] = []

        def note(tensor: Tensor) -> Slot:
            tensors.append(tensor)
            return Slot.of(tensor)

        try:
            recorded = change_outputs(output, Tensor, note)
        except (NotReplayable, TypeError):
            return
        one_row = all(t.ndim > 0 and t.shape[0] == 1 for t in tensors)
        if tensors and one_row and not any(tensor.requires_grad for tensor in tensors):
            call.recorded, call.fixed = recorded, True
            change_outputs(recorded, Slot, self._remember)

    def _remember(self, slot: Slot) -> Slot:
        self._slots[id(slot.watched())] = slot
        return slot

    def keep(self, call: Call) -> None:
        """Keep what a call reads that will run again."""
        for read in call.reads:
            key = id(read.tensor), read.version
            if key not in self.needed or read.before is not None:
                self.needed[key] = read

    def before(self, call: FunctionCall, values: list[Any]) -> list[Any]:
        """Note what a function reads."""
        here = self._open[-1]
        if self._pooling is not None and call.function == self._pooling.function:
            here.pooled += not self._pooling_met
            self._pooling_met = self._pooling_met or call == self._pooling
        # What a property gives is known afterwards: a shape or type is no number read.
        if not self._quiet and call.function != "__get__" and call.function not in _LOOKING:
            self._note_reads(call, values)
        return values

    def after(self, call: FunctionCall, values: list[Any], result: Any) -> None:
        """Note how large what a function made is."""
        if self._quiet:
            return
        made = list(tensors_in(result).values())
        if call.function == "__get__" and made:
            self._note_reads(call, values)
        here = self._open[-1]
        taken = {_storage(t) for value in values for t in tensors_in(value).values()}
        sizes = (t.numel() * t.element_size() for t in made if _storage(t) not in taken)
        here.largest = max([here.largest, *sizes])

    def _note_reads(self, call: FunctionCall, values: list[Any]) -> None:
        here = self._open[-1]
        # A module without parts that reads what is fixed is fixed itself.
        outer = here.part is None or any(True for _ in here.part.children())
        for value in values:
            for tensor in tensors_in(value).values():
                slot = self._slots.get(id(tensor))
                if slot is not None and slot.watched() is tensor:
                    before = tensor.detach().clone() if outer and _writes(call, values) else None
                    here.reads.append(_Read(tensor, tensor._version, before))  # noqa: SLF001

    def finish(self) -> None:
        """Take the tensors that are read later, and let go of the others."""
        self.keep(self.root)
        self.root.reads.clear()
        fixed = [call for call in self.calls if call.fixed and call.visible]
        self.hidden = sum(call.pooled for call in fixed)
        for call in fixed:
            change_outputs(call.recorded, Slot, self._take)
        self.needed.clear()

    def _take(self, slot: Slot) -> Slot:
        watched = slot.watched()
        read = self.needed.get((id(watched), slot.version))
        if read is None or read.tensor is not watched:
            return slot
        if read.before is not None:
            slot.tensor, slot.version, slot.written = read.before, 0, True
        elif watched._version == slot.version:  # noqa: SLF001
            slot.tensor = watched
        else:
            raise NotReplayable  # written into after it was read
        return slot


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _writes(call: FunctionCall, values: list[Any]) -> bool:
    """Whether a function may write into what it takes: relu_, __iadd__, relu(x, inplace=True)."""
    name = call.function
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name.startswith(("__i", "__setitem__")) or any(v is True for v in values)
