"""Whether numbers can be from a normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from napari_cam.statistics.intervals import finite
from napari_cam.statistics.multiplicity import p_text


@dataclass(frozen=True)
class Normality:
    """A Shapiro-Wilk test.

    Attributes
    ----------
    statistic
        W, 1 for numbers that are spread just as normal ones are.
    p
        How often normal numbers give so small a W. A small p speaks against normality; a large one
        does not prove it.
    n
        How many numbers.
    alpha
        Level of the decision.
    """

    statistic: float
    p: float
    n: int
    alpha: float = 0.05

    @property
    def rejected(self) -> bool | None:
        """Whether normality is rejected (p < alpha); None where the test could not be made."""
        return None if math.isnan(self.p) else self.p < self.alpha

    def __str__(self) -> str:
        if self.rejected is None:
            return f"Shapiro-Wilk: undefined for {self.n} numbers that are too few or all the same"
        decision = "normality rejected" if self.rejected else "normality not rejected"
        return f"Shapiro-Wilk W = {self.statistic:.3f}, {p_text(self.p)}: {decision}"


def shapiro_wilk(values: Any, alpha: float = 0.05) -> Normality:
    """Test normality (Shapiro and Wilk 1965, Biometrika 52:591); NaN are left out.

    Sci Rep 2023, 13:2574 gives p > 0.05 as the reason to reject it, which is the wrong way round.

    Raises
    ------
    StatisticsError
        Where no number is left.
    """
    kept = finite(values)
    if len(kept) < 3 or np.ptp(kept) == 0:
        return Normality(math.nan, math.nan, len(kept), alpha)
    found = stats.shapiro(kept)
    return Normality(float(found.statistic), float(found.pvalue), len(kept), alpha)
