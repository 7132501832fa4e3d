"""Many tests at once, and how their p-values are written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cam.errors import StatisticsError

Floats = NDArray[np.float64]


def holm(p: Any) -> Floats:
    """Return p-values corrected by Holm (1979, Scand J Stat 6:65): family-wise, no assumptions.

    Parameters
    ----------
    p
        Any shape; NaN stands for a test that could not be made, stays NaN and is not counted.

    Raises
    ------
    StatisticsError
        Where a number is no p-value.
    """
    return _corrected(p, _holm)


def benjamini_hochberg(p: Any) -> Floats:
    """Return p-values corrected for the false discovery rate (1995, J R Stat Soc B 57:289).

    Valid for independent and positively dependent tests. Parameters as in :func:`holm`.
    """
    return _corrected(p, lambda known: stats.false_discovery_control(known, method="bh"))


def _holm(known: Floats) -> Floats:
    order = np.argsort(known, kind="stable")
    steps = known[order] * np.arange(len(known), 0, -1)
    result = np.empty_like(known)
    result[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return result


def _corrected(p: Any, correct: Any) -> Floats:
    given = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(given)
    if ((given[known] < 0) | (given[known] > 1)).any():
        raise StatisticsError("p-values lie between 0 and 1.")
    result = np.full(given.shape, np.nan)
    if known.any():
        result[known] = correct(given[known])
    return result


def stars(p: float, at_least: bool = False) -> str:
    """Return "***" below .001, "**" below .01, "*" below .05, else "".

    Parameters
    ----------
    p
        NaN gives "".
    at_least
        Whether the limits themselves count, as in the code (not the captions) of Sci Rep 2023,
        13:2574.
    """
    limits = (0.05, 0.01, 0.001)
    return "*" * sum(p <= limit if at_least else p < limit for limit in limits)


def p_text(p: float) -> str:
    """Return a p-value in a sentence: "p = .032", "p < .001"; "p undefined" for NaN."""
    if np.isnan(p):
        return "p undefined"
    short = p_short(p)
    return f"p < {short[1:]}" if short.startswith("<") else f"p = {short}"


def p_short(p: float) -> str:
    """Return a p-value in a table: ".032", "<.001"; "–" for NaN."""
    if np.isnan(p):
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)
