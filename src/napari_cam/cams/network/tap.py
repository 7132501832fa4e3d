"""The graph cut: activations of chosen layers, and gradients from a graph that starts at them.

The output of a target layer becomes a leaf. With every parameter frozen, autograd records nothing
before it meets that leaf, so nothing below the layer is differentiated or stored, and every
consumer of the layer (skip connections too) sees the leaf. A layer that already lies downstream of
another chosen layer stays in the graph, so each layer gets its own full gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from napari_cam.cams.network.outputs import scores_of
from napari_cam.errors import LayerError, ModelError, NapariCamError
from napari_cam.models.device import is_out_of_memory
from napari_cam.models.hooks import (
    INPUT,
    POOLING_INPUT,
    Forward,
    FunctionCall,
    LayerRef,
    as_evaluated,
    is_spatial,
    meet_functions,
    meet_modules,
    plain_module,
    stand_in,
    tensors_in,
)
from napari_cam.models.layers.pooling import find_pooling

# Half precision flushes small gradients to zero and overflows on large ones. The score is scaled
# up by the first of these, and by less where that is too much.
_HALF_SCALES = (2.0**10, 1.0, 2.0**-10)


@dataclass(frozen=True, eq=False)
class Tapped:
    """One forward pass with its target layers laid open.

    Attributes
    ----------
    output
        The network's scores, in the graph.
    activations
        Layer -> A (n, k, *f), in the graph.
    note
        A sentence where the scores are not simply what the network returns.
    module
        The network. One that checkpoints its activations runs again while it is differentiated,
        and must be as it was in the forward pass then.
    """

    output: Tensor
    activations: dict[LayerRef, Tensor]
    note: str = ""
    module: nn.Module | None = field(default=None, repr=False)

    def gradients(self, scores: Tensor) -> dict[LayerRef, Tensor]:
        """Return layer -> G (n, k, *f), the derivative of each image's own score.

        Parameters
        ----------
        scores
            (n,), computed from ``self.output``.

        Raises
        ------
        LayerError
            Where the scores do not depend on a layer.
        """
        layers = list(self.activations)
        tensors = [self.activations[layer] for layer in layers]
        half = any(tensor.dtype == torch.float16 for tensor in tensors)
        if not scores.requires_grad:
            raise LayerError(
                f"The score does not depend on layer '{layers[0]}'; "
                "choose a layer upstream of the network's output."
            )
        for scale in _HALF_SCALES if half else (1.0,):
            found = self.differentiate(scores, tensors, scale)
            if not half or all(g is None or bool(g.isfinite().all()) for g in found):
                break
        gradients: dict[LayerRef, Tensor] = {}
        for layer, gradient in zip(layers, found, strict=True):
            if gradient is None:
                raise LayerError(
                    f"The score does not depend on layer '{layer}'; "
                    "choose a layer upstream of the network's output."
                )
            exact = widen(gradient).contiguous()
            gradients[layer] = exact / scale if half else exact
        return gradients

    def differentiate(
        self, scores: Tensor, tensors: list[Tensor], scale: float = 1.0
    ) -> list[Tensor | None]:
        """Return the derivatives of each image's own score, times `scale`; None where is none.

        Raises
        ------
        ModelError
            Where no gradients come through the network.
        """
        # Images do not mix in eval mode, so the sum's gradient holds every image's own.
        total = scores.sum() * scale
        held = nullcontext() if self.module is None else as_evaluated(self.module, total.device)
        try:
            with held:
                found = torch.autograd.grad(total, tensors, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0].split("; ")[0][:160].rstrip(".")
            advice = "it may change a tensor in place, so name a later layer"
            if "checkpoint" in reason.lower():
                advice = "switch off its gradient checkpointing, or choose another method"
            raise ModelError(
                f"No gradients come through this network ({reason}); {advice}."
            ) from error
        return list(found)


def widen(tensor: Tensor) -> Tensor:
    """Return half precision as float32; formulas are never evaluated in less."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def tap(
    module: nn.Module,
    batch: Tensor,
    layers: Sequence[LayerRef],
    autocast: torch.dtype | None = None,
) -> Tapped:
    """Run `module` once on `batch` and lay open `layers`.

    Parameters
    ----------
    module
        The network; its training flags, parameters, hooks and random state are as before
        when this returns or raises.
    batch
        (n, c, *s) on the module's device.
    layers
        Tensors to lay open; `POOLING_INPUT` for the one that enters global pooling.
    autocast
        bfloat16 or float16 to run in mixed precision; None for the module's own.

    Raises
    ------
    LayerError
        Where a layer does not exist, is not run, is run several times and no call is stated, or
        holds no maps.
    """
    module = plain_module(module)
    pooling = None
    if any(layer.module == POOLING_INPUT for layer in layers):
        pooling = find_pooling(module, batch).call
    cuts = _Cuts(layers, batch.ndim - 2, pooling)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        as_evaluated(module, batch.device),
        torch.autocast(batch.device.type, dtype=autocast, enabled=autocast is not None),
        meet_modules(module, cuts.modules, cuts.on_output),
        meet_functions(before=cuts.before_function) if pooling else nullcontext(),
    ):
        output, note = scores_of(lambda: _forward(module, batch.detach()))
    return Tapped(widen(output), cuts.found(), note, module)


