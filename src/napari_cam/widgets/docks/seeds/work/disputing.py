"""Where the members of an ensemble, or seeds and a proposal, disagree. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.labels.seeds.review import Disagreement, disagreement, disagreement_of_spread
from napari_cam.masks.ensembles.agreement_map import consensus
from napari_cam.widgets.docks.seeds.work.ensembling import EnsembleRequest

Parties = EnsembleRequest | tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Who may disagree: the members of an ensemble, or two masks (z, y, x)."""


def find_disagreement(parties: Parties, axis: int) -> Iterator[Disagreement]:
    """Yield how much is disputed, slice by slice along an axis of (z, y, x)."""
    if isinstance(parties, EnsembleRequest):
        found = consensus(parties.cut())
        yield disagreement_of_spread(found.spread, share=found.share, axis=axis)
    else:
        yield disagreement(parties, axis)


def seeds_and_proposal(
    labels: NDArray[Any], proposal: NDArray[Any], background: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return seeds and a proposal (z, y, x) as two masks of what is not background.

    A voxel that one of the two leaves open is no disagreement.
    """
    said = (labels != 0) & (proposal != 0)
    return said & (labels != background), said & (proposal != background)
