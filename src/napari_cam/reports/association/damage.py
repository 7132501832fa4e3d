"""How much of a subject a heatmap claims: the share of the foreground above a cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import binarize
from napari_cam.masks.rules import Fixed, ThresholdRule
from napari_cam.reports.cases import Case, MapName, as_cases
from napari_cam.units import count_by_unit

COLUMNS = ("subject", "unit", "method", "backbone", "layer", "threshold", "damage", "voxels")
REFERENCE = "reference"
"""The method that a reference's own damage is listed under."""

COMBINATION = ["method", "backbone", "layer", "threshold"]
"""What tells one way of measuring damage from another."""


def damage_fractions(
    heatmaps: Mapping[Any, Any] | Iterable[Case],
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
        Subject -> heatmap, or -> {map: heatmap} as :func:`napari_cam.explain` returns it, where a
        map may be called ("method", "backbone", "layer"); or :class:`Case` after case.
    thresholds
        Cuts from 0 to 1, threshold rules or their texts ("otsu").
    foreground
        Subject -> bool (z, y, x); None counts everything that the network saw. Cases have their
        own.
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
        Where nothing is given, or a foreground is missing or does not fit.
    MaskError
        Where a rule does not suit its heatmap.
    """
    rules = _rules(thresholds)
    rows: list[dict[str, Any]] = []
    for case in _cases(heatmaps, foreground):
        for name, heatmap in case.named():
            if not isinstance(heatmap, Heatmap):
                raise ReportError(
                    f"Subject '{case.subject}' has a mask where a heatmap is expected; measure "
                    "masks with mask_fractions."
                )
            masks = binarize({name: heatmap}, rules, strict, case.foreground)
            counted = heatmap.inside
            counted = counted if case.foreground is None else counted & case.foreground
            sizes = count_by_unit(counted, heatmap.unit_axis)
            for key in masks:
                found = count_by_unit(masks[key], heatmap.unit_axis)
                rows += [
                    {
                        "subject": case.subject,
                        "unit": unit,
                        **asdict(name),
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
    name: str = REFERENCE,
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
        sizes, found = count_by_unit(counted, axis), count_by_unit(counted & mask, axis)
        rows += [
            {
                "subject": str(subject),
                "unit": unit,
                **asdict(MapName(name)),
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
    missing = [name for name in COLUMNS if name not in fractions]
    if missing:
        raise ReportError(
            f"The damage has no column '{missing[0]}'; give what damage_fractions returned."
        )
    if fractions.empty:
        raise ReportError("The damage holds no unit of any subject, so there is nothing to report.")
    rows = fractions.assign(above=fractions["damage"] * fractions["voxels"])
    by = rows.groupby([*COMBINATION, "subject"], sort=False, dropna=False)
    units, voxels = by["damage"].mean(), by["above"].sum() / by["voxels"].sum()
    result = pd.DataFrame({"damage": units if weight == "units" else voxels, "units": by.size()})
    return result.reset_index()


def _cases(
    heatmaps: Mapping[Any, Any] | Iterable[Case],
    foreground: Mapping[Any, NDArray[np.bool_]] | None,
) -> Iterable[Case]:
    if not isinstance(heatmaps, Mapping):
        return as_cases(heatmaps)
    return (
        Case(maps, subject=str(subject), foreground=_foreground(foreground, subject))
        for subject, maps in heatmaps.items()
    )


def _rules(thresholds: Any) -> list[ThresholdRule | str]:
    single = isinstance(thresholds, (str, ThresholdRule)) or np.isscalar(thresholds)
    given = [thresholds] if single else list(thresholds)
    if not given:
        raise ReportError("No threshold is given; name at least one, such as 0.5.")
    return [Fixed(float(each)) if checks.is_number(each) else each for each in given]


def _foreground(
    foreground: Mapping[Any, NDArray[np.bool_]] | None, subject: Any
) -> NDArray[np.bool_] | None:
    if foreground is None:
        return None
    if subject not in foreground:
        raise ReportError(f"Subject '{subject}' has no foreground; give one for every subject.")
    return foreground[subject]
