"""Thresholds as they are typed: "0.1..0.9, otsu, quantile:0.9"."""

from __future__ import annotations

import re

import numpy as np

from napari_cam.errors import MaskError
from napari_cam.masks.rules import Fixed, ThresholdRule, rule_from_text

_NUMBER = r"(\d*\.?\d+)"
_RANGE = re.compile(rf"{_NUMBER}\s*\.\.\s*{_NUMBER}(?:\s*:\s*{_NUMBER})?")
_STEP = 0.1
_MOST = 101


def rules_of(text: str) -> tuple[ThresholdRule, ...]:
    """Return the rules of a text, each once: numbers, ranges "from..to:step" and texts of rules.

    Raises
    ------
    MaskError
        Where a part is none of these, or there are none or more than 101.
    """
    found: dict[ThresholdRule, None] = {}
    for part in filter(None, (each.strip() for each in re.split(r"[,;\n]", text))):
        for rule in _rules_of_part(part):
            found[rule] = None
    if not 0 < len(found) <= _MOST:
        raise MaskError(
            f"{len(found)} thresholds are given; write 1 to {_MOST}, such as 0.1..0.9, otsu."
        )
    return tuple(found)


def _rules_of_part(part: str) -> list[ThresholdRule]:
    match = _RANGE.fullmatch(part)
    if match is None:
        return [rule_from_text(f"fixed:{part}" if re.fullmatch(_NUMBER, part) else part)]
    low, high = float(match[1]), float(match[2])
    step = _STEP if match[3] is None else float(match[3])
    if step <= 0 or high < low or (high - low) / step > _MOST:
        raise MaskError(f"'{part}' is no range; write from..to or from..to:step, as 0.1..0.9:0.05.")
    count = int(np.floor((high - low) / step + 1e-6)) + 1
    return [Fixed(round(low + place * step, 6)) for place in range(count)]
