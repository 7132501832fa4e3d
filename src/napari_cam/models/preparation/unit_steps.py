"""The steps that see one unit, worked out for its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cam.models.preparation.steps import Foreground, GeometricStep, IntensityStep, Step
from napari_cam.models.preparation.steps.base import Array, Frame, Mask, Move


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
