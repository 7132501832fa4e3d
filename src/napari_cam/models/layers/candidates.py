"""Which tensors of a network can be explained, and which one should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from napari_cam.errors import LayerError, ModelError, NapariCamError
from napari_cam.models.hooks import (
    POOLING_INPUT,
    is_spatial,
    plain_module,
)
from napari_cam.models.layers.levels import TINY, Levels, is_tiny
from napari_cam.models.layers.pooling import Pooling, find_pooling, pooling_of
from napari_cam.models.layers.trace import (
    NOT_RUNNING,
    Trace,
    not_running,
    once_per_input,
    trace_small,
    trace_whole,
)
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.steps import Crop, Resize


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


@once_per_input
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
    trace = trace_small(module, batch[:1])
    return _find_bottleneck(trace) if trace.segments else find_pooling(module, batch).name


def _find_bottleneck(trace: Trace) -> str:
    rows = _distinct(trace, None)
    levels = Levels.of(trace, [tensor for _, _, tensor in rows])
    if levels.bottleneck is None:
        raise LayerError(
            "This network has no maps between its image and its classes; name the layer to explain."
        )
    return rows[levels.bottleneck][0]


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
    trace = trace_small(module, batch[:1])
    parts = dict(module.named_modules())
    names = [
        name
        for name, output in trace.outputs
        if isinstance(parts[output.module], _ConvNd)
        and is_spatial(output.tensor, trace.spatial_ndim)
    ]
    if not names:
        raise LayerError("No convolution of this network gives maps; name the layer to explain.")
    return names[-1]


def candidate_layers(
    model: LoadedModel | nn.Module, input_shape: Sequence[int] | None = None
) -> list[LayerInfo]:
    """List the tensors of a network that can be explained, in the order of computation.

    Parameters
    ----------
    model
        The network.
    input_shape
        (c, *s) of one input. None uses the size that the preparation fixes, or else 224 (2D) or 64
        (3D) pixels along each axis.

    Returns
    -------
    list of LayerInfo
        One row per distinct tensor with feature maps. Exactly one is the default if the network has
        a global pooling, or returns maps itself (then its bottleneck is the default). Class maps
        are not listed.

    Raises
    ------
    NapariCamError
        If the network cannot run on such an input.

    Examples
    --------
    >>> import napari_cam as nc
    >>> layers = nc.candidate_layers(nc.load_sample_model())
    >>> [layer.name for layer in layers if layer.default]
    ['features']
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
        traced = trace_whole(module, batch)
    except NapariCamError:
        raise
    except NOT_RUNNING as error:
        advice = "give the (c, height, width) it takes as input_shape"
        raise not_running(shape, error, advice) from error
    kinds = {name: type(part).__name__ for name, part in module.named_modules()}
    card_default = model.card.default_layer if isinstance(model, LoadedModel) else None
    if traced.segments:
        return list(_segmentation_rows(traced, kinds, shape[1:], card_default))
    try:
        pooling = pooling_of(traced)
    except LayerError:
        pooling = None
    default = card_default or (pooling.name if pooling else None)
    rows = list(_rows(traced, kinds, shape[1:], default, pooling))
    if pooling is not None and pooling.name == POOLING_INPUT:
        rows.append(_pooling_row(traced, pooling, shape[1:], default == POOLING_INPUT))
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
    levels = Levels.of(trace, [tensor for _, _, tensor in distinct])
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
    distinct: dict[tuple[int, int], tuple[str, str, Tensor]] = {}
    for reference, output in trace.outputs:
        if not is_spatial(output.tensor, trace.spatial_ndim):
            continue
        place = id(output.tensor), output.version
        known = distinct.get(place)
        # The same tensor leaves a block and its last layer: the block's shorter name stands,
        # unless the longer one was chosen as the default by the card.
        if known is None or (known[0] != default and _length(reference) < _length(known[0])):
            distinct[place] = (reference, output.module, output.tensor)
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
