"""Which tensors of a network can be explained, and which one should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from napari_cam.errors import LayerError, ModelError, NapariCamError
from napari_cam.models.hooks import (
    POOLING_INPUT,
    FunctionCall,
    as_evaluated,
    is_spatial,
    meet_functions,
    meet_modules,
    plain_module,
    tensors_in,
)
from napari_cam.models.layers.levels import TINY, Levels, is_tiny
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.steps import Crop, Resize

# Functions that carry a map on without adding anything learned: the tensor worth explaining is
# what went into them (VGG's 7x7 adaptive pooling in front of its flattening).
_PASS_ON = ("adaptive_avg_pool", "adaptive_max_pool", "dropout", "feature_dropout")
_LEARNED = ("linear", "conv", "matmul", "addmm", "bmm", "einsum", "__matmul__", "__rmatmul__")

# What networks raise on an input that they cannot take.
_NOT_RUNNING = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


@dataclass(frozen=True)
class LayerInfo:
    """One row of the table of candidate layers.

    Attributes
    ----------
    name
        How to ask for it: ``module``, ``module#call`` or ``module[entry]``.
    kind
        Class of the module, or the function that pools.
    channels, shape
        k and *f of its activations (n, k, *f).
    stride
        Input pixels per map pixel along each axis.
    default
        Whether it is explained where no layer is named.
    note
        Why it is the default, or why it should not be chosen; of a segmentation network's layers
        also the level.
    level
        Of a segmentation network's layers "encoder 0", "bottleneck" or "decoder 2"; 0 has the
        finest maps.
    """

    name: str
    kind: str
    channels: int
    shape: tuple[int, ...]
    stride: tuple[float, ...]
    default: bool = False
    note: str = ""
    level: str = ""


@dataclass(frozen=True)
class Pooling:
    """Where the default target is met: the function call whose first argument it is."""

    call: FunctionCall
    name: str
    note: str


@dataclass(frozen=True, eq=False)
class _Call:
    """One function call of a traced forward pass."""

    call: FunctionCall
    taken: tuple[Tensor, ...]
    versions: tuple[int, ...]
    given: tuple[Tensor, ...]

    def matches(self, names: Sequence[str]) -> bool:
        return any(name in self.call.function for name in names)


@dataclass(frozen=True, eq=False)
class Trace:
    """A forward pass as it happened: function calls, module outputs, the network's output."""

    spatial_ndim: int
    calls: list[_Call]
    modules: list[tuple[str, int, str | None, Tensor, int]]
    output: Tensor
    image: Tensor | None = None

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


def _trace(module: nn.Module, batch: Tensor) -> Trace:
    """Run `module` once and keep every tensor it made (so that no identity is reused)."""
    calls: list[_Call] = []
    modules: list[tuple[str, int, str | None, Tensor, int]] = []

    def after(call: FunctionCall, values: list[Any], result: Any) -> None:
        given = tuple(tensors_in(result).values())
        if given:
            taken = tuple(tensor for value in values for tensor in tensors_in(value).values())
            calls.append(_Call(call, taken, tuple(item._version for item in taken), given))  # noqa: SLF001

    def on_output(name: str, call: int, output: Any) -> Any:
        for entry, tensor in tensors_in(output).items():
            modules.append((name, call, entry, tensor, tensor._version))  # noqa: SLF001
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


def _find_pooling(trace: Trace) -> Pooling:
    collapse = trace.collapse()
    if collapse is None or trace.makes_tokens(collapse):
        raise LayerError(
            "No maps enter a global pooling in this network (it may work on tokens, its output may "
            "be a map, or the image too small for it); name the layer to explain."
        )
    if trace.channels_last(collapse):
        raise LayerError(
            "This network pools tensors whose channels come last, which cannot be explained; "
            "name a layer that gives (n, channels, height, width)."
        )
    note = "enters global pooling"
    if trace.calls[collapse].call.function.startswith(("conv", "max_pool")):
        note = "the last maps of more than one place"
    index = trace.first_use(trace.past(collapse, _PASS_ON))
    maps = trace.spatial_input(index)
    learned_after = any(call.matches(_LEARNED) for call in trace.calls[collapse + 1 :])
    if maps is not None and not learned_after and maps.shape[1] == trace.output.shape[1]:
        note += "; one map per class, so all gradient methods coincide here"
    return Pooling(trace.calls[index].call, _module_name(trace, index), note)


