"""A forward pass as it happened: every function call, every module's output, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.models.hooks import (
    FunctionCall,
    LayerRef,
    as_evaluated,
    is_spatial,
    meet_functions,
    meet_modules,
    plain_module,
    tensors_in,
)

T = TypeVar("T")

# Functions that have weights.
LEARNED = ("linear", "conv", "matmul", "addmm", "bmm", "einsum", "__matmul__", "__rmatmul__")

# What networks raise on an input that they cannot take.
NOT_RUNNING = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


@dataclass(frozen=True, eq=False)
class TracedCall:
    """One function call of a traced forward pass."""

    call: FunctionCall
    taken: tuple[Tensor, ...]
    versions: tuple[int, ...]
    given: tuple[Tensor, ...]

    def matches(self, names: Sequence[str]) -> bool:
        """Whether the function's name holds one of `names`."""
        return any(name in self.call.function for name in names)


class ModuleOutput(NamedTuple):
    """One tensor that a module returned: in which call, as which entry, in which version."""

    module: str
    call: int
    entry: str | None
    tensor: Tensor
    version: int


@dataclass(frozen=True, eq=False)
class Trace:
    """A forward pass as it happened: function calls, module outputs, the network's output."""

    spatial_ndim: int
    calls: list[TracedCall]
    modules: list[ModuleOutput]
    output: Tensor
    image: Tensor | None = None

    @property
    def outputs(self) -> list[tuple[str, ModuleOutput]]:
        """What modules returned, each with its reference: ``module``, ``module#2[entry]``."""
        repeated = {each.module for each in self.modules if each.call > 1}
        found = []
        for each in self.modules:
            call = each.call if each.module in repeated else None
            found.append((str(LayerRef(each.module, call, each.entry)), each))
        return found

    @property
    def segments(self) -> bool:
        """Whether the output is a stack of maps."""
        return is_spatial(self.output, self.spatial_ndim)

    def producer(self, tensor: Tensor, before: int) -> int | None:
        """Return the index of the last call before `before` that gave `tensor`."""
        for index in range(before - 1, -1, -1):
            if any(given is tensor for given in self.calls[index].given):
                return index
        return None

    def spatial_input(self, index: int) -> Tensor | None:
        """Return the first argument of call `index` that holds maps."""
        taken = self.calls[index].taken
        return next((item for item in taken if is_spatial(item, self.spatial_ndim)), None)

    def collapse(self) -> int | None:
        """Return the last call that takes maps and gives none: global pooling, or flattening."""
        if self.output.ndim != 2:
            return None
        for index in range(len(self.calls) - 1, -1, -1):
            maps = self.spatial_input(index)
            if maps is not None and all(
                self._loses_places(maps, g) for g in self.calls[index].given
            ):
                return index
        return None

    def _loses_places(self, maps: Tensor, given: Tensor) -> bool:
        # Moving axes about (as a channels-last norm after pooling does) loses nothing.
        moved = given.ndim == maps.ndim and given.numel() == maps.numel()
        return not moved and not is_spatial(given, self.spatial_ndim)

    def first_use(self, index: int) -> int:
        """Return the first call that takes the same maps, untouched, as call `index` does."""
        maps = self.spatial_input(index)
        version = self._version_taken(index, maps)
        for earlier in range(index):
            changed = any(given is maps for given in self.calls[earlier].given)
            if not changed and self._version_taken(earlier, maps) == version:
                return earlier
        return index

    def _version_taken(self, index: int, maps: Tensor | None) -> int | None:
        """Return in which version call `index` took `maps` as its maps, None where it did not."""
        call = self.calls[index]
        pairs = zip(call.taken, call.versions, strict=True)
        spatial = ((t, version) for t, version in pairs if is_spatial(t, self.spatial_ndim))
        tensor, version = next(spatial, (None, None))
        return version if maps is not None and tensor is maps else None

    def in_a_window(self, index: int) -> bool:
        """Whether call `index` sees a window, which fits many times into larger maps."""
        return self.calls[index].call.function.startswith(("conv", "max_pool", "avg_pool"))

    def channels_last(self, index: int) -> bool:
        """Whether call `index` pools maps (n, *f, k) over their places."""
        maps = self.spatial_input(index)
        pooled = self.calls[index].given[0]
        return (
            maps is not None
            and pooled.ndim == 2
            and pooled.shape[1] == maps.shape[-1] != maps.shape[1]
        )

    def makes_tokens(self, index: int) -> bool:
        """Whether call `index` turns places into tokens (n, ., .) that are not pooled next."""
        given = self.calls[index].given
        pooled = any(
            any(taken is item for taken in call.taken for item in given)
            and all(result.ndim == 2 for result in call.given)
            for call in self.calls[index + 1 :]
        )
        return any(item.ndim == 3 for item in given) and not pooled

    def past(self, index: int, names: Sequence[str]) -> int:
        """Walk back from call `index` over calls named in `names` that made its input."""
        while True:
            maps = self.spatial_input(index)
            maker = self.producer(maps, index) if maps is not None else None
            if maker is None or not self.calls[maker].matches(names):
                return index
            if self.spatial_input(maker) is None:
                return index
            index = maker


