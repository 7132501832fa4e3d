"""LIFT-CAM, and DeepLIFT's rescale rule from a layer's maps to the score.

The maps A and their reference 0 run through the network as one batch, A first. Where a function
f acts element by element, the derivative for A is replaced by f(a) - f(b) over a - b, b being what
the reference brings there; all linear operations keep theirs. Then the derivative times A adds up
to y(A) - y(0). The rule sits on function calls, not on modules, so a ReLU module that runs twice or
a functional one is no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.base import CamMethod, Evidence, rescorer_of
from napari_cam.cams.methods.gradient import weighted_sum
from napari_cam.cams.network.operations import (
    ELEMENTWISE,
    MAX_POOLING,
    call_apart,
    derivative,
    first_tensor,
    handled,
    in_graph,
    is_in_place,
    is_linear,
    name_of,
)
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap_replaced
from napari_cam.errors import MethodError

# Contributions may miss the difference of the scores by this share of it, and by rounding.
TOLERANCE = 0.01
_ROUNDING = 1e-5


@dataclass(frozen=True)
class LiftCAM(CamMethod):
    """LIFT-CAM: alpha_k = what DeepLIFT says channel k adds to the score; ReLU(sum_k alpha_k A_k).

    Jung and Oh 2021 (arXiv:2102.05228). DeepLIFT's rescale rule with reference activation 0, summed
    over places, stands in for the SHAP value of keeping channel k; where everything above the layer
    is linear it is that value. The contributions must add up to y(A) - y(0) within 1 %.
    """

    name: ClassVar[str] = "liftcam"
    title: ClassVar[str] = "LIFT-CAM"
    reference: ClassVar[str] = "Jung and Oh 2021, arXiv:2102.05228"
    summary: ClassVar[str] = "channels weighted by what they add to the score (DeepLIFT)"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})
    reads_modules: ClassVar[bool] = True

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k alpha_k A_k."""
        weights = complete_contributions(rescorer_of(evidence)).flatten(2).sum(2)
        return weighted_sum(weights, evidence.activations)


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each place of each map adds to the score.

    Attributes
    ----------
    values
        (n, k, *f).
    score, reference
        (n,) y(A) and y(0); the values of an image add up to their difference.
    uncovered
        Names of the operations met that no rule covers.
    """

    values: Tensor
    score: Tensor
    reference: Tensor
    uncovered: tuple[str, ...]

    @property
    def difference(self) -> Tensor:
        """(n,) y(A) - y(0)."""
        return self.score - self.reference

    @property
    def error(self) -> Tensor:
        """(n,) how far the sum misses the difference."""
        return (self.values.flatten(1).sum(1) - self.difference).abs()

    @property
    def complete(self) -> bool:
        """Whether the contributions of every image add up to within `TOLERANCE`."""
        # The scores are known to their last digits, sums to fewer.
        digits = 8 * torch.finfo(self.score.dtype).eps * (self.score.abs() + self.reference.abs())
        rounding = _ROUNDING * self.values.abs().flatten(1).sum(1) + digits
        limit = TOLERANCE * self.difference.abs() + rounding
        return not bool((self.error > limit).any())  # NaN is no evidence, and no failure


def contributions(rescorer: Rescorer) -> Contributions:
    """Return the DeepLIFT contributions of a layer's maps, with reference 0.

    Costs one forward pass of twice the images and the derivatives above the layer.
    """
    A = rescorer.activations
    n = len(A)
    rule = _RescaleRule()
    tapped = tap_replaced(
        rescorer.module,
        torch.cat([rescorer.batch, rescorer.batch]),
        rescorer.layer,
        torch.cat([A, torch.zeros_like(A)]),
        handled(rule),
    )
    both = torch.arange(n, device=A.device).repeat(2)
    with handled(rule):
        scores = rescorer.scored.again(tapped.output, both)
    multipliers = tapped.gradients(scores[:n])[rescorer.layer][:n]
    score, reference = scores.detach().chunk(2)
    uncovered = tuple(dict.fromkeys(rule.uncovered))
    return Contributions(multipliers * A, score, reference, uncovered)


def complete_contributions(rescorer: Rescorer) -> Tensor:
    """Return contributions (n, k, *f) that add up.

    Raises
    ------
    MethodError
        Where they miss the difference of the scores by more than 1 %; names the operation.
    """
    found = contributions(rescorer)
    if not found.complete:
        share = float((found.error / found.difference.abs()).nan_to_num(posinf=torch.inf).max())
        names = ", ".join(f"'{name}'" for name in found.uncovered)
        cause = (
            f"it holds {names} after layer '{rescorer.layer}', which no DeepLIFT rule covers"
            if names
            else f"something after layer '{rescorer.layer}' is no torch function with a rule"
        )
        raise MethodError(
            f"LIFT-CAM's contributions miss the score of this network by {100 * share:.3g} %: "
            f"{cause}; choose a later layer, the logit as score, or another method."
        )
    return found.values


class _RescaleRule:
    """Makes the calls above the layer, with the rule's derivative in place of the plain one."""

    def __init__(self) -> None:
        self.uncovered: list[str] = []

    def __call__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = name_of(function)
        if name in ELEMENTWISE and len(in_graph((args, kwargs))) == 1:
            return self._elementwise(function, args, kwargs)
        if name in MAX_POOLING:
            return _max_pooling(name, args, kwargs)
        result = function(*args, **kwargs)
        if in_graph(result) and not is_linear(name, args, kwargs):
            self.uncovered.append(name)
        return result

    def _elementwise(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = first_tensor(args, kwargs)
        if not x.requires_grad or len(x) % 2:
            self.uncovered.append(name_of(function))
            return function(*args, **kwargs)
        with torch.no_grad():
            value = call_apart(function, args, kwargs, x.detach())
            slope = _secant(function, args, kwargs, x.detach(), value)
        result = _WithSlope.apply(x, value, slope)
        return x.copy_(result) if is_in_place(function, kwargs) else result


def _secant(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor, value: Tensor
) -> Tensor:
    """Return the slope (n, ...) between the pairs, the derivative where they are too close."""
    (a, b), (high, low) = x.chunk(2), value.chunk(2)
    step = a - b
    # Closer than this, the difference of the values is rounding.
    close = step.abs() <= torch.finfo(x.dtype).eps ** 0.5 * (a.abs() + b.abs())
    slope = (high - low) / torch.where(close, 1.0, step)
    if bool(close.any()):
        slope = torch.where(close, derivative(function, args, kwargs, a)[1], slope)
    return slope


class _WithSlope(torch.autograd.Function):
    """The value of a function, with another slope for the first half of the batch."""

    @staticmethod
    def forward(ctx: Any, _x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value.clone()  # the network may write into what it gets

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        # The reference only serves to be compared with: nothing asks for its derivative.
        first, second = grads[0].chunk(2)
        return torch.cat([first * slope, torch.zeros_like(second)]), None, None


def _max_pooling(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Pool, and give each window's change to the place that made it.

    If the maximum rose over the reference's, that is where it is now, else where it was (or now,
    where the reference had its maximum there as well): there the input changed at least as far, so
    the slope lies between 0 and 1.
    """
    x = first_tensor(args, kwargs)
    options = _pooling_options(name, args, kwargs)
    pool: Any = getattr(F, name.removesuffix("_with_indices") + "_with_indices")
    with torch.no_grad():
        value, index = pool(x.detach(), **options)
        (high, low), (now, then) = value.flatten(2).chunk(2), index.flatten(2).chunk(2)
        a, b = x.detach().flatten(2).chunk(2)
        # A constant reference is at its maximum everywhere, here too: its first place is no better.
        place = torch.where((high >= low) | (b.gather(2, now) == low), now, then)
        step = (a - b).gather(2, place)
        change = high - low
        slope = torch.where(
            step == 0, (place == now).to(step), change / torch.where(step == 0, 1.0, step)
        )
    pooled = _WithPlaces.apply(x, value, place, slope)
    wanted = kwargs.get("return_indices") or name.endswith("_with_indices")
    return (pooled, index) if wanted else pooled


def _pooling_options(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a pooling's arguments without its input and without `return_indices`."""
    named: tuple[str, ...] = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
    if name.startswith("adaptive"):
        named = ("input", "output_size")
    options = dict(zip(named, args, strict=False)) | kwargs
    return {key: options[key] for key in named[1:] if key in options}


class _WithPlaces(torch.autograd.Function):
    """Pooled values; each passes its derivative, times a slope, to one place of its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, place: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(place, slope)
        ctx.shape = x.shape
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        place, slope = ctx.saved_tensors
        found = grads[0].new_zeros(ctx.shape)
        first = grads[0].flatten(2)[: len(place)]
        found.flatten(2)[: len(place)].scatter_add_(2, place, first * slope)
        return found, None, None, None
