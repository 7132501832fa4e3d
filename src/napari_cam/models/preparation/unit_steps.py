"""One unit of a volume: how it is cut out and put back, and the steps that see it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.models.preparation.steps import (
    Foreground,
    GeometricStep,
    IntensityStep,
    Orient,
    Slices,
    Step,
)
from napari_cam.models.preparation.steps.base import Array, Frame, Mask, Move
from napari_cam.volumes.volume import Volume


@dataclass(frozen=True)
class Layout:
    """How units are cut out of a stored volume (z, y, x) by turning it and taking slices.

    Attributes
    ----------
    axes
        For each axis of the turned volume the stored axis behind it.
    flips
        For each axis of the turned volume whether it runs against the stored one.
    unit_axis
        Stored axis across which the slices lie; None where the volume is the one unit.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    unit_axis: int | None

    @classmethod
    def of(cls, volume: Volume, orient: Orient | None, slices: Slices | None) -> Layout:
        """Return the layout that these steps give `volume`."""
        axes, flips = (0, 1, 2), (False, False, False)
        if orient is not None and volume.orientation is not None:
            axes, flips = orient.turn(volume.orientation)
        unit_axis = None
        if slices is not None:
            unit_axis = slices.stored_axis(volume.stack_axis, volume.orientation)
        return cls(axes, flips, unit_axis)

    @property
    def unit_axes(self) -> tuple[int, ...]:
        """Positions of the unit's axes among those of the turned volume."""
        return tuple(place for place in range(3) if self.axes[place] != self.unit_axis)

    def turn(self, array: Any) -> Any:
        """Return a stored array (..., z, y, x) turned, without copying."""
        lead = array.ndim - 3
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        steps = (slice(None, None, -1 if flip else None) for flip in self.flips)
        return turned[(..., *steps)]

    def take(self, turned: Any, indices: Sequence[int]) -> Any:
        """Return units (n, c, *s) of a turned array (c, ., ., .), by stored index.

        A volume that is one unit comes once, whatever the indices.
        """
        if self.unit_axis is None:
            return turned[None]
        place = self.axes.index(self.unit_axis)
        last = turned.shape[1 + place] - 1
        stored = np.array(indices, dtype=np.intp)
        wanted = last - stored if self.flips[place] else stored
        taken = turned[(slice(None),) * (1 + place) + (wanted,)]
        order = [1 + place, *(axis for axis in range(4) if axis != 1 + place)]
        return taken.transpose(*order)

    def restore(self, units: NDArray[Any]) -> NDArray[Any]:
        """Return units (..., *s) with their axes as stored: order and direction."""
        places = self.unit_axes
        steps = (slice(None, None, -1 if self.flips[place] else None) for place in places)
        lead = units.ndim - len(places)
        stored = np.argsort([self.axes[place] for place in places])
        return units[(..., *steps)].transpose(*range(lead), *(lead + stored))


@dataclass(frozen=True, eq=False)
class UnitSteps:
    """The steps that see one unit, worked out for units of one shape.

    Attributes
    ----------
    stages
        Each step with its move (None for steps that move nothing) and the geometry before it.
    frame
        The geometry after the last step.
    channels
        Channels after the last step.
    """

    stages: tuple[tuple[Step, Move | None, Frame], ...]
    frame: Frame
    channels: int

    @classmethod
    def fit(cls, steps: Sequence[Step], frame: Frame, channels: int) -> UnitSteps:
        """Work the steps out for units of the geometry `frame` with so many channels."""
        stages: list[tuple[Step, Move | None, Frame]] = []
        for step in steps:
            move = step.move(frame) if isinstance(step, GeometricStep) else None
            stages.append((step, move, frame))
            frame = move.frame if move is not None else frame
            channels = step.channels_out(channels)
        return cls(tuple(stages), frame, channels)

    def run(self, values: Array, foreground: Mask | None) -> Array:
        """Return the unit `values` (c, *s) as the network gets it."""
        for step, move, frame in self.stages:
            if move is not None:
                values = move.image(values)
                foreground = None if foreground is None else move.mask(foreground)
            elif isinstance(step, Foreground):
                foreground = step.find(values, frame.spacing)
                values = step.blank(values, foreground)
            elif isinstance(step, IntensityStep):
                values = step.fit(values, foreground)(values)
        return values

    def run_mask(self, mask: Mask) -> Mask:
        """Return a mask (*s) of the unit as it lies in the network's input."""
        for _, move, _ in self.stages:
            mask = mask if move is None else move.mask(mask)
        return mask

    def seen(self) -> Mask:
        """Return which pixels (*s) of the unit reach the network through every step."""
        frames = [frame for _, _, frame in self.stages] + [self.frame]
        seen = np.ones((), dtype=bool)
        for axes in zip(*(frame.axes for frame in frames), strict=True):
            seen = seen[..., None] & np.all([axis.seen() for axis in axes], axis=0)
        return seen

    @property
    def up_to_foreground(self) -> UnitSteps | None:
        """The stages before the one that finds the foreground; None where none does."""
        for place, (step, _, frame) in enumerate(self.stages):
            if isinstance(step, Foreground):
                return UnitSteps(self.stages[:place], frame, 0)
        return None
