"""From our codes (0 unlabelled, 1 background, 2 and up) to those of other programs, stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.labels.classes import BACKGROUND, UNLABELLED, LabelClass, LabelClasses

IGNORE_NAME, BACKGROUND_NAME = "ignore", "background"

Zero = Literal["ignore", "background"]


@dataclass(frozen=True)
class Remap:
    """Which code becomes which.

    Attributes
    ----------
    codes
        New code of each old one.
    names
        What each new code means.
    """

    codes: Mapping[int, int]
    names: Mapping[int, str]

    def apply(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels in the new codes, in the smallest type that holds them.

        Raises
        ------
        MaskError
            Where a label has no new code.
        """
        high = int(labels.max())
        unknown = [code for code in np.unique(labels).tolist() if code not in self.codes]
        if unknown:
            raise MaskError(
                f"The label {unknown[0]} has no new code; "
                f"there are codes for {', '.join(map(str, sorted(self.codes)))}."
            )
        table = np.zeros(high + 1, np.min_scalar_type(max(self.codes.values())))
        for old, new in self.codes.items():
            if old <= high:
                table[old] = new
        result: NDArray[Any] = table[labels]
        return result

    def inverse(self) -> Remap:
        """Return the way back.

        Raises
        ------
        MaskError
            Where two codes became one.
        """
        back = {new: old for old, new in self.codes.items()}
        if len(back) != len(self.codes):
            raise MaskError("Two labels became one on export, so they cannot be told apart again.")
        names = {old: self.names[new] for old, new in self.codes.items() if new in self.names}
        return Remap(back, names)

    def classes(self, classes: LabelClasses) -> LabelClasses:
        """Return the classes in the new codes; what became 0 is left out.

        What had no class, as 0, is grey, under its new name.
        """
        by_code = {each.code: each for each in classes}
        made: dict[int, LabelClass] = {}
        for old, new in self.codes.items():
            if new == 0 or new in made:
                continue
            known = by_code.get(old)
            name = self.names.get(new) or (known.name if known else f"label {new}")
            made[new] = LabelClass(new, name, known.colour if known else "#999999")
        return LabelClasses(tuple(made.values()))

    def to_json(self) -> dict[str, int]:
        """Return the codes as plain JSON: {"old": new}."""
        return {str(old): new for old, new in sorted(self.codes.items())}


def unchanged(classes: LabelClasses, kind: str) -> Remap:
    """Return the remap of exports that keep the codes."""
    names = {each.code: each.name for each in classes}
    zero = "unlabelled" if kind == "seeds" else BACKGROUND_NAME
    codes = {code: code for code in (UNLABELLED, *classes.codes)}
    return Remap(codes, {UNLABELLED: zero, **names})


def nnunet_codes(classes: LabelClasses, zero: Zero) -> Remap:
    """Return the codes that nnU-Net wants: 0 background, classes 1, 2, ..., "ignore" the last.

    Parameters
    ----------
    classes
        What the codes mean.
    zero
        What 0 is. "ignore", as in seeds, where 1 is background: 0 becomes the last code.
        "background", as in finished labels: the classes are numbered anew without gaps.

    Raises
    ------
    MaskError
        Where there is no class but background, or one is called like a code of nnU-Net's own.
    """
    named = [each for each in classes if zero == "background" or each.code != BACKGROUND]
    if not named:
        raise MaskError("There is no class but background, so nothing could be learned.")
    for each in named:
        if each.name.lower() in (IGNORE_NAME, BACKGROUND_NAME):
            raise MaskError(
                f"The class of label {each.code} is called '{each.name}', which nnU-Net keeps for "
                "itself; call it something else."
            )
    codes = {each.code: number for number, each in enumerate(named, start=1)}
    names = {0: BACKGROUND_NAME, **{codes[each.code]: each.name for each in named}}
    if zero == "background":
        return Remap({UNLABELLED: 0, **codes}, names)
    ignore = len(named) + 1
    return Remap({UNLABELLED: ignore, BACKGROUND: 0, **codes}, {**names, ignore: IGNORE_NAME})
