"""What a command shows beside its result: notes and progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import typer


def show_notes(notes: Iterable[str | None]) -> None:
    """Print each note once, on the standard error stream: it is no part of a command's result."""
    for note in dict.fromkeys(notes):
        if note:
            typer.echo(f"note: {note}", err=True)


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[..., None]]:
    """Show a bar of `total` units (None: unknown) where someone watches; yield what advances it."""
    from tqdm import tqdm

    with tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=None, leave=False) as bar:

        def advance(n: int = 1) -> None:
            bar.update(n)

        yield advance
