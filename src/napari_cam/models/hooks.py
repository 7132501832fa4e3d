"""The only code that hooks into a network: naming a tensor in it, and meeting that tensor.

Both the table of candidate layers and the graph cut stand on :func:`meet`. A tensor is named by
the module that returns it, or as `POOLING_INPUT`: what enters global pooling need not be any
module's output (DenseNet applies a functional ReLU in between), so it is met at the function call.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_cam.errors import LayerError, ModelError

POOLING_INPUT = "pooling-input"
INPUT = "input"
"""Where methods that explain the network's input, and no layer of it, have their map."""

_REFERENCE = re.compile(r"^(?P<module>[^#\[\]]*)(#(?P<call>\d+))?(\[(?P<output>[^\]]+)\])?$")


@dataclass(frozen=True)
class LayerRef:
    """The name of a tensor inside a network, written ``module#call[output]``.

    Attributes
    ----------
    module
        Dotted module name ("layer4.1"), or `POOLING_INPUT`.
    call
        Which call of a module that runs several times in one forward pass, counted from 1.
    output
        Which entry of a tuple (index) or mapping (key) that the module returns.
    """

    module: str
    call: int | None = None
    output: str | None = None

    @classmethod
    def parse(cls, text: Any) -> LayerRef:
        """Read ``layer4``, ``relu#2``, ``encoder[1]`` or ``encoder#1[features]``."""
        if isinstance(text, LayerRef):
            return text
        match = _REFERENCE.match(text.strip()) if isinstance(text, str) else None
        if match is None or not match["module"]:
            raise LayerError(
                f"'{text}' does not name a layer; write its module name, "
                "with #2 for its second call and [1] for an entry of its output."
            )
        call = int(match["call"]) if match["call"] else None
        return cls(match["module"], call, match["output"])

    def __str__(self) -> str:
        call = f"#{self.call}" if self.call is not None else ""
        output = f"[{self.output}]" if self.output is not None else ""
        return f"{self.module}{call}{output}"


@dataclass(frozen=True)
class FunctionCall:
    """The `count`-th call (from 1) of a torch function during one forward pass."""

    function: str
    count: int


def plain_module(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile and DataParallel wrappers.

    Raises
    ------
    ModelError
        For TorchScript, whose inner tensors cannot be met.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "A TorchScript network does not show its inner layers; load its weights into the "
            "Python module it was made from."
        )
    parallel = isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))
    wrapped: object = getattr(module, "module" if parallel else "_orig_mod", None)
    return plain_module(wrapped) if isinstance(wrapped, nn.Module) else module


def submodule(module: nn.Module, name: str) -> nn.Module:
    """Return the submodule called `name`, or say which names come close."""
    modules: dict[str, nn.Module] = dict(module.named_modules())
    if name in modules and name:
        return modules[name]
    close = difflib.get_close_matches(name, [key for key in modules if key], n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(close)}?" if close else "candidate_layers lists those it has."
    )
    raise LayerError(f"The network has no layer '{name}'; {hint}")


Before = Callable[[FunctionCall, list[Any]], list[Any]]
After = Callable[[FunctionCall, list[Any], Any], None]


class _FunctionCalls(TorchFunctionMode):
    """Shows every torch function call to `before`, which may replace its arguments."""

    def __init__(self, before: Before | None, after: After | None) -> None:
        super().__init__()
        self._before = before
        self._after = after
        self._counts: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", str(func))
        self._counts[name] += 1
        call = FunctionCall(name, self._counts[name])
        names = tuple(kwargs or ())
        values = [*args, *(kwargs or {}).values()]
        if self._before is not None:
            values = self._before(call, values)
        positional = len(values) - len(names)
        named = dict(zip(names, values[positional:], strict=True))
        result = func(*values[:positional], **named)
        if self._after is not None:
            self._after(call, values, result)
        return result


@contextmanager
def meet_functions(before: Before | None = None, after: After | None = None) -> Iterator[None]:
    """Show every torch function call made in this block to `before` and `after`.

    Both get the values of all arguments, those given by name last; `before` returns them, changed
    or not.
    """
    with _FunctionCalls(before, after):
        yield


