"""A preparation worked out for one volume: units out to the network, maps back to the voxels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.steps import Foreground
from napari_cam.models.preparation.steps.base import Array, Mask
from napari_cam.models.preparation.unit_steps import Layout, UnitSteps
from napari_cam.models.preparation.volume_steps import VolumeSteps
from napari_cam.units import by_unit, n_units
from napari_cam.volumes.resample import apply_weights, carry_back, linear_weights
from napari_cam.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """A volume as a network sees it, unit by unit, and the way back.

    A unit is a slice of a 2D network, by its stored index along `unit_axis`, or the whole volume
    of a 3D network (index 0). Nothing but the asked-for units is read, converted or kept.

    Attributes
    ----------
    volume
        What was prepared.
    notes
        Sentences on what had to be decided (non-finite voxels, channels, a missing patient frame).
    """

    volume: Volume
    layout: Layout = field(repr=False)
    volume_steps: VolumeSteps = field(repr=False)
    unit_steps: UnitSteps = field(repr=False)
    notes: tuple[str, ...]

    @property
    def unit_axis(self) -> int | None:
        """Array axis of the volume across which the units lie, None for a 3D network."""
        return self.layout.unit_axis

    @property
    def n_units(self) -> int:
        """Number of units."""
        return n_units(self.volume.shape, self.unit_axis)

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Pixels of one unit on the volume's own grid, axes in stored order."""
        return tuple(n for axis, n in enumerate(self.volume.shape) if axis != self.unit_axis)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape (c, *s) of what the network gets for one unit."""
        return (self.unit_steps.channels, *self.unit_steps.frame.shape)

    @cached_property
    def inside(self) -> Mask:
        """Which pixels of a unit the network sees, bool (*unit_shape): False where cropped."""
        return self.layout.restore(self.unit_steps.seen())

    @cached_property
    def foreground(self) -> Mask | None:
        """Where the preparation found tissue, bool (z, y, x); None where it does not look."""
        if self.volume_steps.foreground is not None:
            whole = Layout(self.layout.axes, self.layout.flips, None)
            return whole.restore(self.volume_steps.foreground)
        before = self.unit_steps.up_to_foreground
        if before is None:
            return None
        step = next(s for s, _, _ in self.unit_steps.stages if isinstance(s, Foreground))
        mask = np.zeros(self.volume.shape, dtype=bool)
        for index in range(self.n_units):
            (unit,) = self._units([index])
            found = step.find(before.run(*unit), before.frame.spacing)
            back = (carry_back(found[None], before.frame.axes) >= 0.5) & before.seen()
            self.place(self.layout.restore(back), [index], mask)
        return mask

    def batch(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return units as the network gets them.

        Parameters
        ----------
        indices
            Stored slice indices along `unit_axis`, in any order; (0,) for a 3D network.

        Returns
        -------
        NDArray
            (n, c, *s) float32, C-contiguous. A unit's numbers do not depend on its neighbours.

        Raises
        ------
        PreparationError
            Where an index does not exist.
        """
        chosen = self._check(indices)
        result = np.empty((len(chosen), *self.input_shape), dtype=np.float32)
        for place, unit in enumerate(self._units(chosen)):
            result[place] = self.unit_steps.run(*unit)
        return result

    def mask_batch(self, mask: Mask, indices: Sequence[int]) -> Mask:
        """Return a mask of the volume, bool (z, y, x), as it lies in the units' inputs (n, *s)."""
        chosen = self._check(indices)
        if mask.shape != self.volume.shape:
            raise PreparationError(
                f"The mask has shape {mask.shape} but the image {self.volume.shape}; "
                "give a mask on the image's own grid."
            )
        result = np.empty((len(chosen), *self.input_shape[1:]), dtype=bool)
        for place, unit in enumerate(self._take(self.layout.turn(mask[None]), chosen)):
            result[place] = self.unit_steps.run_mask(unit[0])
        return result

    def map_batch(self, values: NDArray[Any], indices: Sequence[int]) -> NDArray[np.float32]:
        """Return a map of the volume (z, y, x) as it lies in the units' inputs (n, *s).

        Read linearly at the centres of the input's pixels; 0 where the input shows no voxel.

        Raises
        ------
        PreparationError
            Where the map has another shape than the volume.
        """
        chosen = self._check(indices)
        if values.shape != self.volume.shape:
            raise PreparationError(
                f"The map has shape {values.shape} but the image {self.volume.shape}; "
                "give a map on the image's own grid."
            )
        units = self._take(self.layout.turn(values[None]), chosen)[:, 0]
        weights, seen = [], np.ones((), dtype=bool)
        for axis in self.unit_steps.frame.axes:
            places = (np.arange(axis.n_to, dtype=np.float64) + 0.5 - axis.offset) / axis.scale
            weights.append(linear_weights(places, axis.n_from))
            seen = seen[..., None] & ((places >= 0) & (places <= axis.n_from))
        return apply_weights(units, weights) * seen

    def locate(self, point: Sequence[int]) -> tuple[int, tuple[float, ...]] | None:
        """Return where a voxel (z, y, x) lies for the network, None where it is not seen.

        Returns
        -------
        tuple
            Its unit, and the place of its centre along each axis of the input as a share in [0, 1].
        """
        unit = 0 if self.unit_axis is None else int(point[self.unit_axis])
        places = []
        axes = zip(self.layout.unit_axes, self.unit_steps.frame.axes, strict=True)
        for turned, axis in axes:
            stored = int(point[self.layout.axes[turned]])
            pixel = axis.n_from - 1 - stored if self.layout.flips[turned] else stored
            places.append(float(axis.centres()[pixel]) / axis.n_to)
        return (unit, tuple(places)) if all(0 <= share <= 1 for share in places) else None

    def on_volume_grid(self, maps: NDArray[Any]) -> NDArray[np.float32]:
        """Return maps stretched over the network's input at the pixels of the units.

        Parameters
        ----------
        maps
            (n, *f), of any resolution.

        Returns
        -------
        NDArray
            (n, *unit_shape) float32, linear with half-pixel centres, axes in stored order and
            direction. Where the network saw nothing (`inside` False) the border's value stands.
        """
        return np.ascontiguousarray(
            self.layout.restore(carry_back(maps, self.unit_steps.frame.axes))
        )

    def place(self, values: NDArray[Any], indices: Sequence[int], out: NDArray[Any]) -> None:
        """Write units (n, *unit_shape) to their places in a volume array `out` (z, y, x)."""
        for unit, index in zip(values, self._check(indices), strict=True):
            by_unit(out, self.unit_axis)[index] = unit

    def _check(self, indices: Sequence[int]) -> list[int]:
        chosen = [int(index) for index in indices]
        for index in chosen:
            if not 0 <= index < self.n_units:
                kind = "slice" if self.unit_axis is not None else "unit"
                raise PreparationError(
                    f"There is no {kind} {index}; the image has {self.n_units}, counted from 0."
                )
        return chosen

    def _take(self, turned: Any, indices: list[int]) -> Array:
        """Read units (n, c, *s) of a turned array (c, ., ., .) at once."""
        block = np.asarray(self.layout.take(turned, indices))
        return np.broadcast_to(block, (len(indices), *block.shape[1:]))

    def _units(self, indices: list[int]) -> Iterator[tuple[Array, Mask | None]]:
        """Yield units (c, *s) after the steps that see the volume, each with its foreground."""
        block = self._take(self.layout.turn(self.volume.channels_first()), indices)
        found = self.volume_steps.foreground
        masks = None if found is None else self._take(found[None], indices)
        for place, unit in enumerate(block):
            mask = None if masks is None else masks[place, 0]
            yield self.volume_steps.apply(unit, mask), mask
