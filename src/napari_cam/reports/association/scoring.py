"""One case scored for the association report: how many voxels of each unit its maps mark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.cut_maps import cut_maps, region_of, rules_of
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.scores.case_scores import CaseScores, scores_of
from napari_cam.units import count_by_unit


@dataclass(frozen=True)
class AssociationSettings:
    """How maps are cut: names of the rules, and whether a voxel must exceed its cut."""

    thresholds: tuple[str, ...]
    strict: bool


@dataclass(frozen=True, eq=False)
class MapShares:
    """How many voxels of each unit one map marks.

    Attributes
    ----------
    name
        Which map.
    unit
        (u,) numbers of the units that hold some foreground.
    marked
        (r, u) voxels of the foreground in the mask, at r thresholds.
    voxels
        (u,) of the foreground.
    """

    name: MapName
    unit: NDArray[np.int64]
    marked: NDArray[np.int64] = field(repr=False)
    voxels: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.unit.shape == self.voxels.shape == self.marked.shape[1:]:
            raise ReportError("The shares of a map do not fit each other; score the case again.")


@dataclass(frozen=True, eq=False)
class AssociationScores:
    """What the maps of one subject mark."""

    subject: str
    maps: tuple[MapShares, ...]


@dataclass(frozen=True)
class Marking:
    """How maps are cut: :class:`AssociationSettings` with the rules themselves."""

    rules: tuple[ThresholdRule, ...]
    strict: bool

    @property
    def settings(self) -> AssociationSettings:
        """The same in plain words."""
        return AssociationSettings(tuple(rule.name for rule in self.rules), self.strict)


def marking_of(thresholds: Any = (0.5,), strict: bool = True) -> Marking:
    """Return how maps are cut, from what :func:`association_report` takes."""
    rules = rules_of(thresholds)
    if not rules:
        raise ReportError("No threshold is given; name at least one, such as 0.5.")
    return Marking(rules, bool(strict))


def score_association(case: Case, **settings: Any) -> CaseScores:
    """Score one case for the association report; see :func:`marking_of` for the settings."""
    return score_shares(case, marking_of(**settings))


def score_shares(case: Case, how: Marking) -> CaseScores:
    """Count what every heatmap of a case marks, one in memory at a time.

    Raises
    ------
    ReportError
        Where a map is a mask already.
    """
    maps = []
    for name, item in case.named():
        if not isinstance(item, Heatmap):
            raise ReportError(
                f"Subject '{case.subject}' has a mask where a heatmap is expected; measure "
                "masks with reference_shares."
            )
        voxels = count_by_unit(region_of(case, item), item.unit_axis)
        unit = np.flatnonzero(voxels)
        masks = cut_maps(item, how.rules, how.strict, case.foreground, name.label)
        marked = np.stack([count_by_unit(mask, item.unit_axis)[unit] for mask in masks.values()])
        maps.append(MapShares(name, unit, marked, voxels[unit]))
    return scores_of("association", how.settings, AssociationScores(case.subject, tuple(maps)))
