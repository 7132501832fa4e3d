"""What all figures of reports have in common: colours, names as labels, files.

Figures are made without pyplot, on matplotlib's Agg canvas, so that neither the caller's figures
nor a window are touched.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

from napari_cam.reports.page.tables import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): told apart by everyone; black last, yellow left out on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "solid",
    (0, (5, 2)),
    (0, (1, 1.5)),
    (0, (5, 2, 1, 2)),
)
SEQUENTIAL = "cividis"
DIVERGING = "PuOr"
_LONGEST = 32
_USUAL = 0.6  # width of a letter
_FALLBACK = "\ufffd"
_PNG_DPI = 144
FONT = "DejaVu Sans"  # comes with matplotlib


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, white, that lays itself out."""
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label(text: str, longest: int = _LONGEST) -> str:
    """Return a name as matplotlib may draw it: short, no formula, only letters the font has.

    Parameters
    ----------
    text
        Whatever a name holds.
    longest
        How many letters of usual width it may take.
    """
    known = _letters()
    plain = (
        "".join(each if ord(each) in known else _FALLBACK for each in printable(str(text))).strip()
        or "–"
    )
    kept = _fitting(plain, longest * _USUAL)
    if len(kept) < len(plain):
        plain = f"{_fitting(plain, (longest - 1) * _USUAL).rstrip()}…"
    # A label that begins with an underscore is left out of legends.
    return (f" {plain}" if plain.startswith("_") else plain).replace("$", r"\$")


def width_of(text: str) -> float:
    """Return how wide a text is drawn, in units of the font's size."""
    return sum(map(_advance, text))


def _fitting(text: str, width: float) -> str:
    """Return the beginning of a text that is no wider; marks without width count a little."""
    taken = 0.0
    for place, letter in enumerate(text):
        taken += max(_advance(letter), 0.1)
        if taken > width:
            return text[:place]
    return text


@cache
def _advance(letter: str) -> float:
    size = 64
    font = FT2Font(font_manager.findfont(FONT))
    font.set_size(size, 72)
    return float(font.load_char(ord(letter)).linearHoriAdvance / 65536 / size)


@cache
def _letters() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(FONT))
    return frozenset(font.get_charmap())


def styles(count: int) -> Iterator[dict[str, object]]:
    """Yield `count` styles of a line that differ in colour, marker and dashes."""
    for place, colour, marker in zip(range(count), cycle(COLOURS), cycle(MARKERS), strict=False):
        yield {
            "color": colour,
            "marker": marker,
            "linestyle": LINES[(place // len(COLOURS)) % len(LINES)],
        }


def tidy_axes(axes: Axes) -> None:
    """Take away the frame that says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def name_ticks(
    axes: Axes, which: Literal["x", "y"], names: Sequence[str], turn: float = 0, longest: int = 24
) -> None:
    """Put names at the ticks 0, 1, 2, ..."""
    shown = [label(name, longest) for name in names]
    places = range(len(shown))
    if which == "y":
        axes.set_yticks(places, shown, fontsize=8)
        return
    side = "right" if turn else "center"
    axes.set_xticks(places, shown, fontsize=8, rotation=turn, ha=side, rotation_mode="anchor")


def heat_matrix(
    axes: Axes, values: NDArray[np.float64], low: float, high: float, colours: str = SEQUENTIAL
) -> Any:
    """Draw a matrix with its numbers in it; what is NaN stays empty."""
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue, _ = image.to_rgba(np.array([value]))[0]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            colour = "white" if dark else "black"
            axes.text(
                column, line, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour
            )
    return image


def drawn(figure: Figure, kind: Literal["png", "svg", "pdf"]) -> bytes:
    """Return a figure as a file: without its date, and vectors without loss."""
    metadata = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }[kind]
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=_PNG_DPI, metadata=metadata)
    return stream.getvalue()
