"""Colours of classes: told apart by colour-blind people, and the labels layer's own colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_cam.labels.classes import BACKGROUND, FIRST_CLASS, LabelClass, LabelClasses

if TYPE_CHECKING:
    from napari.utils import DirectLabelColormap

# A label without a class is drawn in white: it is to be noticed.
_NO_CLASS = "#ffffff"
# Most of an image is background: the scan below it stays visible.
_FAINT = "60"


def class_colormap(classes: Iterable[LabelClass]) -> DirectLabelColormap:
    """Return a labels layer's colours: those of the classes, 0 clear, all else white."""
    from napari.utils import DirectLabelColormap

    colours: dict[int | None, str] = {None: _NO_CLASS, 0: "transparent"}
    for each in classes:
        background = each.name.casefold() == "background"
        colours[each.code] = each.colour + (_FAINT if background else "")
    return DirectLabelColormap(color_dict=colours)


def colour_for(code: int) -> str:
    """Return the colour of a class by its code: Okabe and Ito's, over again after seven."""
    names = [str(number) for number in range(code)]
    colours = {each.code: each.colour for each in LabelClasses.of_seeds(names)}
    return colours[max(code, BACKGROUND)]


def free_class(classes: LabelClasses) -> LabelClass:
    """Return a class that can be added: the next free code, name and colour."""
    code = next(code for code in range(FIRST_CLASS, 256) if code not in classes.codes)
    used = {each.colour.upper() for each in classes}
    palette = [colour_for(FIRST_CLASS + place) for place in range(7)]
    colour = next((each for each in palette if each.upper() not in used), colour_for(code))
    number = next(n for n in range(1, 999) if f"class {n}" not in classes.names)
    return LabelClass(code, f"class {number}", colour)
