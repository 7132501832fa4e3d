r"""The full-gradient decomposition: y = sum x dy/dx + sum over biases b dy/db.

Srinivas and Fleuret 2019 (arXiv:1905.00780). An operation z = f(x) that is not linear counts as the
linear one it is near x, z = J x + b with the implicit bias b = f(x) - J x. So

- a convolution or linear layer has its own bias;
- BatchNorm in eval mode is linear, with b = beta - gamma mu / sigma;
- InstanceNorm, GroupNorm and LayerNorm are functions of the input with their statistics: scaling
  the input changes nothing but for epsilon, J x = z (1 - v / (v + epsilon)) for the normalised z of
  a group with variance v, hence b = gamma z v / (v + epsilon) + beta. Their mean and variance are
  not taken for constants: the gradients are the network's own;
- ReLU, leaky ReLU and maximum pooling have none, smooth activations f(x) - f'(x) x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.network.enlarge import enlarge
from napari_cam.cams.network.operations import (
    BILINEAR,
    ELEMENTWISE,
    HOMOGENEOUS,
    MAX_POOLING,
    derivative,
    first_tensor,
    handled,
    in_graph,
    is_linear,
    name_of,
    named_arguments,
)
from napari_cam.cams.network.probe import Probe
from napari_cam.cams.network.tap import tap_input
from napari_cam.models.hooks import INPUT, LayerRef, is_spatial

# The terms may miss the score by this share of it, and by rounding.
TOLERANCE = 0.01
_ROUNDING = 1e-5

_JOINING = frozenset({"add", "sub", "subtract", "rsub", "cat", "concat", "concatenate", "stack"})
_FILLING = frozenset({"pad", "constant_pad_nd", "where", "scatter", "masked_fill"})
_JOINT = frozenset({"softmax", "log_softmax", "logsumexp"})
_BIASED = {name for name in BILINEAR if name.startswith("conv") or name == "linear"}


@dataclass(frozen=True, eq=False)
class FullGradients:
    """The decomposition of each image's score.

    Attributes
    ----------
    map
        (m, *s) psi of the input's term and of every spatial bias term, added up.
    score
        (m,) the explained score.
    total
        (m,) sum of all unprocessed terms; equals `score`.
    magnitude
        (m,) sum of their magnitudes.
    uncovered
        Names of the operations met whose implicit bias is not known.
    """

    map: Tensor
    score: Tensor
    total: Tensor
    magnitude: Tensor
    uncovered: tuple[str, ...]

    @property
    def error(self) -> Tensor:
        """(m,) how far the terms miss the score."""
        return (self.total - self.score).abs()

    @property
    def complete(self) -> bool:
        """Whether the terms of every image add up to its score within `TOLERANCE`."""
        limit = TOLERANCE * self.score.abs() + _ROUNDING * self.magnitude
        return not bool((self.error > limit).any())  # NaN is no evidence, and no failure


def full_gradients(probe: Probe, numbers: Tensor) -> FullGradients:
    """Decompose the scores of images `numbers` (m,) of the probe's batch."""
    images = probe.batch[numbers]
    terms = _Terms(images)
    with_biases = _Biases(terms)
    tapped = tap_input(probe.module, images, around=handled(with_biases))
    with handled(with_biases):
        scores = probe.scored.again(tapped.output, numbers)
    leaf = tapped.activations[LayerRef(INPUT)]
    (gradient,) = tapped.differentiate(scores, [leaf])
    if gradient is not None:
        terms.add(leaf.detach() * gradient)
    return FullGradients(
        terms.map, scores.detach(), terms.total, terms.magnitude, tuple(with_biases.uncovered)
    )


def psi(term: Tensor, shape: torch.Size) -> Tensor:
    """Return a term (m, k, *f) as a map (m, *shape) that can be seen.

    Its magnitude, stretched to [0, 1] over all channels and places of an image together, enlarged
    and summed over channels. A term that is the same everywhere is no picture, and gives 0.
    """
    flat = term.abs().flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    span = torch.where(high > low, high - low, torch.inf)
    unit = ((flat - low) / span).reshape(term.shape)
    return enlarge(unit.sum(1), shape)


class _Terms:
    """Adds up terms as they come; none is kept."""

    def __init__(self, images: Tensor) -> None:
        dtype = torch.promote_types(images.dtype, torch.float32)
        self._images = images
        self.map = images.new_zeros((len(images), *images.shape[2:]), dtype=dtype)
        self.total = images.new_zeros(len(images), dtype=dtype)
        self.magnitude = torch.zeros_like(self.total)

    def add(self, term: Tensor) -> None:
        term = term.to(self.map.dtype)
        flat = term.reshape(len(self.total), -1)
        self.total += flat.sum(1)
        self.magnitude += flat.abs().sum(1)
        ndim = self._images.ndim - 2
        if is_spatial(term, ndim) and len(term) == len(self.total):
            self.map += psi(term, self._images.shape[2:])