def run_again(
    module: nn.Module,
    batch: Tensor,
    layer: LayerRef | None = None,
    maps: Tensor | None = None,
    autocast: torch.dtype | None = None,
    pooling: FunctionCall | None = None,
    forwards: Mapping[nn.Module, Callable[[Forward], Forward]] = MappingProxyType({}),
) -> Tensor:
    """Return the network's scores for `batch`, with `maps` in place of what `layer` gives.

    Parameters
    ----------
    batch
        (m, c, *s).
    layer, maps
        Target layer and (m, k, *f) to put in its place; None leaves the network as it is.
    pooling
        The function call that `POOLING_INPUT` enters, where it is known to be another one than in
        a plain forward pass.
    forwards
        Modules that do something else than their own forward; see
        :func:`napari_cam.models.hooks.stand_in`.

    Raises
    ------
    LayerError
        Where the layer does not exist or is not run.
    """
    module = plain_module(module)
    layers = () if layer is None else (layer,)
    if pooling is None and POOLING_INPUT in map(str, layers):
        pooling = find_pooling(module, batch).call
    cuts = _Cuts(layers, batch.ndim - 2, pooling, maps)
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        as_evaluated(module, batch.device),
        torch.autocast(batch.device.type, dtype=autocast, enabled=autocast is not None),
        stand_in(forwards),
        meet_modules(module, cuts.modules, cuts.on_output),
        meet_functions(before=cuts.before_function) if pooling else nullcontext(),
    ):
        output, _ = scores_of(lambda: _forward(module, batch.detach()))
    cuts.found()
    return widen(output)


def tap_input(
    module: nn.Module,
    batch: Tensor,
    autocast: torch.dtype | None = None,
    around: AbstractContextManager[Any] | None = None,
) -> Tapped:
    """Run `module` once on `batch` with the network's input itself laid open.

    Parameters
    ----------
    batch
        (n, c, *s) on the module's device.
    around
        Entered for the forward pass, inside everything else.
    """
    module = plain_module(module)
    with torch.inference_mode(False), torch.enable_grad():
        leaf = batch.detach().clone().requires_grad_()
        with (
            as_evaluated(module, batch.device),
            torch.autocast(batch.device.type, dtype=autocast, enabled=autocast is not None),
            around or nullcontext(),
        ):
            # A copy: a network that starts with an in-place function must not meet a leaf.
            output, note = scores_of(lambda: _forward(module, leaf.clone()))
    return Tapped(widen(output), {LayerRef(INPUT): leaf}, note, module)


def tap_replaced(
    module: nn.Module,
    batch: Tensor,
    layer: LayerRef,
    maps: Tensor,
    around: AbstractContextManager[Any] | None = None,
) -> Tapped:
    """Run `module` once on `batch` with `maps` in place of what `layer` gives, laid open.

    Parameters
    ----------
    batch
        (m, c, *s).
    layer, maps
        Target layer and (m, k, *f) to put in its place.
    around
        Entered for the forward pass, inside everything else.

    Raises
    ------
    LayerError
        Where the layer does not exist or is not run.
    """
    module = plain_module(module)
    at_pooling = layer.module == POOLING_INPUT
    pooling = find_pooling(module, batch).call if at_pooling else None
    with torch.inference_mode(False), torch.enable_grad():
        leaf = maps.detach().clone().requires_grad_()
        cuts = _Cuts((layer,), batch.ndim - 2, pooling, leaf)
        with (
            as_evaluated(module, batch.device),
            meet_modules(module, cuts.modules, cuts.on_output),
            around or nullcontext(),
            meet_functions(before=cuts.before_function) if pooling else nullcontext(),
        ):
            output, note = scores_of(lambda: _forward(module, batch.detach()))
    return Tapped(widen(output), cuts.found(), note, module)


