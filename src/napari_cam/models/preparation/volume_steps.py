"""The steps that see the whole volume, fitted once and then applied to parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.steps import Foreground, IntensityStep, Step
from napari_cam.models.preparation.steps.base import Array, Mask, PointMap

# Beyond this, differences and sums overflow in float32, the networks' own type.
_LARGEST = 1e38


@dataclass(frozen=True, eq=False)
class VolumeSteps:
    """What the volume-wide steps are for one volume.

    Attributes
    ----------
    replacement
        (c,) what stands for voxels that are no numbers; None where there are none.
    maps
        Each step with its function; None for the foreground step, which needs the mask.
    foreground
        Bool (z, y, x) of the turned volume, None where no step looks for it.
    """

    replacement: NDArray[np.float64] | None
    maps: tuple[tuple[Step, PointMap | None], ...] = ()
    foreground: Mask | None = None

    @classmethod
    def fit(
        cls, steps: Sequence[Step], values: Any, spacing: tuple[float, ...] | None
    ) -> VolumeSteps:
        """Fit `steps` to the turned volume `values` (c, z, y, x).

        The voxels are read once where a step needs statistics or where they could be no numbers.
        """
        statistics = any(step.needs_statistics for step in steps)
        whole = None
        if statistics or np.dtype(values.dtype).kind == "f":
            whole = np.asarray(values)
        replacement = None if whole is None else replacement_of(whole)
        # Steps that need no statistics are fitted to nothing.
        current = np.empty((values.shape[0], 0), dtype=np.float32)
        if statistics and whole is not None:
            current = numbers(whole, replacement)
        maps: list[tuple[Step, PointMap | None]] = []
        foreground = None
        for step in steps:
            if isinstance(step, Foreground):
                foreground = step.find(current, spacing)
                current = step.blank(current, foreground)
                maps.append((step, None))
            elif isinstance(step, IntensityStep):
                function = step.fit(current, foreground)
                maps.append((step, function))
                # What follows is fitted to what this step leaves.
                if any(later.needs_statistics for later in steps[len(maps) :]):
                    current = function(current)
        return cls(replacement, tuple(maps), foreground)

    def apply(self, values: Array, foreground: Mask | None) -> Array:
        """Return a part (c, *s) of the volume after these steps; `foreground` is its part."""
        values = numbers(values, self.replacement)
        for step, function in self.maps:
            if function is not None:
                values = function(values)
            elif isinstance(step, Foreground) and foreground is not None:
                values = step.blank(values, foreground)
        return values


def numbers(values: Array, replacement: NDArray[np.float64] | None = None) -> Array:
    """Return `values` (c, *s) as floats, contiguous, with a replacement (c,) for what is none.

    The type is float32 where that holds every value exactly, else float64.
    """
    kind = np.float32 if np.result_type(values.dtype, np.float32) == np.float32 else np.float64
    floats = np.ascontiguousarray(values, dtype=kind)
    if replacement is None:
        return floats
    stand_in = replacement.astype(kind).reshape(-1, *[1] * (values.ndim - 1))
    return np.where(_is_number(floats), floats, stand_in)


def replacement_of(values: Array) -> NDArray[np.float64] | None:
    """Return the smallest number of each channel (c,) of `values`; None where all are numbers.

    Raises
    ------
    PreparationError
        Where a channel holds no number at all.
    """
    if all_numbers(values):
        return None
    smallest = np.empty(len(values))
    for channel, image in enumerate(values):
        valid = image[_is_number(image)]
        if valid.size == 0:
            raise PreparationError(
                f"Channel {channel + 1} of the image holds no finite number (all its voxels are "
                "NaN, infinite or beyond 1e38); check how the file was made."
            )
        smallest[channel] = valid.min()
    return smallest


def all_numbers(values: Array) -> bool:
    """Return whether every value is finite and small enough to compute with."""
    if values.dtype.kind != "f":
        return True
    with np.errstate(invalid="ignore"):
        extremes = np.array([values.min(), values.max()])
    return bool(_is_number(extremes).all())


def _is_number(values: Array) -> Mask:
    largest = min(_LARGEST, float(np.finfo(values.dtype).max))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) <= largest)
