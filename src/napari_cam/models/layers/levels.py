"""Where in a segmentation network a tensor lies: encoder, bottleneck, decoder, class maps.

Rheude et al. 2024 explain the bottleneck, the deepest maps with most channels, and
find no explanation where these are spatially tiny (section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from napari_cam.models.hooks import is_spatial
from napari_cam.models.layers.trace import LEARNED, Trace

TINY = "too few to say where; choose a finer layer, or give the network larger images"
_FEWEST = 4


def is_tiny(shape: Sequence[int]) -> bool:
    """Whether a map has fewer than 4 places along an axis."""
    return min(shape) < _FEWEST


# A level with a smaller share of the most channels than this is a side branch, no bottleneck.
_SHARE = 0.25
# The next level has at most this share of a level's places. Maps of an odd size come back from
# below a pixel smaller, and belong to the same level.
_NEXT = 0.6


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of one forward pass.

    Attributes
    ----------
    tensors
        Those in question, in the order in which they arise.
    rows
        Which of them can be explained: no class maps, no pooled context, not the image itself.
    bottleneck
        Which of them is explained where none is named; None where there is none.
    """

    tensors: tuple[Tensor, ...]
    rows: tuple[int, ...]
    bottleneck: int | None

    @classmethod
    def of(cls, trace: Trace, tensors: Sequence[Tensor]) -> Levels:
        """Return the levels among `tensors`."""
        left_out = [*_class_maps(trace), *_context(trace)]
        if trace.image is not None:
            left_out.append(trace.image)
        unwanted = {id(tensor) for tensor in left_out}
        rows = tuple(i for i, tensor in enumerate(tensors) if id(tensor) not in unwanted)
        return cls(tuple(tensors), rows, _bottleneck(trace, tensors, rows))

    def level(self, row: int) -> str:
        """Return "encoder 0", "bottleneck" or "decoder 2"; 0 has the finest maps."""
        if row not in self.rows or self.bottleneck is None:
            return ""
        if row == self.bottleneck:
            return "bottleneck"
        side = "encoder" if row < self.bottleneck else "decoder"
        return f"{side} {self._depth(_places(self.tensors[row]))}"

    def _depth(self, places: int) -> int:
        """Return how many levels have finer maps than those of so many places."""
        sizes = sorted({_places(self.tensors[i]) for i in self.rows} | {places}, reverse=True)
        return sum(b <= _NEXT * a for a, b in pairwise(sizes[: sizes.index(places) + 1]))


def _bottleneck(trace: Trace, tensors: Sequence[Tensor], rows: Sequence[int]) -> int | None:
    """Return the last of the deepest maps with most channels, through which the deepest path leads.

    What runs beside other maps of its size (one of several branches) is passed over.
    """
    if not rows:
        return None
    most = max(tensors[i].shape[1] for i in rows)
    wide = {_places(tensors[i]) for i in rows if tensors[i].shape[1] >= _SHARE * most}
    deepest = [i for i in rows if _places(tensors[i]) == min(wide)]
    alone = [i for i in deepest if _is_alone(trace, tensors[i])]
    return max(alone or deepest, key=lambda i: (tensors[i].shape[1], i))


def _is_alone(trace: Trace, tensor: Tensor) -> bool:
    """Whether nothing that follows takes older maps of the same size."""
    made = trace.producer(tensor, len(trace.calls))
    if made is None:
        return True
    older = {
        id(given)
        for call in trace.calls[:made]
        for given in call.given
        if is_spatial(given, trace.spatial_ndim) and given.shape[2:] == tensor.shape[2:]
    }
    older.discard(id(tensor))
    newer: set[int] = set()
    for call in trace.calls[made + 1 :]:
        if any(id(taken) in older - newer for taken in call.taken):
            return False
        newer |= {id(given) for given in call.given}  # changed in place, or made anew
    return True


def _places(tensor: Tensor) -> int:
    return tensor.shape[2:].numel()


def _class_maps(trace: Trace) -> list[Tensor]:
    """Return the output and what it was made of since the last learned function.

    They hold one map per class: the logits, before and after they are enlarged or squashed.
    """
    found: dict[int, Tensor] = {}
    waiting = [(trace.output, len(trace.calls))]
    while waiting:
        tensor, before = waiting.pop()
        found[id(tensor)] = tensor
        maker = trace.producer(tensor, before)
        if maker is None or trace.calls[maker].matches(LEARNED):
            continue
        waiting += [
            (taken, maker)
            for taken in trace.calls[maker].taken
            if is_spatial(taken, trace.spatial_ndim) and taken.shape[1] == trace.output.shape[1]
        ]
    return list(found.values())


def _context(trace: Trace) -> list[Tensor]:
    """Return maps pooled to a few fixed places, until they are enlarged again.

    Pyramid pooling beside the encoder gives maps of 2x2 places and fewer, which are no bottleneck:
    the finer maps they were made of go on too.
    """
    pooled: dict[int, Tensor] = {}
    for call in trace.calls:
        maps = [item for item in call.taken if is_spatial(item, trace.spatial_ndim)]
        if not maps:
            continue
        begins = call.matches(("adaptive_avg_pool", "adaptive_max_pool"))
        goes_on = any(id(item) in pooled for item in maps)
        for given in call.given:
            same = given.shape[2:] == maps[0].shape[2:]
            if (begins and not same) or (goes_on and same):
                pooled[id(given)] = given
    return list(pooled.values())
