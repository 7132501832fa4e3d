"""Masks made tidy: openings and closings in millimetres, holes, and which pieces stay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.choices import CONNECTIVITY, PER, Connectivity, Per
from napari_cam.masks.morphology import (
    closed,
    first_largest,
    opened,
    pieces_by_size,
    pieces_touching,
)
from napari_cam.units import axes_within, by_unit
from napari_cam.volumes.foreground import fill_holes

Mask = NDArray[np.bool_]

_LENGTHS = ("opening_mm", "closing_mm", "smallest")


@dataclass(frozen=True, eq=False)
class Cleanup:
    """What is done to a mask after the cut, each step only where it is asked for.

    The order is: opening, closing, holes; then of the pieces those that touch something, those
    that are large enough, and the largest of these. No step adds voxels where a mask may not lie.

    Attributes
    ----------
    opening_mm
        Radius of a ball: what it does not fit into goes, such as specks and thin bridges. 0 for
        none.
    closing_mm
        Radius of a ball: gaps that it does not fit into are filled.
    fill_holes
        Whether what the mask encloses on all sides joins it.
    touching
        Bool (z, y, x), another mask: pieces stay that overlap it or lie against it; None for all.
    smallest
        Smallest piece that stays: cubic millimetres of a volume, square millimetres of a slice.
    largest_only
        Whether only the largest piece stays, of equals the first.
    per
        "volume" for everything in three dimensions, "unit" for each slice of a 2D network by
        itself, in its plane.
    connectivity
        What is one piece: pixels that share faces, or also those that share corners.

    Raises
    ------
    MaskError
        Where a length is no number from 0 on, `touching` no boolean array (z, y, x), or a word
        unknown.

    Notes
    -----
    Where an image states no voxel size, lengths are in pixels, areas and volumes in numbers of
    pixels. A ball holds the voxels whose centres lie within its radius, whatever their shape; the
    distances take the axes to be at right angles. Beyond the image's edge nothing is known, so
    that an opening takes nothing away from there and a closing adds nothing.
    """

    opening_mm: float = 0.0
    closing_mm: float = 0.0
    fill_holes: bool = False
    smallest: float = 0.0
    largest_only: bool = False
    per: Per = "volume"
    touching: Mask | None = field(default=None, repr=False)
    connectivity: Connectivity = "faces"
    _digest: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        for name in _LENGTHS:
            length = getattr(self, name)
            length = checks.number(length, f"{name} of a clean-up", MaskError, least=0)
            object.__setattr__(self, name, length)
        PER.checked(self.per)
        CONNECTIVITY.checked(self.connectivity)
        if self.touching is not None:
            copy = checks.mask(self.touching, "What a mask is to touch", MaskError).copy()
            copy.setflags(write=False)
            object.__setattr__(self, "touching", copy)
            digest = hashlib.sha256(f"{copy.shape}".encode() + np.packbits(copy).tobytes())
            object.__setattr__(self, "_digest", digest.hexdigest())

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        lengths = any(getattr(self, name) for name in _LENGTHS)
        return lengths or self.fill_holes or self.largest_only or self.touching is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cleanup) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, each.name) for each in fields(self) if each.name != "touching")

    def to_json(self) -> dict[str, Any]:
        """Return its parameters as plain JSON; of `touching` the digest and size."""
        facts = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("touching", "_digest")
        }
        if self.touching is None:
            return {**facts, "touching": None}
        voxels = int(np.count_nonzero(self.touching))
        return {**facts, "touching": {"sha256": self._digest, "voxels": voxels}}


def clean(
    mask: Mask,
    grid: Grid,
    cleanup: Cleanup,
    unit_axis: int | None,
    allowed: Mask | None = None,
) -> Mask:
    """Return a mask after a clean-up.

    Parameters
    ----------
    mask
        Bool (z, y, x).
    grid
        Where its voxels lie.
    cleanup
        What to do.
    unit_axis
        Array axis across which slices lie, None for the units of a 3D network (``per="unit"`` is
        the whole volume then).
    allowed
        Bool (z, y, x), where the mask may lie; None for everywhere.

    Returns
    -------
    Mask
        A new array, also where there was nothing to do.

    Raises
    ------
    MaskError
        Where shapes differ.
    """
    _check_shape(mask, grid, "mask")
    check_touching(cleanup, grid)
    if allowed is not None:
        _check_shape(allowed, grid, "area where masks may lie")
    axis = unit_axis if cleanup.per == "unit" else None
    spacing, size = grid.spacing_within(axis), _pixel(grid, axis)
    within = None if allowed is None else by_unit(allowed, axis)
    near = None if cleanup.touching is None else by_unit(cleanup.touching, axis)
    result = mask.copy()
    for unit, part in enumerate(by_unit(result, axis)):
        if part.any():
            here = None if within is None else within[unit]
            there = None if near is None else near[unit]
            part[...] = _cleaned(part, cleanup, spacing, size, here, there)
    return result


def check_touching(cleanup: Cleanup, grid: Grid) -> None:
    """Raise where a clean-up does not suit masks on `grid`.

    Raises
    ------
    MaskError
        Where the mask to be touched has another shape.
    """
    if cleanup.touching is not None:
        _check_shape(cleanup.touching, grid, "mask to be touched")


def _pixel(grid: Grid, axis: int | None) -> float:
    """Return the area of a slice's pixel, the volume of a voxel where `axis` is None."""
    if axis is None:
        return grid.voxel_volume
    one, other = (grid.affine[:3, each] for each in axes_within(axis))
    return float(np.linalg.norm(np.cross(one, other)))


def _cleaned(
    mask: Mask,
    cleanup: Cleanup,
    spacing: tuple[float, ...],
    size: float,
    allowed: Mask | None,
    touching: Mask | None,
) -> Mask:
    """Return one volume or slice (*s) after the steps, in their order."""
    if cleanup.opening_mm:
        mask = opened(mask, cleanup.opening_mm, spacing)
    if cleanup.closing_mm:
        mask = closed(mask, cleanup.closing_mm, spacing)
    if cleanup.fill_holes:
        mask = fill_holes(mask)
    if allowed is not None:
        mask = mask & allowed
    if touching is not None:
        mask = pieces_touching(mask, touching, cleanup.connectivity)
    if cleanup.smallest:
        # Sizes are sums of rounded voxel sizes.
        voxels = cleanup.smallest / size * (1 - 1e-6)
        mask = pieces_by_size(mask, cleanup.connectivity, lambda counts: counts >= voxels)
    if cleanup.largest_only:
        mask = pieces_by_size(mask, cleanup.connectivity, first_largest)
    return mask


def _check_shape(mask: Mask, grid: Grid, what: str) -> None:
    if mask.shape != grid.shape:
        raise MaskError(
            f"The {what} has shape {mask.shape} but the grid {grid.shape}; give both on one grid."
        )
