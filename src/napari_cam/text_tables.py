"""Tables as plain text, whose columns line up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def text_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()
) -> str:
    """Return a table with a line below its header.

    Parameters
    ----------
    header
        Titles of the columns.
    rows
        One text (or anything with a text) per column.
    right
        Columns of numbers, which end on one line.
    """
    lines = [list(map(str, header)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def fact_lines(facts: Mapping[str, Any], width: int = 14) -> str:
    """Return a line for each fact, its name in front; further lines of a fact are indented."""
    indent = "\n" + " " * (width + 1)
    return "\n".join(
        f"{name:<{width}} {str(fact).replace(chr(10), indent)}" for name, fact in facts.items()
    )
