"""Where in a segmentation network a tensor lies: encoder, bottleneck, decoder, class maps.

Rheude et al. 2024 explain the bottleneck, the deepest maps with most channels (section 3.3), and
find no explanation where these are spatially tiny (section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from napari_cam.models.hooks import is_spatial

if TYPE_CHECKING:
    from napari_cam.models.layers import Trace

TINY = "too few to say where; choose a finer layer, or give the network larger images"
_FEWEST = 4


def is_tiny(shape: Sequence[int]) -> bool:
    """Whether a map has fewer than 4 places along an axis."""
    return min(shape) < _FEWEST


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of one forward pass.

    Attributes
    ----------
    rows
        The tensors that can be explained, in the order in which they arise: no class maps, no
        pooled context, not the image itself.
    bottleneck
        Which of them is explained where none is named; None where there is none.
    """

    rows: tuple[Tensor, ...]
    bottleneck: int | None

    @classmethod
    def of(cls, trace: Trace, tensors: Sequence[Tensor], learned: Sequence[str]) -> Levels:
        """Return the levels among `tensors`; `learned` names functions that have weights."""
        left_out = [*_class_maps(trace, learned), *_context(trace)]
        if trace.image is not None:
            left_out.append(trace.image)
        unwanted = {id(tensor) for tensor in left_out}
        rows = tuple(tensor for tensor in tensors if id(tensor) not in unwanted)
        if not rows:
            return cls((), None)
        # The last one among those of the lowest resolution with most channels.
        order = [(-_places(row), row.shape[1], number) for number, row in enumerate(rows)]
        return cls(rows, max(order)[2])

    def level(self, tensor: Tensor) -> str:
        """Return "encoder 0", "bottleneck" or "decoder 2"; 0 has the finest maps."""
        number = self._number(tensor)
        if number is None or self.bottleneck is None:
            return ""
        sizes = sorted({_places(row) for row in self.rows}, reverse=True)
        place = sizes.index(_places(tensor))
        if place == len(sizes) - 1:
            return "bottleneck"
        return f"{'encoder' if number < self.bottleneck else 'decoder'} {place}"

    def _number(self, tensor: Tensor) -> int | None:
        return next((i for i, row in enumerate(self.rows) if row is tensor), None)


def _places(tensor: Tensor) -> int:
    return tensor.shape[2:].numel()


def _class_maps(trace: Trace, learned: Sequence[str]) -> list[Tensor]:
    """Return the output and what it was made of since the last learned function.

    They hold one map per class: the logits, before and after they are enlarged or squashed.
    """
    found = [trace.output]
    before = len(trace.calls)
    while True:
        maker = trace.producer(found[-1], before)
        if maker is None or trace.calls[maker].matches(learned):
            return found
        taken = [
            tensor
            for tensor in trace.calls[maker].taken
            if is_spatial(tensor, trace.spatial_ndim) and tensor.shape[1] == trace.output.shape[1]
        ]
        if not taken:
            return found
        found.append(taken[0])
        before = maker


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
