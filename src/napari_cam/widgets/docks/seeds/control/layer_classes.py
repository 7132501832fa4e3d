"""The classes of a seeds layer: what its record says of them, their colours, and new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.classes import BACKGROUND, FIRST_CLASS, HIGHEST, LabelClass, LabelClasses

if TYPE_CHECKING:
    from napari.utils import DirectLabelColormap

# A label without a class is drawn in white: it is to be noticed.
_NO_CLASS = "#ffffff"
# Most of an image is background: the scan below it stays visible.
_FAINT = "60"


def classes_of(record: Mapping[str, Any], labels: NDArray[Any]) -> LabelClasses:
    """Return the classes of a layer's record, and one for each label that it does not know."""
    known: tuple[LabelClass, ...] = ()
    if "classes" in record:
        try:
            known = LabelClasses.from_json(record["classes"]).classes
        except MaskError:
            known = ()
    codes = {each.code for each in known}
    found = [int(code) for code in np.unique(labels) if code not in (0, *codes)]
    added = tuple(LabelClass(code, f"label {code}", _colour_of(code)) for code in found)
    if not known and not found:
        return LabelClasses.of_seeds(("foreground",))
    return LabelClasses((*known, *added))


def class_colormap(classes: Iterable[LabelClass]) -> DirectLabelColormap:
    """Return a labels layer's colours: those of the classes, 0 clear, all else white."""
    from napari.utils import DirectLabelColormap

    colours: dict[int | None, str] = {None: _NO_CLASS, 0: "transparent"}
    for each in classes:
        background = each.name.casefold() == "background"
        colours[each.code] = each.colour + (_FAINT if background else "")
    return DirectLabelColormap(color_dict=colours)


def free_class(classes: LabelClasses) -> LabelClass:
    """Return a class that can be added: the next free code, name and colour."""
    code = next(code for code in range(FIRST_CLASS, HIGHEST + 1) if code not in classes.codes)
    used = {each.colour.upper() for each in classes}
    palette = [_colour_of(FIRST_CLASS + place) for place in range(7)]
    colour = next((each for each in palette if each.upper() not in used), _colour_of(code))
    number = next(n for n in range(1, 999) if f"class {n}" not in classes.names)
    return LabelClass(code, f"class {number}", colour)


def _colour_of(code: int) -> str:
    """Return the colour of a class by its code: Okabe and Ito's, over again after seven."""
    names = [str(number) for number in range(code)]
    colours = {each.code: each.colour for each in LabelClasses.of_seeds(names)}
    return colours[max(code, BACKGROUND)]
