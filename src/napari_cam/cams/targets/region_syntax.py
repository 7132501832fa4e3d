"""How regions are written: by name, as text, as an array, as a function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from napari_cam.cams.targets.output_regions import (
    Chosen,
    Component,
    Everything,
    Predicted,
    Probability,
)
from napari_cam.cams.targets.regions import Box, GridRegion, Painted, Point, Range, Region, Slice
from napari_cam.errors import TargetError

FORMS = "all, predicted, p>0.5, component, component:z,y,x, point:z,y,x or box:z:z,y:y,x:x"

_BY_NAME: Mapping[str, Region] = {
    "all": Everything(),
    "predicted": Predicted(),
    "component": Component(),
}


def as_region(given: Any) -> Region:
    """Return a region of what stands for one: its name or text, a mask, a function, itself.

    Raises
    ------
    TargetError
        Where it stands for none.
    """
    if isinstance(given, Region):
        return given
    if isinstance(given, str):
        return parse_region(given)
    if isinstance(given, (np.ndarray, Tensor)):
        return Painted(given)
    if callable(given):
        return Chosen(given)
    raise TargetError(
        f"A region is {FORMS}, a boolean mask or a function of the logits, not {given!r}."
    )


def as_limit(given: Any) -> GridRegion:
    """Return what a region is intersected with: a slice number, a box or a mask.

    Raises
    ------
    TargetError
        Where it is none of these.
    """
    if isinstance(given, str) and given.isdecimal():
        given = int(given)
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        return Slice(int(given))
    region = as_region(given)
    if isinstance(region, GridRegion):
        return region
    raise TargetError(
        f"A region lies within a slice (its number), a box or a mask, not within '{given}'."
    )


def parse_region(text: str) -> Region:
    """Return the region that a text names; see `FORMS`.

    Raises
    ------
    TargetError
        Where it names none.
    """
    word = text.strip()
    if word in _BY_NAME:
        return _BY_NAME[word]
    if match := re.fullmatch(r"p\s*>\s*(\d*\.?\d+)", word):
        return Probability(float(match[1]))
    kind, _, rest = word.partition(":")
    parts = [part.strip() for part in rest.split(",")]
    if kind in ("point", "component") and all(part.isdecimal() for part in parts):
        at = tuple(map(int, parts))
        return Point(at) if kind == "point" else Component(at)
    spans = [re.fullmatch(r"(\d*)(:?)(\d*)", part, re.ASCII) for part in parts]
    if kind == "box" and all(spans):
        return Box(tuple(_range(span) for span in spans if span))
    raise TargetError(f"'{text}' names no region; write {FORMS}.")


def _range(span: re.Match[str]) -> Range:
    start = int(span[1]) if span[1] else None
    if not span[2]:
        return (start, None if start is None else start + 1)
    return (start, int(span[3]) if span[3] else None)
