"""Threshold rules: from the values of a heatmap to the one number above which it counts.

A rule only ever yields a number; the comparison itself is :func:`napari_cam.binarize`'s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from napari_cam.errors import MaskError

Scope = Literal["unit", "volume"]

FORMS = "otsu, fixed:0.5, quantile:0.9, 255:200, otsu:volume or quantile:0.9:volume"


class ThresholdRule(ABC):
    """How a cut is chosen: frozen, hashable, and the same for every heatmap it is used on."""

    @property
    def scope(self) -> Scope:
        """Whose values the cut is taken from: each unit's own, or the whole volume's."""
        return "unit"

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut means something only on heatmaps normalised to [0, 1]."""
        return False

    @property
    @abstractmethod
    def name(self) -> str:
        """The rule as reports and keys show it, "fixed(0.5)"."""

    @abstractmethod
    def cut(self, values: NDArray[Any]) -> float:
        """Return the cut for `values` of any shape; NaN where they allow none."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Fixed(ThresholdRule):
    """The same cut everywhere, on heatmaps normalised to [0, 1].

    ``Fixed(0)`` ("any positive evidence") also cuts heatmaps in the CAM's own scale.

    Raises
    ------
    MaskError
        Where `value` is no number from 0 to 1.
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _number(self.value, "Fixed", 1))

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut means something only on [0, 1]: any but 0 does."""
        return self.value != 0

    @property
    def name(self) -> str:
        """The rule as reports show it."""
        return f"fixed({self.value:g})"

    def cut(self, values: NDArray[Any]) -> float:  # noqa: ARG002
        """Return the value itself, whatever the heatmap."""
        return self.value


@dataclass(frozen=True)
class OutOf255(ThresholdRule):
    """A cut given on the 0..255 scale of 8-bit heatmaps, without rounding the heatmap to it.

    ``OutOf255(200)`` is the cut 200/255 of the brain tumour study (Kang et al. 2021, section 3.3).

    Raises
    ------
    MaskError
        Where `value` is no number from 0 to 255.
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _number(self.value, "OutOf255", 255))

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut means something only on [0, 1]: any but 0 does."""
        return self.value != 0

    @property
    def name(self) -> str:
        """The rule as reports show it."""
        return f"out-of-255({self.value:g})"

    def cut(self, values: NDArray[Any]) -> float:  # noqa: ARG002
        """Return `value` / 255, whatever the heatmap."""
        return self.value / 255


@dataclass(frozen=True)
class Quantile(ThresholdRule):
    """The q-quantile of the values, so that barring ties a share 1 - q of them lies above.

    Between two neighbouring values it interpolates linearly: the cut of n sorted values lies at
    position (n - 1) q, counted from 0. ``Quantile(0.9)`` and ``Quantile(0.95)`` are the 90th and
    95th percentile of the brain tumour study (Kang et al. 2021, section 3.3). Constant values
    have no upper part, so they give NaN, as do values that are all NaN.

    Raises
    ------
    MaskError
        Where `q` is no number from 0 to 1, or `scope` is unknown.
    """

    q: float
    scope: Scope = "unit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", _number(self.q, "Quantile", 1))
        _check_scope(self.scope)

    @property
    def name(self) -> str:
        """The rule as reports show it."""
        return f"quantile({self.q:g}{', volume' if self.scope == 'volume' else ''})"

    def cut(self, values: NDArray[Any]) -> float:
        """Return the quantile of the finite `values`."""
        varied = _varied(values)
        return float(np.quantile(varied, self.q, method="linear")) if varied.size else np.nan


@dataclass(frozen=True)
class Otsu(ThresholdRule):
    """The one global cut that best separates the values into two classes (256 histogram bins).

    Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62-66. Constant values cannot be separated, so
    they give NaN, as do values that are all NaN.

    Raises
    ------
    MaskError
        Where `scope` is unknown.
    """

    scope: Scope = "unit"

    def __post_init__(self) -> None:
        _check_scope(self.scope)

    @property
    def name(self) -> str:
        """The rule as reports show it."""
        return "otsu(volume)" if self.scope == "volume" else "otsu"

    def cut(self, values: NDArray[Any]) -> float:
        """Return Otsu's cut of the finite `values`."""
        varied = _varied(values)
        return float(threshold_otsu(varied, nbins=256)) if varied.size else np.nan


_RULES: Mapping[str, Callable[..., ThresholdRule]] = {
    "fixed": Fixed,
    "255": OutOf255,
    "quantile": Quantile,
    "otsu": Otsu,
}


def rule_from_text(text: str) -> ThresholdRule:
    """Return the rule that a command line or a study file spells, such as "quantile:0.9".

    Raises
    ------
    MaskError
        Where `text` is no rule or its number is out of range.
    """
    word, *rest = (part.strip() for part in text.lower().split(":"))
    try:
        return _RULES[word](*(_number_or_word(part) for part in rest))
    except (KeyError, TypeError) as error:
        raise MaskError(f"'{text}' is no threshold rule; write {FORMS}.") from error


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _number(value: Any, rule: str, highest: int) -> float:
    """Return `value` as a float, or raise where it is no number from 0 to `highest`."""
    if isinstance(value, Real) and 0 <= float(value) <= highest:
        return float(value)
    raise MaskError(f"{rule} takes a number from 0 to {highest}, not {value!r}.")


def _check_scope(scope: Any) -> None:
    if scope not in get_args(Scope):
        raise MaskError(f"The scope of a threshold rule is 'unit' or 'volume', not {scope!r}.")


def _varied(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the finite `values` in one axis, or none where they are all the same.

    Double precision, because a histogram over a very small range of float32 has no room for its
    bins.
    """
    flat: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    return flat if flat.size and flat.min() < flat.max() else flat[:0]
