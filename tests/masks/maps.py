"""Heatmaps typed by hand or drawn at random, for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap


def heatmap(values: Any, unit_axis: int | None = 0, **changed: Any) -> Heatmap:
    """Return a heatmap of values in [0, 1], explaining class 1, which is predicted everywhere."""
    values = np.asarray(values, np.float32)
    units = 1 if unit_axis is None else values.shape[unit_axis]
    facts: dict[str, Any] = {
        "values": values,
        "kind": "unit",
        "raw_min": np.zeros(units, np.float32),
        "raw_max": np.ones(units, np.float32),
        "valid": np.ones(units, bool),
        "class_index": np.ones(units, np.int64),
        "predicted_index": np.ones(units, np.int64),
        "score": np.zeros(units, np.float32),
        "inside": np.ones(values.shape, bool),
        "unit_axis": unit_axis,
        "grid": Grid.plain(values.shape, (2.0, 0.5, 0.75), "mm"),
        "provenance": {"target": "gap"},
    }
    arrays = ("raw_min", "raw_max", "valid", "class_index", "predicted_index", "inside")
    given = {n: np.asarray(v, facts[n].dtype) if n in arrays else v for n, v in changed.items()}
    return Heatmap(**{**facts, **given})


def heatmap_of(
    values: Any,
    unit_axis: int | None = 0,
    valid: list[bool] | None = None,
    inside: NDArray[np.bool_] | None = None,
    kind: Any = "unit",
    grid: Grid | None = None,
    classes: tuple[int, int] = (1, 1),
    **facts: Any,
) -> Heatmap:
    """Return a heatmap with these values (z, y, x); `classes` are explained and predicted."""
    made = heatmap(values, unit_axis, kind=kind, provenance={"method": "gradcam", **facts})
    units = len(made.valid)
    return replace(
        made,
        valid=made.valid if valid is None else np.array(valid),
        inside=made.inside if inside is None else inside,
        grid=grid or made.grid,
        class_index=np.full(units, classes[0]),
        predicted_index=np.full(units, classes[1]),
    )