def _module_name(trace: Trace, index: int) -> str:
    """Return the shortest module name whose untouched output enters call `index`."""
    call = trace.calls[index]
    position = next(i for i, t in enumerate(call.taken) if is_spatial(t, trace.spatial_ndim))
    maps, version = call.taken[position], call.versions[position]
    repeated = _repeated(trace)
    names = [
        _reference(name, number, entry, name in repeated)
        for name, number, entry, tensor, then in trace.modules
        if tensor is maps and then == version
    ]
    return min(names, key=lambda name: (name.count("."), len(name)), default=POOLING_INPUT)


def _repeated(trace: Trace) -> set[str]:
    return {name for name, number, *_ in trace.modules if number > 1}


def _reference(name: str, number: int, entry: str | None, repeated: bool) -> str:
    call = f"#{number}" if repeated else ""
    return f"{name}{call}" + (f"[{entry}]" if entry is not None else "")


# By the size of the input, which decides where maps end, and the parts the network then had.
_POOLING: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], Pooling]] = WeakKeyDictionary()


def find_pooling(module: nn.Module, batch: Tensor) -> Pooling:
    """Return where the default target of `module` is met; found once per input size.

    Parameters
    ----------
    batch
        (n, c, *s), any input of the network; one image of it is run.

    Raises
    ------
    LayerError
        Where no maps enter a global pooling.
    ModelError
        Where the network does not run on the batch.
    """
    module = plain_module(module)
    known = _POOLING.setdefault(module, {})
    key = (tuple(batch.shape[1:]), tuple(map(id, module.modules())))
    if key not in known:
        known[key] = _find_pooling(_small_trace(module, batch[:1]))
    return known[key]


# As for pooling; what is kept is the name of the default.
_DEFAULTS: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def find_default(module: nn.Module, batch: Tensor) -> str:
    """Return the name of the layer that is explained where none is named, once per input size.

    That is what enters global pooling; of a network that returns maps, its bottleneck.

    Parameters
    ----------
    batch
        (n, c, *s), any input of the network; one image of it is run.

    Raises
    ------
    LayerError
        Where there is no such layer.
    ModelError
        Where the network does not run on the batch.
    """
    module = plain_module(module)
    known = _DEFAULTS.setdefault(module, {})
    key = (tuple(batch.shape[1:]), tuple(map(id, module.modules())))
    if key not in known:
        trace = _small_trace(module, batch[:1])
        known[key] = _find_bottleneck(trace) if trace.segments else find_pooling(module, batch).name
    return known[key]


def _find_bottleneck(trace: Trace) -> str:
    rows = _distinct(trace, None)
    levels = Levels.of(trace, [tensor for _, _, tensor in rows], _LEARNED)
    if levels.bottleneck is None:
        raise LayerError(
            "This network has no maps between its image and its classes; name the layer to explain."
        )
    return rows[levels.bottleneck][0]


def _small_trace(module: nn.Module, image: Tensor) -> Trace:
    """Trace on a corner of a large image where the network takes that: a trace keeps every map."""
    most = 224 if image.ndim == 4 else 64
    corner = image
    for axis in range(2, image.ndim):
        corner = corner.narrow(axis, 0, min(most, image.shape[axis]))
    if corner.shape != image.shape:
        try:
            trace = _trace(module, corner)
        except (RuntimeError, ValueError, AssertionError):
            pass  # the network wants its own input size
        else:
            end = trace.collapse()
            # Where the corner shrank to one place too early, the whole image must be looked at.
            if trace.segments or (end is not None and not trace.in_a_window(end)):
                return trace
    try:
        return _trace(module, image)
    except _NOT_RUNNING as error:
        raise _not_running(
            tuple(image.shape), error, "check its preparation (size, channels)"
        ) from error


