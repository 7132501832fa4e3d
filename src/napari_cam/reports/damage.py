"""How much of a subject a heatmap claims: the share of the foreground above a cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import binarize
from napari_cam.masks.rules import ThresholdRule

COLUMNS = ("subject", "unit", "method", "backbone", "layer", "threshold", "damage", "voxels")
COMBINATION = ["method", "backbone", "layer", "threshold"]
"""What tells one way of measuring damage from another."""


class MapName(NamedTuple):
    """Which map: what made it, of which network, at which layer."""

    method: str
    backbone: str = ""
    layer: str = ""


def damage_fractions(
    heatmaps: Mapping[Any, Any],
    thresholds: Any = (0.5,),
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    strict: bool = True,
) -> pd.DataFrame:
    """Return which share of each unit's foreground lies above each cut.

    Sci Rep 2023, 13:2574, averages these shares over a fillet's slices (`subject_damage` does).
    Units that were not explained, or hold no foreground, have no share and no row; a unit without
    evidence has the share 0.

    Parameters
    ----------
    heatmaps
        Subject -> heatmap, or -> {map: heatmap}, where a map is called "method",
        ("method", "backbone") or ("method", "backbone", "layer"). What is not said is taken from
        the heatmap's own record.
    thresholds
        Cuts from 0 to 1, threshold rules or their texts ("otsu").
    foreground
        Subject -> bool (z, y, x); None counts everything that the network saw.
    strict
        True for values above the cut, False for values equal to it as well.

    Returns
    -------
    DataFrame
        One row per subject, map, cut and unit, with the columns of :data:`COLUMNS`: `damage` is
        the share, 0 to 1, and `voxels` the size of the unit's foreground.

    Raises
    ------
    ReportError
        Where nothing is given, two maps of a subject have one name, or a foreground is missing.
    MaskError
        Where a foreground or a rule does not suit its heatmap.
    """
    rules = _rules(thresholds)
    rows: list[dict[str, Any]] = []
    for subject, given in heatmaps.items():
        inside = _foreground(foreground, subject)
        named = _named(given, str(subject))
        for name, heatmap in named.items():
            masks = binarize({name: heatmap}, rules, strict, inside)
            counted = heatmap.inside if inside is None else heatmap.inside & inside
            sizes = _per_unit(counted, heatmap)
            for key in masks:
                found = _per_unit(masks[key], heatmap)
                rows += [
                    {
                        "subject": str(subject),
                        "unit": unit,
                        **name._asdict(),
                        "threshold": masks.rules[key].name,
                        "damage": found[unit] / sizes[unit],
                        "voxels": sizes[unit],
                    }
                    for unit in np.flatnonzero(sizes).tolist()
                ]
    if not rows:
        raise ReportError("No heatmap has a foreground to measure; give heatmaps by subject.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def mask_fractions(
    masks: Mapping[Any, NDArray[np.bool_]],
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    name: str = "reference",
    axis: int | None = 0,
) -> pd.DataFrame:
    """Return which share of each unit's foreground a reference mask takes.

    Parameters
    ----------
    masks
        Subject -> bool (z, y, x).
    foreground
        As in :func:`damage_fractions`.
    name
        What stands in the column `method`.
    axis
        Along which the units lie; None for whole volumes.

    Raises
    ------
    ReportError
        Where a mask is not boolean, or has another shape than its foreground.
    """
    rows: list[dict[str, Any]] = []
    for subject, mask in masks.items():
        if np.asarray(mask).dtype != np.bool_:
            raise ReportError(f"The mask of subject '{subject}' holds {mask.dtype}, not booleans.")
        given = _foreground(foreground, subject)
        counted = np.ones(mask.shape, bool) if given is None else np.asarray(given)
        if counted.shape != mask.shape:
            raise ReportError(
                f"The mask of subject '{subject}' has shape {mask.shape} but its foreground "
                f"{counted.shape}; give both on one grid."
            )
        across = tuple(each for each in range(mask.ndim) if each != axis)
        sizes = np.atleast_1d(np.count_nonzero(counted, axis=across))
        found = np.atleast_1d(np.count_nonzero(counted & mask, axis=across))
        rows += [
            {
                "subject": str(subject),
                "unit": unit,
                **MapName(name)._asdict(),
                "threshold": "",
                "damage": found[unit] / sizes[unit],
                "voxels": sizes[unit],
            }
            for unit in np.flatnonzero(sizes).tolist()
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def subject_damage(fractions: pd.DataFrame, weight: str = "units") -> pd.DataFrame:
    """Return each subject's damage under each combination of map and threshold.

    Parameters
    ----------
    fractions
        As :func:`damage_fractions` returns them.
    weight
        "units": the mean over units, as published; "voxels": the share of all foreground voxels,
        in which large slices count more.

    Returns
    -------
    DataFrame
        The columns of :data:`COMBINATION` with subject, damage, and units, how many there are.
    """
    if weight not in ("units", "voxels"):
        raise ReportError(f"Damage is weighed by 'units' or 'voxels', not '{weight}'.")
    rows = fractions.assign(above=fractions["damage"] * fractions["voxels"])
    by = rows.groupby([*COMBINATION, "subject"], sort=False, dropna=False)
    units, voxels = by["damage"].mean(), by["above"].sum() / by["voxels"].sum()
    result = pd.DataFrame({"damage": units if weight == "units" else voxels, "units": by.size()})
    return result.reset_index()


def map_name(key: Any, heatmap: Heatmap) -> MapName:
    """Return what a map is called: by its key where that says it, else by the heatmap's record."""
    record = heatmap.provenance
    method, model = record.get("method"), record.get("model")
    known = (
        method.get("name") if isinstance(method, Mapping) else method,
        model.get("architecture") if isinstance(model, Mapping) else None,
        record.get("layer"),
    )
    said: Sequence[Any] = (key,)
    if isinstance(key, tuple) and not hasattr(key, "parts"):
        said = key
    elif hasattr(key, "parts") or key is None:
        said = ()
    filled = [
        said[place] if place < len(said) and said[place] not in (None, "") else word
        for place, word in enumerate(known)
    ]
    return MapName(*("" if word is None else str(word) for word in filled))


