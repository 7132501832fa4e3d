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
        (z, y, x) float32 in [0, 1], the share of members that contain the voxel.
    spread
        (z, y, x) float32 in [0, 1], 4 share (1 - share): the scaled variance of the votes. 0 if all
        members agree, 1 if they are split in half.
    members
        Names of the masks.
    grid
        Where the masks lie; None if no member says.
    provenance
        How it and its members were made, as plain JSON.
    """

    share: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] = field(repr=False)
    members: tuple[str, ...]
    grid: Grid | None = field(default=None, repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def disputed(self) -> NDArray[np.bool_]:
        """(z, y, x) True for voxels on which the members disagree."""
        return np.asarray(self.spread > 0)


def consensus(masks: MaskSet | Mapping[Any, Any] | Sequence[Any]) -> Consensus:
    """Return the share of masks that contain each voxel.

    Parameters
    ----------
    masks
        As in :func:`napari_cam.combine`: any number of masks, from any methods, layers and
        networks.

    Raises
    ------
    MaskError
        If there are no masks, or they lie on different grids.
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
