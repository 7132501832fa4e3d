"""Cuts that differ from pixel to pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.filters import rank

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.masks.choices import RADIUS_UNITS, RadiusUnit
from napari_cam.masks.rules.base import LocalRule
from napari_cam.masks.rules.histograms import BINS, Otsu

_NOISE = 1e-3  # of the sizes that files state, which must not decide about a pixel


@dataclass(frozen=True)
class LocalOtsu(LocalRule):
    """Otsu's cut of the pixels around each pixel: a disk in a slice, a ball in a volume.

    Kang et al. 2021 describe this in words ("for each pixel", section 3.3) but did not evaluate it.
    The neighbouring values are sorted into 256 bins from the lowest to the highest value of the
    unit. These are the bins of :class:`Otsu`, so with a radius larger than the image both rules
    give the same cut. Only the histogram is limited to 8 bits; values are compared with the cut at
    full precision. Values outside `allowed` do not count. If all neighbours fall into one bin, they
    have no upper part and the cut is NaN.

    In regions without an object it separates noise, and it leaves holes in objects larger than the
    disk. Use it with a foreground and ``Cleanup(fill_holes=True)``.

    Attributes
    ----------
    radius
        Radius of the neighbourhood.
    units
        "mm" (pixels if the image has no voxel size), or "px": the same number of pixels along every
        axis, whatever their size.

    Raises
    ------
    MaskError
        If the radius is not a positive number, or the units are unknown.
    """

    word: ClassVar[str] = "local-otsu"

    radius: float
    units: RadiusUnit = "mm"

    def __post_init__(self) -> None:
        wanted = "a radius above 0"
        radius = checks.number(
            self.radius, "LocalOtsu", MaskError, above=0, verb="takes", wanted=wanted
        )
        RADIUS_UNITS.checked(self.units)
        object.__setattr__(self, "radius", radius)

    def cut(self, values: NDArray[Any]) -> float:
        """Return the cut for a radius that covers everything, which is Otsu's."""
        return Otsu().cut(values)

    def cuts(
        self, values: NDArray[Any], allowed: NDArray[np.bool_], spacing: Sequence[float]
    ) -> NDArray[np.float32]:
        """Return the cut (*s) of each pixel of a unit; see :class:`LocalRule`.

        Raises
        ------
        MaskError
            If no neighbour lies within the radius.
        """
        sizes = [1.0] * values.ndim if self.units == "px" else list(spacing)
        if self.radius < min(sizes) * (1 - _NOISE):
            raise MaskError(
                f"Within {self.radius:g} {self.units} of a pixel lies no other one (they are "
                f"{min(sizes):.3g} apart); give {self.name.split('(')[0]} a larger radius."
            )
        found = np.full(values.shape, np.nan, dtype=np.float32)
        used = allowed & np.isfinite(values)
        if not used.any():
            return found
        numbers = np.where(used, values, 0).astype(np.float64)
        low, high = float(numbers[used].min()), float(numbers[used].max())
        if low == high:
            return found
        width = (high - low) / BINS
        binned = np.clip((numbers - low) / width, 0, BINS - 1).astype(np.uint8)
        mask = used.astype(np.uint8)
        around = _ball(self.radius, sizes, values.shape)
        level = rank.otsu(binned, around, mask=mask)
        told_apart = rank.gradient(binned, around, mask=mask) > 0
        np.copyto(found, low + (level + 0.5) * width, where=told_apart, casting="same_kind")
        return found


def _ball(radius: float, sizes: Sequence[float], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the pixels within `radius` of the middle one; no further than the image reaches."""
    reach = [
        min(floor(radius / size + _NOISE), n - 1) for size, n in zip(sizes, shape, strict=True)
    ]
    squares = np.zeros([2 * n + 1 for n in reach])
    for axis, (n, size) in enumerate(zip(reach, sizes, strict=True)):
        line = (np.arange(-n, n + 1) * size / radius) ** 2
        squares += line.reshape([-1 if a == axis else 1 for a in range(len(sizes))])
    return (squares <= (1 + _NOISE) ** 2).astype(np.uint8)