def _named(given: Any, subject: str) -> dict[MapName, Heatmap]:
    maps = given if isinstance(given, Mapping) else {None: given}
    named: dict[MapName, Heatmap] = {}
    for key, heatmap in maps.items():
        if not isinstance(heatmap, Heatmap):
            raise ReportError(
                f"Subject '{subject}' has a {type(heatmap).__name__} where a heatmap is expected."
            )
        name = map_name(key, heatmap)
        if name in named:
            words = " / ".join(part for part in name if part)
            raise ReportError(
                f"Subject '{subject}' has two heatmaps of {words}; give them names of their own, "
                "such as (method, backbone, layer)."
            )
        named[name] = heatmap
    return named


def _rules(thresholds: Any) -> list[ThresholdRule | str]:
    single = isinstance(thresholds, (str, ThresholdRule)) or np.isscalar(thresholds)
    given = [thresholds] if single else list(thresholds)
    if not given:
        raise ReportError("No threshold is given; name at least one, such as 0.5.")
    return [f"fixed:{each:g}" if isinstance(each, (int, float)) else each for each in given]


def _foreground(
    foreground: Mapping[Any, NDArray[np.bool_]] | None, subject: Any
) -> NDArray[np.bool_] | None:
    if foreground is None:
        return None
    if subject not in foreground:
        raise ReportError(f"Subject '{subject}' has no foreground; give one for every subject.")
    return foreground[subject]


def _per_unit(mask: NDArray[np.bool_], heatmap: Heatmap) -> NDArray[np.int64]:
    """Return how many voxels of a mask lie in each unit (u,)."""
    axes = tuple(axis for axis in range(mask.ndim) if axis != heatmap.unit_axis)
    return np.atleast_1d(np.count_nonzero(mask, axis=axes)).astype(np.int64)
