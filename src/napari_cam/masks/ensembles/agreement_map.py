"""Where masks agree: the share of members that vote for each voxel, and how split they are.

A boundary that methods place differently is soft; these maps show where. One mask of an ensemble
hides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.masks.binarize import MaskSet
from napari_cam.masks.ensembles.members import members_of
from napari_cam.provenance import stamp


@dataclass(frozen=True, eq=False)
class Consensus:
    """How far several masks agree, voxel by voxel.

    Attributes
    ----------
    share
        (z, y, x) float32 in [0, 1], share of the members that vote for the voxel.
    spread
        (z, y, x) float32 in [0, 1], 4 share (1 - share): the variance of a vote, 0 where all
        agree and 1 where half are for and half against.
    members
        Names of the masks.
    grid
        Where they lie, None where no member says.
    provenance
        What made it and its members, as plain JSON.
    """

    share: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] = field(repr=False)
    members: tuple[str, ...]
    grid: Grid | None = field(default=None, repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def disputed(self) -> NDArray[np.bool_]:
        """(z, y, x) True where some members vote for a voxel and some against."""
        return np.asarray(self.spread > 0)


def consensus(masks: MaskSet | Mapping[Any, Any] | Sequence[Any]) -> Consensus:
    """Count for each voxel which share of the masks holds it.

    Parameters
    ----------
    masks
        As :func:`napari_cam.combine` takes them: any number from any methods, layers and networks.

    Raises
    ------
    MaskError
        Where there are no masks, or they lie on different grids.
    """
    members = members_of(masks)
    votes = np.zeros(members.shape, np.float32)
    for mask in members.masks():
        votes += mask
    share = votes / np.float32(len(members))
    spread = 4 * share * (1 - share)
    return Consensus(
        share,
        spread,
        members.names,
        members.grid,
        stamp(kind="consensus", members=members.provenance()),
    )
