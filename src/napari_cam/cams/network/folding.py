"""Which batch norms can go into the convolution before them, and putting them there.

In eval mode a batch norm is y = (x - mean) / sqrt(var + eps) * weight + bias, channel by channel,
so it can be multiplied into the weights of the convolution that makes x. That holds where nothing
else sees x, which only a forward pass tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_cam.models.hooks import (
    FunctionCall,
    LayerRef,
    as_evaluated,
    meet_functions,
    meet_modules,
    tensors_in,
)

# What asking for a tensor's size or place gives; nobody has taken its values then.
_DESCRIPTIONS = (int, torch.Size, torch.dtype, torch.device, torch.layout)

# A subclass may do anything with its weights, so these very classes alone.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Pair:
    """A convolution whose output nobody but one batch norm takes.

    Attributes
    ----------
    convolution, norm
        Names of the two modules.
    met_as
        Names of all modules that return the tensor in between: it exists no more once folded.
    """

    convolution: str
    norm: str
    met_as: frozenset[str]

    def hides(self, layers: Iterable[LayerRef]) -> bool:
        """Whether folding would change what one of `layers` means."""
        return any(layer.module in self.met_as for layer in layers)


@dataclass(eq=False)
class _Convolved:
    """The output of one convolution, and who took it."""

    tensor: ref[Tensor]
    takers: list[str | None] = field(default_factory=list)  # None for all but a batch norm
    met_as: set[str] = field(default_factory=set)


def find_pairs(module: nn.Module, image: Tensor) -> list[Pair]:
    """Return the pairs that one forward pass of `image` (1, c, *s) shows.

    Convolutions and norms that run several times, have several names or share a weight with
    another module are left out.
    """
    return _Watch(module).run(module, image)


class _Watch:
    """Follows the outputs of convolutions through one forward pass, keeping no tensor alive."""

    def __init__(self, module: nn.Module) -> None:
        single = _single(module)
        # Functions show which weights they take, and a weight tells its module.
        self._convolutions = {
            id(part.weight): name for name, part in single.items() if type(part) in _CONVOLUTIONS
        }
        self._norms = {
            id(part.running_mean): name
            for name, part in single.items()
            if type(part) in _NORMS and part.running_mean is not None
        }
        self._convolved: dict[str, _Convolved] = {}
        self._runs: Counter[str] = Counter()

    def run(self, module: nn.Module, image: Tensor) -> list[Pair]:
        names = [name for name, _ in module.named_modules() if name]
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            as_evaluated(module, image.device),
            meet_modules(module, names, self._on_output),
            meet_functions(after=self._after),
        ):
            for tensor in tensors_in(module(image)).values():
                self._note(tensor, None)
        return [
            Pair(name, norm, frozenset(seen.met_as))
            for name, seen in self._convolved.items()
            for norm in seen.takers[:1]
            # The module itself must have been called: its weights alone could have been used.
            if norm is not None
            and len(seen.takers) == self._runs[name] == self._runs[norm] == 1
            and name in seen.met_as
        ]

    def _after(self, call: FunctionCall, values: list[Any], result: Any) -> None:
        if isinstance(result, _DESCRIPTIONS):
            return
        taken = [tensor for value in values for tensor in tensors_in(value).values()]
        norm = None
        if call.function == "batch_norm":
            norm = next((self._norms[id(t)] for t in taken if id(t) in self._norms), None)
        for tensor in taken:
            self._note(tensor, norm)
            name = self._convolutions.get(id(tensor))
            if name is not None:
                self._runs[name] += 1
                if isinstance(result, Tensor):
                    self._convolved[name] = _Convolved(ref(result))
        if norm is not None:
            self._runs[norm] += 1

    def _on_output(self, name: str, _call: int, output: Any) -> Any:
        for tensor in tensors_in(output).values():
            for seen in self._convolved.values():
                if seen.tensor() is tensor:
                    seen.met_as.add(name)
        return output

    def _note(self, tensor: Tensor, norm: str | None) -> None:
        for seen in self._convolved.values():
            if seen.tensor() is tensor:
                seen.takers.append(norm)


def _single(module: nn.Module) -> dict[str, nn.Module]:
    """Return the submodules that go by one name and share no tensor with another."""
    parts = list(module.named_modules(remove_duplicate=False))
    aliases = Counter(id(part) for _, part in parts)
    owners = Counter(id(tensor) for _, tensor in module.named_parameters(remove_duplicate=False))
    owners += Counter(id(tensor) for _, tensor in module.named_buffers(remove_duplicate=False))
    return {
        name: part
        for name, part in parts
        if aliases[id(part)] == 1
        and all(owners[id(own)] == 1 for own in (*part.parameters(False), *part.buffers(False)))
    }


def fold(module: nn.Module, pairs: Iterable[Pair]) -> None:
    """Multiply each pair's norm into its convolution; the norm becomes an identity.

    Its name stays, and so does the tensor that it returns.
    """
    for pair in pairs:
        convolution: Any = module.get_submodule(pair.convolution)
        norm: Any = module.get_submodule(pair.norm)
        # In double precision, so that the weights are rounded once.
        weight, bias = fuse_conv_bn_weights(
            convolution.weight.double(),
            _double(convolution.bias),
            norm.running_mean.double(),
            norm.running_var.double(),
            norm.eps,
            _double(norm.weight),
            _double(norm.bias),
        )
        dtype = convolution.weight.dtype
        convolution.weight = nn.Parameter(weight.detach().to(dtype), requires_grad=False)
        convolution.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
        parent, _, own = pair.norm.rpartition(".")
        setattr(module.get_submodule(parent), own, nn.Identity().eval())


def _double(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.double()
