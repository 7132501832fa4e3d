"""What the box of step 2 means: a filter of the volume's voxels. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.ensembles.box_shapes import CentredBox, Polygons, WithoutBand
from napari_cam.masks.ensembles.boxes import BoxFilter, Within

if TYPE_CHECKING:
    from napari_cam.volumes.choices import TissueMethod
    from napari_cam.volumes.volume import Volume

_ARC = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]


@dataclass(frozen=True, eq=False)
class DrawnShape:
    """A drawn shape.

    Attributes
    ----------
    kind
        napari's name: "polygon", "rectangle", "ellipse"; anything else encloses nothing.
    corners
        (k, 3) voxel indices (z, y, x) with fractions, or (k, 2) in the plane of all slices.
    """

    kind: str
    corners: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoxRequest:
    """Where proposals may lie; all that is asked for must hold.

    Attributes
    ----------
    grid
        Of the image.
    slice_axis
        Along which its slices lie.
    centred
        Shares of the extent along (z, y, x), None for no such box.
    tissue
        How tissue is told from air ("kmeans", "otsu", "nonzero"), None for everywhere.
    band
        Width, position and angle (degrees) of a band that is left out, None for none.
    shapes, all_slices
        Drawn shapes, None for no such box; whether each holds for all slices.
    within
        (z, y, x) bool, None for everywhere.
    volume
        What tissue is looked for in.
    """

    grid: Grid
    slice_axis: int
    centred: tuple[float, float, float] | None = None
    tissue: TissueMethod | None = None
    band: tuple[float, float, float] | None = None
    shapes: tuple[DrawnShape, ...] | None = None
    all_slices: bool = True
    within: NDArray[np.bool_] | None = field(default=None, repr=False)
    volume: Volume | None = field(default=None, repr=False)

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        asked = (self.centred, self.tissue, self.band, self.shapes, self.within)
        return all(each is None for each in asked)


@dataclass(frozen=True, eq=False)
class Box:
    """Where proposals may lie.

    Attributes
    ----------
    filter
        What was asked for; None for nothing.
    inside
        (z, y, x) bool, None for everywhere.
    """

    filter: BoxFilter | None = None
    inside: NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def share(self) -> float:
        """Which share of the image lies inside, 0 to 1."""
        return 1.0 if self.inside is None else float(self.inside.mean())


def find_box(request: BoxRequest) -> Iterator[Box]:
    """Yield the box.

    Raises
    ------
    MaskError
        Where something asked for does not fit the image.
    """
    filters = list(_filters(request))
    if not filters:
        yield Box()
        return
    both = reduce(lambda one, other: one & other, filters)
    yield Box(both, both.inside(request.grid))


def _filters(request: BoxRequest) -> Iterator[BoxFilter]:
    if request.centred is not None:
        yield CentredBox(request.centred, unit="share")
    if request.tissue is not None and request.volume is not None:
        yield Within(_tissue(request.volume, request.tissue), f"tissue ({request.tissue})")
    if request.band is not None:
        width, position, angle = request.band
        unit: Any = "mm" if request.grid.units == "mm" else "pixel"
        yield WithoutBand(width, position, angle, unit, request.slice_axis)
    if request.shapes is not None:
        yield polygons(request.shapes, request.slice_axis, request.all_slices)
    if request.within is not None:
        yield Within(request.within, "labels")


def _tissue(volume: Volume, method: TissueMethod) -> NDArray[np.bool_]:
    from napari_cam.volumes.foreground import foreground

    return foreground(volume, method)


def polygons(shapes: Sequence[DrawnShape], slice_axis: int, all_slices: bool) -> BoxFilter:
    """Return the inside of drawn shapes, each in the plane in which it was drawn.

    Raises
    ------
    MaskError
        Where none encloses anything, or one runs through slices.
    """
    by_axis: dict[int, list[NDArray[np.float64]]] = {}
    for shape in shapes:
        corners = _outline(shape)
        if corners is not None:
            by_axis.setdefault(_flat_axis(corners, slice_axis), []).append(corners)
    if not by_axis:
        raise MaskError(
            "The shapes enclose nothing yet; draw a polygon, a rectangle or an ellipse."
        )
    filters: list[BoxFilter] = [
        Polygons(drawn, axis, all_slices) for axis, drawn in sorted(by_axis.items())
    ]
    return reduce(lambda one, other: one | other, filters)


def _outline(shape: DrawnShape) -> NDArray[np.float64] | None:
    """Return the corners of what a shape encloses, None where it encloses nothing."""
    corners = np.asarray(shape.corners, dtype=np.float64)
    if shape.kind in ("polygon", "rectangle") and len(corners) >= 3:
        return corners
    if shape.kind == "ellipse" and len(corners) == 4:  # the corners of its bounding box
        middle = corners.mean(axis=0)
        first, second = (corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2
        return np.asarray(middle + np.cos(_ARC) * first + np.sin(_ARC) * second)
    return None


def _flat_axis(corners: NDArray[np.float64], slice_axis: int) -> int:
    """Return the axis along which a shape has no extent: the slices' where there are several."""
    if corners.shape[1] == 2:
        return slice_axis
    extent = np.ptp(corners, axis=0)
    return slice_axis if extent[slice_axis] <= 1e-6 else int(extent.argmin())
