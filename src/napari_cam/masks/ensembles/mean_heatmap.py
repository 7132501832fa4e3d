"""The weighted mean of heatmaps: an ensemble before the threshold instead of after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import check_same_place
from napari_cam.heatmap import Heatmap, label_of
from napari_cam.masks.choices import EMPTY, Empty
from napari_cam.provenance import stamp
from napari_cam.units import axes_within, per_unit

_DISAGREE = -2  # equals no class, nor the -1 of a target that is none


def mean_heatmap(
    heatmaps: Mapping[Any, Heatmap] | Sequence[Heatmap],
    weights: Mapping[Any, float] | Sequence[float] | None = None,
    empty: Empty = "keep",
) -> Heatmap:
    """Average heatmaps of one volume.

    Parameters
    ----------
    heatmaps
        A mapping by name, or a sequence. All must be normalised to [0, 1], or all of one other
        kind. Heatmaps in the CAM's own scale can be averaged, but the one with the largest scale
        then dominates.
    weights
        One non-negative number per heatmap, by the same names or in the same order; None for equal
        weights. They are scaled to a sum of 1.
    empty
        If a heatmap has no evidence in a unit, "keep" counts it as zeros there; "skip" averages the
        others.

    Returns
    -------
    Heatmap
        Values (z, y, x). They are not stretched again, so they rarely span all of [0, 1]. `inside`
        marks voxels that every network saw. A unit is valid if it is valid in any member. If
        members differ, `class_index` is -1 and `predicted_index` -2. `score` is NaN.

    Raises
    ------
    MaskError
        If there are no heatmaps, they differ in grid, kind or units, or the weights are not valid.
    """
    EMPTY.checked(empty)
    named = _named(heatmaps)
    maps = list(named.values())
    first = maps[0]
    for name, heatmap in named.items():
        check_same_place(f"The heatmap '{name}'", heatmap.grid, "the first", first.grid, MaskError)
        if heatmap.unit_axis != first.unit_axis or heatmap.kind != first.kind:
            raise MaskError(
                f"The heatmap '{name}' is {heatmap.kind} with units along {heatmap.unit_axis}, "
                f"the first {first.kind} along {first.unit_axis}; average maps of one kind."
            )
    shares = _weights(weights, list(heatmaps) if isinstance(heatmaps, Mapping) else None, len(maps))
    counted = np.stack([heatmap.valid for heatmap in maps]) & (shares > 0)[:, None]
    per_map = np.where(counted | (empty == "keep"), shares[:, None], 0.0)
    total = per_map.sum(axis=0)
    per_map = np.divide(per_map, total, out=np.zeros_like(per_map), where=total > 0)
    values = np.zeros(first.values.shape, np.float32)
    inside = np.ones(first.values.shape, bool)
    for heatmap, unit_shares in zip(maps, per_map, strict=True):
        values += heatmap.values * per_unit(unit_shares.astype(np.float32), first.unit_axis)
        inside &= heatmap.inside
    values *= inside
    valid = np.asarray(counted.any(axis=0))
    zeros = np.zeros(len(valid), np.float32)
    low, high = (zeros, zeros + 1) if first.kind == "unit" else _extremes(values, first.unit_axis)
    return Heatmap(
        values=values,
        kind=first.kind,
        raw_min=low,
        raw_max=high,
        valid=valid,
        class_index=_common([heatmap.class_index for heatmap in maps], -1),
        predicted_index=_common([heatmap.predicted_index for heatmap in maps], _DISAGREE),
        score=np.full(len(valid), np.nan, np.float32),
        inside=inside,
        unit_axis=first.unit_axis,
        grid=first.grid,
        provenance=_provenance(named, shares, empty),
    )


def _named(heatmaps: Any) -> dict[str, Heatmap]:
    if isinstance(heatmaps, Mapping):
        named = {label_of(key): heatmap for key, heatmap in heatmaps.items()}
    elif isinstance(heatmaps, Sequence):
        named = {f"heatmap {n}": heatmap for n, heatmap in enumerate(heatmaps, start=1)}
    else:
        named = {"": None}
    if not all(isinstance(heatmap, Heatmap) for heatmap in named.values()):
        raise MaskError("A mean is taken of heatmaps, by name or in a row; make some with explain.")
    if not named:
        raise MaskError("There are no heatmaps to average; explain at least one method first.")
    return named


def _weights(weights: Any, keys: list[Any] | None, n: int) -> NDArray[np.float64]:
    """Return n weights with a sum of 1."""
    if weights is None:
        return np.full(n, 1 / n)
    if isinstance(weights, Mapping):
        names = {label_of(key): weight for key, weight in weights.items()}
        wanted = [label_of(key) for key in keys or ()]
        if set(names) != set(wanted):
            raise MaskError(
                f"There are weights for {', '.join(sorted(names))} but heatmaps "
                f"{', '.join(sorted(wanted))}; give one weight for each."
            )
        weights = [names[name] for name in wanted]
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MaskError(f"Weights are numbers, not {weights!r}.") from error
    if given.shape != (n,) or not (np.isfinite(given).all() and (given >= 0).all() and given.any()):
        raise MaskError(
            f"The weights {np.asarray(weights).tolist()} do not fit {n} heatmaps; "
            "give one number of 0 or more for each, not all 0."
        )
    return np.asarray(given / given.sum())


def _common(indices: list[NDArray[np.int64]], otherwise: int) -> NDArray[np.int64]:
    """Return (u,) the index that all members state, and `otherwise` where they differ."""
    stacked = np.stack(indices)
    return np.where((stacked == stacked[0]).all(axis=0), stacked[0], otherwise).astype(np.int64)


def _extremes(
    values: NDArray[np.float32], unit_axis: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest and the highest value (u,) of each unit."""
    within = axes_within(unit_axis)
    return values.min(axis=within).reshape(-1), values.max(axis=within).reshape(-1)


def _provenance(
    named: Mapping[str, Heatmap], shares: NDArray[np.float64], empty: Empty
) -> dict[str, Any]:
    """Return what was averaged, and with which weights."""
    members = [
        {"name": name, "weight": float(share), **heatmap.provenance}
        for (name, heatmap), share in zip(named.items(), shares, strict=True)
    ]
    targets = {heatmap.provenance.get("target") for heatmap in named.values()}
    target = {"target": targets.pop()} if len(targets) == 1 else {}
    return stamp(
        kind="heatmap",
        method="mean",
        ensemble={"operator": "mean", "empty": empty},
        members=members,
        **target,
    )