def _not_running(shape: tuple[int, ...], error: Exception, advice: str) -> ModelError:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return ModelError(
        f"The network does not run on an input of shape {shape} ({reason}); {advice}."
    )


LEGACY_LAST_CONV = "legacy-last-conv"
"""Asks for :func:`legacy_last_conv` wherever a layer is named."""


def legacy_last_conv(module: nn.Module, batch: Tensor) -> str:
    """Return the convolution that runs last, by the order of execution.

    It is what code that looks for "the last convolution layer" explains (tf-keras-vis, and Syed et
    al. 2023 with it), before the norm, activation and joining that follow: in DenseNet-121 it
    holds 32 of 1024 channels, in Inception one branch.

    Parameters
    ----------
    module
        The network.
    batch
        (n, c, *s), any input of the network; one image of it is run.

    Raises
    ------
    LayerError
        Where no convolution module gives maps.
    ModelError
        Where the network does not run on the batch.
    """
    module = plain_module(module)
    trace = _small_trace(module, batch[:1])
    repeated = _repeated(trace)
    parts = dict(module.named_modules())
    names = [
        _reference(name, number, entry, name in repeated)
        for name, number, entry, tensor, _ in trace.modules
        if isinstance(parts[name], _ConvNd) and is_spatial(tensor, trace.spatial_ndim)
    ]
    if not names:
        raise LayerError("No convolution of this network gives maps; name the layer to explain.")
    return names[-1]


def candidate_layers(
    model: LoadedModel | nn.Module, input_shape: Sequence[int] | None = None
) -> list[LayerInfo]:
    """List the tensors of a network that can be explained, in the order in which they arise.

    Parameters
    ----------
    model
        The network.
    input_shape
        (c, *s) of one input; None for the size its preparation fixes, else 224 (2D) or 64 (3D)
        pixels along each axis.

    Returns
    -------
    list of LayerInfo
        One row per distinct tensor with maps; exactly one is the default where the network has a
        global pooling, or returns maps itself (then its bottleneck). Class maps are not listed.

    Raises
    ------
    NapariCamError
        Where the network cannot run on such an input.
    """
    network: Any = model.module if isinstance(model, LoadedModel) else model
    if not isinstance(network, nn.Module):
        raise ModelError(f"A {type(network).__name__} is no network; give a torch.nn.Module.")
    module = plain_module(network)
    shape = _input_shape(model) if input_shape is None else _checked_shape(input_shape)
    parameter = next(module.parameters(), None)
    like = parameter if parameter is not None else torch.zeros(0)
    batch = torch.zeros((1, *shape), device=like.device, dtype=like.dtype)
    try:
        trace = _trace(module, batch)
    except NapariCamError:
        raise
    except _NOT_RUNNING as error:
        advice = "give the (c, height, width) it takes as input_shape"
        raise _not_running(shape, error, advice) from error
    kinds = {name: type(part).__name__ for name, part in module.named_modules()}
    card_default = model.card.default_layer if isinstance(model, LoadedModel) else None
    if trace.segments:
        return list(_segmentation_rows(trace, kinds, shape[1:], card_default))
    try:
        pooling = _find_pooling(trace)
    except LayerError:
        pooling = None
    default = card_default or (pooling.name if pooling else None)
    rows = list(_rows(trace, kinds, shape[1:], default, pooling))
    if pooling is not None and pooling.name == POOLING_INPUT:
        rows.append(_pooling_row(trace, pooling, shape[1:], default == POOLING_INPUT))
    return rows


