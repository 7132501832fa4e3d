"""Heatmap values: what counts as evidence, what becomes 0 and 1, and how to choose that anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.choices import Choices
from napari_cam.errors import MaskError, MethodError
from napari_cam.heatmap import Heatmap
from napari_cam.units import axes_within

Normalize = Literal["unit", "volume", "foreground", "none"]
NORMALIZE: Choices[Normalize] = Choices(
    "normalize",
    Normalize,
    MethodError,
    {
        "unit": "each slice",
        "volume": "the whole volume",
        "foreground": "by the foreground",
        "none": "not at all",
    },
)
Renormalize = Literal["volume", "unit", "none"]
RENORMALIZE: Choices[Renormalize] = Choices(
    "The normalisation of seeds",
    Renormalize,
    MaskError,
    {"volume": "whole volume", "unit": "each slice", "none": "as it is"},
)
Scale = Literal["minmax", "max"]
SCALE: Choices[Scale] = Choices(
    "scale",
    Scale,
    MethodError,
    {"minmax": "the smallest value becomes 0, the largest 1", "max": "zero stays zero"},
)

ROUNDING = 1e-5
"""What is smaller than this share of a raw map's magnitude is rounding."""


def has_evidence(maps: NDArray[np.float32], rectified: bool) -> NDArray[np.bool_]:
    """Return for each raw map (n, *f) whether it says anything: not flat, all negative or NaN.

    Both are judged against the magnitude of the raw map, also where only its positive part is
    shown (`rectified`): a negative map with a speck of rounding above zero is negative.
    """
    flat = maps.reshape(len(maps), -1)
    with np.errstate(invalid="ignore"):
        low, high = flat.min(axis=1), flat.max(axis=1)
        rounding = ROUNDING * np.maximum(np.abs(low), np.abs(high))
        shown = high - np.maximum(low, 0) if rectified else high - low
        clear = (shown > rounding) & (high > rounding)
        return np.asarray(np.isfinite(flat).all(axis=1) & clear)


def extremes(
    values: NDArray[np.float32], counted: NDArray[np.bool_], axes: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return minimum and maximum (u,) over `axes` where `counted` holds, 0 if nowhere."""
    low = np.min(values, axis=axes, where=counted, initial=np.inf)
    high = np.max(values, axis=axes, where=counted, initial=-np.inf)
    anywhere = counted.any(axis=axes)
    return (
        np.where(anywhere, low, 0).astype(np.float32).reshape(-1),
        np.where(anywhere, high, 0).astype(np.float32).reshape(-1),
    )


def bounds(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    valid: NDArray[np.bool_],
    normalize: Normalize,
    scale: Scale,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the numbers (n,) that become 0 and 1 in each unit.

    Parameters
    ----------
    low, high
        (n,) extremes of each unit.
    valid
        (n,) units with evidence; the others do not count for a volume's extremes.
    normalize
        "unit" or "foreground": each unit's own extremes; "volume": those of all valid units;
        "none" leaves them as they are, for the record.
    scale
        "minmax", or "max", where zero stays zero.
    """
    if normalize == "volume" and valid.any():
        low = np.full_like(low, low[valid].min())
        high = np.full_like(high, high[valid].max())
    if scale == "max" and normalize != "none":
        low = np.zeros_like(low)
    return low, high


def to_unit(values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float32]:
    """Return values with `low` at 0 and `high` at 1, clipped to [0, 1]; the three broadcast."""
    span = high - low
    shifted = (values - low) / np.where(span > 0, span, 1)
    return np.asarray(np.clip(shifted, 0, 1), dtype=np.float32)


def check_foreground(foreground: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a foreground as a boolean array of the volume's shape."""
    mask = np.asarray(foreground)
    if mask.shape != shape:
        raise MaskError(
            f"The foreground has shape {mask.shape} and the volume {shape}; give one on its grid."
        )
    return np.asarray(mask != 0)


def renormalized(heatmap: Heatmap, normalize: Renormalize = "volume") -> Heatmap:
    """Return a heatmap as :func:`napari_cam.explain` would have normalised it.

    The CAM's own scale comes back from ``raw_min`` and ``raw_max``. What was clipped when the
    heatmap was made (values beyond the extremes of its foreground, negative ones under
    ``scale="max"``) stays clipped.

    Parameters
    ----------
    heatmap
        Of any kind. Where zero was kept at zero (``scale="max"``) it still is.
    normalize
        "volume": the extremes of all units with evidence become 0 and 1. "unit": those of each
        unit. "none": the heatmap as it is.

    Raises
    ------
    MaskError
        Where the normalisation is unknown.
    """
    RENORMALIZE.checked(normalize)
    done = heatmap.kind == "unit" and heatmap.provenance.get("normalize") == normalize
    if normalize == "none" or done:
        return heatmap
    low, high = heatmap.raw_min, heatmap.raw_max
    if normalize == "unit" and heatmap.provenance.get("normalize") == "volume":
        low, high = _own_extremes(heatmap)
    scale: Scale = "max" if heatmap.provenance.get("scale") == "max" else "minmax"
    low, high = bounds(low, high, heatmap.valid, normalize, scale)
    before, first, last = (
        heatmap.per_unit(each.astype(np.float64)) for each in (heatmap.raw_min, low, high)
    )
    raw = heatmap.values.astype(np.float64)
    if heatmap.kind == "unit":
        raw = raw * (heatmap.per_unit(heatmap.raw_max) - before) + before
    said = heatmap.inside & heatmap.per_unit(heatmap.valid)
    return replace(
        heatmap,
        values=np.where(said, to_unit(raw, first, last), np.float32(0)),
        kind="unit",
        raw_min=low,
        raw_max=high,
        provenance={**heatmap.provenance, "normalize": normalize},
    )


def _own_extremes(heatmap: Heatmap) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each unit's own extremes (u,), of which a heatmap of a whole volume keeps no note."""
    low, high = extremes(heatmap.values, heatmap.inside, axes_within(heatmap.unit_axis))
    span = heatmap.raw_max - heatmap.raw_min
    return (
        (low * span + heatmap.raw_min).astype(np.float32),
        (high * span + heatmap.raw_min).astype(np.float32),
    )
