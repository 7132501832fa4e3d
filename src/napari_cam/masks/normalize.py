"""Heatmaps normalised anew: from slice by slice to the whole volume, or back."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap

Renormalize = Literal["volume", "unit", "none"]


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
    if normalize not in get_args(Renormalize):
        raise MaskError(
            f"Seeds are normalised by {', '.join(get_args(Renormalize))}, not '{normalize}'."
        )
    done = heatmap.kind == "unit" and heatmap.provenance.get("normalize") == normalize
    if normalize == "none" or done:
        return heatmap
    low, high = _extremes(heatmap, normalize)
    raw = heatmap.values.astype(np.float64)
    if heatmap.kind == "unit":
        start = heatmap.per_unit(heatmap.raw_min).astype(np.float64)
        raw = raw * (heatmap.per_unit(heatmap.raw_max) - start) + start
    span = heatmap.per_unit(high.astype(np.float64) - low)
    shifted = (raw - heatmap.per_unit(low)) / np.where(span > 0, span, 1)
    said = heatmap.inside & heatmap.per_unit(heatmap.valid)
    values = np.where(said, np.clip(shifted, 0, 1), 0).astype(np.float32)
    return replace(
        heatmap,
        values=values,
        kind="unit",
        raw_min=low,
        raw_max=high,
        provenance={**heatmap.provenance, "normalize": normalize},
    )


def _extremes(
    heatmap: Heatmap, normalize: Renormalize
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the numbers (u,) of the CAM's own scale that become 0 and 1 in each unit."""
    low, high = heatmap.raw_min, heatmap.raw_max
    if normalize == "unit" and heatmap.provenance.get("normalize") == "volume":
        low, high = _own_extremes(heatmap)
    if heatmap.provenance.get("scale") == "max":
        low = np.zeros_like(low)
    if normalize == "volume" and heatmap.valid.any():
        low = np.full_like(low, low[heatmap.valid].min())
        high = np.full_like(high, high[heatmap.valid].max())
    return low, high


def _own_extremes(heatmap: Heatmap) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each unit's own extremes (u,), of which a heatmap of a whole volume keeps no note."""
    axes = tuple(axis for axis in range(3) if axis != heatmap.unit_axis)
    seen = heatmap.inside
    low = np.min(heatmap.values, axis=axes, where=seen, initial=1).reshape(-1)
    high = np.max(heatmap.values, axis=axes, where=seen, initial=0).reshape(-1)
    span = heatmap.raw_max - heatmap.raw_min
    return (
        (low * span + heatmap.raw_min).astype(np.float32),
        (high * span + heatmap.raw_min).astype(np.float32),
    )
