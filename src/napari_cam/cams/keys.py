"""Which map: a method, a layer or a fusion of layers, a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.targets.scores import Target
from napari_cam.errors import LayerError
from napari_cam.models.hooks import LayerRef


@dataclass(frozen=True, init=False)
class Fused:
    """One map out of several layers, as Layer-CAM fuses fine and coarse ones.

    After Jiang et al. 2021 (Layer-CAM): each map M is rectified and scaled to
    tanh(gamma * M / max M), enlarged to the finest map, and the pixel-wise maximum is taken.

    Attributes
    ----------
    layers
        Target layers, in any order.
    gamma
        Strength of the scaling; the paper uses 2.
    reduce
        "maximum" as in the paper, or "mean".
    unscaled
        Layers whose map is only divided by its maximum: the paper scales shallow layers alone.
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
    """Names one map among the results.

    Attributes
    ----------
    method
        Formula with its parameters.
    layer
        Target layer, or several fused into one map.
    target
        What was explained.
    """

    method: CamMethod
    layer: Layer
    target: Target

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the words it can be found by: method, layer, target."""
        return (self.method.label, str(self.layer), self.target.label)

    def __str__(self) -> str:
        return " / ".join(self.parts)
