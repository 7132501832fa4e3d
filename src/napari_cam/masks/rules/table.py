"""The table of rules, found by the word of their text, and that text read."""

from __future__ import annotations

from napari_cam.errors import MaskError
from napari_cam.masks.rules.base import ThresholdRule
from napari_cam.masks.rules.histograms import Li, Otsu, Triangle, Yen
from napari_cam.masks.rules.local import LocalOtsu
from napari_cam.masks.rules.shares import AreaFraction, Quantile
from napari_cam.masks.rules.stated import Fixed, OutOf255

RULES: dict[str, type[ThresholdRule]] = {
    rule.word: rule
    for rule in (Fixed, OutOf255, Quantile, AreaFraction, Otsu, LocalOtsu, Li, Triangle, Yen)
}

FORMS = (
    "fixed:0.5, 255:200, quantile:0.9, area:0.1, otsu, li, triangle, yen or local-otsu:15 (mm; "
    "local-otsu:15:px), all but fixed, 255 and local-otsu also as otsu:volume or otsu:cohort"
)


def rule_from_text(text: str) -> ThresholdRule:
    """Return the rule that a command line or a study file spells, such as "quantile:0.9:volume".

    Raises
    ------
    MaskError
        Where `text` is no rule or its number is out of range.
    """
    word, *rest = (part.strip() for part in text.lower().split(":"))
    try:
        return RULES[word](*(_number_or_word(part) for part in rest))
    except (KeyError, TypeError) as error:
        raise MaskError(f"'{text}' is no threshold rule; write {FORMS}.") from error


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
