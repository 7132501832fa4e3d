"""A private copy of the network that gives the same numbers sooner.

Nothing below the target layer is differentiated, so all of it is inference: batch norms go into
the convolutions before them, and on the CPU convolutions run with their channels last in memory.
The copy shares every tensor with the user's network but the weights of convolutions, holds one
version of those, and is proved against the network before it is used. Where a network is unusual
in any way, it runs as it is.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from napari_cam.cams.network.folding import Pair, find_pairs, fold
from napari_cam.cams.network.tap import tap
from napari_cam.models.device import Fingerprint, exact_float32, fingerprint
from napari_cam.models.hooks import LayerRef, as_evaluated, plain_module

# How far outputs and target tensors of the copy may lie from the network's own, relative to their
# largest value. What is right differs by rounding, about 1e-6.
_TOLERANCE = 2e-5

# Pairs are found, and the copy proved, on a small image where the network takes one: the same
# modules run, at a fraction of the cost.
_SMALL = {2: 64, 3: 32}

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, eq=False)
class Runner:
    """What a forward pass runs on.

    Attributes
    ----------
    module
        The user's network, or the private copy.
    path
        How it runs, in words for the record.
    channels_last
        Whether batches are laid out so.
    """

    module: nn.Module
    path: str = "plain"
    channels_last: bool = False

    def lay_out(self, batch: Tensor) -> Tensor:
        """Return a batch (n, c, *s) in the memory layout that the module runs best on."""
        return batch.contiguous(memory_format=_layout(batch)) if self.channels_last else batch


@dataclass(frozen=True, eq=False)
class _KeptCopy:
    """What runs in a network's place, the pairs it has, and those that its layers leave to fold.

    It holds the copy alone, None where there is none: what refers to the network itself would keep
    it alive.
    """

    fingerprint: Fingerprint
    pairs: frozenset[Pair]
    foldable: frozenset[Pair]
    copy: nn.Module | None
    path: str
    channels_last: bool = False

    def runner(self, module: nn.Module) -> Runner:
        """Return what to run for `module`, of which this was made."""
        return Runner(module if self.copy is None else self.copy, self.path, self.channels_last)


_KEPT: WeakKeyDictionary[nn.Module, _KeptCopy] = WeakKeyDictionary()
_GUARD = threading.RLock()


def choose_runner(module: nn.Module, batch: Tensor, layers: Sequence[LayerRef] = ()) -> Runner:
    """Return what to run instead of `module` so that `layers` mean the same tensors.

    The copy is made on first use, kept while the network lives, and made anew once a part was
    replaced or a weight has changed (but for changes through ``.data``, which torch does not
    count). Asking for a tensor that folding takes away makes it anew without that pair, and asking
    for others then makes it anew with all.

    Parameters
    ----------
    batch
        (n, c, *s) as the network takes it; only its shape and place count.
    layers
        Target layers.
    """
    module = plain_module(module)
    # The lock of the network is taken first: others may just have their hooks on it.
    with as_evaluated(module, batch.device), _GUARD:
        unusual = _unusual(module)
        now = fingerprint(module)
        kept = _KEPT.get(module)
        if unusual or kept is None or kept.fingerprint != now:
            kept = None
            _KEPT.pop(module, None)
        if unusual:
            return Runner(module, f"plain: {unusual}")
        # A copy with fewer pairs folded would do too, but results must not depend on what was
        # asked before.
        if kept is not None and kept.foldable == _foldable(kept.pairs, layers):
            return kept.runner(module)
        return _make(module, batch, layers, now)


def forget_runner(module: nn.Module) -> None:
    """Let go of the copy of a network, and of its memory; from here on it runs as it is."""
    module = plain_module(module)
    with _GUARD:
        nothing: frozenset[Pair] = frozenset()
        path = "plain: no memory for a copy"
        _KEPT[module] = _KeptCopy(fingerprint(module), nothing, nothing, None, path)


def _unusual(module: nn.Module) -> str:
    """Return why a network is left as it is, "" where it is ordinary."""
    tensors = [*module.parameters(), *module.buffers()]
    if not tensors or len({tensor.device for tensor in tensors}) > 1:
        return "weights on several devices, or none"
    if any(tensor.is_floating_point() and tensor.dtype != torch.float32 for tensor in tensors):
        return "weights that are not float32"
    if any(type(tensor) not in (nn.Parameter, Tensor) for tensor in tensors):
        return "weights of a kind of their own"
    for part in module.modules():
        if any(getattr(part, hooks, None) for hooks in _HOOKS):
            return "hooks"
        if parametrize.is_parametrized(part):
            return "parametrized weights"
        if isinstance(part, torch.jit.ScriptModule) or part._compiled_call_impl is not None:  # noqa: SLF001
            return "compiled parts"
    return ""


def _make(module: nn.Module, batch: Tensor, layers: Sequence[LayerRef], now: Fingerprint) -> Runner:
    for image in _noise(batch):
        try:
            pairs = frozenset(find_pairs(module, image))
            expected = _tensors(Runner(module), image, layers)
        except Exception:  # noqa: BLE001, S112 - the network wants its own input size
            continue
        foldable = _foldable(pairs, layers)
        runner = _prove(module, foldable, image, layers, expected)
        own = None if runner.module is module else runner.module
        _KEPT[module] = _KeptCopy(now, pairs, foldable, own, runner.path, runner.channels_last)
        return runner
    # Nothing is kept: the batch or the layers may be at fault, and the network will say so.
    return Runner(module, "plain: it does not run on noise")


def _foldable(pairs: frozenset[Pair], layers: Sequence[LayerRef]) -> frozenset[Pair]:
    return frozenset(pair for pair in pairs if not pair.hides(layers))


def _prove(
    module: nn.Module,
    pairs: frozenset[Pair],
    image: Tensor,
    layers: Sequence[LayerRef],
    expected: list[Tensor],
) -> Runner:
    """Return the best copy that gives the `expected` tensors, or the network itself."""
    layouts = (True, False) if image.device.type == "cpu" else (False,)
    path = "plain: nothing to gain"
    for channels_last in layouts:
        if not pairs and not channels_last:
            break
        words = f"optimized: {len(pairs)} batch norms folded" + ", channels last" * channels_last
        try:
            runner = Runner(_copy(module, pairs, channels_last), words, channels_last)
            found = _tensors(runner, image, layers)
        except Exception as error:  # noqa: BLE001 - whatever makes a network no ordinary one
            path = f"plain: {type(error).__name__} in the copy"
            continue
        if all(_agree(one, other) for one, other in zip(found, expected, strict=True)):
            return runner
        path = "plain: the copy differs"
    return Runner(module, path)


def _noise(batch: Tensor) -> Iterator[Tensor]:
    """Yield images to look at the network with: a small one, then one of the batch's own size.

    Noise, because a slice of a volume may be blank and would prove nothing.
    """
    own = batch.shape[2:]
    most = _SMALL.get(len(own), 1)
    small = tuple(min(most, length) for length in own)
    for size in dict.fromkeys((small, tuple(own))):
        generator = torch.Generator().manual_seed(0)
        yield torch.randn((1, batch.shape[1], *size), generator=generator).to(batch)


def _tensors(runner: Runner, image: Tensor, layers: Sequence[LayerRef]) -> list[Tensor]:
    """Return the network's output and its target tensors."""
    with exact_float32():
        tapped = tap(runner.module, runner.lay_out(image), layers)
    return [tapped.output.detach(), *(each.detach() for each in tapped.activations.values())]


def _agree(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape or not bool(expected.isfinite().all()):
        return False
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _copy(module: nn.Module, pairs: frozenset[Pair], channels_last: bool) -> nn.Module:
    """Return a copy that shares its tensors with `module`, but for weights of convolutions."""
    shared: dict[int, Any] = {
        id(each): nn.Parameter(each.detach(), requires_grad=False) for each in module.parameters()
    }
    shared |= {id(each): each.detach() for each in module.buffers()}
    made = copy.deepcopy(module, shared)
    fold(made, pairs)
    for part in made.modules():
        if channels_last and type(part) in _CONVOLUTIONS:
            weight: Any = part.weight
            laid_out = weight.contiguous(memory_format=_layout(weight))
            part.weight = nn.Parameter(laid_out, requires_grad=False)
    return made


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
