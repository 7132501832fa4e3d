"""What `binarize` is given: heatmaps, rules, foregrounds, brought into one form and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap, label_of
from napari_cam.masks.cleanup import Cleanup, check_touching
from napari_cam.masks.rules import FORMS, ThresholdRule, rule_from_text

ONLY = "mask"  # the name of the mask of a single heatmap, which has no key of its own


def heatmaps_by_key(heatmaps: Any) -> Mapping[Any, Heatmap]:
    """Return the heatmaps by key, a single one as `ONLY`.

    Raises
    ------
    MaskError
        Where there are none, or they are something else.
    """
    maps = {ONLY: heatmaps} if isinstance(heatmaps, Heatmap) else heatmaps
    if not isinstance(maps, Mapping) or not all(isinstance(h, Heatmap) for h in maps.values()):
        raise MaskError(
            f"binarize takes a Heatmap or heatmaps by name, not {type(heatmaps).__name__}; "
            "make one with explain."
        )
    if not maps:
        raise MaskError("There are no heatmaps to cut; explain at least one method first.")
    return maps


def rules_asked(rule: Any) -> list[ThresholdRule]:
    """Return the rules, read where they are texts.

    Raises
    ------
    MaskError
        Where there are none, or one is no rule.
    """
    asked = [rule] if isinstance(rule, str) or not isinstance(rule, Sequence) else rule
    rules = [rule_from_text(each) if isinstance(each, str) else each for each in asked]
    for each in rules:
        if not isinstance(each, ThresholdRule):
            raise MaskError(
                f"{each!r} is no threshold rule; give one such as Otsu() or Fixed(0.5), "
                f"or its text: {FORMS}."
            )
    if not rules:
        raise MaskError("There is no threshold rule to cut with; give at least one.")
    return rules


def foreground_by_key(foreground: Any, maps: Mapping[Any, Heatmap]) -> dict[Any, NDArray[np.bool_]]:
    """Return copies of the foregrounds, which masks made later can rely on; none for everywhere.

    Raises
    ------
    MaskError
        Where one is no boolean array, or belongs to no heatmap.
    """
    if foreground is None:
        return {}
    if not isinstance(foreground, Mapping):
        copy = _copy(foreground)
        return dict.fromkeys(maps, copy)
    strange = [key for key in foreground if key not in list(maps)]
    if strange:
        raise MaskError(
            f"There is a foreground for '{label_of(strange[0])}' but no heatmap of that key; "
            f"there are {', '.join(label_of(key) for key in maps)}."
        )
    return {key: _copy(given) for key, given in foreground.items() if given is not None}


def _copy(foreground: Any) -> NDArray[np.bool_]:
    if not isinstance(foreground, np.ndarray) or foreground.dtype != np.bool_:
        kind = getattr(foreground, "dtype", type(foreground).__name__)
        raise MaskError(
            f"The foreground must be a boolean array, not {kind}; "
            "say what is foreground, as in labels > 0."
        )
    copy = foreground.copy()
    copy.setflags(write=False)
    return copy


def check_fit(
    maps: Mapping[Any, Heatmap],
    rules: Sequence[ThresholdRule],
    foregrounds: Mapping[Any, NDArray[np.bool_]],
    cleanup: Cleanup | None,
) -> None:
    """Raise where heatmaps, rules, foregrounds and clean-up do not suit each other.

    Raises
    ------
    MaskError
        Where a shape or a scale differs.
    """
    if cleanup is not None and not isinstance(cleanup, Cleanup):
        raise MaskError(
            f"A clean-up is a Cleanup, as in Cleanup(fill_holes=True), not {cleanup!r}."
        )
    for key, heatmap in maps.items():
        foreground = foregrounds.get(key)
        if foreground is not None and foreground.shape != heatmap.values.shape:
            raise MaskError(
                f"The foreground has shape {foreground.shape} but the heatmap '{label_of(key)}' "
                f"{heatmap.values.shape}; give both on one grid."
            )
        for rule in rules:
            _check_scale(rule, heatmap, label_of(key))
        if cleanup is not None:
            check_touching(cleanup, heatmap.grid)
    if any(rule.scope == "cohort" for rule in rules):
        _check_one_scale(maps)


def _check_scale(rule: ThresholdRule, heatmap: Heatmap, name: str) -> None:
    if rule.needs_unit_scale and heatmap.kind != "unit":
        raise MaskError(
            f"{rule.name} needs a heatmap normalised to [0, 1] but '{name}' is {heatmap.kind}; "
            "normalise it, or cut it with a quantile or Otsu."
        )


def _check_one_scale(maps: Mapping[Any, Heatmap]) -> None:
    kinds = {heatmap.kind: label_of(key) for key, heatmap in maps.items()}
    if len(kinds) > 1:
        named = " and ".join(f"'{name}' is {kind}" for kind, name in kinds.items())
        raise MaskError(
            f"A cut for the whole cohort needs heatmaps on one scale, but {named}; "
            "explain all with the same normalize, or cut each by itself."
        )
