"""Which map: a method, a layer or a fusion of layers, a target; and layers as callers name them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.targets.scores import Target
from napari_cam.errors import LayerError
from napari_cam.models.hooks import INPUT, LayerRef
from napari_cam.models.layers.candidates import LEGACY_LAST_CONV, find_default, legacy_last_conv
from napari_cam.models.loaded import LoadedModel


@dataclass(frozen=True, init=False)
class Fused:
    """One map combined from several layers, as Layer-CAM fuses fine and coarse maps.

    After Jiang et al. 2021 (Layer-CAM): each map M is rectified and scaled to tanh(gamma * M / max
    M), enlarged to the size of the finest map, and combined by the pixel-wise maximum.

    Attributes
    ----------
    layers
        Target layers, in any order.
    gamma
        Strength of the scaling; the paper uses 2.
    reduce
        "maximum" as in the paper, or "mean".
    unscaled
        Layers with a map that is only divided by its maximum (the paper scales shallow layers
        only).
    """

    layers: tuple[LayerRef, ...]
    gamma: float = 2.0
    reduce: Literal["maximum", "mean"] = "maximum"
    unscaled: tuple[LayerRef, ...] = ()

    def __init__(
        self,
        layers: Sequence[str | LayerRef],
        gamma: float = 2.0,
        reduce: Literal["maximum", "mean"] = "maximum",
        unscaled: Sequence[str | LayerRef] = (),
    ) -> None:
        parsed = tuple(LayerRef.parse(layer) for layer in layers)
        plain = tuple(LayerRef.parse(layer) for layer in unscaled)
        if len(set(parsed)) < 2 or len(set(parsed)) != len(parsed):
            raise LayerError("Fused needs at least two different layers.")
        if not set(plain) <= set(parsed):
            raise LayerError("Fused: every unscaled layer must be one of its layers.")
        if not gamma > 0:
            raise LayerError(f"Fused: gamma is a positive number, not {gamma}.")
        if reduce not in ("maximum", "mean"):
            raise LayerError(f"Fused: reduce is 'maximum' or 'mean', not '{reduce}'.")
        object.__setattr__(self, "layers", parsed)
        object.__setattr__(self, "gamma", float(gamma))
        object.__setattr__(self, "reduce", reduce)
        object.__setattr__(self, "unscaled", plain)

    def __str__(self) -> str:
        return "+".join(str(layer) for layer in self.layers)


Layer = LayerRef | Fused
AnyLayer = str | LayerRef | Fused


@dataclass(frozen=True)
class MapKey:
    """The name of one map among the results.

    Attributes
    ----------
    method
        The method with its parameters.
    layer
        The target layer, or several layers fused into one map.
    target
        What was explained.
    """

    method: CamMethod
    layer: Layer
    target: Target

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the words that find this map: method, layer, target."""
        return (self.method.label, str(self.layer), self.target.label)

    def __str__(self) -> str:
        return " / ".join(self.parts)


def as_layers(
    layers: AnyLayer | Sequence[AnyLayer] | None,
    model: LoadedModel | None,
    module: nn.Module,
    batch: Tensor,
    methods: Sequence[CamMethod] = (),
) -> list[Layer]:
    """Return layers as a list; None is the card's default, else the network's own.

    "legacy-last-conv" names the convolution that runs last. Where all `methods` explain the input,
    no layer is needed and none is looked for.
    """
    if layers is None and methods and all(method.space == "input" for method in methods):
        return []
    if layers is None:
        default = model.card.default_layer if model is not None else None
        return [LayerRef.parse(default or find_default(module, batch))]
    wanted = [
        legacy_last_conv(module, batch) if _is_legacy(item) else item for item in _listed(layers)
    ]
    parsed: list[Layer] = [
        item if isinstance(item, Fused) else LayerRef.parse(item) for item in wanted
    ]
    if not parsed:
        raise LayerError("No layer is given; name one, or None for the network's default.")
    return list(dict.fromkeys(parsed))


def asks_the_network(layers: AnyLayer | Sequence[AnyLayer] | None, model: LoadedModel) -> bool:
    """Whether :func:`as_layers` must run the network on a batch to know which layers are meant."""
    if layers is None:
        return model.card.default_layer is None
    return any(_is_legacy(item) for item in _listed(layers))


def _listed(layers: Any) -> list[Any]:
    several = isinstance(layers, Iterable) and not isinstance(layers, str)
    return list(layers) if several else [layers]


def _is_legacy(item: Any) -> bool:
    return isinstance(item, str) and item == LEGACY_LAST_CONV


def layers_of(method: CamMethod, layers: Sequence[Layer]) -> Sequence[Layer]:
    """Return where a method has its maps: the layers asked for, or the network's input."""
    return layers if method.space == "layer" else (LayerRef(INPUT),)


def single_layers(layers: Sequence[Layer]) -> list[LayerRef]:
    """Return every layer that must be met, those of fusions too."""
    singles: list[LayerRef] = []
    for item in layers:
        singles += item.layers if isinstance(item, Fused) else (item,)
    return list(dict.fromkeys(singles))
