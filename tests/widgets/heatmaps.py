"""Heatmaps without a network: for tests of what carries them."""

from __future__ import annotations

import numpy as np

from napari_cam.heatmap import Heatmap
from napari_cam.volumes.volume import Volume


def heatmap_on(volume: Volume, seed: int = 0) -> Heatmap:
    """A heatmap of every slice of `volume`, the first without evidence."""
    z, y, x = volume.shape
    values = np.random.default_rng(seed).random((z, y, x), np.float32)
    valid = np.ones(z, bool)
    valid[0], values[0] = False, 0
    inside = np.ones((z, y, x), bool)
    inside[:, :, 0], values[:, :, 0] = False, 0
    return Heatmap(
        values=values,
        kind="unit",
        raw_min=np.zeros(z, np.float32),
        raw_max=np.arange(1, z + 1, dtype=np.float32),
        valid=valid,
        class_index=np.ones(z, np.int64),
        predicted_index=np.zeros(z, np.int64),
        score=np.linspace(-1, 1, z, dtype=np.float32),
        inside=inside,
        unit_axis=0,
        grid=volume.grid,
        provenance={
            "kind": "heatmap", "method": {"name": "gradcam"}, "layer": "layer4",
            "target": "damaged", "model": {"architecture": "resnet18", "sha256": "a" * 64},
            "normalize": "unit", "scale": "minmax", "device": "cpu", "precision": "float32",
            "seed": None, "time": "2024-01-01T00:00:00+00:00",
        },
    )  # fmt: skip
