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

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_cam.cams.network.recording import NotReplayable, Recorder, Slot, change_outputs
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
)
from napari_cam.models.layers.pooling import find_pooling

_AGREEMENT = 1e-5


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
        slots: list[Slot] = []
        for calls in self.sequences.values():
            for recorded in calls:
                change_outputs(recorded, Slot, slots.append)
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
            return change_outputs(recorded, Slot, lambda slot: slot.rows(count))

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
    except (NotReplayable, NapariCamError):
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
    recorder = Recorder(pooling)
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


def _renumbered(module: nn.Module, layer: LayerRef, recorder: Recorder) -> LayerRef:
    """Return `layer` with its call counted among those that still happen."""
    if layer.module == POOLING_INPUT:
        return layer
    part = module.get_submodule(layer.module)
    calls = [call for call in recorder.calls if call.part is part]
    target = calls[(layer.call or 1) - 1]
    if not target.visible:
        raise NotReplayable
    earlier = Counter(call.visible for call in calls[: (layer.call or 1)])[True]
    return LayerRef(layer.module, earlier, layer.output)
