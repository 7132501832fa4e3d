"""Cuts that leave a given share of the values above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_cam.masks.choices import SCOPES, Scope
from napari_cam.masks.rules.base import ThresholdRule, number, varied


@dataclass(frozen=True)
class Quantile(ThresholdRule):
    """The q-quantile of the values: without ties, a share of 1 - q lies above it.

    It interpolates linearly between two neighbouring values: the cut of n sorted values lies at
    position (n - 1) q, counted from 0. ``Quantile(0.9)`` and ``Quantile(0.95)`` are the 90th and
    95th percentile of the brain tumour study (Kang et al. 2021, section 3.3). Constant values have
    no upper part, so they give NaN, as do values that are all NaN.

    Raises
    ------
    MaskError
        If `q` is not a number from 0 to 1, or `scope` is unknown.
    """

    word: ClassVar[str] = "quantile"

    q: float
    scope: Scope = "unit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", number(self.q, "Quantile", 1))
        SCOPES.checked(self.scope)

    def cut(self, values: NDArray[Any]) -> float:
        """Return the quantile of the finite `values`."""
        found = varied(values)
        return float(np.quantile(found, self.q, method="linear")) if found.size else np.nan


@dataclass(frozen=True)
class AreaFraction(ThresholdRule):
    """The cut that keeps a share of the values: the k highest of n, with k = `share` n rounded.

    The cut lies midway between the k-th and the next value, so without ties the mask contains
    exactly k voxels, with > as well as >=. If these two values are equal, the cut is that value: >
    then leaves out all voxels that have it (fewer than k voxels), >= keeps them all (more than k).
    Values are compared as float32, the type of heatmaps. If no float32 number lies between the two
    values, the cut is the lower one. Constant values, and values that are all NaN, give NaN.

    Raises
    ------
    MaskError
        If `share` is not a number from 0 to 1, or `scope` is unknown.
    """

    word: ClassVar[str] = "area"

    share: float
    scope: Scope = "unit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", number(self.share, "AreaFraction", 1))
        SCOPES.checked(self.scope)

    def cut(self, values: NDArray[Any]) -> float:
        """Return the cut with a `share` of the finite `values` above it."""
        found = varied(values).astype(np.float32)
        if found.size == 0:
            return np.nan
        k = int(self.share * found.size + 0.5)
        if k == 0:
            return float(np.nextafter(found.max(), np.float32(np.inf)))
        if k == found.size:
            return float(np.nextafter(found.min(), np.float32(-np.inf)))
        place = found.size - k
        found.partition((place - 1, place))
        out, kept = found[place - 1], found[place]
        between = np.float32((float(out) + float(kept)) / 2)
        return float(between if between < kept else out)
