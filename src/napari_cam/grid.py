"""Where voxels lie: the geometry that a volume, its heatmaps and its masks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.units import axes_within

SAME_PLACE = 0.05
"""Voxels that lie apart by no more than this share of a voxel lie at the same place.

What rounding moves lies far below it (affines of NIfTI in float32 and of DICOM in few decimals,
counted at the far corner of volumes of a thousand voxels along an edge), and what matters above.
"""


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of an array with axes (z, y, x).

    Attributes
    ----------
    shape
        Number of voxels along (z, y, x).
    affine
        (4, 4) float64, index (z, y, x, 1) -> world (R, A, S, 1) in `units`. Without a patient frame
        (`orientation` None) the world axes are simply (x, y, z).
    orientation
        The anatomical direction in which the index of each array axis grows, written like nibabel's
        axis codes: "SPL" means that z grows to superior, y to posterior, x to the patient's left.
        None for images without a patient frame.
    units
        "mm", or "pixel" if the file states no voxel size.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    orientation: str | None = None
    units: Literal["mm", "pixel"] = "mm"

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise VolumeError(
                f"The affine is not a finite 4x4 matrix (shape {affine.shape}); "
                "give index (z, y, x, 1) -> millimetres."
            )
        if np.linalg.matrix_rank(affine[:3, :3]) < 3:
            raise VolumeError(
                "The affine is singular, so voxels have no size along some axis; "
                "correct the file's voxel size and orientation."
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def plain(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        units: Literal["mm", "pixel"] = "pixel",
    ) -> Grid:
        """Return the grid of an image without a patient: world (x, y, z) = spacing * index."""
        affine = np.zeros((4, 4))
        for axis, size in enumerate(spacing):
            affine[2 - axis, axis] = size
        affine[3, 3] = 1.0
        return cls(shape, affine, None, units)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along (z, y, x) in `units`."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, in cubic `units`."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    def spacing_within(self, axis: int | None) -> tuple[float, ...]:
        """Voxel size within a unit: along all axes except `axis`, in `units`."""
        return tuple(self.spacing[each] for each in axes_within(axis))

    def world(self, index: Any) -> NDArray[np.float64]:
        """Return world coordinates (..., 3) of voxel indices (..., 3) given as (z, y, x)."""
        points = np.asarray(index, dtype=np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def same_as(self, other: Grid, within: float = SAME_PLACE) -> bool:
        """Whether all voxels of both grids have the same position, within a share of a voxel."""
        if self.shape != other.shape:
            return False
        return displacement(self.affine, other.affine, self.shape) <= within

    def fits(self, other: Grid) -> bool:
        """Whether an array on one grid can belong to the other, as far as the grids tell.

        The shapes must be equal. If both grids have a patient frame, the positions must be equal
        too; a TIFF or a picture has none.
        """
        placed = self.orientation is not None and other.orientation is not None
        return self.same_as(other) if placed else self.shape == other.shape

    def described(self) -> str:
        """Return shape, voxel size, directions and first voxel as text for error messages."""
        size = " x ".join(f"{each:.3g}" for each in self.spacing)
        letters = f", {self.orientation}" if self.orientation else ""
        corner = ", ".join(f"{each:.4g}" for each in self.affine[:3, 3])
        return f"a grid of {self.shape} voxels of {size} {self.units}{letters} from ({corner})"


def displacement(
    one: NDArray[np.float64], other: NDArray[np.float64], shape: Sequence[int]
) -> float:
    """Return how far apart two affines put an array's voxels, at most, in voxels of the first.

    Parameters
    ----------
    one, other
        (n + 1, n + 1) index -> world, in any unit of length; `one` is invertible.
    shape
        (n,) number of voxels along each axis. An affine errs most at a corner.
    """
    corners = np.array(np.meshgrid(*[(0, n) for n in shape])).reshape(len(shape), -1)
    moved = (other - one) @ np.vstack([corners, np.ones(corners.shape[1])])
    return float(np.abs(np.linalg.solve(one[:-1, :-1], moved[:-1])).max())


def check_same_place(
    what: str, grid: Grid, of: str, other: Grid, error: type[NapariCamError], strict: bool = True
) -> None:
    """Raise where two grids do not put every voxel at the same place.

    Parameters
    ----------
    what, grid
        What lies on the first grid: "The heatmap 'a'".
    of, other
        What lies on the other: "the image".
    error
        What is raised.
    strict
        False asks only whether one :meth:`~Grid.fits` the other.

    Raises
    ------
    NapariCamError
        Of the kind `error`.
    """
    if not (grid.same_as(other) if strict else grid.fits(other)):
        raise error(
            f"{what} lies on {grid.described()} but {of} on {other.described()}; "
            "resample one of them first."
        )


def patient_grid(
    affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[Grid, tuple[int, int, int]]:
    """Return the grid with axes in the order (z, y, x), and the stored axis of each.

    Parameters
    ----------
    affine
        (4, 4) stored index -> RAS mm, invertible.
    shape
        Number of voxels along the stored axes.

    Returns
    -------
    Grid
        Axes transposed so that z lies closest to inferior-superior, y to anterior-posterior and x
        to left-right; no direction is flipped.
    tuple of int
        For each of (z, y, x) the stored axis it comes from.
    """
    import nibabel  # no other file of the ground needs it

    world_axes = nibabel.io_orientation(affine)[:, 0].tolist()
    z, y, x = (int(world_axes.index(world)) for world in (2, 1, 0))
    letters = nibabel.aff2axcodes(affine)
    grid = Grid(
        shape=(shape[z], shape[y], shape[x]),
        affine=affine[:, [z, y, x, 3]],
        orientation=letters[z] + letters[y] + letters[x],
    )
    return grid, (z, y, x)
