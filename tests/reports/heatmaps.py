"""Small heatmaps with known values for the tests of reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap

SHAPE = (4, 11, 13)
SPACING = (3.0, 0.5, 0.8)


def heatmap(
    values: Any,
    *,
    predicted: Any = None,
    axis: int | None = 0,
    kind: str = "unit",
    inside: Any = None,
    valid: Any = None,
    **provenance: Any,
) -> Heatmap:
    values = np.asarray(values, dtype=np.float32)
    n = 1 if axis is None else values.shape[axis]
    return Heatmap(
        values=values,
        kind=kind,  # type: ignore[arg-type]
        raw_min=np.zeros(n, np.float32),
        raw_max=np.ones(n, np.float32),
        valid=np.ones(n, bool) if valid is None else np.asarray(valid),
        class_index=np.ones(n, np.int64),
        predicted_index=np.ones(n, np.int64) if predicted is None else np.asarray(predicted),
        score=np.ones(n, np.float32),
        inside=np.ones(values.shape, bool) if inside is None else inside,
        unit_axis=axis,
        grid=Grid.plain(values.shape, SPACING, "mm"),  # type: ignore[arg-type]
        provenance=provenance,
    )


def noise(seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    """Return a smooth pattern in [0, 1] for each slice."""
    values = np.random.default_rng(seed).standard_normal(shape)
    values = ndimage.gaussian_filter(values, (0, 1.5, 1.5))
    low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    return ((values - low) / (high - low)).astype(np.float32)


def blob(seed: int, share: float = 0.3, shape: tuple[int, ...] = SHAPE) -> Any:
    """Return a mask that takes a share of each slice."""
    pattern = noise(seed, shape)
    return pattern > np.quantile(pattern, 1 - share, axis=(1, 2), keepdims=True)
