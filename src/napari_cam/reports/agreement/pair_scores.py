"""What the maps of one subject have in common with each other, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_cam.errors import ReportError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.pairs import PackedMasks, bits_set, pack, pair_counts
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases import Case, Map, MapName
from napari_cam.reports.overlap.scores import ONLY_MASK, axis_of, cut_maps, region_of
from napari_cam.units import by_unit

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairScores:
    """The agreement of m maps of one subject, p = m (m - 1) / 2 pairs, r thresholds, u units.

    Attributes
    ----------
    subject, group, class_name
        Of the case.
    names
        The m maps; pairs come in the order 01, 02, ..., 12, ...
    unit
        (u,) numbers of the units within the volume.
    iou
        (r, p, u), what two empty masks count as where both are empty.
    rank
        (p, u) Spearman's correlation of the heatmaps; NaN for masks and for flat maps; None where
        it was not asked for.
    votes
        (z, y, x) in how many of the maps' masks each voxel lies at the headline threshold, and
        None where that was not asked for.
    axis
        Along which array axis the units lie; None for the volume of a 3D network.
    grid
        Where the maps lie; None for plain masks of no stated place.
    """

    subject: str
    group: str
    class_name: str
    names: tuple[MapName, ...]
    unit: NDArray[np.int64]
    iou: Floats = field(repr=False)
    rank: Floats | None = field(repr=False)
    votes: NDArray[np.uint16] | None = field(repr=False)
    axis: int | None
    grid: Grid | None = field(repr=False)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The two maps of each pair."""
        return list(combinations(range(len(self.names)), 2))


def pair_scores(
    case: Case,
    rules: Sequence[ThresholdRule],
    headline: ThresholdRule,
    *,
    strict: bool,
    empty: float,
    ranks: bool,
    votes: bool,
    tick: Any = None,
) -> PairScores:
    """Compare every map of a case with every other one, where all networks looked.

    A map that is a mask already is the same at every threshold.

    Raises
    ------
    ReportError
        Where there are fewer than two maps, or they are cut into different units.
    """
    names: list[MapName] = []
    packed: list[PackedMasks] = []
    items: list[Map] = []
    region: NDArray[np.bool_] | None = None
    axis: int | None = None
    counted: NDArray[np.uint16] | None = None
    grid = case.grid
    for name, item in case.named():
        here = region_of(case, item)
        if names and (axis_of(case, item) != axis or here.shape != region.shape):  # type: ignore[union-attr]
            raise ReportError(
                f"'{name.label}' of '{case.subject}' has other slices than "
                f"'{names[0].label}'; compare maps of one grid, all of 2D or all of 3D networks."
            )
        axis = axis_of(case, item)
        grid = item.grid if grid is None and isinstance(item, Heatmap) else grid
        region = here if region is None else region & here
        masks = cut_maps(item, rules, strict, case.foreground)
        packed.append(pack((masks[_at(masks, rule)] for rule in rules), axis))
        if votes:
            mask = masks[_at(masks, headline)]
            counted = mask.astype(np.uint16) if counted is None else counted + mask
        names.append(name)
        if ranks:
            items.append(item)
        if tick is not None:
            tick()
    if len(names) < 2 or region is None:
        raise ReportError(
            f"The subject '{case.subject}' has {len(names)} map; agreement needs two or more."
        )
    inside = by_unit(region, axis)
    use = np.flatnonzero(inside.any(axis=tuple(range(1, inside.ndim))))
    bounds = pack([region], axis).bits[0]
    iou = np.stack(
        [
            _iou([each.bits[place] & bounds for each in packed], packed[0].voxels, empty)[:, use]
            for place in range(len(rules))
        ]
    )
    rank = _ranks(items, inside, axis, use) if ranks else None
    who = (case.subject, case.group, case.class_name)
    return PairScores(*who, tuple(names), use, iou, rank, counted, axis, grid)


def _at(masks: Any, rule: ThresholdRule) -> str:
    return rule.name if rule.name in masks else ONLY_MASK


def _iou(bits: list[NDArray[np.uint64]], voxels: int, empty: float) -> Floats:
    stacked = np.stack(bits)
    return pair_counts(PackedMasks(stacked, bits_set(stacked), voxels)).iou(empty)


def _ranks(
    items: Sequence[Map], inside: NDArray[np.bool_], axis: int | None, use: NDArray[np.int64]
) -> Floats:
    """Return Spearman's correlation (p, u) of heatmaps over the voxels of each unit."""
    first, second = np.triu_indices(len(items), 1)
    heats = [by_unit(item.values, axis) if isinstance(item, Heatmap) else None for item in items]
    found = np.full((len(first), len(use)), np.nan)
    for place, unit in enumerate(use):
        where = inside[unit]
        n = int(np.count_nonzero(where))
        rows = np.zeros((len(items), n))
        for row, heat in zip(rows, heats, strict=True):
            if heat is not None:
                row[:] = rankdata(heat[unit][where])
        rows -= rows.mean(axis=1, keepdims=True)
        length = np.sqrt((rows**2).sum(axis=1))
        flat = length == 0
        rows /= np.where(flat, 1, length)[:, None]
        matrix = np.clip(rows @ rows.T, -1, 1)
        matrix[flat] = matrix[:, flat] = np.nan
        found[:, place] = matrix[first, second]
    return found
