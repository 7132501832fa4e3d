"""A figure of a report, drawn when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure that is drawn when it is asked for.

    Attributes
    ----------
    name
        What its file is called; it never holds the name of a subject, class or layer.
    title
        What it shows.
    draw
        Makes it anew; must not use pyplot, whose figures are global.
    caption
        How to read it, with units.
    picture
        Whether it holds images, which a page shows as PNG, rather than lines and bars.
    """

    name: str
    title: str
    draw: Callable[[], Figure] = field(repr=False)
    caption: str = ""
    picture: bool = False
