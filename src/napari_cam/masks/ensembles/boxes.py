"""Box filters: where masks may lie at all, known beforehand from the anatomy.

Ostrowski et al. 2024, section III-C: a small box around the middle for the prostate; brain pixels
only, without those along the central line, for brain tumours. The paper gives no sizes, so here
each is a parameter. A filter that was chosen by looking at reference masks belongs to the
calibration (:func:`napari_cam.calibrate`) and is judged out of fold with it.

``box.inside(volume.grid)`` is the `foreground` of :func:`napari_cam.binarize`. Filters combine:
``CentredBox((None, 40, 40)) & ~Within(vessels)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.choices import LENGTH_UNITS, LengthUnit

Mask = NDArray[np.bool_]

# Sizes and positions are sums of rounded numbers: 2.5 mm / 0.5 mm must be five pixels.
_FUZZ = 1e-6


class BoxFilter(ABC):
    """Where masks may lie: frozen, and the same for every grid it fits."""

    @abstractmethod
    def inside(self, grid: Grid) -> Mask:
        """Return (z, y, x) bool on `grid`, True where masks may lie.

        Raises
        ------
        MaskError
            Where the filter does not fit the grid.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the filter's kind and parameters as plain JSON."""

    def __and__(self, other: BoxFilter) -> BoxFilter:
        return Combined("and", (self, other))

    def __or__(self, other: BoxFilter) -> BoxFilter:
        return Combined("or", (self, other))

    def __invert__(self) -> BoxFilter:
        return Combined("not", (self,))


@dataclass(frozen=True)
class Combined(BoxFilter):
    """Filters joined by ``&`` ("and"), ``|`` ("or") or turned round by ``~`` ("not")."""

    how: Literal["and", "or", "not"]
    parts: tuple[BoxFilter, ...]

    def inside(self, grid: Grid) -> Mask:
        """Return the parts' masks, combined."""
        masks = [part.inside(grid) for part in self.parts]
        if self.how == "not":
            return ~masks[0]
        result: Mask = (np.logical_and if self.how == "and" else np.logical_or).reduce(masks)
        return result

    def facts(self) -> dict[str, Any]:
        """Return how the parts are combined, and theirs."""
        return {"kind": self.how, "parts": [part.facts() for part in self.parts]}


@dataclass(frozen=True)
class CentredBox(BoxFilter):
    """A box around the middle of the volume.

    A size of k pixels keeps k pixels; where the box and the pixels are out of step by half a
    pixel, it holds the one with the lower index.

    Parameters
    ----------
    size
        Edges along (z, y, x) in `unit`; None for the whole extent along an axis.
    unit
        "mm", "pixel", or "share" of the volume's extent along each axis.
    offset
        Of the box's middle from the volume's, along (z, y, x) in `unit`.

    Raises
    ------
    MaskError
        Where sizes are not positive or `unit` is unknown.
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
        """Return the box on `grid`."""
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
    """Everything but a band along a straight line in each slice, such as a mid-sagittal fissure.

    The line runs in the plane of the two axes other than `axis`, called rows and columns in their
    order: (y, x) of axial slices. It passes the middle of the slice at a distance of `position`.

    Parameters
    ----------
    width
        Of the band in `unit`.
    position
        Distance of the line from the middle of the slice; positive towards higher rows for a line
        at 0 degrees, towards lower columns for one at 90.
    angle
        Degrees between line and rows, turned from columns towards rows: 0 runs along the columns'
        axis (horizontally as displayed), 90 along the rows' (vertically).
    unit
        "mm", "pixel", or "share" of the slice's extent across the line. In "mm" the angle is that
        in the patient, else that between pixels.
    axis
        Array axis of the slices.

    Raises
    ------
    MaskError
        Where the width is not positive, or `unit` or `axis` is unknown.
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
        """Return what lies beside the band on `grid`."""
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
        """Return where the band runs and how wide it is."""
        return {
            "kind": "without a band",
            "width": self.width,
            "position": self.position,
            "angle": self.angle,
            "unit": self.unit,
            "axis": self.axis,
        }


@dataclass(frozen=True, eq=False)
class Within(BoxFilter):
    """Where a mask of the volume is True: tissue, brain pixels, a labels layer.

    Parameters
    ----------
    mask
        (z, y, x), boolean, or labels of which everything but 0 counts.
    name
        What it is, for the record: "brain".

    Raises
    ------
    MaskError
        Where `mask` has other axes or holds numbers with fractions.
    """

    mask: NDArray[Any] = field(repr=False)
    name: str = "mask"

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask)
        if mask.ndim != 3 or mask.dtype.kind not in "biu":
            raise MaskError(
                f"The filter '{self.name}' needs labels or booleans (z, y, x), not {mask.dtype} "
                f"with {mask.ndim} axes; say what counts, as in values > 0."
            )
        kept = mask != 0
        kept.setflags(write=False)
        object.__setattr__(self, "mask", kept)

    def inside(self, grid: Grid) -> Mask:
        """Return the mask itself."""
        if self.mask.shape != grid.shape:
            raise MaskError(
                f"The filter '{self.name}' has shape {self.mask.shape} but the image {grid.shape}; "
                "give a mask of this image."
            )
        return np.asarray(self.mask)

    def facts(self) -> dict[str, Any]:
        """Return the mask's name and size."""
        return {"kind": "within", "name": self.name, "voxels": int(np.count_nonzero(self.mask))}


@dataclass(frozen=True)
class Polygons(BoxFilter):
    """Inside of polygons that were drawn in slices: a voxel counts whose centre lies inside.

    Parameters
    ----------
    corners
        For each polygon its corners (k, 3) as voxel indices (z, y, x) with fractions, as a shapes
        layer holds them, all with one index along `axis`; or (k, 2) in the plane of a slice, which
        then holds for all slices.
    axis
        Array axis of the slices.
    all_slices
        True to let each polygon hold for all slices, not just its own.

    Raises
    ------
    MaskError
        Where a polygon has fewer than three corners, or does not lie in a slice.
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
        """Return what the polygons hold, together."""
        from skimage.draw import polygon2mask

        in_plane = [axis for axis in range(3) if axis != self.axis]
        mask = np.zeros(grid.shape, bool)
        slices = np.moveaxis(mask, self.axis, 0)
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


def box_mask(box: BoxFilter | Mask | None, grid: Grid) -> Mask | None:
    """Return (z, y, x) where masks may lie, None for everywhere.

    Parameters
    ----------
    box
        A filter, or a boolean array on `grid`.
    grid
        Where the masks lie.

    Raises
    ------
    MaskError
        Where `box` is neither, or does not fit.
    """
    if box is None:
        return None
    return _filter(box).inside(grid)


def box_facts(box: BoxFilter | Mask | None) -> dict[str, Any] | None:
    """Return a box's parameters as plain JSON, None where there is none."""
    if box is None:
        return None
    return _filter(box).facts()


def _filter(box: Any) -> BoxFilter:
    if isinstance(box, BoxFilter):
        return box
    if isinstance(box, np.ndarray) and box.dtype == np.bool_:
        return Within(box, "box")
    kind = getattr(box, "dtype", type(box).__name__)
    raise MaskError(f"A box is a filter such as CentredBox, or a boolean array, not {kind}.")


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
