"""Named checks with their thresholds, and what they come to in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from napari_cam.statistics import Interval

Kind = Literal["network", "faithfulness", "localisation"]

SIMILAR = 0.5
"""Rank correlation with the map of a network that knows nothing, from which on it is no other."""
UNSTABLE = 1e-4
"""Relative difference of two runs of one network, above which it draws random numbers."""
FEWEST_PLACES = 4
"""Places of a map along an axis, below which it cannot say where."""


@dataclass(frozen=True)
class Check:
    """One question and its answer.

    Attributes
    ----------
    name
        What is checked.
    kind
        What it speaks of: the "network" itself, the "faithfulness" of the map to the network, or
        the "localisation" of the map in the image.
    value, low, high
        What was measured, with its interval where it has one.
    threshold
        Which value passes, in words.
    passed
        Whether it does; None where the check could not be made.
    note
        Against what it was measured, or why it could not be.
    """

    name: str
    kind: Kind
    value: float
    threshold: str
    passed: bool | None
    low: float = math.nan
    high: float = math.nan
    note: str = ""

    @property
    def outcome(self) -> str:
        """The answer in a word."""
        return {True: "pass", False: "FAIL", None: "not made"}[self.passed]


def not_made(name: str, kind: Kind, threshold: str, why: str) -> Check:
    """Return a check that could not be made, and why."""
    return Check(name, kind, math.nan, threshold, None, note=why)


def above_zero(name: str, kind: Kind, interval: Interval, note: str) -> Check:
    """Return a check that a difference lies above zero, with its whole interval where it has one.

    One subject alone has no interval; then the difference itself must be positive.
    """
    known = not math.isnan(interval.low)
    if math.isnan(interval.value):
        return not_made(name, kind, "> 0", f"{note}; no unit gives a value")
    passed = (interval.low if known else interval.value) > 0
    threshold = "interval > 0" if known else "> 0 (no interval)"
    return Check(name, kind, interval.value, threshold, passed, interval.low, interval.high, note)


def unlike(name: str, interval: Interval, note: str) -> Check:
    """Return a check that a map is not like that of a network that knows nothing."""
    threshold = f"|rank correlation| < {SIMILAR}"
    if math.isnan(interval.value):
        return not_made(name, "faithfulness", threshold, f"{note}; neither map varies")
    passed = abs(interval.value) < SIMILAR
    return Check(
        name,
        "faithfulness",
        interval.value,
        threshold,
        passed,
        interval.low,
        interval.high,
        note,
    )


def verdict_of(checks: Sequence[Check], words: str = "The map") -> str:
    """Return what the checks come to in one sentence.

    A faithful map of a network that has learned a shortcut passes every check of faithfulness: it
    shows what the network uses. Only where it lies gives the shortcut away, and the sentence says
    so.

    Parameters
    ----------
    checks
        All of one map.
    words
        What the map is called.
    """
    failed = {
        kind: [check.name for check in checks if check.kind == kind and check.passed is False]
        for kind in ("network", "faithfulness", "localisation")
    }
    missing = [check.name for check in checks if check.passed is None]
    made = [check for check in checks if check.passed is not None]
    if failed["network"]:
        return (
            f"{words} is not to be believed, as the network itself fails: "
            f"{_listed(failed['network'])}{_also(failed, 'faithfulness', 'localisation')}."
        )
    if failed["faithfulness"]:
        return (
            f"{words} is not to be believed, as it does not show what the network uses: "
            f"{_listed(failed['faithfulness'])} failed{_also(failed, 'localisation')}."
        )
    if failed["localisation"]:
        return (
            f"{words} passes every check of faithfulness, so it shows what the network uses, but "
            f"that does not lie where it should ({_listed(failed['localisation'])} failed): the "
            "network may have learned a shortcut, which no check of faithfulness can tell, and is "
            "not to be believed."
        )
    where = any(check.kind == "localisation" for check in made)
    text = f"All {len(made)} checks of {words[0].lower() + words[1:]} passed"
    text += f"; not made: {_listed(missing)}" if missing else ""
    if not where:
        return (
            text + ". Nothing was checked of where it lies, so a shortcut would not have been seen."
        )
    return text + ". Nothing here speaks against it, which is not the same as proof."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _also(failed: Mapping[str, Sequence[str]], *kinds: str) -> str:
    more = [name for kind in kinds for name in failed[kind]]
    return f" (and {_listed(more)})" if more else ""
