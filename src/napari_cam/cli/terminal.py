"""What a command shows beside its result: notes and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tqdm import tqdm


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
