"""What every preparation step is: a frozen set of parameters that reads and writes JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_cam.models.preparation.steps.parameters import refuse
from napari_cam.provenance import plain
from napari_cam.volumes.resample import AxisMap

Array = NDArray[Any]
Mask = NDArray[np.bool_]
PointMap = Callable[[Array], Array]


@dataclass(frozen=True)
class Step:
    """One step of a preparation; its parameters are its fields.

    Attributes
    ----------
    name
        The step's name in JSON.
    needs_statistics
        Whether the step must see the whole image before it can be applied to a part of it.
    """

    name: ClassVar[str]
    needs_statistics: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Return the step with all its parameters as plain JSON."""
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        return {"step": self.name, **values}

    @classmethod
    def from_json(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the step with these parameters (without the key "step").

        Raises
        ------
        PreparationError
            Where a parameter is unknown, missing or out of range.
        """
        known = {field.name: field for field in fields(cls)}
        for name in parameters:
            if name not in known:
                valid = ", ".join(known) or "none"
                refuse(cls.name, f"it has no parameter '{name}'; it has {valid}.")
        for name, field in known.items():
            if field.default is MISSING and name not in parameters:
                refuse(cls.name, f"its parameter '{name}' is missing.")
        return cls(**parameters)

    def check_ndim(self, ndim: int) -> None:
        """Raise where the parameters do not fit units with `ndim` spatial axes."""

    def channels_out(self, channels: int) -> int:
        """Return how many channels leave the step when `channels` enter it.

        Raises
        ------
        PreparationError
            Where the step cannot take that many.
        """
        return channels

    def _set(self, **values: Any) -> None:
        """Store checked parameters (the dataclass is frozen to everyone else)."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{self.name}({shown})"


@dataclass(frozen=True)
class IntensityStep(Step):
    """A step that changes numbers and leaves every pixel where it is."""

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:
        """Return the function that this step is for the image `values` (c, *s).

        Whatever it takes from the image, it takes from `foreground` (*s) where there is one. The
        function may then be applied to any part of the image.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Frame:
    """The geometry of one unit on its way into the network.

    Attributes
    ----------
    shape
        Pixels along the unit's axes, (h, w) or (d, h, w).
    spacing
        Pixel size in mm along the same axes, None where the image states none.
    axes
        How each axis of the unit as it entered was carried here.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    axes: tuple[AxisMap, ...]

    @classmethod
    def start(cls, shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> Frame:
        """Return the frame of a unit that no step has touched."""
        return cls(shape, spacing, tuple(AxisMap(n, n) for n in shape))


class Move(Protocol):
    """A geometric step worked out for images of one shape."""

    @property
    def frame(self) -> Frame:
        """The geometry after the move."""

    def image(self, values: Array) -> Array:
        """Move an image (c, *s)."""

    def mask(self, mask: Mask) -> Mask:
        """Move a mask (*s)."""


@dataclass(frozen=True)
class GeometricStep(Step):
    """A step that moves pixels."""

    def move(self, frame: Frame) -> Move:
        """Return what this step does to images of the geometry `frame`.

        Raises
        ------
        PreparationError
            Where the step is impossible for such an image.
        """
        raise NotImplementedError
