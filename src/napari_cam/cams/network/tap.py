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

from napari_cam.cams.network.cuts import Cuts
from napari_cam.cams.network.logits import logits_and_note
from napari_cam.errors import LayerError, ModelError, NapariCamError
from napari_cam.models.device import is_out_of_memory
from napari_cam.models.hooks import (
    INPUT,
    POOLING_INPUT,
    Forward,
    FunctionCall,
    LayerRef,
    as_evaluated,
    meet_functions,
    meet_modules,
    plain_module,
    stand_in,
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
    cuts = Cuts(layers, batch.ndim - 2, _pooling_call(module, batch, layers))
    with torch.inference_mode(False), torch.enable_grad():
        output, note = _run(module, batch.detach(), cuts, autocast)
    return Tapped(output, cuts.found(), note, module)


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
    pooling = pooling or _pooling_call(module, batch, layers)
    cuts = Cuts(layers, batch.ndim - 2, pooling, maps)
    with torch.inference_mode(False), torch.no_grad():
        output, _ = _run(module, batch.detach(), cuts, autocast, stand_in(forwards))
    cuts.found()
    return output


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
        # A copy: a network that starts with an in-place function must not meet a leaf.
        output, note = _run(module, leaf.clone(), Cuts((), batch.ndim - 2), autocast, around)
    return Tapped(output, {LayerRef(INPUT): leaf}, note, module)


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
    pooling = _pooling_call(module, batch, [layer])
    with torch.inference_mode(False), torch.enable_grad():
        leaf = maps.detach().clone().requires_grad_()
        cuts = Cuts([layer], batch.ndim - 2, pooling, leaf)
        output, note = _run(module, batch.detach(), cuts, around=around)
    return Tapped(output, cuts.found(), note, module)


def _pooling_call(
    module: nn.Module, batch: Tensor, layers: Sequence[LayerRef]
) -> FunctionCall | None:
    asked = any(layer.module == POOLING_INPUT for layer in layers)
    return find_pooling(module, batch).call if asked else None


def _run(
    module: nn.Module,
    images: Tensor,
    cuts: Cuts,
    autocast: torch.dtype | None = None,
    around: AbstractContextManager[Any] | None = None,
) -> tuple[Tensor, str]:
    """Run the network with its layers laid open; return its scores, and a note on them."""
    with (
        as_evaluated(module, images.device),
        torch.autocast(images.device.type, dtype=autocast, enabled=autocast is not None),
        meet_modules(module, cuts.modules, cuts.on_output),
        around or nullcontext(),
        meet_functions(before=cuts.before_function) if cuts.pooling else nullcontext(),
    ):
        output, note = logits_and_note(lambda: _forward(module, images))
    return widen(output), note


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
