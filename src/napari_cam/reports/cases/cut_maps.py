"""The maps of a case cut at thresholds, and where their voxels count: what all reports share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import MaskKey, binarize
from napari_cam.masks.rules import Fixed, ThresholdRule, rule_from_text
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.map_names import Map

CURVE: tuple[str, ...] = tuple(f"fixed:{tenth / 10:g}" for tenth in range(1, 10))
"""The thresholds of Sci Rep 2023, 13:2574."""

HEADLINE = "fixed:0.5"
"""The threshold that is shown first unless another one is asked for."""

ONLY_MASK = "mask"
"""The threshold of what was given as a mask already."""


def rules_of(thresholds: Any) -> tuple[ThresholdRule, ...]:
    """Return thresholds (one or several: rules, their texts, numbers) as rules, each once.

    Raises
    ------
    ReportError
        Where one is no threshold, takes its cut from all heatmaps of a cohort, or is called as
        another one.
    MaskError
        Where a text names no rule.
    """
    one = isinstance(thresholds, (str, ThresholdRule)) or checks.is_number(thresholds)
    rules = tuple(dict.fromkeys(_rule(each) for each in ([thresholds] if one else thresholds)))
    for rule in rules:
        if rule.scope == "cohort":
            raise ReportError(
                f"{rule.name} takes one cut from all heatmaps, but a report holds one at a time; "
                "cut them with binarize and give the masks."
            )
    return _told_apart(rules)


def chosen_rules(thresholds: Any, headline: Any) -> tuple[tuple[ThresholdRule, ...], ThresholdRule]:
    """Return thresholds as rules, and which of them is shown first.

    The headline is added where it is missing; the usual one only where nothing is asked for: else
    the first threshold stands in its place.
    """
    rules = rules_of(thresholds)
    (first,) = rules_of(headline)
    if first in rules:
        return rules, first
    if rules and headline == HEADLINE:
        return rules, rules[0]
    return _told_apart((*rules, first)), first


def _told_apart(rules: tuple[ThresholdRule, ...]) -> tuple[ThresholdRule, ...]:
    """Return the rules, none of which is called as another one: tables name them."""
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ReportError(f"Two thresholds are called {name}; give ones that differ by more.")
    return rules


def _rule(given: Any) -> ThresholdRule:
    if isinstance(given, ThresholdRule):
        return given
    if isinstance(given, str):
        return rule_from_text(given)
    if checks.is_number(given):
        return Fixed(float(given))
    raise ReportError(f"{given!r} is no threshold; give a rule, its text, or a number in [0, 1].")


class CutMaps(Mapping[str, NDArray[np.bool_]]):
    """The masks of one map by the names of their thresholds, each computed on access."""

    def __init__(self, masks: Mapping[Any, NDArray[np.bool_]], keys: Mapping[str, Any]) -> None:
        self._masks = masks
        self._keys = keys

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        """Compute the mask at a threshold."""
        return self._masks[self._keys[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def cut_maps(
    item: Map,
    rules: Sequence[ThresholdRule],
    strict: bool,
    foreground: NDArray[np.bool_] | None,
    called: str = "map",
) -> CutMaps:
    """Cut a heatmap at all thresholds; a mask stays what it is, as the only one.

    Parameters
    ----------
    item, rules, strict, foreground
        As :func:`napari_cam.binarize` takes them.
    called
        What errors call the map.
    """
    if not isinstance(item, Heatmap):
        return CutMaps({0: item}, {ONLY_MASK: 0})
    masks = binarize({called: item}, list(rules), strict, foreground)
    return CutMaps(masks, {key.rule.name: key for key in masks if isinstance(key, MaskKey)})


def region_of(case: Case, item: Map) -> NDArray[np.bool_]:
    """Return where voxels of a map count: foreground that the network saw."""
    if not isinstance(item, Heatmap):
        return np.ones(item.shape, bool) if case.foreground is None else case.foreground
    return item.inside if case.foreground is None else item.inside & case.foreground


def axis_of(case: Case, item: Map) -> int | None:
    """Return along which axis the units of a map lie."""
    return item.unit_axis if isinstance(item, Heatmap) else case.unit_axis


def hard(reference: NDArray[Any]) -> NDArray[np.bool_]:
    """Return what lies in a reference that may be given as shares."""
    return np.asarray(reference if reference.dtype == np.bool_ else reference > 0.5, dtype=bool)
