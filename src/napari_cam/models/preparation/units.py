"""How units are cut out of a stored volume, and put back: turning and slicing, without copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.models.preparation.steps import Orient, Slices
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
