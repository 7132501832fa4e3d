"""How far a figure is known when its parts come from few volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


def ratio_over_volumes(
    numerators: NDArray[Any], denominators: NDArray[Any]
) -> tuple[float, float, float]:
    """Return sum / sum over all volumes with its 95 % interval, whole volumes drawn anew.

    Parameters
    ----------
    numerators, denominators
        (v,) one number per volume, such as a sum over its slices and their number. Draws whose
        denominators are all 0 have no ratio and are left out.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(numerators), (_RESAMPLES, len(numerators)))
    totals = denominators[drawn].sum(axis=1)
    ratios = numerators[drawn].sum(axis=1)[totals != 0] / totals[totals != 0]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(numerators.sum() / denominators.sum()), float(low), float(high)
