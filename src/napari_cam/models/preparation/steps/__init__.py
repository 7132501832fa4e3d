"""The steps of a preparation, each a frozen set of parameters; `STEPS` finds them by name."""

from __future__ import annotations

from napari_cam.models.preparation.steps.base import GeometricStep, IntensityStep, Step
from napari_cam.models.preparation.steps.geometry import Crop, Pad, Resize, Spacing
from napari_cam.models.preparation.steps.intensity import (
    Contrast,
    Divide,
    Rescale,
    Standardize,
    Threshold,
    Window,
    ZScore,
)
from napari_cam.models.preparation.steps.layout import Channels, Foreground, Orient, Slices

STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (
        Orient,
        Slices,
        Foreground,
        Spacing,
        Crop,
        Pad,
        Resize,
        Rescale,
        Window,
        Divide,
        Threshold,
        ZScore,
        Contrast,
        Channels,
        Standardize,
    )
}

__all__ = [
    "STEPS",
    "Channels",
    "Contrast",
    "Crop",
    "Divide",
    "Foreground",
    "GeometricStep",
    "IntensityStep",
    "Orient",
    "Pad",
    "Rescale",
    "Resize",
    "Slices",
    "Spacing",
    "Standardize",
    "Step",
    "Threshold",
    "Window",
    "ZScore",
]
