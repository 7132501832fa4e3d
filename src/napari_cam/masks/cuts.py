"""Which cut each unit of a heatmap, or each of its pixels, gets under a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap
from napari_cam.masks.rules import LocalRule, ThresholdRule
from napari_cam.units import any_by_unit, by_unit

Foreground = NDArray[np.bool_] | None


def cuts_of(
    rules: Sequence[ThresholdRule],
    heatmap: Heatmap,
    foreground: Foreground,
    cohort: Mapping[ThresholdRule, float],
) -> dict[ThresholdRule, NDArray[np.float32]]:
    """Return one heatmap's cuts by rule: (u,), or (z, y, x) for a local rule; read-only.

    Parameters
    ----------
    rules
        How to choose them.
    heatmap
        Whose values are looked at, as far as the network saw them.
    foreground
        Bool (z, y, x), where values count; None for everywhere.
    cohort
        The cuts of all heatmaps together, of the rules of that scope.

    Returns
    -------
    dict
        NaN for units without any value to judge, and where a rule finds no cut.
    """
    found: dict[ThresholdRule, NDArray[np.float32]] = {}
    samples: list[NDArray[np.float32]] | None = None
    for rule in rules:
        if isinstance(rule, LocalRule):
            cuts = _local_cuts(rule, heatmap, foreground)
        else:
            samples = samples_of(heatmap, foreground) if samples is None else samples
            cuts = np.array(_chosen(rule, samples, cohort.get(rule)), dtype=np.float32)
        cuts.setflags(write=False)
        found[rule] = cuts
    return found


def cohort_cut(rule: ThresholdRule, heatmaps: Iterable[tuple[Heatmap, Foreground]]) -> float:
    """Return the one cut of the pooled values of several heatmaps, each with its foreground."""
    return rule.cut(np.concatenate([sample for pair in heatmaps for sample in samples_of(*pair)]))


def samples_of(heatmap: Heatmap, foreground: Foreground) -> list[NDArray[np.float32]]:
    """Return for each unit the values (m,) that statistics may use, none for an invalid unit."""
    values, allowed = _judged(heatmap, foreground)
    samples = (
        value[use & valid] for value, use, valid in zip(values, allowed, heatmap.valid, strict=True)
    )
    return [sample[np.isfinite(sample)] for sample in samples]


def _judged(
    heatmap: Heatmap, foreground: Foreground
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the values (u, *s), and where they count."""
    allowed = heatmap.inside if foreground is None else heatmap.inside & foreground
    return by_unit(heatmap.values, heatmap.unit_axis), by_unit(allowed, heatmap.unit_axis)


def with_cut(heatmap: Heatmap, cuts: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (u,) which units have a cut at all; the masks of the others are empty."""
    known: NDArray[np.bool_] = np.isfinite(cuts)
    if cuts.ndim == 1:
        return known
    return any_by_unit(known, heatmap.unit_axis)


def cut_facts(cuts: NDArray[np.float32]) -> list[float | None] | dict[str, float | None]:
    """Return cuts as plain JSON: one for each unit, or what those of all voxels are like."""
    if cuts.ndim == 1:
        return [None if np.isnan(cut) else float(cut) for cut in cuts]
    known = cuts[np.isfinite(cuts)]
    low, middle, high = np.percentile(known, (0, 50, 100)) if known.size else (None,) * 3
    facts = {"lowest": low, "median": middle, "highest": high}
    return {name: None if cut is None else float(cut) for name, cut in facts.items()}


def _chosen(
    rule: ThresholdRule, samples: Sequence[NDArray[np.float32]], cohort: float | None
) -> list[float]:
    if rule.scope == "unit":
        return [rule.cut(sample) if sample.size else np.nan for sample in samples]
    common = rule.cut(np.concatenate(samples)) if cohort is None else cohort
    return [common if sample.size else np.nan for sample in samples]


def _local_cuts(rule: LocalRule, heatmap: Heatmap, foreground: Foreground) -> NDArray[np.float32]:
    spacing = heatmap.grid.spacing_within(heatmap.unit_axis)
    cuts = np.full(heatmap.values.shape, np.nan, dtype=np.float32)
    values, allowed = _judged(heatmap, foreground)
    units = by_unit(cuts, heatmap.unit_axis)
    for unit, valid in enumerate(heatmap.valid):
        if valid:
            units[unit] = rule.cuts(values[unit], allowed[unit], spacing)
    return cuts
