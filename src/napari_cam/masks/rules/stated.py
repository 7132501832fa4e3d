"""Cuts that are stated, whatever the values are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from napari_cam.masks.rules.base import ThresholdRule, number


@dataclass(frozen=True)
class Fixed(ThresholdRule):
    """The same cut everywhere, on heatmaps normalised to [0, 1].

    ``Fixed(0)`` ("any positive evidence") also works on heatmaps in the CAM's own scale.

    Raises
    ------
    MaskError
        If `value` is not a number from 0 to 1.
    """

    word: ClassVar[str] = "fixed"

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", number(self.value, "Fixed", 1))

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut only makes sense on [0, 1]: true for every value but 0."""
        return self.value != 0

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
        If `value` is not a number from 0 to 255.
    """

    word: ClassVar[str] = "255"

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", number(self.value, "OutOf255", 255))

    @property
    def needs_unit_scale(self) -> bool:
        """Whether the cut only makes sense on [0, 1]: true for every value but 0."""
        return self.value != 0

    @property
    def _title(self) -> str:
        return "out-of-255"

    def cut(self, values: NDArray[Any]) -> float:  # noqa: ARG002
        """Return `value` / 255, whatever the heatmap."""
        return self.value / 255
