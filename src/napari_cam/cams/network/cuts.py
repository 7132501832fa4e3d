"""Where a network is cut: the tensors of chosen layers become leaves while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from napari_cam.errors import LayerError
from napari_cam.models.hooks import (
    POOLING_INPUT,
    FunctionCall,
    LayerRef,
    is_spatial,
    tensors_in,
)


class Cuts:
    """The layers to lay open, and what was met of them so far.

    Parameters
    ----------
    layers
        Tensors to lay open.
    spatial_ndim
        2 or 3.
    pooling
        The function call that `POOLING_INPUT` enters; None where it is not among the layers.
    instead
        (n, k, *f) to put in the place of what the layer gives; None lays open what it gives.
    """

    def __init__(
        self,
        layers: Sequence[LayerRef],
        spatial_ndim: int,
        pooling: FunctionCall | None = None,
        instead: Tensor | None = None,
    ) -> None:
        self._layers = tuple(dict.fromkeys(layers))
        self._spatial_ndim = spatial_ndim
        self.pooling = pooling
        self._instead = instead
        self._closed: Tensor | None = None  # what enters pooling, as the network made it
        self._opened: Tensor | None = None  # what stands in its place
        self._met: dict[LayerRef, Tensor] = {}
        self._calls: dict[str, int] = {}

    @property
    def modules(self) -> list[str]:
        """Names of the modules whose outputs are met."""
        return [layer.module for layer in self._layers if layer.module != POOLING_INPUT]

    def on_output(self, name: str, call: int, output: Any) -> Any:
        """Return a module's output with the layers in it laid open."""
        self._calls[name] = call
        for layer in self._layers:
            if layer.module == name and layer.call in (None, call):
                output = self._replace(layer, output)
        return output

    def before_function(self, call: FunctionCall, values: list[Any]) -> list[Any]:
        """Return a function's arguments with what enters pooling laid open."""
        if call == self.pooling:
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
        """Return layer -> its tensor.

        Raises
        ------
        LayerError
            Where a layer was not met, or several times and no call is stated.
        """
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