class _Biases:
    """Makes the network's calls, and has each bias meet the gradient that comes to it."""

    def __init__(self, terms: _Terms) -> None:
        self._terms = terms
        self._uncovered: dict[str, None] = {}

    @property
    def uncovered(self) -> list[str]:
        return list(self._uncovered)

    def __call__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # First the bias: the call may write into what it is made from.
        name = name_of(function)
        with torch.no_grad():
            known, bias = self._bias(name, function, args, kwargs)
        linear = is_linear(name, args, kwargs)
        result = function(*args, **kwargs)
        if not (known or linear) and in_graph(result):
            self._uncovered[name] = None
        if bias is not None and isinstance(result, Tensor) and result.requires_grad:
            if result._is_view() and result is not first_tensor(args, kwargs):  # noqa: SLF001
                result = result.clone()  # a view written into forgets who listens to it
            result.register_hook(self._meets(bias))  # type: ignore[no-untyped-call]
        return result

    def _meets(self, bias: Tensor) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            # Where no gradient comes, an infinite bias (a masked class) adds nothing.
            self._terms.add(torch.where(gradient == 0, 0.0, bias * gradient))

        return hook

    def _bias(
        self, name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[bool, Tensor | None]:
        """Return whether the implicit bias is known, and what it adds to J x (None: nothing)."""
        alone = len(in_graph((args, kwargs))) == 1
        if name in HOMOGENEOUS or name in MAX_POOLING:
            return True, None
        if name in _BIASED and alone:
            return True, _own_bias(named_arguments(args, kwargs))
        if name in _NORMS:
            bias = _NORMS[name](args, kwargs)
            return bias is not None, bias
        if name in ELEMENTWISE and alone:
            x = first_tensor(args, kwargs).detach()
            value, slope = derivative(function, args, kwargs, x)
            return True, value - slope * x
        if name in _JOINT:
            return True, _joint_bias(function, args, kwargs)
        if name in _JOINING | _FILLING:
            return True, _at_zero(function, args, kwargs)
        return False, None


def _own_bias(given: dict[str, Any]) -> Tensor | None:
    bias: Tensor | None = given.get("bias")
    if bias is None or given["weight"].ndim == 2:
        return bias
    return bias.reshape(1, -1, *(1,) * (given["weight"].ndim - 2))


def _batch_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training")
    given = dict(zip((*names, "momentum", "eps"), args, strict=False)) | kwargs
    if given.get("running_mean") is None or given.get("training"):
        return None  # statistics of the whole batch, which is no function of one image
    return _of_fixed_statistics(given)


def _of_fixed_statistics(given: dict[str, Any]) -> Tensor:
    """Return beta - gamma mu / sigma, (1, c, 1, ...)."""
    x = given["input"]
    zero = x.detach().new_zeros((1, x.shape[1], *(1,) * (x.ndim - 2)))
    return F.batch_norm(
        zero,
        given["running_mean"],
        given["running_var"],
        given.get("weight"),
        given.get("bias"),
        eps=given.get("eps", 1e-5),
    )


def _instance_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    names = ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats")
    given = dict(zip((*names, "momentum", "eps"), args, strict=False)) | kwargs
    if not given.get("use_input_stats", True):
        return _of_fixed_statistics(given)
    x = given["input"].detach()
    z = F.instance_norm(x, eps=given.get("eps", 1e-5))
    share = z.square().flatten(2).mean(2).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
    return _affine(z * share, given, 1)


def _group_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    names = ("input", "num_groups", "weight", "bias", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, groups = given["input"].detach(), given["num_groups"]
    z = F.group_norm(x, groups, eps=given.get("eps", 1e-5)).reshape(len(x), groups, -1)
    share = z.square().mean(2, keepdim=True)
    return _affine((z * share).reshape(x.shape), given, 1)


def _layer_norm(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    names = ("input", "normalized_shape", "weight", "bias", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, shape = given["input"].detach(), tuple(given["normalized_shape"])
    z = F.layer_norm(x, shape, eps=given.get("eps", 1e-5))
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return _affine(z * z.square().mean(axes, keepdim=True), given, x.ndim - len(shape))


def _affine(z: Tensor, given: dict[str, Any], axis: int) -> Tensor:
    """Return gamma z + beta, both lying along `axis` and those after it as far as they reach."""
    for field, combine in (("weight", torch.mul), ("bias", torch.add)):
        parameter = given.get(field)
        if parameter is not None:
            after = z.ndim - axis - parameter.ndim
            z = combine(z, parameter.reshape(*parameter.shape, *(1,) * after))
    return z


_NORMS: dict[str, Callable[[tuple[Any, ...], dict[str, Any]], Tensor | None]] = {
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
}


def _joint_bias(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return f(x) - J x of a smooth function of many values."""
    options = {key: value for key, value in kwargs.items() if key != "input"}
    with torch.enable_grad():
        x = first_tensor(args, kwargs).detach().requires_grad_()
        value = function(x, *args[1:], **options)
        # J^T u is linear in u, and its derivative along x is J x.
        u = torch.zeros_like(value, requires_grad=True)
        (back,) = torch.autograd.grad(value, x, u, create_graph=True)
        # A class masked by minus infinity takes no part.
        (along,) = torch.autograd.grad(back, u, x.detach().nan_to_num(neginf=0.0))
    bias: Tensor = value.detach() - along
    return bias


def _at_zero(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return what an affine function of its graph tensors gives where these are 0."""

    def zeroed(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.zeros_like(value) if value.requires_grad else value
        if isinstance(value, (tuple, list)):
            return type(value)(zeroed(item) for item in value)
        return value

    tensors = _tensors((args, kwargs))
    constants = len(tensors) > len(in_graph((args, kwargs))) or len(tensors) == 1
    if not constants:
        return None
    bias: Tensor = function(*zeroed(args), **{key: zeroed(item) for key, item in kwargs.items()})
    return bias if bool(bias.any()) else None


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        return _tensors(list(values.values()))
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []
