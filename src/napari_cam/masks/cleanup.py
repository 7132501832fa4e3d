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
    """Clean-up steps applied to a mask after the cut; all are off by default.

    The order is fixed: opening, closing, filling holes, then keeping the pieces that touch another
    mask, the pieces that are large enough, and the largest of these. No step adds voxels outside
    the region that the mask may occupy.

    Attributes
    ----------
    opening_mm
        Radius of a ball. Removes parts that the ball does not fit into, such as specks and thin
        bridges. 0 for no opening.
    closing_mm
        Radius of a ball. Fills gaps that the ball does not fit into. 0 for no closing.
    fill_holes
        Whether to fill holes, which the mask encloses on all sides.
    touching
        Another mask, bool (z, y, x). Keeps only pieces that overlap it or share a border with it.
        None keeps all.
    smallest
        Size of the smallest piece to keep: mm³ with ``per="volume"``, mm² with ``per="unit"``.
    largest_only
        Whether to keep only the largest piece (the first one if several are equally large).
    per
        "volume" works in three dimensions; "unit" works on each slice of a 2D network separately,
        in its plane.
    connectivity
        Which pixels form one piece: those that share "faces", or those that share corners too.

    Raises
    ------
    MaskError
        If a length is not a number >= 0, `touching` is not a boolean array (z, y, x), or an option
        is unknown.

    Notes
    -----
    If an image has no voxel size, lengths are in pixels, and areas and volumes are counts of
    pixels. A ball contains the voxels with centres within its radius, for voxels of any shape;
    distances assume that the axes are at right angles. Nothing is known beyond the image's edge, so
    an opening removes nothing because of the edge, and a closing adds nothing.
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
        """Return the parameters as plain JSON; `touching` is given by its digest and size."""
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
