"""Box filters as the command line spells them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.errors import MaskError

if TYPE_CHECKING:
    from napari_cam.grid import Grid
    from napari_cam.masks.ensembles.boxes import BoxFilter

FORMS = (
    "centred:-,40,40:mm (z,y,x, '-' for the whole extent), "
    "band:WIDTH:POSITION:ANGLE:pixel (removed) or a mask file"
)

BoxTexts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BOX",
        help=f"Where masks may lie: {FORMS}; units are mm, pixel or share. Several are all obeyed.",
    ),
]


def open_box(texts: list[str], grid: Grid | None) -> BoxFilter | None:
    """Return the filters that texts name, joined by "and"; None for none.

    Parameters
    ----------
    texts
        See `FORMS`.
    grid
        Where mask files must lie; None where they are not allowed.

    Raises
    ------
    MaskError
        Where a text names no filter.
    """
    result: BoxFilter | None = None
    for text in texts:
        box = _open(text, grid)
        result = box if result is None else result & box
    return result


def _open(text: str, grid: Grid | None) -> BoxFilter:
    from napari_cam.masks.ensembles.boxes import CentredBox, Within, WithoutBand

    unit: Any
    word, *rest = text.split(":")
    if word == "centred" and 1 <= len(rest) <= 2:
        edges: Any = [None if edge.strip() == "-" else edge for edge in rest[0].split(",")]
        unit = rest[1] if len(rest) == 2 else "mm"
        return CentredBox(edges, unit)
    if word == "band" and 1 <= len(rest) <= 4:
        width, position, angle = (*map(_number, rest[:3]), *[0.0] * (3 - len(rest[:3])))
        unit = rest[3] if len(rest) == 4 else "mm"
        return WithoutBand(width, position, angle, unit=unit)
    if grid is not None and Path(text).is_file():
        from napari_cam.cli.opening import open_mask

        return Within(open_mask(Path(text), grid, "box"), "file")
    raise MaskError(f"'{text}' names no box; write {FORMS}.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MaskError(f"'{text}' is no number; write a band as {FORMS}.") from error
