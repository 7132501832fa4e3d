"""Where maps enter global pooling: what is explained of a classifier where no layer is named."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from napari_cam.errors import LayerError
from napari_cam.models.hooks import (
    POOLING_INPUT,
    FunctionCall,
    is_spatial,
)
from napari_cam.models.layers.trace import LEARNED, Trace, once_per_input, trace_small

# Functions that carry a map on without adding anything learned: the tensor worth explaining is
# what went into them (VGG's 7x7 adaptive pooling in front of its flattening).
_PASS_ON = ("adaptive_avg_pool", "adaptive_max_pool", "dropout", "feature_dropout")


@dataclass(frozen=True)
class Pooling:
    """Where the default target is met: the function call whose first argument it is."""

    call: FunctionCall
    name: str
    note: str


@once_per_input
def find_pooling(module: nn.Module, batch: Tensor) -> Pooling:
    """Return where the default target of `module` is met, once per input size.

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
    return pooling_of(trace_small(module, batch[:1]))


def pooling_of(trace: Trace) -> Pooling:
    """Return where maps enter the global pooling of a traced network.

    Raises
    ------
    LayerError
        Where none do.
    """
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
    learned_after = any(call.matches(LEARNED) for call in trace.calls[collapse + 1 :])
    if maps is not None and not learned_after and maps.shape[1] == trace.output.shape[1]:
        note += "; one map per class, so all gradient methods coincide here"
    return Pooling(trace.calls[index].call, _name_of_maps(trace, index), note)


def _name_of_maps(trace: Trace, index: int) -> str:
    """Return the shortest module name whose untouched output enters call `index`."""
    call = trace.calls[index]
    position = next(i for i, t in enumerate(call.taken) if is_spatial(t, trace.spatial_ndim))
    maps, version = call.taken[position], call.versions[position]
    names = [
        name
        for name, output in trace.outputs
        if output.tensor is maps and output.version == version
    ]
    return min(names, key=lambda name: (name.count("."), len(name)), default=POOLING_INPUT)
