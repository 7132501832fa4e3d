"""How much of a subject a map marks: the share of the foreground that lies in its mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.reports.association.scoring import (
    AssociationSettings,
    marking_of,
    score_shares,
)
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.former import former
from napari_cam.reports.scores.case_scores import CaseScores, gathered
from napari_cam.units import count_by_unit

COLUMNS = ("subject", "unit", "method", "backbone", "layer", "threshold", "share", "voxels")
REFERENCE = "reference"
"""The method that a reference's own shares are listed under."""

COMBINATION = ["method", "backbone", "layer", "threshold"]
"""What tells one way of marking from another."""


def shares_of(
    given: Any,
    thresholds: Any,
    foreground: Mapping[Any, NDArray[np.bool_]] | None,
    strict: bool,
) -> tuple[AssociationSettings, pd.DataFrame]:
    """Return settings and the table of :func:`mask_shares` of heatmaps, cases or their scores."""
    how = marking_of(thresholds, strict)
    by_subject = isinstance(given, Mapping)
    settings, found = gathered(
        "association",
        _cases(given, foreground) if by_subject else given,
        how.settings,
        marking_of().settings,
        lambda case, _: score_shares(case, how),
        foreground=None if by_subject else foreground,
    )
    rows = [
        {"subject": case.subject, "unit": unit, **asdict(each.name), "threshold": threshold}
        | {"share": marked / voxels, "voxels": voxels}
        for case in found
        for each in case.maps
        for threshold, row in zip(settings.thresholds, each.marked, strict=True)
        for unit, marked, voxels in zip(each.unit.tolist(), row, each.voxels, strict=True)
    ]
    if not rows:
        raise ReportError("No heatmap has a foreground to measure; give heatmaps by subject.")
    return settings, pd.DataFrame(rows, columns=list(COLUMNS))


def mask_shares(
    heatmaps: Mapping[Any, Any] | Iterable[Case] | Iterable[CaseScores],
    thresholds: Any = (0.5,),
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    strict: bool = True,
) -> pd.DataFrame:
    """Return the share of each unit's foreground that lies above each cut.

    Sci Rep 2023, 13:2574, averages such shares over a fillet's slices, as `subject_shares` does.
    Units that were not explained or contain no foreground get no row. A unit without evidence has
    the share 0.

    Parameters
    ----------
    heatmaps
        Subject -> heatmap, or subject -> {map: heatmap} as :func:`napari_cam.explain` returns it,
        with map names such as ("method", "backbone", "layer"); or an iterable of :class:`Case`, or
        their scores (:func:`score_case`).
    thresholds
        Cuts from 0 to 1, threshold rules, or the texts of rules ("otsu").
    foreground
        Subject -> bool (z, y, x); None counts every voxel that the network saw. Cases have their
        own.
    strict
        True counts values above the cut; False also counts values equal to it.

    Returns
    -------
    DataFrame
        One row per subject, map, cut and unit, with the columns of :data:`COLUMNS`: `share` is
        from 0 to 1, and `voxels` the size of the unit's foreground.

    Raises
    ------
    ReportError
        If nothing is given, or a foreground is missing or does not fit.
    MaskError
        If a rule does not suit its heatmap.
    """
    return shares_of(heatmaps, thresholds, foreground, strict)[1]


def reference_shares(
    masks: Mapping[Any, NDArray[np.bool_]],
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    name: str = REFERENCE,
    axis: int | None = 0,
) -> pd.DataFrame:
    """Return the share of each unit's foreground that a reference mask covers.

    Parameters
    ----------
    masks
        Subject -> bool (z, y, x).
    foreground
        As in :func:`mask_shares`.
    name
        Value of the column `method`.
    axis
        Array axis along which the units lie; None for whole volumes.

    Raises
    ------
    ReportError
        If a mask is not boolean, or differs in shape from its foreground.
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
                "share": found[unit] / sizes[unit],
                "voxels": sizes[unit],
            }
            for unit in np.flatnonzero(sizes).tolist()
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def damage_fractions(
    heatmaps: Mapping[Any, Any] | Iterable[Case],
    thresholds: Any = (0.5,),
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    strict: bool = True,
) -> pd.DataFrame:
    """Return :func:`mask_shares` with the column `damage` (deprecated, use `mask_shares`)."""
    former("damage_fractions", "mask_shares, whose column is 'share'")
    found = mask_shares(heatmaps, thresholds, foreground, strict=strict)
    return found.rename(columns={"share": "damage"})


def mask_fractions(
    masks: Mapping[Any, NDArray[np.bool_]],
    foreground: Mapping[Any, NDArray[np.bool_]] | None = None,
    *,
    name: str = REFERENCE,
    axis: int | None = 0,
) -> pd.DataFrame:
    """Return :func:`reference_shares` with the column `damage` (deprecated)."""
    former("mask_fractions", "reference_shares, whose column is 'share'")
    found = reference_shares(masks, foreground, name=name, axis=axis)
    return found.rename(columns={"share": "damage"})


def subject_shares(shares: pd.DataFrame, weight: str = "units") -> pd.DataFrame:
    """Return what share of each subject is marked, under each combination of map and threshold.

    Parameters
    ----------
    shares
        As :func:`mask_shares` returns them.
    weight
        "units": the mean over units, as published; "voxels": the share of all foreground voxels,
        in which large slices count more.

    Returns
    -------
    DataFrame
        The columns of :data:`COMBINATION` with subject, share, and units, how many there are.
    """
    if weight not in ("units", "voxels"):
        raise ReportError(f"Shares are weighed by 'units' or 'voxels', not '{weight}'.")
    missing = [name for name in COLUMNS if name not in shares]
    if missing:
        raise ReportError(
            f"The shares have no column '{missing[0]}'; give what mask_shares returned."
        )
    if shares.empty:
        raise ReportError("The shares hold no unit of any subject, so there is nothing to report.")
    rows = shares.assign(marked=shares["share"] * shares["voxels"])
    by = rows.groupby([*COMBINATION, "subject"], sort=False, dropna=False)
    units, voxels = by["share"].mean(), by["marked"].sum() / by["voxels"].sum()
    result = pd.DataFrame({"share": units if weight == "units" else voxels, "units": by.size()})
    return result.reset_index()


def _cases(
    heatmaps: Mapping[Any, Any], foreground: Mapping[Any, NDArray[np.bool_]] | None
) -> Iterable[Case]:
    return (
        Case(maps, subject=str(subject), foreground=_foreground(foreground, subject))
        for subject, maps in heatmaps.items()
    )


def _foreground(
    foreground: Mapping[Any, NDArray[np.bool_]] | None, subject: Any
) -> NDArray[np.bool_] | None:
    if foreground is None:
        return None
    if subject not in foreground:
        raise ReportError(f"Subject '{subject}' has no foreground; give one for every subject.")
    return foreground[subject]
