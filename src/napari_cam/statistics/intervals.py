"""Intervals that have a formula: of a proportion and of a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from napari_cam.errors import ReportError


@dataclass(frozen=True)
class Interval:
    """A value with the interval in which it lies with the given confidence.

    Attributes
    ----------
    value
        The estimate.
    low, high
        Ends of the interval, NaN where the data do not determine it.
    confidence
        Such as 0.95.
    method
        How the interval was made, in words.
    n
        Observations.
    groups
        How many groups of dependent observations they are of; None where each stands for itself.
    undefined
        Resamples in which the value does not exist, and which were left out.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    n: int
    groups: int | None = None
    undefined: int = 0

    def covers(self, truth: float) -> bool:
        """Whether `truth` lies in the interval, its ends included."""
        return self.low <= truth <= self.high

    def __str__(self) -> str:
        return (
            f"{self.value:.3g} ({100 * self.confidence:g} % interval {self.low:.3g} to "
            f"{self.high:.3g}; {self.method})"
        )


def wilson_proportion(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with the score interval of Wilson (1927, J Am Stat Assoc 22:209).

    It stays within [0, 1] and keeps a width where all or none succeed.

    Raises
    ------
    ReportError
        Where the numbers make no proportion.
    """
    _check_proportion(successes, n, confidence)
    found = stats.binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(found.low), float(found.high), confidence, "Wilson", n)


def normal_proportion(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with the textbook interval p -+ z sqrt(p (1 - p) / n).

    As published for the accuracies of Sci Rep 2023, 13:2574, Table 1. It has no width where all or
    none succeed, and may leave [0, 1]: a reproduction, not a recommendation.

    Raises
    ------
    ReportError
        Where the numbers make no proportion.
    """
    _check_proportion(successes, n, confidence)
    share = successes / n
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt(share * (1 - share) / n)
    return Interval(share, share - half, share + half, confidence, "normal approximation", n)


def t_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Return the mean of independent `values` with Student's interval, NaN from one value alone.

    Values that are NaN are left out.

    Raises
    ------
    ReportError
        Where no value is left, or the confidence is not between 0 and 1.
    """
    check_confidence(confidence)
    kept = finite(values)
    mean = float(kept.mean())
    half = math.nan
    if len(kept) > 1:
        error = float(kept.std(ddof=1)) / math.sqrt(len(kept))
        half = float(stats.t.ppf(0.5 + confidence / 2, len(kept) - 1)) * error
    return Interval(mean, mean - half, mean + half, confidence, "Student t", len(kept))


def finite(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers (n,) of `values` that are not NaN.

    Raises
    ------
    ReportError
        Where none is left, or one is infinite.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    kept = array[~np.isnan(array)]
    if not len(kept):
        raise ReportError("There are no numbers to average; all of them are undefined.")
    if not np.isfinite(kept).all():
        raise ReportError("The numbers hold an infinite one; correct or remove it first.")
    return kept


def check_confidence(confidence: float) -> None:
    """Raise a :class:`ReportError` unless the confidence lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ReportError(f"A confidence lies between 0 and 1, such as 0.95, not {confidence}.")


def check_seed(seed: int) -> None:
    """Raise a :class:`ReportError` unless random numbers can be drawn from the seed."""
    if seed < 0:
        raise ReportError(f"A seed is a whole number from 0, not {seed}.")


def _check_proportion(successes: int, n: int, confidence: float) -> None:
    check_confidence(confidence)
    if not 0 <= successes <= n or n == 0:
        raise ReportError(f"{successes} of {n} is no proportion; give 0 <= successes <= n, n > 0.")