@contextmanager
def meet_modules(
    module: nn.Module, names: Sequence[str], on_output: Callable[[str, int, Any], Any]
) -> Iterator[None]:
    """Call ``on_output(name, call, output)`` after each call of the named submodules.

    What it returns takes the place of the output. All hooks are gone when the block ends,
    however it ends.
    """
    counts: Counter[str] = Counter()

    def listen(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            counts[name] += 1
            return on_output(name, counts[name], output)

        return hook

    with ExitStack() as handles:
        for name in dict.fromkeys(names):
            handle = submodule(module, name).register_forward_hook(listen(name))
            handles.callback(handle.remove)
        yield


@contextmanager
def meet_calls(
    module: nn.Module,
    begin: Callable[[nn.Module], None],
    end: Callable[[nn.Module, Any], None],
) -> Iterator[None]:
    """Call ``begin(part)`` before and ``end(part, output)`` after each call of every submodule.

    The output is what the part's own forward gave: hooks that the network brings along run outside
    of the two, before `begin` and after `end`.
    """

    def before(part: nn.Module, _inputs: Any) -> None:
        begin(part)

    def after(part: nn.Module, _inputs: Any, output: Any) -> None:
        end(part, output)

    with ExitStack() as handles:
        for part in module.modules():
            if part is not module:
                handles.callback(part.register_forward_pre_hook(before).remove)
                handles.callback(part.register_forward_hook(after, prepend=True).remove)
        yield


Forward = Callable[..., Any]


@contextmanager
def stand_in(forwards: Mapping[nn.Module, Callable[[Forward], Forward]]) -> Iterator[None]:
    """Put another function in the place of modules' ``forward``, made out of the one they have.

    To be used where the network is held alone (see :func:`as_evaluated`); every module has its own
    forward again when the block ends, however it ends.
    """
    with ExitStack() as restored:
        for part, make in forwards.items():
            restored.callback(_put_back, part, "forward" in vars(part), part.forward)
            part.forward = make(part.forward)
        yield


def _put_back(part: nn.Module, own: bool, forward: Forward) -> None:
    if own:
        part.forward = forward
    else:
        del part.forward  # what the class defines shows again


def tensors_in(output: Any) -> dict[str | None, Tensor]:
    """Return the tensors of a module's output by entry: None for a bare tensor."""
    if isinstance(output, Tensor):
        return {None: output}
    if isinstance(output, (tuple, list)):
        output = dict(enumerate(output))
    if not isinstance(output, dict):
        return {}
    return {str(key): value for key, value in output.items() if isinstance(value, Tensor)}


def is_spatial(tensor: Any, spatial_ndim: int) -> bool:
    """Whether a tensor is a stack of maps (n, k, *f) with more than one place, and no weight."""
    return (
        isinstance(tensor, Tensor)
        and not isinstance(tensor, nn.Parameter)
        and tensor.is_floating_point()
        and tensor.ndim == spatial_ndim + 2
        and tensor.shape[2:].numel() > 1
    )


# Hooks and flags live on the module: two runs on one module take turns.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_LOCKS_GUARD = threading.Lock()


@contextmanager
def as_evaluated(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have the network to oneself, every submodule in eval mode and every parameter frozen.

    All of it is undone at the end, and the random state of the CPU and of `device` is as before.
    With all parameters frozen autograd records nothing until a tensor is told to require gradients,
    so no graph exists below such a tensor, whatever grad mode the network's own code switches on.
    """
    with _LOCKS_GUARD:
        lock = _LOCKS.setdefault(module, threading.RLock())
    with lock, _same_random_state(device), _frozen(module):
        yield


def _same_random_state(device: torch.device) -> Any:
    """Keep the random state as it is; a network may draw numbers even in eval mode."""
    if device.type not in ("cpu", "cuda"):
        return nullcontext()
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for part in training:
            part.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for part in training:
            part.training = True
