"""Only what lies downstream of a target layer, run again.

One recorded forward pass tells which submodules' outputs do not depend on the layer: the layer's
output is the only thing there that requires gradients. In later passes the outermost of these
modules return what they returned before, for as many rows as are asked for and without copying it.
Everything else (functional operations, concatenations with skip connections) runs as the network's
own forward says, so there is nothing to know about its architecture.

A network can depend on the layer in ways that autograd does not see, or write into what was
recorded. So nothing is believed: unchanged activations must give the recorded output for every
image, changed ones that of a full forward pass, and recorded tensors must stay as they were.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_cam.cams.network.tap import run_again, tap, widen
from napari_cam.errors import NapariCamError
from napari_cam.models.hooks import (
    POOLING_INPUT,
    Forward,
    FunctionCall,
    LayerRef,
    as_evaluated,
    meet_calls,
    meet_functions,
    plain_module,
    tensors_in,
)
from napari_cam.models.layers.pooling import find_pooling

_AGREEMENT = 1e-5

# Functions that look at a tensor without reading its numbers.
_LOOKING = ("size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous",
            "is_floating_point", "is_complex", "storage_offset", "element_size")  # fmt: skip


@dataclass(eq=False)
class _Slot:
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
    def of(cls, tensor: Tensor) -> _Slot:
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


class _NotReplayable(Exception):
    """A module's output is of no kind that could be given back."""


