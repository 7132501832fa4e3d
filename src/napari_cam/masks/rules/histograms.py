"""Cuts between two heaps of values, by scikit-image: one global number from their histogram.

Constant values cannot be separated, so they give NaN, as do values that are all NaN.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_li, threshold_otsu, threshold_triangle, threshold_yen

from napari_cam.masks.choices import SCOPES, Scope
from napari_cam.masks.rules.base import ThresholdRule, varied

BINS = 256


@dataclass(frozen=True)
class _HistogramRule(ThresholdRule):
    """A rule whose only choice is whose values it sees.

    Raises
    ------
    MaskError
        Where `scope` is unknown.
    """

    scope: Scope = "unit"

    def __post_init__(self) -> None:
        SCOPES.checked(self.scope)

    def cut(self, values: NDArray[Any]) -> float:
        """Return the cut between the finite `values`."""
        found = varied(values)
        if found.size == 0:
            return np.nan
        # The logarithm of a share that rounds to nothing is meant to be minus infinity.
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self._between(found))

    @abstractmethod
    def _between(self, values: NDArray[np.float64]) -> float:
        """Return the cut between `values` (m,), at least two of which differ."""


@dataclass(frozen=True)
class Otsu(_HistogramRule):
    """The one global cut that best separates the values into two classes (256 bins).

    Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62-66. Kang et al. 2021 describe it as a threshold
    for each pixel; it is not, but :class:`LocalOtsu` is.

    Raises
    ------
    MaskError
        If `scope` is unknown.
    """

    word: ClassVar[str] = "otsu"

    def _between(self, values: NDArray[np.float64]) -> float:
        return float(threshold_otsu(values, nbins=BINS))


@dataclass(frozen=True)
class Li(_HistogramRule):
    """The cut that minimises the cross-entropy between values and the means of their classes.

    Li and Lee, Pattern Recognition 26 (1993) 617-625, with the iteration of Li and Tam, Pattern
    Recognition Letters 19 (1998) 771-776, started at the mean. The method needs non-negative
    numbers, so the lowest value counts as 0.

    Raises
    ------
    MaskError
        If `scope` is unknown.
    """

    word: ClassVar[str] = "li"

    def _between(self, values: NDArray[np.float64]) -> float:
        return float(threshold_li(values))


@dataclass(frozen=True)
class Triangle(_HistogramRule):
    """The cut farthest from the line between the histogram's peak and its longer tail (256 bins).

    Zack, Rogers and Latt, J. Histochem. Cytochem. 25 (1977) 741-753. Suits heatmaps with a single
    peak near 0 and a long tail.

    Raises
    ------
    MaskError
        If `scope` is unknown.
    """

    word: ClassVar[str] = "triangle"

    def _between(self, values: NDArray[np.float64]) -> float:
        return float(threshold_triangle(values, nbins=BINS))


@dataclass(frozen=True)
class Yen(_HistogramRule):
    """The cut that maximises the entropic correlation of the two classes (256 bins).

    Yen, Chang and Chang, IEEE Trans. Image Processing 4 (1995) 370-378.

    Raises
    ------
    MaskError
        If `scope` is unknown.
    """

    word: ClassVar[str] = "yen"

    def _between(self, values: NDArray[np.float64]) -> float:
        return float(threshold_yen(values, nbins=BINS))
