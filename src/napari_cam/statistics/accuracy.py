"""Shares of successes with the uncertainty that their number leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from napari_cam.errors import TrainingError


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927, J Am Stat Assoc 22:209).

    Unlike the textbook interval it stays within [0, 1] and keeps a width where all succeed.

    Parameters
    ----------
    successes, n
        How many of how many; with `n` 0 nothing is known and the interval is (0, 1).
    confidence
        Between 0 and 1.

    Raises
    ------
    TrainingError
        Where the numbers make no proportion.
    """
    if not 0 <= successes <= n or not 0 < confidence < 1:
        raise TrainingError(
            f"{successes} of {n} at confidence {confidence} is no proportion; "
            "give 0 <= successes <= n and a confidence between 0 and 1."
        )
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high


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
        """Wilson's interval."""
        return wilson_interval(self.successes, self.n, self.confidence)

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
