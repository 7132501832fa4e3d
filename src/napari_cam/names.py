"""Names of files: results say what was computed, never whose image it is; labels in a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 60


def slug(text: str) -> str:
    """Return `text` as a part of a file name that every system takes: "a cat" -> "a-cat"."""
    plain = unicodedata.normalize("NFKC", text)
    return re.sub(r"[^\w.+-]+", "-", plain)[:_LONGEST].strip("-._") or "x"


def file_and_label(text: str) -> tuple[Path, int | None]:
    """Return the file that `text` names, and which label of it: "labels.nii.gz:2" is label 2.

    Where a file has that name itself, it is meant.
    """
    file, colon, label = text.rpartition(":")
    if colon and label.isdecimal() and not Path(text).exists():
        return Path(file), int(label)
    return Path(text), None


class ResultNames:
    """Hands out file names that are all different."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self, words: Sequence[str], extension: str) -> str:
        """Return a name made of `words`: what it is, then what tells it apart."""
        stem = plain = "_".join(map(slug, words))
        number = 1
        while stem.casefold() in self._used:  # some file systems do not tell cases apart
            number += 1
            stem = f"{plain}-{number}"
        self._used.add(stem.casefold())
        return stem + extension
