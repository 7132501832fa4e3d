"""What the command line's texts say: slices, boxes, axes and patterns of files."""

from __future__ import annotations

import glob
import os
import re
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cam.errors import MaskError, PreparationError, ReportError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.masks.ensembles.boxes import BoxFilter

    ReadMask = Callable[[Path], NDArray[np.bool_]]

SLICES = "4, 3:9 (3 to 8, as in Python), 30: or 0,5,10:20"
BOXES = (
    "centred:-,40,40:mm (z,y,x, '-' for the whole extent), "
    "band:WIDTH:POSITION:ANGLE:pixel (removed) or a mask file"
)

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
            raise PreparationError(f"'{text}' names no slices; write {SLICES}.")
        first = int(match["first"] or 0)
        stop = int(match["stop"] or n_slices) if match["colon"] else first + 1
        if first >= n_slices or stop > n_slices:
            raise PreparationError(
                f"'{part}' names slices that do not exist; there are {n_slices}, "
                f"0 to {n_slices - 1}."
            )
        if stop <= first:
            raise PreparationError(f"'{part}' holds no slice; write {SLICES}.")
        chosen += range(first, stop)
    return tuple(dict.fromkeys(chosen))


def parse_boxes(texts: list[str], read: ReadMask | None) -> BoxFilter | None:
    """Return the filters that texts name, joined by "and"; None for none.

    Parameters
    ----------
    texts
        See `BOXES`.
    read
        Reads mask files; None where they are not allowed.

    Raises
    ------
    MaskError
        Where a text names no filter.
    """
    result: BoxFilter | None = None
    for text in texts:
        box = _box(text, read)
        result = box if result is None else result & box
    return result


def _box(text: str, read: ReadMask | None) -> BoxFilter:
    from napari_cam.masks.ensembles.box_shapes import CentredBox, WithoutBand
    from napari_cam.masks.ensembles.boxes import Within

    unit: Any
    word, *rest = text.split(":")
    if word == "centred" and 1 <= len(rest) <= 2:
        edges: Any = [None if edge.strip() == "-" else _number(edge) for edge in rest[0].split(",")]
        unit = rest[1] if len(rest) == 2 else "mm"
        return CentredBox(edges, unit)
    if word == "band" and 1 <= len(rest) <= 4:
        width, position, angle = (*map(_number, rest[:3]), *[0.0] * (3 - len(rest[:3])))
        unit = rest[3] if len(rest) == 4 else "mm"
        return WithoutBand(width, position, angle, unit=unit)
    if read is not None and Path(text).is_file():
        return Within(read(Path(text)), "file")
    raise MaskError(f"'{text}' names no box; write {BOXES}.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MaskError(f"'{text}' is no number; write a box as {BOXES}.") from error


def parse_unit_axis(text: str | None) -> Any:
    """Return the axis that a text names.

    Raises
    ------
    MaskError
        Where it names none.
    """
    axes: dict[str | None, Any] = {None: "members", "none": None, "0": 0, "1": 1, "2": 2}
    if text not in axes:
        raise MaskError(f"--unit-axis is 0, 1, 2 or none, not '{text}'.")
    return axes[text]


def parse_series(text: str | None) -> int | str | None:
    """Return the number or UID of a series of DICOM."""
    return int(text) if text is not None and text.isdecimal() else text


def parse_empty(text: str) -> float:
    """Return what two empty masks count as.

    Raises
    ------
    ReportError
        Where the text is no such number.
    """
    known = {"nan": nan, "0": 0.0, "1": 1.0}
    if text.lower() not in known:
        raise ReportError(f"Two empty masks may count as nan, 0 or 1, not '{text}'.")
    return known[text.lower()]


def matching(path: Path) -> list[Path]:
    """Return the files that a pattern names, in order; `path` itself where it names none.

    Not every shell looks patterns up itself.
    """
    if os.path.exists(path) or not glob.has_magic(str(path)):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path)))] or [path]
