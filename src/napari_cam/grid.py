"""Where voxels lie: the geometry that a volume, its heatmaps and its masks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.units import axes_within


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of an array with axes (z, y, x).

    Attributes
    ----------
    shape
        Number of voxels along (z, y, x).
    affine
        (4, 4) float64, index (z, y, x, 1) -> world (R, A, S, 1) in `units`. Where there is no
        patient (`orientation` None) the world axes are simply (x, y, z).
    orientation
        For each array axis the anatomical direction in which its index grows, as nibabel's axis
        codes: "SPL" means z grows to superior, y to posterior, x to the patient's left. None for
        images without a patient frame.
    units
        "mm", or "pixel" where the file states no voxel size.
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
        """Grid of an image without a patient frame: world (x, y, z) = spacing * index."""
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
        """Volume of a voxel, in cubic `units`."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    def spacing_within(self, axis: int | None) -> tuple[float, ...]:
        """Voxel size within a unit: along all axes but `axis`, in `units`."""
        return tuple(self.spacing[each] for each in axes_within(axis))

    def world(self, index: Any) -> NDArray[np.float64]:
        """Return world coordinates (..., 3) of voxel indices (..., 3) given as (z, y, x)."""
        points = np.asarray(index, dtype=np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids put every voxel at the same place (within `tolerance` units)."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n) for n in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance)

    def described(self) -> str:
        """Return shape, voxel size, directions and first voxel, as error messages name a grid."""
        size = " x ".join(f"{each:.3g}" for each in self.spacing)
        letters = f", {self.orientation}" if self.orientation else ""
        corner = ", ".join(f"{each:.4g}" for each in self.affine[:3, 3])
        return f"a grid of {self.shape} voxels of {size} {self.units}{letters} from ({corner})"


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
