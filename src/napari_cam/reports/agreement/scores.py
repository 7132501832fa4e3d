"""What is kept of the agreement of one case's maps: voxels that every pair shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.grid import Grid
from napari_cam.masks.counts import Counts
from napari_cam.reports.cases.map_names import MapName

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AgreementSettings:
    """How maps are compared with each other.

    Attributes
    ----------
    thresholds, headline, strict
        Names of the rules and of the one shown first; whether a voxel must exceed its cut.
    ranks
        Whether the heatmaps' rank correlation is computed.
    """

    thresholds: tuple[str, ...]
    headline: str
    strict: bool
    ranks: bool


@dataclass(frozen=True, eq=False)
class Votes:
    """In how many of a case's masks each voxel lies at the headline threshold.

    Attributes
    ----------
    counted
        (z, y, x).
    axis
        Along which array axis the units lie; None for the volume of a 3D network.
    grid
        Where the maps lie; None for plain masks of no stated place.
    """

    counted: NDArray[np.uint16] = field(repr=False)
    axis: int | None
    grid: Grid | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class AgreementScores:
    """The agreement of m maps of one subject, p = m (m - 1) / 2 pairs, r thresholds, u units.

    Attributes
    ----------
    subject, group, class_name
        Of the case.
    names
        The m maps; pairs come in the order 01, 02, ..., 12, ...
    unit
        (u,) numbers of the units within the volume.
    shared, either
        (r, p, u) voxels that lie in both masks of a pair, and in one of them at least.
    rank
        (p, u) Spearman's correlation of the heatmaps; NaN for masks and for flat maps; None where
        it was not asked for.
    pictures
        For the figure of consensus; None where it was not asked for.
    """

    subject: str
    group: str
    class_name: str
    names: tuple[MapName, ...]
    unit: NDArray[np.int64]
    shared: NDArray[np.int64] = field(repr=False)
    either: NDArray[np.int64] = field(repr=False)
    rank: Floats | None = field(repr=False)
    pictures: Votes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.pairs), len(self.unit))
        ranked = shape if self.rank is None else self.rank.shape
        if {self.shared.shape[1:], self.either.shape[1:], ranked} != {shape}:
            raise ReportError("The scores of pairs do not fit each other; score the case again.")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The two maps of each pair."""
        return list(combinations(range(len(self.names)), 2))

    def iou(self, empty: float) -> Floats:
        """Return the IoU (r, p, u) of every pair, `empty` where both masks are."""
        none = np.zeros_like(self.shared)
        return Counts(self.shared, self.either - self.shared, none, none).iou(empty)
