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
    """Several masks combined into one.

    Attributes
    ----------
    mask
        (z, y, x) bool.
    operator
        How the masks were combined.
    members
        Names of the masks, in the order that decides ties.
    probability
        (z, y, x) float32, STAPLE's probability that the voxel belongs to the true mask; None for
        other operators.
    sensitivity, specificity
        (u, m) float64, STAPLE's estimates for each member: the share of the true mask that it
        contains, and the share of the rest that it leaves out. NaN if there was nothing to
        estimate; None for other operators.
    chosen
        (u,) int64, the index of the smallest or largest member in each unit; -1 if all members are
        empty and empty ones are skipped. None for other operators.
    unit_axis
        Array axis of the units; None if the whole volume is one unit.
    grid
        Where the mask lies; None if the members do not say.
    provenance
        How it and its members were made, as plain JSON.
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
    """Combine several masks into one.

    Parameters
    ----------
    masks
        The result of :func:`napari_cam.binarize`, or masks by name: boolean arrays (z, y, x),
        MaskSets and other ensembles. They may come from any methods, layers and networks, but share
        one grid.
    operator
        "or": in any member; "and": in every member; "smallest" and "largest" (also "<" and ">"): in
        each unit, the member with the fewest or most voxels; "majority": in more than half of the
        members; "staple": STAPLE's probability exceeds one half.
    unit_axis
        Axis of the units in which members are compared by size. None for the whole volume;
        "members" for the units of the members' heatmaps (slices along z for plain arrays).
    ties
        The member that wins if several are equally small or large: the "first" (as in the paper's
        code) or the "last".
    empty
        "keep" treats a member with no voxel in a unit like any other: it can be the smallest, it
        makes an "and" empty, and it votes against. "skip" ignores it in that unit, for every
        operator.
    tied_votes
        For "majority", what happens to a voxel if exactly half of the members vote for it: "out",
        "in", or the vote of the "first" participating member.
    box
        The region that the mask may occupy: a filter or a boolean array. Members are restricted to
        it before they are compared, and STAPLE uses it alone.
    grid
        The grid of plain arrays, for boxes in mm; MaskSets know theirs.
    staple_per
        Whether STAPLE makes one estimate for the "volume" or one for each "unit".
    iterations
        Maximum number of STAPLE iterations.
    engine
        The implementation of STAPLE; "votes" is the only one.

    Returns
    -------
    Ensemble
        The mask. Depending on the operator also the probability or the chosen members.

    Raises
    ------
    MaskError
        If there are no masks, they lie on different grids, or an option is unknown.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "hirescam", "layercam"], "damaged")
    >>> masks = nc.binarize(maps, "fixed:0.5")
    >>> both = nc.combine(masks, "and").mask
    >>> most = nc.combine(masks, "majority").mask
    >>> bool((both <= most).all())
    True
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
