"""Several masks made into one: or, and, smallest, largest, majority, STAPLE.

The first four are those of Ostrowski et al. 2024, section III-C, for any number of members; the
paper writes '<' for the smallest and '>' for the largest and takes both image by image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid, check_same_place
from napari_cam.masks.binarize import MaskSet
from napari_cam.masks.choices import (
    PER,
    Empty,
    Operator,
    Per,
    TiedVotes,
    Ties,
)
from napari_cam.masks.ensembles.boxes import BoxFilter, box_facts, box_mask
from napari_cam.masks.ensembles.members import Members, UnitAxis, members_of
from napari_cam.masks.ensembles.rule import EnsembleRule, decide, pick_by_size
from napari_cam.masks.ensembles.staple import staple
from napari_cam.provenance import stamp
from napari_cam.units import count_by_unit, per_unit

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several masks made into one.

    Attributes
    ----------
    mask
        (z, y, x) bool.
    operator
        How.
    members
        Names of the masks, in the order in which ties were decided.
    probability
        (z, y, x) float32, STAPLE's probability of the true mask; None for other operators.
    sensitivity, specificity
        (u, m) float64, what STAPLE estimates of each member: the share of the true mask that it
        holds, and of the rest that it leaves out; NaN where there was nothing to estimate. None
        for other operators.
    chosen
        (u,) int64, which member the smallest or largest mask of each unit is, -1 where all are
        empty and empty ones are skipped; None for other operators.
    unit_axis
        Array axis of the units, None for one whole volume.
    grid
        Where it lies, None where the members do not say.
    provenance
        What made it and its members, as plain JSON.
    """

    mask: Mask = field(repr=False)
    operator: Operator
    members: tuple[str, ...]
    probability: NDArray[np.float32] | None = field(default=None, repr=False)
    sensitivity: NDArray[np.float64] | None = field(default=None, repr=False)
    specificity: NDArray[np.float64] | None = field(default=None, repr=False)
    chosen: NDArray[np.int64] | None = field(default=None, repr=False)
    unit_axis: int | None = 0
    grid: Grid | None = field(default=None, repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)


def combine(
    masks: MaskSet | Mapping[Any, Any] | Sequence[Any],
    operator: Operator,
    *,
    unit_axis: UnitAxis = "members",
    ties: Ties = "first",
    empty: Empty = "keep",
    tied_votes: TiedVotes = "out",
    box: BoxFilter | Mask | None = None,
    grid: Grid | None = None,
    staple_per: Per = "volume",
    iterations: int = 1000,
    engine: str = "votes",
) -> Ensemble:
    """Make one mask out of several.

    Parameters
    ----------
    masks
        What :func:`napari_cam.binarize` returns, or masks by name: boolean arrays (z, y, x),
        MaskSets and other ensembles, from any methods, layers and networks, on one grid.
    operator
        "or": in any member; "and": in every one; "smallest" and "largest" (also "<" and ">"): in
        each unit the member with the fewest or most voxels; "majority": in more than half of the
        members; "staple": where STAPLE's probability exceeds one half.
    unit_axis
        Axis of the units that members are compared in by size; None for the whole volume,
        "members" for the units of their heatmaps (slices along z for plain arrays).
    ties
        Which member wins where several are smallest or largest: the "first" (as the paper's code
        does) or the "last".
    empty
        "keep" lets a member without any voxel in a unit be the smallest, empty an "and", and vote
        against; "skip" leaves it out of that unit, for every operator.
    tied_votes
        Of a majority, what becomes of a voxel for which half of the members vote: "out", "in", or
        as the "first" of the members taking part says.
    box
        Where masks may lie: a filter or a boolean array; members are cut off there before they are
        compared, and STAPLE is estimated there alone.
    grid
        Where plain arrays lie, for boxes in mm; MaskSets bring their own.
    staple_per
        Whether STAPLE is estimated once over the "volume" or in each "unit".
    iterations
        The most that STAPLE may take.
    engine
        What runs STAPLE; there is only "votes".

    Returns
    -------
    Ensemble
        The mask, with the probability or the chosen members where the operator has them.

    Raises
    ------
    MaskError
        Where there are no masks, they lie on different grids, or an option is unknown.
    """
    rule = EnsembleRule(operator, ties, empty, tied_votes)
    members = members_of(masks)
    axis = members.unit_axis(unit_axis)
    lies_on = _grid(members, grid)
    allowed = box_mask(box, lies_on or Grid.plain(members.shape))
    facts: dict[str, Any] = {**rule.facts(), "unit_axis": axis, "box": box_facts(box)}
    estimate = chosen = None
    if rule.operator == "staple":
        PER.checked(staple_per, "staple_per")
        if engine != "votes":
            raise MaskError(
                f"STAPLE runs over the votes that occur, not by {engine!r}; leave out the engine."
            )
        along = axis if staple_per == "unit" else None
        estimate = staple(list(members.masks(allowed)), along, allowed, rule.empty, iterations)
        mask = estimate.mask
        facts |= {"staple_per": staple_per, "engine": engine, **estimate.facts()}
    elif rule.operator in ("smallest", "largest"):
        mask, chosen = _by_size(members, allowed, axis, rule)
        facts["chosen"] = chosen.tolist()
    else:
        mask = _by_votes(members, allowed, axis, rule)
    return Ensemble(
        mask=mask,
        operator=rule.operator,
        members=members.names,
        probability=None if estimate is None else estimate.probability,
        sensitivity=None if estimate is None else estimate.sensitivity,
        specificity=None if estimate is None else estimate.specificity,
        chosen=chosen,
        unit_axis=axis,
        grid=lies_on,
        provenance=stamp(kind="mask", ensemble=facts, members=members.provenance()),
    )


def _by_size(
    members: Members, allowed: Mask | None, axis: int | None, rule: EnsembleRule
) -> tuple[Mask, NDArray[np.int64]]:
    """Return in each unit the smallest or largest member, and which (u,) that is."""
    sizes = np.stack([count_by_unit(mask, axis) for mask in members.masks(allowed)])
    place, exists = pick_by_size(sizes, rule)
    chosen = np.where(exists, place, -1)
    result = np.zeros(members.shape, bool)
    for number, mask in enumerate(members.masks(allowed)):
        result |= mask & per_unit(chosen == number, axis)
    return result, chosen


def _by_votes(members: Members, allowed: Mask | None, axis: int | None, rule: EnsembleRule) -> Mask:
    """Return "or", "and" or the majority of the members that take part in each unit."""
    # Up to 32767 members; as one number per voxel, however many there are.
    votes = np.zeros(members.shape, np.int16)
    first = np.zeros(members.shape, bool)
    voters: NDArray[Any] = np.zeros((1, 1, 1), np.int64)
    for mask in members.masks(allowed):
        takes_part = np.ones((1, 1, 1), np.int64)
        if rule.empty == "skip":
            takes_part = per_unit((count_by_unit(mask, axis) > 0).astype(np.int64), axis)
        first |= mask & (voters == 0) & (takes_part > 0)
        votes += mask
        voters = voters + takes_part
    return decide(votes, voters, first, rule)


def _grid(members: Members, grid: Grid | None) -> Grid | None:
    if grid is None:
        return members.grid
    own = members.grid or Grid(members.shape, grid.affine)
    check_same_place("The first mask", own, "the grid given", grid, MaskError)
    return grid