def _checked_shape(shape: Any) -> tuple[int, ...]:
    lengths = tuple(shape) if isinstance(shape, Sequence) else ()
    if len(lengths) in (3, 4) and all(type(n) is int and n > 0 for n in lengths):
        return lengths
    raise ModelError(f"input_shape is (c, height, width) or (c, depth, h, w), not {shape!r}.")


def _input_shape(model: LoadedModel | nn.Module) -> tuple[int, ...]:
    if not isinstance(model, LoadedModel):
        return (3, 224, 224)
    card = model.card
    size: tuple[int, ...] | int = 224 if card.spatial_ndim == 2 else 64
    for step in card.preparation.steps:
        if isinstance(step, Crop) or (isinstance(step, Resize) and step.mode == "exact"):
            size = step.size
    spatial = (size,) * card.spatial_ndim if isinstance(size, int) else size
    return (card.in_channels, *spatial)


def _rows(
    trace: Trace,
    kinds: dict[str, str],
    input_size: tuple[int, ...],
    default: str | None,
    pooling: Pooling | None,
) -> Iterator[LayerInfo]:
    for reference, name, tensor in _distinct(trace, default):
        is_default = reference == default
        note = pooling.note if pooling is not None and reference == pooling.name else ""
        yield _row(reference, kinds[name], tensor, input_size, is_default, note)


def _segmentation_rows(
    trace: Trace, kinds: dict[str, str], input_size: tuple[int, ...], card_default: str | None
) -> Iterator[LayerInfo]:
    """Yield the rows of a network that returns maps; its class maps are none of them."""
    distinct = _distinct(trace, card_default)
    levels = Levels.of(trace, [tensor for _, _, tensor in distinct], _LEARNED)
    for number, (reference, name, tensor) in enumerate(distinct):
        chosen = reference == card_default if card_default else number == levels.bottleneck
        level = levels.level(number)
        if not level and not chosen:
            continue
        notes = [level] if level else ["its maps are the classes"]
        if is_tiny(tensor.shape[2:]):
            notes.append(f"only {' x '.join(map(str, tensor.shape[2:]))} places, {TINY}")
        row = _row(reference, kinds[name], tensor, input_size, chosen, "; ".join(notes))
        yield replace(row, level=level)


def _distinct(trace: Trace, default: str | None) -> list[tuple[str, str, Tensor]]:
    """Return each tensor with maps once: how it is referred to, its module, itself."""
    repeated = _repeated(trace)
    distinct: dict[tuple[int, int], tuple[str, str, Tensor]] = {}
    for name, number, entry, tensor, version in trace.modules:
        if not is_spatial(tensor, trace.spatial_ndim):
            continue
        reference = _reference(name, number, entry, name in repeated)
        known = distinct.get((id(tensor), version))
        # The same tensor leaves a block and its last layer: the block's shorter name stands,
        # unless the longer one was chosen as the default by the card.
        if known is None or (known[0] != default and _length(reference) < _length(known[0])):
            distinct[id(tensor), version] = (reference, name, tensor)
    return list(distinct.values())


def _length(reference: str) -> tuple[bool, int]:
    """Return how long a name is to read; the entry of a list says less than a module's name."""
    return ("[" in reference, len(reference))


def _pooling_row(
    trace: Trace, pooling: Pooling, input_size: tuple[int, ...], default: bool
) -> LayerInfo:
    index = next(i for i, call in enumerate(trace.calls) if call.call == pooling.call)
    maps = trace.spatial_input(index)
    if maps is None:
        raise LayerError("The tensor that enters global pooling holds no maps; name a layer.")
    return _row(POOLING_INPUT, pooling.call.function, maps, input_size, default, pooling.note)


def _row(
    name: str, kind: str, maps: Tensor, input_size: tuple[int, ...], default: bool, note: str
) -> LayerInfo:
    shape = tuple(maps.shape[2:])
    stride = tuple(n / f for n, f in zip(input_size, shape, strict=True))
    return LayerInfo(name, kind, maps.shape[1], shape, stride, default, note)