def trace_whole(module: nn.Module, batch: Tensor) -> Trace:
    """Run `module` once and keep every tensor it made (so that no identity is reused)."""
    calls: list[TracedCall] = []
    modules: list[ModuleOutput] = []

    def after(call: FunctionCall, values: list[Any], result: Any) -> None:
        given = tuple(tensors_in(result).values())
        if given:
            taken = tuple(tensor for value in values for tensor in tensors_in(value).values())
            calls.append(TracedCall(call, taken, tuple(item._version for item in taken), given))  # noqa: SLF001

    def on_output(name: str, call: int, output: Any) -> Any:
        for entry, tensor in tensors_in(output).items():
            modules.append(ModuleOutput(name, call, entry, tensor, tensor._version))  # noqa: SLF001
        return output

    names = [name for name, _ in module.named_modules() if name]
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        as_evaluated(module, batch.device),
        meet_modules(module, names, on_output),
        meet_functions(after=after),
    ):
        output = module(batch)
    return Trace(batch.ndim - 2, calls, modules, logits_of(output), batch)


def trace_small(module: nn.Module, image: Tensor) -> Trace:
    """Trace on a corner of a large image where the network takes that: a trace keeps every map."""
    most = 224 if image.ndim == 4 else 64
    corner = image
    for axis in range(2, image.ndim):
        corner = corner.narrow(axis, 0, min(most, image.shape[axis]))
    if corner.shape != image.shape:
        try:
            found = trace_whole(module, corner)
        except (RuntimeError, ValueError, AssertionError):
            pass  # the network wants its own input size
        else:
            end = found.collapse()
            # Where the corner shrank to one place too early, the whole image must be looked at.
            if found.segments or (end is not None and not found.in_a_window(end)):
                return found
    try:
        return trace_whole(module, image)
    except NOT_RUNNING as error:
        raise not_running(
            tuple(image.shape), error, "check its preparation (size, channels)"
        ) from error


def not_running(shape: tuple[int, ...], error: Exception, advice: str) -> ModelError:
    """Return the sentence that says that a network does not run on such an input."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return ModelError(
        f"The network does not run on an input of shape {shape} ({reason}); {advice}."
    )


def logits_of(output: Any) -> Tensor:
    """Return the scores among a network's outputs: the tensor itself, "out", "logits" or the first.

    Raises
    ------
    ModelError
        Where the output holds no tensor.
    """
    tensors = tensors_in(output)
    for entry in (None, "out", "logits"):
        if entry in tensors:
            return tensors[entry]
    if tensors:
        return next(iter(tensors.values()))
    raise ModelError(
        f"The network returns {type(output).__name__}, which holds no tensor of scores; wrap it "
        "in a module that returns (n, classes)."
    )


def once_per_input(find: Callable[[nn.Module, Tensor], T]) -> Callable[[nn.Module, Tensor], T]:
    """Keep what `find` returns for a network, by the size of its input and the parts it has.

    The size decides where maps end; a network whose parts were replaced is looked at again.
    """
    kept: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], T]] = WeakKeyDictionary()

    @wraps(find)
    def found(module: nn.Module, batch: Tensor) -> T:
        module = plain_module(module)
        known = kept.setdefault(module, {})
        key = (tuple(batch.shape[1:]), tuple(map(id, module.modules())))
        if key not in known:
            known[key] = find(module, batch)
        return known[key]

    return found