def _change(output: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return a module's output with everything of `kind` in it changed."""
    if isinstance(output, kind):
        return change(output)
    if isinstance(output, dict):
        items = {key: _change(item, kind, change) for key, item in output.items()}
        return items if type(output) is dict else type(output)(items)
    if isinstance(output, (tuple, list)):
        entries = [_change(item, kind, change) for item in output]
        return type(output)(*entries) if hasattr(output, "_fields") else type(output)(entries)
    if output is None or isinstance(output, (bool, int, float, str)):
        return output
    raise _NotReplayable


@dataclass(frozen=True, eq=False)
class _Read:
    """A function took a tensor that a module returned, in one of its versions."""

    tensor: Tensor
    version: int
    before: Tensor | None  # its numbers where the function is about to write into it


@dataclass(eq=False)
class _Call:
    """One call of a submodule, or the network's own."""

    part: nn.Module | None
    parent: _Call | None
    reads: list[_Read] = field(default_factory=list)
    pooled: int = 0  # calls of the pooling function inside of it
    largest: int = 0  # bytes of the largest tensor that a function made inside of it
    recorded: Any = None
    fixed: bool = False  # its output does not depend on the layer

    @property
    def visible(self) -> bool:
        """Whether it is met when fixed modules do not run."""
        return self.parent is None or (not self.parent.fixed and self.parent.visible)


class _Recorder:
    """Follows one forward pass: who called whom, and who reads what."""

    def __init__(self, pooling: FunctionCall | None) -> None:
        self.root = _Call(None, None)
        self.calls: list[_Call] = []
        self.needed: dict[tuple[int, int], _Read] = {}
        self.hidden = 0  # pooling calls made inside fixed modules
        self._open = [self.root]
        self._slots: dict[int, _Slot] = {}
        self._pooling = pooling
        self._pooling_met = False
        self._quiet = False  # while the recorder itself looks at tensors

    def begin(self, part: nn.Module) -> None:
        call = _Call(part, self._open[-1])
        self.calls.append(call)
        self._open.append(call)

    def end(self, part: nn.Module, output: Any) -> None:
        call = self._open.pop()
        if call.part is not part:
            raise _NotReplayable
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

    def _record(self, call: _Call, output: Any) -> None:
        tensors: list[Tensor] = []

        def note(tensor: Tensor) -> _Slot:
            tensors.append(tensor)
            return _Slot.of(tensor)

        try:
            recorded = _change(output, Tensor, note)
        except (_NotReplayable, TypeError):
            return
        one_row = all(t.ndim > 0 and t.shape[0] == 1 for t in tensors)
        if tensors and one_row and not any(tensor.requires_grad for tensor in tensors):
            call.recorded, call.fixed = recorded, True
            _change(recorded, _Slot, self._remember)

    def _remember(self, slot: _Slot) -> _Slot:
        self._slots[id(slot.watched())] = slot
        return slot

    def keep(self, call: _Call) -> None:
        """Keep what a call reads that will run again."""
        for read in call.reads:
            key = id(read.tensor), read.version
            if key not in self.needed or read.before is not None:
                self.needed[key] = read

    def before(self, call: FunctionCall, values: list[Any]) -> list[Any]:
        here = self._open[-1]
        if self._pooling is not None and call.function == self._pooling.function:
            here.pooled += not self._pooling_met
            self._pooling_met = self._pooling_met or call == self._pooling
        # What a property gives is known afterwards: a shape or type is no number read.
        if not self._quiet and call.function != "__get__" and call.function not in _LOOKING:
            self._note_reads(call, values)
        return values

    def after(self, call: FunctionCall, values: list[Any], result: Any) -> None:
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
            _change(call.recorded, _Slot, self._take)
        self.needed.clear()

    def _take(self, slot: _Slot) -> _Slot:
        watched = slot.watched()
        read = self.needed.get((id(watched), slot.version))
        if read is None or read.tensor is not watched:
            return slot
        if read.before is not None:
            slot.tensor, slot.version, slot.written = read.before, 0, True
        elif watched._version == slot.version:  # noqa: SLF001
            slot.tensor = watched
        else:
            raise _NotReplayable  # written into after it was read
        return slot


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _writes(call: FunctionCall, values: list[Any]) -> bool:
    """Whether a function may write into what it takes: relu_, __iadd__, relu(x, inplace=True)."""
    name = call.function
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name.startswith(("__i", "__setitem__")) or any(v is True for v in values)


@dataclass(frozen=True, eq=False)
class Replay:
    """The part of a network that lies downstream of a layer, for one image.

    Attributes
    ----------
    module, image
        The network and the image (1, c, *s).
    layer, pooling
        Where changed activations go in, counted as calls of a pass that runs no fixed module.
    sequences
        Module -> what its calls of such a pass give; None where it runs.
    row_bytes
        Bytes of the largest tensor that a pass makes for one row.
    """

    module: nn.Module
    image: Tensor
    layer: LayerRef
    pooling: FunctionCall | None
    sequences: dict[nn.Module, list[Any]]
    row_bytes: int
    autocast: torch.dtype | None = None

    def run(self, maps: Tensor) -> Tensor | None:
        """Return the scores of the image with activations (m, k, *f), None where that failed."""
        count = len(maps)
        rows = self.image.expand(count, *self.image.shape[1:])
        forwards = {part: _stub(calls, count) for part, calls in self.sequences.items()}
        try:
            output = run_again(
                self.module, rows, self.layer, maps, self.autocast, self.pooling, forwards
            )
        except NapariCamError:
            return None
        return output if self._unchanged() and len(output) == count else None

    def _unchanged(self) -> bool:
        slots: list[_Slot] = []
        for calls in self.sequences.values():
            for recorded in calls:
                _change(recorded, _Slot, slots.append)
        return all(
            slot.tensor is None or slot.tensor._version == slot.version  # noqa: SLF001
            for slot in slots
        )


def _stub(calls: list[Any], count: int) -> Callable[[Forward], Forward]:
    """Return what makes a forward that gives back what was recorded."""

    def make(own: Forward) -> Forward:
        waiting = iter(calls)

        def forward(*args: Any, **kwargs: Any) -> Any:
            recorded = next(waiting, None)
            if recorded is None:
                return own(*args, **kwargs)
            return _change(recorded, _Slot, lambda slot: slot.rows(count))

        return forward

    return make


# Which (layer, input shape, precision, parts) of a network have given changed activations' scores.
_PROVED: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], bool]] = WeakKeyDictionary()


