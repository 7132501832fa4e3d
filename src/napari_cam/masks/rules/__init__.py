"""Threshold rules, a file for each family; `RULES` finds them by the word of their text."""

from __future__ import annotations

from napari_cam.masks.rules.base import LocalRule, ThresholdRule
from napari_cam.masks.rules.histograms import Li, Otsu, Triangle, Yen
from napari_cam.masks.rules.local import LocalOtsu
from napari_cam.masks.rules.shares import AreaFraction, Quantile
from napari_cam.masks.rules.stated import Fixed, OutOf255
from napari_cam.masks.rules.table import FORMS, RULES, rule_from_text

__all__ = [
    "FORMS",
    "RULES",
    "AreaFraction",
    "Fixed",
    "Li",
    "LocalOtsu",
    "LocalRule",
    "Otsu",
    "OutOf255",
    "Quantile",
    "ThresholdRule",
    "Triangle",
    "Yen",
    "rule_from_text",
]
