"""Proposals for seeds: of heatmaps by class, or of a mask. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap, one_slice
from napari_cam.labels.choices import Conflict, Negatives
from napari_cam.labels.classes import BACKGROUND, LabelClasses
from napari_cam.labels.seeds.making import make_seeds
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.masks.ensembles.boxes import BoxFilter, box_facts
from napari_cam.normalize import Renormalize, renormalized
from napari_cam.units import slab

ByClass = Mapping[str, tuple[Heatmap, ...]]


@dataclass(frozen=True, eq=False)
class SeedsRequest:
    """What seeds are to be proposed.

    Attributes
    ----------
    heatmaps
        By the name of their class.
    high, low
        The two cuts, 0 to 1.
    conflict, gate, normalize
        As `make_seeds` takes them.
    grid, slice_axis
        Of the image.
    box, inside
        What restricts the proposal, and (z, y, x) where that is; None for everywhere.
    outside
        What lies outside of it: "unlabelled" or "background".
    """

    heatmaps: ByClass
    high: float
    low: float
    conflict: Conflict
    gate: bool
    normalize: Renormalize
    grid: Grid
    slice_axis: int
    box: BoxFilter | None = None
    inside: NDArray[np.bool_] | None = field(default=None, repr=False)
    outside: Negatives = "unlabelled"

    @property
    def sources(self) -> tuple[Any, ...]:
        """What the normalised heatmaps depend on."""
        return (
            self.normalize,
            *(
                (name, each.values.ctypes.data, each.raw_min.tobytes(), each.raw_max.tobytes())
                for name, members in self.heatmaps.items()
                for each in members
            ),
        )

    def make(self, heatmaps: ByClass, normalize: Renormalize, inside: Any) -> Seeds:
        """Return the seeds of `heatmaps`."""
        return make_seeds(
            heatmaps,
            self.high,
            min(self.low, self.high),
            conflict=self.conflict,
            gate=self.gate,
            normalize=normalize,
            foreground=inside,
            outside=self.outside,
        )


@dataclass(frozen=True, eq=False)
class Proposal:
    """Seeds of a whole volume.

    Attributes
    ----------
    seeds
        What is proposed.
    facts
        What made it, as plain JSON.
    scaled, sources
        Its heatmaps, normalised, and what they depend on: for proposals of single slices.
    """

    seeds: Seeds
    facts: Mapping[str, Any] = field(repr=False)
    scaled: ByClass = field(repr=False)
    sources: tuple[Any, ...] = field(repr=False)


def propose(request: SeedsRequest, known: Proposal | None = None) -> Iterator[Proposal]:
    """Yield the seeds of a whole volume; `known` may be an earlier proposal of the same heatmaps.

    Raises
    ------
    MaskError
        Where heatmaps do not fit each other or their class.
    """
    scaled: ByClass
    if known is not None and known.sources == request.sources:
        scaled = known.scaled
    else:
        scaled = {
            name: tuple(renormalized(each, request.normalize) for each in members)
            for name, members in request.heatmaps.items()
        }
    seeds = request.make(scaled, "none", request.inside)
    facts = {**seeds.provenance, "normalize": request.normalize, "box": box_facts(request.box)}
    yield Proposal(seeds, facts, scaled, request.sources)


def propose_slice(
    request: SeedsRequest, known: Proposal | None, index: int
) -> tuple[NDArray[np.uint8], LabelClasses] | None:
    """Return one slice (rows, columns) of the seeds and their classes.

    It is None where the heatmaps are not normalised yet, or not explained slice by slice.
    """
    axis = request.slice_axis
    if known is None or known.sources != request.sources:
        return None
    members = [each for heatmaps in known.scaled.values() for each in heatmaps]
    if any(each.unit_axis != axis for each in members):
        return None
    slices = {
        name: tuple(one_slice(each, index) for each in heatmaps)
        for name, heatmaps in known.scaled.items()
    }
    inside = None if request.inside is None else request.inside[slab(axis, index)]
    seeds = request.make(slices, "none", inside)
    return seeds.labels.squeeze(axis), seeds.classes


def recode(
    labels: NDArray[np.uint8], classes: LabelClasses, into: LabelClasses, background: int | None
) -> NDArray[np.uint8]:
    """Return proposed labels in the codes of a seeds layer; what has no class there becomes 0.

    Parameters
    ----------
    labels, classes
        As proposed: 1 is background.
    into
        The classes of the layer, found by name.
    background
        The layer's code of background, None where it has none.
    """
    table = np.zeros(256, np.uint8)
    codes = {each.name: each.code for each in into}
    for each in classes:
        code = background if each.code == BACKGROUND else codes.get(each.name)
        table[each.code] = code or 0
    return np.asarray(table[labels])
