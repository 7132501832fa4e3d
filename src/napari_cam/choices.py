"""Words to choose from: one table says which there are and what each means.

A ``Literal`` tells a type checker which words an argument may be; the table beside it tells the
user, in error messages, help texts and drop-down lists::

    Scale = Literal["minmax", "max"]
    SCALE: Choices[Scale] = Choices(
        "scale",
        Scale,
        MethodError,
        {"minmax": "the smallest value becomes 0, the largest 1", "max": "zero stays zero"},
    )

``SCALE.checked(word)`` takes any text and returns a `Scale`, so that no cast is needed after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, get_args

from napari_cam.errors import NapariCamError

W = TypeVar("W", bound=str)


class Choices(Mapping[W, str], Generic[W]):
    """The words that one argument may be, in order, each with what it means.

    Parameters
    ----------
    what
        What is chosen, as the subject of the error's sentence.
    words
        The ``Literal`` of all words.
    error
        What :meth:`checked` raises.
    texts
        What each word means, in a few words that a list can show.
    """

    def __init__(
        self, what: str, words: object, error: type[NapariCamError], texts: Mapping[W, str]
    ) -> None:
        if get_args(words) != tuple(texts):
            raise TypeError(f"{what}: the texts are not those of {words}, in this order")
        self.what = what
        self._error = error
        self._texts = dict(texts)

    def __getitem__(self, word: W) -> str:
        return self._texts[word]

    def __iter__(self) -> Iterator[W]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def entries(self) -> list[tuple[str, W]]:
        """What a drop-down list shows and holds: the texts, each with its word."""
        return [(text, word) for word, text in self._texts.items()]

    @property
    def words(self) -> str:
        """The words as a help text lists them: "unit, volume, foreground or none"."""
        *others, last = self._texts
        return f"{', '.join(others)} or {last}" if others else last

    def checked(self, word: Any, what: str | None = None) -> W:
        """Return `word` where it is one of the words.

        Parameters
        ----------
        word
            Anything that a user gave.
        what
            Another subject of the sentence, where an argument has a name of its own.

        Raises
        ------
        NapariCamError
            Of the kind this table was made with, for any other word.
        """
        for known in self._texts:
            if isinstance(word, str) and word == known:
                return known
        known_words = ", ".join(self._texts)
        raise self._error(f"{what or self.what} is one of {known_words}, not {word!r}.")