def find_replay(
    module: nn.Module, image: Tensor, layer: LayerRef, autocast: torch.dtype | None = None
) -> Replay | None:
    """Return a proved way to run only what is downstream of `layer`, None where there is none.

    Parameters
    ----------
    image
        (1, c, *s).
    """
    module = plain_module(module)
    known = _PROVED.setdefault(module, {})
    key = (layer, image.shape[1:], image.dtype, autocast, tuple(map(id, module.modules())))
    if known.get(key) is False:
        return None
    try:
        found = _record(module, image, layer, autocast)
    except (_NotReplayable, NapariCamError):
        known[key] = False
        return None
    replay, activations, output = found
    changed = activations * _factors(activations)
    given = replay.run(torch.cat([activations, changed]))
    if given is None or not _agree(given[:1], output, autocast or image.dtype):
        known[key] = False
        return None
    if key not in known:
        whole = run_again(module, image, layer, changed, autocast)
        agreed = _agree(given[1:], whole, autocast or image.dtype)
        if agreed and (not bool(whole.isfinite().all()) or torch.equal(whole, output)):
            return replay  # right for this image; one with NaN or without maps proves no more
        known[key] = agreed
    return replay if known[key] else None


def _factors(activations: Tensor) -> Tensor:
    """Return a factor between -1 and 1 for each place and channel, always the same."""
    drawn = torch.rand(activations.shape, generator=torch.Generator().manual_seed(0))
    return (2 * drawn - 1).to(activations)


def _agree(given: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    if given.shape != expected.shape:
        return False
    magnitude = float(expected.nan_to_num(0, 0, 0).abs().max()) if expected.numel() else 0.0
    tolerance = max(_AGREEMENT, 4 * torch.finfo(dtype).eps) if dtype.itemsize < 4 else _AGREEMENT
    return torch.allclose(given, expected, rtol=0, atol=tolerance * magnitude, equal_nan=True)


def _record(
    module: nn.Module, image: Tensor, layer: LayerRef, autocast: torch.dtype | None
) -> tuple[Replay, Tensor, Tensor]:
    """Return the replay, the layer's activations (1, k, *f) and the network's output."""
    pooling = find_pooling(module, image).call if layer.module == POOLING_INPUT else None
    recorder = _Recorder(pooling)
    with (
        torch.inference_mode(False),
        as_evaluated(module, image.device),
        meet_calls(module, recorder.begin, recorder.end),
        meet_functions(recorder.before, recorder.after),
    ):
        tapped = tap(module, image, [layer], autocast)
    recorder.finish()
    sequences: dict[nn.Module, list[Any]] = {}
    for call in recorder.calls:
        if call.visible and call.part is not None:
            sequences.setdefault(call.part, []).append(call.recorded if call.fixed else None)
    sequences = {part: calls for part, calls in sequences.items() if any(calls)}
    replay = Replay(
        module,
        image,
        _renumbered(module, layer, recorder),
        pooling and FunctionCall(pooling.function, pooling.count - recorder.hidden),
        sequences,
        max(recorder.root.largest, 1),
        autocast,
    )
    return replay, widen(tapped.activations[layer].detach()), tapped.output.detach()


def _renumbered(module: nn.Module, layer: LayerRef, recorder: _Recorder) -> LayerRef:
    """Return `layer` with its call counted among those that still happen."""
    if layer.module == POOLING_INPUT:
        return layer
    part = module.get_submodule(layer.module)
    calls = [call for call in recorder.calls if call.part is part]
    target = calls[(layer.call or 1) - 1]
    if not target.visible:
        raise _NotReplayable
    earlier = Counter(call.visible for call in calls[: (layer.call or 1)])[True]
    return LayerRef(layer.module, earlier, layer.output)
