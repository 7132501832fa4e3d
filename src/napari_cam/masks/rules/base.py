"""What a threshold rule is: from the values of a heatmap to the number above which it counts.

A rule only ever yields a cut; the comparison itself is :func:`napari_cam.binarize`'s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.masks.choices import Scope


class ThresholdRule(ABC):
    """How a cut is chosen: frozen, hashable, and the same for every heatmap it is used on."""

    word: ClassVar[str]
    """What its text form begins with, as in "quantile:0.9"."""

    @property
    def scope(self) -> Scope:
        """Whose values give the cut: each unit's own, the whole volume's, all heatmaps' of a call.

        A field of the rules that take a statistic.
        """
        return "unit"

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut means something only on heatmaps normalised to [0, 1]."""
        return False

    @property
    def name(self) -> str:
        """The rule as reports and keys show it, "quantile(0.9, volume)"."""
        words = [f"{each:g}" if isinstance(each, float) else each for each in self._parts]
        return f"{self._title}({', '.join(words)})" if words else self._title

    @property
    def text(self) -> str:
        """The rule as `rule_from_text` reads it, "quantile:0.9:volume"."""
        words = (repr(each) if isinstance(each, float) else each for each in self._parts)
        return ":".join((self.word, *(word.removesuffix(".0") for word in words)))

    @property
    def _title(self) -> str:
        return self.word

    @property
    def _parts(self) -> tuple[float | str, ...]:
        """The parameters in the order of the fields, without words that are the usual ones."""
        parts: list[float | str] = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, float) or value != field.default:
                parts.append(value)
        return tuple(parts)

    @abstractmethod
    def cut(self, values: NDArray[Any]) -> float:
        """Return the cut for `values` of any shape; NaN where they allow none."""

    def __str__(self) -> str:
        return self.name


class LocalRule(ThresholdRule):
    """A rule with a cut of its own for every pixel, from the pixels around it."""

    @abstractmethod
    def cuts(
        self, values: NDArray[Any], allowed: NDArray[np.bool_], spacing: Sequence[float]
    ) -> NDArray[np.float32]:
        """Return the cut at each pixel of one unit; NaN where its surroundings allow none.

        Parameters
        ----------
        values
            The unit (*s): (h, w) of a slice, (d, h, w) of a volume.
        allowed
            Bool (*s), the pixels that count.
        spacing
            Pixel size along the axes, in the grid's unit.
        """


def number(value: Any, rule: str, highest: int) -> float:
    """Return `value` as a float.

    Raises
    ------
    MaskError
        Where it is no number from 0 to `highest`.
    """
    return checks.number(value, rule, MaskError, least=0, most=highest, verb="takes")


def varied(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the finite `values` in one axis, or none where they are all the same.

    Double precision, because a histogram over a very small range of float32 has no room for its
    bins.
    """
    flat: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    return flat if flat.size and flat.min() < flat.max() else flat[:0]
