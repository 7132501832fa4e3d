"""What a network is made of, as the calls that a function mode sees.

DeepLIFT and FullGrad replace or complete the derivative of each operation, so they must know which
operations are linear, which act element by element, and which neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Functions of one tensor, element by element; those in the first group fulfil f(t x) = t f(x) for
# t > 0, so that f'(x) x = f(x).
HOMOGENEOUS = frozenset({"relu", "leaky_relu", "prelu", "abs"})
ELEMENTWISE = HOMOGENEOUS | {
    "relu6",
    "threshold",
    "hardtanh",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "softshrink",
    "hardshrink",
    "tanhshrink",
    "sigmoid",
    "logsigmoid",
    "log_sigmoid",
    "hardsigmoid",
    "hardswish",
    "tanh",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "exp",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "square",
    "pow",
    "reciprocal",
    "erf",
    "sin",
    "cos",
}
MAX_POOLING = frozenset(
    f"{kind}{n}d{end}"
    for kind in ("max_pool", "adaptive_max_pool")
    for n in (1, 2, 3)
    for end in ("", "_with_indices")
)
# Linear in each of their tensors; where two of those depend on the maps, a product of them.
BILINEAR = frozenset(
    {"mul", "multiply", "matmul", "bmm", "mm", "linear", "addmm", "baddbmm", "einsum", "tensordot"}
    | {f"conv{n}d" for n in (1, 2, 3)}
    | {f"conv_transpose{n}d" for n in (1, 2, 3)}
)
QUOTIENTS = frozenset({"div", "true_divide", "divide"})
LINEAR = frozenset(
    {"add", "sub", "subtract", "rsub", "neg", "sum", "mean", "cumsum"}
    | {"cat", "concat", "concatenate", "stack", "split", "chunk", "unbind", "narrow", "select"}
    | {"tensor_split", "split_with_sizes", "index_select", "gather", "roll", "flip", "where"}
    | {"scatter", "masked_fill", "masked_select", "index_add", "index_copy", "index_put"}
    | {"reshape", "view", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze"}
    | {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "t", "expand", "expand_as"}
    | {"repeat", "repeat_interleave", "tile", "unfold", "fold", "contiguous", "clone", "detach"}
    | {"to", "float", "double", "half", "type", "type_as", "getitem", "setitem", "get", "copy"}
    | {"pad", "constant_pad_nd", "interpolate", "upsample", "grid_sample", "lerp"}
    | {"pixel_shuffle", "pixel_unshuffle", "channel_shuffle"}
    | {f"{kind}{n}d" for kind in ("avg_pool", "adaptive_avg_pool") for n in (1, 2, 3)}
    | {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"}
    | {"feature_alpha_dropout", "iter", "len", "retain_grad", "register_hook", "identity"}
)


def name_of(function: Any) -> str:
    """Return the plain name of a torch function: "relu" for ``relu_``, "mul" for ``__imul__``."""
    name = str(getattr(function, "__name__", function))
    if name.startswith("__") and name.endswith("__"):
        bare = name[2:-2]
        plain = {"truediv": "div"}
        for known in (bare, bare[1:] if bare[:1] in ("i", "r") else bare):
            if plain.get(known, known) in (LINEAR | BILINEAR | QUOTIENTS | ELEMENTWISE):
                return "rsub" if bare == "rsub" else plain.get(known, known)
        return bare
    return name.strip("_")


def is_in_place(function: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a call writes into its first argument."""
    name = str(getattr(function, "__name__", function))
    dunder = name.startswith("__")
    return bool(kwargs.get("inplace")) or (not dunder and name.endswith("_"))


def in_graph(values: Any) -> list[Tensor]:
    """Return the tensors among arguments that depend on what is explained."""
    if isinstance(values, Tensor):
        return [values] if values.requires_grad else []
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in in_graph(value)]
    if isinstance(values, dict):
        return in_graph(list(values.values()))
    return []


Handler = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class _Handled(TorchFunctionMode):
    """Hands every call on a tensor of the graph to a handler."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled() or not in_graph((args, kwargs)):
            return func(*args, **kwargs)
        return self._handler(func, args, kwargs)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Have ``handler(function, args, kwargs)`` make every call on the graph made in this block."""
    with _Handled(handler):
        yield


def derivative(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor
) -> tuple[Tensor, Tensor]:
    """Return f(x) and f'(x) of an elementwise function called on its first argument.

    Both come without a graph; nothing is written into `x`.
    """
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        value = call_apart(function, args, kwargs, point)
        (slope,) = torch.autograd.grad(value.sum(), point)
    return value.detach(), slope


def call_apart(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    """Return what a call gives for `x` in place of its first argument, leaving `x` as it is."""
    if is_in_place(function, kwargs):
        x = x.clone()
    kwargs = {key: value for key, value in kwargs.items() if key != "input"}
    value: Tensor = function(x, *args[1:], **kwargs)
    return value


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the tensor that an elementwise function or a pooling acts on."""
    given: Any = args[0] if args else kwargs["input"]
    tensor: Tensor = given
    return tensor


def named_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a convolution or linear layer by name: input, weight, bias."""
    return dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs


def is_linear(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call is linear, but for constants, in the one tensor of the graph it takes."""
    if name in LINEAR:
        return True
    if name in BILINEAR:
        return len(in_graph((args, kwargs))) == 1
    if name in QUOTIENTS:  # by something constant
        return len(in_graph((args, kwargs))) == 1 and bool(in_graph(args[:1]))
    if name == "batch_norm":
        given = dict(zip(("x", "mean", "var", "weight", "bias", "training"), args, strict=False))
        return not (given | kwargs).get("training", False)
    return False
