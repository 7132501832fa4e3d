"""What a command shows: tables, notes and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tqdm import tqdm


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> str:
    """Return a table as text.

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


def show_notes(notes: Iterable[str | None]) -> None:
    """Print each note once, on the standard error stream: it is no part of a command's result."""
    for note in dict.fromkeys(notes):
        if note:
            typer.echo(f"note: {note}", err=True)


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[tqdm[Any]]:
    """Show a bar that counts `total` units (None: unknown), where someone watches."""
    from tqdm import tqdm

    with tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=None, leave=False) as bar:
        yield bar
