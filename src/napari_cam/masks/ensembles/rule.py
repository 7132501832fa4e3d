"""How masks become one: a rule on votes and sizes, the same for masks and in a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.masks.choices import (
    EMPTY,
    OPERATORS,
    TIED_VOTES,
    TIES,
    Empty,
    Operator,
    TiedVotes,
    Ties,
)

_SYMBOLS = {"<": "smallest", ">": "largest"}
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EnsembleRule:
    """How masks become one; the same on masks and in a calibration.

    Attributes
    ----------
    operator
        One of :data:`napari_cam.masks.choices.OPERATORS`.
    ties
        Which of several members of one size the smallest or largest is.
    empty
        Whether, in a unit, members without a voxel take part.
    tied_votes
        What becomes of a voxel for which exactly half of the members vote.

    Raises
    ------
    MaskError
        Where one of them is unknown.
    """

    operator: Operator
    ties: Ties = "first"
    empty: Empty = "keep"
    tied_votes: TiedVotes = "out"

    def __post_init__(self) -> None:
        known: Any = _SYMBOLS.get(self.operator, self.operator)
        object.__setattr__(self, "operator", known)
        OPERATORS.checked(known)
        TIES.checked(self.ties)
        EMPTY.checked(self.empty)
        TIED_VOTES.checked(self.tied_votes)

    def facts(self) -> dict[str, str]:
        """Return the rule as plain JSON."""
        return {
            "operator": self.operator,
            "ties": self.ties,
            "empty": self.empty,
            "tied_votes": self.tied_votes,
        }


def pick_by_size(
    sizes: NDArray[np.int64], rule: EnsembleRule
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose the smallest or largest of the members along the first axis.

    Parameters
    ----------
    sizes
        (m, ...) voxels of each member.
    rule
        With operator "smallest" or "largest".

    Returns
    -------
    chosen
        (...) the member's place.
    exists
        (...) False where all members are empty and empty ones are skipped.
    """
    signed = sizes if rule.operator == "smallest" else -sizes
    if rule.empty == "skip":
        signed = np.where(sizes == 0, np.iinfo(np.int64).max, signed)
        exists = np.asarray((sizes > 0).any(axis=0))
    else:
        exists = np.ones(sizes.shape[1:], bool)
    if rule.ties == "first":
        return signed.argmin(axis=0), exists
    return len(sizes) - 1 - signed[::-1].argmin(axis=0), exists


def decide(
    votes: NDArray[Any], voters: NDArray[Any], first: NDArray[np.bool_], rule: EnsembleRule
) -> Mask:
    """Return what "or", "and" or the majority make of votes; the arrays broadcast.

    Parameters
    ----------
    votes
        How many members hold a voxel.
    voters
        How many take part.
    first
        Whether the first of those does.
    rule
        With operator "or", "and" or "majority".
    """
    if rule.operator == "or":
        return np.asarray(votes > 0)
    if rule.operator == "and":
        return np.asarray((votes == voters) & (voters > 0))
    majority = 2 * votes > voters
    if rule.tied_votes == "out":
        return np.asarray(majority)
    tied = (2 * votes == voters) & (votes > 0)
    return np.asarray(majority | (tied if rule.tied_votes == "in" else tied & first))
