"""The spelling of slices on the command line: "4", "3:9", "0,5,10:20", "30:"."""

from __future__ import annotations

import re

from napari_cam.errors import PreparationError

FORMS = "4, 3:9 (3 to 8, as in Python), 30: or 0,5,10:20"

_PART = re.compile(r"(?P<first>\d*)(?P<colon>:)?(?P<stop>\d*)", re.ASCII)


def parse_slices(text: str, n_slices: int) -> tuple[int, ...]:
    """Return the slices that `text` names, each once, in its order.

    Parameters
    ----------
    text
        Numbers and ranges parted by commas, counted from 0; a range ends before its second number.
    n_slices
        How many slices there are.

    Raises
    ------
    PreparationError
        Where the text is spelt otherwise, names no slice, or one that does not exist.
    """
    chosen: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        if match is None or part in ("", ":"):
            raise PreparationError(f"'{text}' names no slices; write {FORMS}.")
        first = int(match["first"] or 0)
        stop = int(match["stop"] or n_slices) if match["colon"] else first + 1
        if first >= n_slices or stop > n_slices:
            raise PreparationError(
                f"'{part}' names slices that do not exist; there are {n_slices}, "
                f"0 to {n_slices - 1}."
            )
        if stop <= first:
            raise PreparationError(f"'{part}' holds no slice; write {FORMS}.")
        chosen += range(first, stop)
    return tuple(dict.fromkeys(chosen))
