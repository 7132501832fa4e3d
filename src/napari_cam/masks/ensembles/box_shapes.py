"""Box filters of a shape: a box around the middle, all but a band, drawn polygons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.choices import LENGTH_UNITS, LengthUnit
from napari_cam.masks.ensembles.boxes import BoxFilter, Mask
from napari_cam.units import by_unit

# Sizes and positions are sums of rounded numbers: 2.5 mm / 0.5 mm must be five pixels.
_FUZZ = 1e-6


@dataclass(frozen=True)
class CentredBox(BoxFilter):
    """A box around the centre of the volume.

    A size of k pixels contains exactly k pixels. If the box is half a pixel off the pixel grid, it
    takes the pixel with the lower index.

    Parameters
    ----------
    size
        Edge lengths along (z, y, x) in `unit`; None for the full extent along an axis.
    unit
        "mm", "pixel", or "share" of the volume's extent along each axis.
    offset
        Offset of the box's centre from the volume's, along (z, y, x) in `unit`.

    Raises
    ------
    MaskError
        If a size is not positive or `unit` is unknown.
    """

    size: tuple[float | None, float | None, float | None]
    unit: LengthUnit = "mm"
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        LENGTH_UNITS.checked(self.unit)
        size = _three(self.size, "size of a centred box")
        if not all(edge is None or edge > 0 for edge in size):
            raise MaskError(f"The edges of a centred box are positive or None, not {self.size}.")
        offset = [0.0 if part is None else part for part in _three(self.offset, "offset of a box")]
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "offset", tuple(offset))

    def inside(self, grid: Grid) -> Mask:
        """Return the box on `grid`, bool (z, y, x)."""
        sides = []
        for axis, (edge, shift) in enumerate(zip(self.size, self.offset, strict=True)):
            n = grid.shape[axis]
            if edge is None:
                sides.append(np.ones(n, bool))
                continue
            pixel = _pixel_size(self.unit, grid, axis)
            away = (np.arange(n) - (n - 1) / 2) * pixel - shift
            sides.append(_between(away, edge, pixel))
        z, y, x = sides
        box: Mask = z[:, None, None] & y[:, None] & x
        return box

    def facts(self) -> dict[str, Any]:
        """Return size, unit and offset."""
        return {
            "kind": "centred box",
            "size": list(self.size),
            "unit": self.unit,
            "offset": list(self.offset),
        }


@dataclass(frozen=True)
class WithoutBand(BoxFilter):
    """Everything except a band along a straight line in each slice, such as the midline fissure.

    The line lies in the plane of the two axes other than `axis`. The first of them counts rows and
    the second columns: (y, x) in axial slices. Its distance from the centre of the slice is
    `position`.

    Parameters
    ----------
    width
        Width of the band in `unit`.
    position
        Distance of the line from the centre of the slice. Positive values move a line at 0 degrees
        towards higher rows, and a line at 90 degrees towards lower columns.
    angle
        Angle of the line in degrees, measured from the columns' axis towards the rows' axis: 0 is
        horizontal as displayed, 90 is vertical.
    unit
        "mm", "pixel", or "share" of the slice's extent across the line. With "mm" the angle is
        measured in the patient, otherwise between pixels.
    axis
        Array axis of the slices.

    Raises
    ------
    MaskError
        If the width is not positive, or `unit` or `axis` is unknown.
    """

    width: float
    position: float = 0.0
    angle: float = 0.0
    unit: LengthUnit = "mm"
    axis: int = 0

    def __post_init__(self) -> None:
        LENGTH_UNITS.checked(self.unit)
        if self.axis not in (0, 1, 2):
            raise MaskError(f"Slices lie along axis 0, 1 or 2, not {self.axis!r}.")
        numbers = [_finite(n, "a band") for n in (self.width, self.position, self.angle)]
        if numbers[0] <= 0:
            raise MaskError(f"A band to remove has a positive width, not {self.width}.")

    def inside(self, grid: Grid) -> Mask:
        """Return everything on `grid` except the band, bool (z, y, x)."""
        in_plane = [axis for axis in range(3) if axis != self.axis]
        sizes = [grid.shape[axis] for axis in in_plane]
        scale = [_spacing(grid, axis) if self.unit == "mm" else 1.0 for axis in in_plane]
        across = math.cos(math.radians(self.angle)), -math.sin(math.radians(self.angle))
        rows, columns = (
            (np.arange(n) - (n - 1) / 2) * step for n, step in zip(sizes, scale, strict=True)
        )
        extent = 1.0
        if self.unit == "share":
            extent = abs(across[0]) * sizes[0] + abs(across[1]) * sizes[1]
        away = rows[:, None] * across[0] + columns * across[1] - self.position * extent
        # A step across the line of one pixel: what rounding may move.
        band = _between(away, self.width * extent, min(scale))
        kept: Mask = np.broadcast_to(np.expand_dims(~band, self.axis), grid.shape).copy()
        return kept

    def facts(self) -> dict[str, Any]:
        """Return the position and width of the band."""
        return {
            "kind": "without a band",
            "width": self.width,
            "position": self.position,
            "angle": self.angle,
            "unit": self.unit,
            "axis": self.axis,
        }


@dataclass(frozen=True)
class Polygons(BoxFilter):
    """The inside of polygons drawn in slices: all voxels with their centre inside a polygon.

    Parameters
    ----------
    corners
        The corners (k, 3) of each polygon as fractional voxel indices (z, y, x), as in a napari
        shapes layer, all with the same index along `axis`. Or (k, 2) in the plane of a slice; such
        a polygon applies to all slices.
    axis
        Array axis of the slices.
    all_slices
        True to apply each polygon to all slices, not just to its own.

    Raises
    ------
    MaskError
        If a polygon has fewer than three corners or does not lie in one slice.
    """

    corners: Sequence[Any] = field(repr=False)
    axis: int = 0
    all_slices: bool = False

    def __post_init__(self) -> None:
        if self.axis not in (0, 1, 2):
            raise MaskError(f"Slices lie along axis 0, 1 or 2, not {self.axis!r}.")
        shapes = tuple(_polygon(corners, self.axis) for corners in self.corners)
        if not shapes:
            raise MaskError("There is no polygon; draw at least one.")
        object.__setattr__(self, "corners", shapes)

    def inside(self, grid: Grid) -> Mask:
        """Return the union of the polygons on `grid`, bool (z, y, x)."""
        from skimage.draw import polygon2mask

        in_plane = [axis for axis in range(3) if axis != self.axis]
        mask = np.zeros(grid.shape, bool)
        slices = by_unit(mask, self.axis)
        for corners in self.corners:
            points = np.array(corners)
            drawn = polygon2mask(slices.shape[1:], points[:, in_plane])
            place = points[0, self.axis]
            if self.all_slices or np.isnan(place):
                slices |= drawn
            elif 0 <= (number := round(float(place))) < len(slices):
                slices[number] |= drawn
        return mask

    def facts(self) -> dict[str, Any]:
        """Return the corners; None stands for "all slices"."""
        return {
            "kind": "polygons",
            "corners": [
                [[None if math.isnan(n) else n for n in corner] for corner in corners]
                for corners in self.corners
            ],
            "axis": self.axis,
            "all_slices": self.all_slices,
        }


def _between(away: NDArray[Any], width: float, pixel: float) -> Mask:
    """Return where -width/2 <= away < width/2, blind to rounding."""
    fuzz = _FUZZ * pixel
    kept: Mask = (away >= -width / 2 - fuzz) & (away < width / 2 - fuzz)
    return kept


def _pixel_size(unit: LengthUnit, grid: Grid, axis: int) -> float:
    """Return the size of a pixel along an axis in `unit`."""
    if unit == "share":
        return 1 / grid.shape[axis]
    return 1.0 if unit == "pixel" else _spacing(grid, axis)


def _spacing(grid: Grid, axis: int) -> float:
    if grid.units != "mm":
        raise MaskError(
            "The image states no voxel size, so a box cannot be given in mm; "
            'give it as unit="pixel" or "share".'
        )
    return grid.spacing[axis]


def _finite(number: Any, what: str) -> float:
    named = f"The parameters of {what}"
    return checks.number(number, named, MaskError, verb="are", wanted="finite numbers")


def _three(numbers: Any, what: str) -> tuple[float | None, float | None, float | None]:
    given = list(numbers) if isinstance(numbers, (tuple, list, np.ndarray)) else []
    if len(given) != 3:
        raise MaskError(f"The {what} is three numbers for (z, y, x), not {numbers!r}.")
    z, y, x = (None if n is None else _finite(n, f"the {what}") for n in given)
    return z, y, x


def _polygon(corners: Any, axis: int) -> tuple[tuple[float, float, float], ...]:
    """Return corners as (z, y, x), NaN along `axis` where the polygon holds for all slices."""
    points = np.asarray(corners, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) < 3:
        raise MaskError(
            f"A polygon has at least three corners (z, y, x) or (row, column), not an array of "
            f"shape {points.shape}."
        )
    if not np.isfinite(points).all():
        raise MaskError("A polygon has a corner that is not a finite number; draw it anew.")
    if points.shape[1] == 2:
        points = np.insert(points, axis, np.nan, axis=1)
    elif np.ptp(points[:, axis]) > 0.5:
        raise MaskError(
            f"A polygon runs through slices {points[:, axis].min():g} to "
            f"{points[:, axis].max():g}; draw it within one slice, or name the axis it lies in."
        )
    return tuple((float(z), float(y), float(x)) for z, y, x in points)