def _forward(module: nn.Module, batch: Tensor) -> Any:
    """Run the network; what goes wrong inside it becomes a sentence, but for lack of memory."""
    try:
        return module(batch)
    except NapariCamError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The network does not run on an input of shape {tuple(batch.shape)}: {reason}; "
            "check its preparation (size, channels)."
        ) from error


class _Cuts:
    """The layers to lay open, and what was met of them so far."""

    def __init__(
        self,
        layers: Sequence[LayerRef],
        spatial_ndim: int,
        pooling: FunctionCall | None,
        instead: Tensor | None = None,
    ) -> None:
        self._layers = tuple(dict.fromkeys(layers))
        self._spatial_ndim = spatial_ndim
        self._pooling = pooling
        self._instead = instead
        self._closed: Tensor | None = None  # what enters pooling, as the network made it
        self._opened: Tensor | None = None  # what stands in its place
        self._met: dict[LayerRef, Tensor] = {}
        self._calls: dict[str, int] = {}

    @property
    def modules(self) -> list[str]:
        return [layer.module for layer in self._layers if layer.module != POOLING_INPUT]

    def on_output(self, name: str, call: int, output: Any) -> Any:
        self._calls[name] = call
        for layer in self._layers:
            if layer.module == name and layer.call in (None, call):
                output = self._replace(layer, output)
        return output

    def before_function(self, call: FunctionCall, values: list[Any]) -> list[Any]:
        if call == self._pooling:
            tensors = [tensor for value in values for tensor in tensors_in(value).values()]
            self._closed = next(t for t in tensors if is_spatial(t, self._spatial_ndim))
            self._opened = self._open(LayerRef(POOLING_INPUT), self._closed)
        # Average and maximum may both be pooled: whoever takes the tensor from here on gets the
        # leaf, else the gradient would lack a part.
        return values if self._closed is None else [self._swap(value) for value in values]

    def _swap(self, value: Any) -> Any:
        if value is self._closed:
            return self._opened
        if type(value) in (tuple, list) and any(item is self._closed for item in value):
            return type(value)(self._swap(item) for item in value)
        return value

    def _replace(self, layer: LayerRef, output: Any) -> Any:
        tensors = tensors_in(output)
        maps = [key for key, item in tensors.items() if is_spatial(item, self._spatial_ndim)]
        entry = layer.output if layer.output is not None else (maps[0] if maps else None)
        if entry not in tensors or (len(maps) > 1 and layer.output is None):
            choices = ", ".join(f"'{layer.module}[{key}]'" for key in tensors)
            raise LayerError(f"Layer '{layer}' returns several tensors; choose one of {choices}.")
        opened = self._open(layer, tensors[entry])
        if isinstance(output, Tensor):
            return opened
        if isinstance(output, dict):
            return type(output)({**output, entry: opened})
        items = [opened if str(i) == entry else item for i, item in enumerate(output)]
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)

    def _open(self, layer: LayerRef, tensor: Tensor) -> Tensor:
        if not is_spatial(tensor, self._spatial_ndim):
            raise LayerError(
                f"Layer '{layer}' gives a tensor of shape {tuple(tensor.shape)}, which holds no "
                "map to explain; choose one before the global pooling."
            )
        if self._instead is not None:
            self._met[layer] = self._instead
            return self._instead.to(tensor.dtype, copy=True)
        # A tensor that requires gradients here lies downstream of another chosen layer.
        self._met[layer] = tensor if tensor.requires_grad else tensor.detach().requires_grad_()
        # The network gets a copy: an in-place ReLU after the layer must not change what was met.
        with torch.enable_grad():
            return self._met[layer].clone()

    def found(self) -> dict[LayerRef, Tensor]:
        for layer in self._layers:
            calls = self._calls.get(layer.module, 0)
            if layer.call is None and calls > 1:
                raise LayerError(
                    f"Layer '{layer}' runs {calls} times in one forward pass; say which call, "
                    f"'{layer.module}#1' to '{layer.module}#{calls}'."
                )
            if layer not in self._met:
                times = f"runs {calls} times" if calls else "is not run"
                raise LayerError(
                    f"Layer '{layer}' was not met: '{layer.module}' {times} in a forward pass; "
                    "list the layers with candidate_layers."
                )
        return {layer: self._met[layer] for layer in self._layers}
