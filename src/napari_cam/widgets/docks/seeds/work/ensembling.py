"""Ensembles for the dock: the whole volume, or quickly the slice on screen. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap, one_slice
from napari_cam.masks.binarize import MaskSet, binarize
from napari_cam.masks.choices import MEAN, OPERATORS
from napari_cam.masks.ensembles.agreement_map import Consensus, consensus
from napari_cam.masks.ensembles.boxes import BoxFilter, box_facts
from napari_cam.masks.ensembles.combine import combine
from napari_cam.masks.ensembles.mean_heatmap import mean_heatmap
from napari_cam.units import slab

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EnsembleRequest:
    """What to combine, and how.

    Attributes
    ----------
    members
        Heatmaps, and masks (z, y, x) bool, by names that are no names of files.
    operator
        "or", "and", "smallest", "largest", "majority", "staple", or "mean" of heatmaps.
    rule, strict
        How heatmaps are cut: text of a rule, and whether > or >=.
    grid
        Of the image.
    slice_axis
        Along which the slices lie that are compared in size.
    box, inside
        What restricts the members, and (z, y, x) where that is; None for everywhere.
    """

    members: Mapping[str, Heatmap | Mask]
    operator: str
    rule: str
    strict: bool
    grid: Grid
    slice_axis: int
    box: BoxFilter | None = None
    inside: Mask | None = field(default=None, repr=False)

    def cut(self) -> dict[str, MaskSet | Mask]:
        """Return the members as masks; those of heatmaps are computed when they are looked at."""
        return {
            name: binarize(each, self.rule, self.strict) if isinstance(each, Heatmap) else each
            for name, each in self.members.items()
        }


def make_ensemble(request: EnsembleRequest) -> Iterator[Ensemble]:
    """Yield the ensemble of a whole volume.

    Raises
    ------
    MaskError
        Where members do not fit each other or the operator.
    """
    if request.operator == MEAN:
        yield Ensemble(None, _mean(request))
        return
    made = combine(
        request.cut(),
        OPERATORS.checked(request.operator),
        unit_axis=_unit_axis(request),
        box=request.inside,
        grid=request.grid,
    )
    facts = dict(made.provenance)
    facts["ensemble"] = {**facts["ensemble"], "box": box_facts(request.box)}
    yield Ensemble(made.mask, None, facts)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """An ensemble: a mask with what made it, or the mean heatmap.

    Attributes
    ----------
    mask
        (z, y, x) bool, None for a mean.
    heatmap
        The mean, None for a mask.
    facts
        What made the mask, as plain JSON.
    """

    mask: Mask | None
    heatmap: Heatmap | None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


def make_ensemble_slice(request: EnsembleRequest, index: int) -> Mask | None:
    """Return one slice (rows, columns) of the ensemble, None where it depends on the others."""
    axis = request.slice_axis
    if request.operator in (MEAN, "staple") or "volume" in request.rule:
        return None
    members: dict[str, Heatmap | Mask] = {}
    for name, each in request.members.items():
        if not isinstance(each, Heatmap):
            members[name] = each[slab(axis, index)]
        elif each.unit_axis == axis:
            members[name] = one_slice(each, index)
        else:
            return None
    inside = request.inside
    one = replace(request, members=members, inside=None)
    box = None if inside is None else inside[slab(axis, index)]
    made = combine(one.cut(), OPERATORS.checked(one.operator), unit_axis=axis, box=box)
    return made.mask.squeeze(axis)


def make_consensus(request: EnsembleRequest) -> Iterator[Consensus]:
    """Yield how far the members agree."""
    yield consensus(request.cut())


def _mean(request: EnsembleRequest) -> Heatmap:
    maps = {name: each for name, each in request.members.items() if isinstance(each, Heatmap)}
    if len(maps) < len(request.members):
        raise MaskError("A mean is taken of heatmaps alone; untick the masks and labels.")
    mean = mean_heatmap(maps)
    if request.inside is None:
        return mean
    facts = {**mean.provenance}
    facts["ensemble"] = {**facts.get("ensemble", {}), "box": box_facts(request.box)}
    return replace(mean, values=mean.values * request.inside, provenance=facts)


def _unit_axis(request: EnsembleRequest) -> int | None:
    """Return the members' own units where their heatmaps agree, else the image's slices."""
    stated = {each.unit_axis for each in request.members.values() if isinstance(each, Heatmap)}
    return stated.pop() if len(stated) == 1 else request.slice_axis
