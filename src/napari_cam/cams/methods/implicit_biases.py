r"""The bias that each operation of a network has, its own or an implicit one.

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
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.network.operations import (
    BILINEAR,
    ELEMENTWISE,
    HOMOGENEOUS,
    MAX_POOLING,
    derivative,
    first_tensor,
    in_graph,
    named_arguments,
)

_JOINING = frozenset({"add", "sub", "subtract", "rsub", "cat", "concat", "concatenate", "stack"})
_FILLING = frozenset({"pad", "constant_pad_nd", "where", "scatter", "masked_fill"})
_JOINT = frozenset({"softmax", "log_softmax", "logsumexp"})
_BIASED = {name for name in BILINEAR if name.startswith("conv") or name == "linear"}


def implicit_bias(
    name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bool, Tensor | None]:
    """Return whether a call's implicit bias is known, and what it adds to J x (None: nothing)."""
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
