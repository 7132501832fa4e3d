"""Intervals that have a formula: of a proportion and of a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from napari_cam import checks
from napari_cam.errors import StatisticsError


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
    StatisticsError
        Where the numbers make no proportion.
    """
    _check_proportion(successes, n, confidence)
    found = stats.binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(found.low), float(found.high), confidence, "Wilson", n)


@dataclass(frozen=True)
class Proportion:
    """So many successes of so many trials.

    Attributes
    ----------
    successes, n
        How many of how many.
    confidence
        Of the interval from `low` to `high`.
    """

    successes: int
    n: int
    confidence: float = 0.95

    @classmethod
    def of(cls, hits: Any) -> Proportion:
        """Count what is True in a sequence or array."""
        array = np.asarray(hits, dtype=bool)
        return cls(int(array.sum()), int(array.size))

    @property
    def share(self) -> float:
        """Successes / n, NaN without trials."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval; without trials nothing is known and it is (0, 1)."""
        if self.n == 0:
            return 0.0, 1.0
        found = wilson_proportion(self.successes, self.n, self.confidence)
        return found.low, found.high

    def to_json(self) -> dict[str, Any]:
        """Return the share, the counts and the interval as plain JSON."""
        low, high = self.interval
        return {
            "share": round(self.share, 6) if self.n else None,
            "successes": self.successes,
            "n": self.n,
            "interval": [round(low, 6), round(high, 6)],
            "confidence": self.confidence,
            "method": "Wilson",
        }

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{100 * self.share:.1f} % ({self.successes} of {self.n}; {100 * self.confidence:g} % "
            f"interval {100 * low:.1f} to {100 * high:.1f})"
        )


def normal_proportion(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with the textbook interval p -+ z sqrt(p (1 - p) / n).

    As published for the accuracies of Sci Rep 2023, 13:2574, Table 1. It has no width where all or
    none succeed, and may leave [0, 1]: a reproduction, not a recommendation.

    Raises
    ------
    StatisticsError
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
    StatisticsError
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
    StatisticsError
        Where none is left, or one is infinite.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    kept = array[~np.isnan(array)]
    if not len(kept):
        raise StatisticsError("There are no numbers to average; all of them are undefined.")
    if not np.isfinite(kept).all():
        raise StatisticsError("The numbers hold an infinite one; correct or remove it first.")
    return kept


def check_confidence(confidence: float) -> None:
    """Raise a :class:`StatisticsError` unless the confidence lies between 0 and 1."""
    checks.number(confidence, "A confidence", StatisticsError, above=0, below=1)


def check_seed(seed: int) -> None:
    """Raise a :class:`StatisticsError` unless random numbers can be drawn from the seed."""
    checks.whole(seed, "A seed", StatisticsError, least=0)


def _check_proportion(successes: int, n: int, confidence: float) -> None:
    check_confidence(confidence)
    if not 0 <= successes <= n or n == 0:
        raise StatisticsError(
            f"{successes} of {n} is no proportion; give 0 <= successes <= n, n > 0."
        )
