"""The maps of one case compared with each other: every pair, unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.pairs import PackedMasks, PairCounts, bits_set, pack, pair_counts
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.agreement.scores import AgreementScores, AgreementSettings, Floats, Votes
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.cut_maps import (
    CURVE,
    HEADLINE,
    ONLY_MASK,
    axis_of,
    chosen_rules,
    cut_maps,
    region_of,
)
from napari_cam.reports.cases.map_names import Map, MapName
from napari_cam.reports.scores.case_scores import CaseScores, scores_of
from napari_cam.units import any_by_unit, by_unit


@dataclass(frozen=True)
class PairScoring:
    """How maps are compared: :class:`AgreementSettings` with the rules themselves."""

    rules: tuple[ThresholdRule, ...]
    headline: ThresholdRule
    strict: bool
    ranks: bool

    @property
    def settings(self) -> AgreementSettings:
        """The same in plain words."""
        names = tuple(rule.name for rule in self.rules)
        return AgreementSettings(names, self.headline.name, self.strict, self.ranks)


def scoring_of(
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = CURVE,
    headline: ThresholdRule | str = HEADLINE,
    strict: bool = True,
    ranks: bool = True,
) -> PairScoring:
    """Return how maps are compared, from what :func:`agreement_report` takes."""
    return PairScoring(*chosen_rules(thresholds, headline), bool(strict), bool(ranks))


def score_agreement(case: Case, *, pictures: bool = True, **settings: Any) -> CaseScores:
    """Score one case for the agreement report; see :func:`scoring_of` for the settings."""
    return score_pairs(case, scoring_of(**settings), pictures)


def score_pairs(
    case: Case, how: PairScoring, pictures: bool, tick: Callable[[], None] | None = None
) -> CaseScores:
    """Compare every map of a case with every other one, where all networks looked.

    A map that is a mask already is the same at every threshold.

    Parameters
    ----------
    case, how
        What is compared, and how.
    pictures
        Whether votes are counted for the figure of consensus.
    tick
        Called after each map; an exception in it ends the scoring.

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
        if region is not None and (axis_of(case, item) != axis or here.shape != region.shape):
            raise ReportError(
                f"'{name.label}' of '{case.subject}' has other slices than "
                f"'{names[0].label}'; compare maps of one grid, all of 2D or all of 3D networks."
            )
        axis = axis_of(case, item)
        grid = item.grid if grid is None and isinstance(item, Heatmap) else grid
        region = here if region is None else region & here
        masks = cut_maps(item, how.rules, how.strict, case.foreground, name.label)
        packed.append(pack((masks[_at(masks, rule)] for rule in how.rules), axis))
        if pictures:
            mask = masks[_at(masks, how.headline)]
            counted = mask.astype(np.uint16) if counted is None else counted + mask
        names.append(name)
        if how.ranks:
            items.append(item)
        if tick is not None:
            tick()
    if len(names) < 2 or region is None:
        raise ReportError(
            f"The subject '{case.subject}' has {len(names)} map; agreement needs two or more."
        )
    inside = by_unit(region, axis)
    use = np.flatnonzero(any_by_unit(region, axis))
    bounds = pack([region], axis).bits[0]
    pairs = [
        _pairs([each.bits[place] & bounds for each in packed], packed[0].voxels)
        for place in range(len(how.rules))
    ]
    content = AgreementScores(
        subject=case.subject,
        group=case.group,
        class_name=case.class_name,
        names=tuple(names),
        unit=use,
        shared=np.stack([each.intersection[:, use] for each in pairs]),
        either=np.stack([each.union[:, use] for each in pairs]),
        rank=_ranks(items, inside, axis, use) if how.ranks else None,
        pictures=None if counted is None else Votes(counted, axis, grid),
    )
    return scores_of("agreement", how.settings, content)


def _at(masks: Any, rule: ThresholdRule) -> str:
    return rule.name if rule.name in masks else ONLY_MASK


def _pairs(bits: list[NDArray[np.uint64]], voxels: int) -> PairCounts:
    stacked = np.stack(bits)
    return pair_counts(PackedMasks(stacked, bits_set(stacked), voxels))


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
