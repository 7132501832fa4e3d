"""The Volume: stored voxels with their geometry."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid


@dataclass(frozen=True)
class Source:
    """Enough of a stored file to write results back on its own grid.

    Attributes
    ----------
    format
        "nifti", "dicom", "tiff", "raster" (PNG, JPEG) or "array".
    path
        Where it was read; it may hold a patient's name, so it is never printed or written.
    stored_axes
        For each array axis (z, y, x) the axis of the stored file it came from.
    header
        The stored header without free text that could identify a patient; None where none exists.
    files
        The files, where several were given and no one path leads back to them.
    """

    format: Literal["nifti", "dicom", "tiff", "raster", "array"]
    path: str | None = field(default=None, repr=False)
    stored_axes: tuple[int, int, int] = (0, 1, 2)
    header: bytes | None = field(default=None, repr=False)
    files: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Identity:
    """Whom the images are of. Never written to logs, file names, layer names or sidecars."""

    subject: str | None = field(default=None, repr=False)
    series: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Window:
    """A display preset: `center` - `width`/2 is shown black, `center` + `width`/2 white.

    Attributes
    ----------
    center, width
        In the units of the volume's values.
    name
        The scanner's name for it ("BONE"). Free text: show it on the screen only.
    """

    center: float
    width: float
    name: str = field(default="", repr=False)

    @property
    def limits(self) -> tuple[float, float]:
        """The values shown as black and white."""
        return self.center - self.width / 2, self.center + self.width / 2


@dataclass(frozen=True, eq=False)
class Volume:
    """Stored voxels, their axes at most transposed: never resampled, never flipped.

    Attributes
    ----------
    values
        (z, y, x), or (c, z, y, x) with channels; NumPy, or any array that slices like it (Dask). In
        a patient, z is the axis closest to inferior-superior, y to anterior-posterior and x to
        left-right; each index may grow in either direction.
    grid
        Where the voxels lie.
    stack_axis
        The array axis along which the slices were acquired (0, 1 or 2).
    channel_names
        One name per channel; empty if `values` has no channel axis.
    source
        The stored grid, used to write results back on it.
    identity
        The patient and examination that the images belong to.
    notes
        Sentences on decisions that reading had to make (conflicting orientations, NaN voxels, ...).
    windows
        The scanner's display presets, the default first; empty if there are none.
    """

    values: Any
    grid: Grid
    stack_axis: int = 0
    channel_names: tuple[str, ...] = ()
    source: Source = Source("array")
    identity: Identity = Identity()
    notes: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim not in (3, 4):
            raise VolumeError(
                f"A volume has axes (z, y, x) or (c, z, y, x), not {self.values.ndim} axes; "
                "reshape the array first."
            )
        if tuple(self.values.shape[-3:]) != self.grid.shape:
            raise VolumeError(
                f"The array has shape {tuple(self.values.shape[-3:])} but its grid "
                f"{self.grid.shape}; give both for the same voxels."
            )
        if 0 in self.values.shape:
            raise VolumeError(f"The image is empty (shape {tuple(self.values.shape)}).")
        if not self.channel_names and self.values.ndim == 4:
            names = tuple(f"channel {index + 1}" for index in range(self.values.shape[0]))
            object.__setattr__(self, "channel_names", names)
        if len(self.channel_names) != (self.values.shape[0] if self.values.ndim == 4 else 0):
            raise VolumeError(
                f"{len(self.channel_names)} channel names for an array of shape "
                f"{tuple(self.values.shape)}; give one name per channel."
            )
        if self.stack_axis not in (0, 1, 2):
            raise VolumeError(f"stack_axis is 0, 1 or 2 (z, y, x), not {self.stack_axis}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (z, y, x)."""
        return self.grid.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along (z, y, x)."""
        return self.grid.spacing

    @property
    def affine(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(4, 4) index (z, y, x, 1) -> world millimetres."""
        return self.grid.affine

    @property
    def orientation(self) -> str | None:
        """Direction in which each array index grows, such as "SPL"."""
        return self.grid.orientation

    @property
    def n_channels(self) -> int:
        """Number of channels; 1 if `values` has no channel axis."""
        return int(self.values.shape[0]) if self.values.ndim == 4 else 1

    def channels_first(self) -> Any:
        """Return `values` as (c, z, y, x), without copying."""
        return self.values if self.values.ndim == 4 else self.values[None]

    def sha256(self) -> str:
        """Return a digest of the voxels, which identifies the image but not the patient."""
        values = np.ascontiguousarray(self.values)
        digest = hashlib.sha256(f"{values.dtype.str}{values.shape}".encode())
        digest.update(values.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    @classmethod
    def from_array(
        cls,
        array: Any,
        spacing: tuple[float, ...] | None = None,
        channel_axis: int | None = None,
        channel_names: tuple[str, ...] = (),
    ) -> Volume:
        """Wrap an array (y, x) or (z, y, x), with a channel axis if `channel_axis` is given.

        Parameters
        ----------
        array
            Numbers, NumPy or Dask. RGB pictures need ``channel_axis=-1``; an axis of length 3 is
            never assumed to be colour.
        spacing
            Voxel size in mm along the spatial axes. Without it, the unit is "pixel" and the size is
            1.
        channel_axis
            The axis that holds channels; None for none.
        channel_names
            One name per channel.

        Raises
        ------
        VolumeError
            If the array's shape or type is not that of an image.
        """
        array = _as_array(array)
        check_numeric(array.dtype)
        if channel_axis is not None:
            number = isinstance(channel_axis, (int, np.integer))
            if not number or not -array.ndim <= channel_axis < array.ndim:
                raise VolumeError(
                    f"channel_axis {channel_axis!r} does not exist in an array of shape "
                    f"{tuple(array.shape)}."
                )
            order = [channel_axis % array.ndim]
            order += [axis for axis in range(array.ndim) if axis not in order]
            array = array.transpose(order)
        spatial = array.ndim - (channel_axis is not None)
        if spatial not in (2, 3):
            raise VolumeError(
                f"An array of shape {tuple(array.shape)} has {spatial} spatial axes; give (y, x) "
                "or (z, y, x), and channel_axis where one axis holds channels."
            )
        if spatial == 2:
            array = array[:, None] if channel_axis is not None else array[None]
        if isinstance(array, np.ndarray) and not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))  # torch takes no other byte order
        z, y, x = (int(n) for n in array.shape[-3:])
        shape = (z, y, x)
        if spacing is None:
            grid = Grid.plain(shape)
        else:
            if np.ndim(spacing) != 1 or len(spacing) != spatial:
                raise VolumeError(f"spacing is {spatial} numbers in mm, not {spacing!r}.")
            grid = Grid.plain(shape, zyx_spacing(spacing, shape), "mm")
        return cls(array, grid, channel_names=channel_names)


def _as_array(array: Any) -> Any:
    """Return a user's array, list or tensor as something that slices like NumPy."""
    if isinstance(array, np.ma.MaskedArray):
        raise VolumeError(
            "A masked array hides voxels, which a volume cannot; fill it first, as in "
            "array.filled(0)."
        )
    if hasattr(array, "ndim") and isinstance(getattr(array, "dtype", None), np.dtype):
        return array  # NumPy, Dask
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise VolumeError(
            f"A {type(array).__name__} cannot be taken as an image ({str(error)[:100]}); "
            "give a NumPy array (y, x) or (z, y, x)."
        ) from error


def zyx_spacing(
    spacing: Sequence[float], shape: tuple[int, int, int]
) -> tuple[float, float, float]:
    """Return a user's voxel size (z, y, x), or (y, x) for a single slice, as three numbers (mm).

    Raises
    ------
    VolumeError
        Where there are too few or too many numbers, or one is not a positive length.
    """
    try:
        sizes = tuple(float(mm) for mm in spacing)
    except (TypeError, ValueError) as error:
        raise VolumeError(f"spacing is {spacing!r}; give numbers in mm as (z, y, x).") from error
    if len(sizes) == 2 and shape[0] == 1:
        sizes = (1.0, *sizes)
    if len(sizes) != 3:
        raise VolumeError(
            f"spacing has {len(sizes)} numbers for an image of shape {shape}; "
            "give (z, y, x) in mm, or (y, x) for a single slice."
        )
    if not all(0 < size < math.inf for size in sizes):
        raise VolumeError(f"spacing is {sizes}; every voxel size is a positive number of mm.")
    return sizes[0], sizes[1], sizes[2]


def check_time(path: Path, time: int, n_times: int) -> None:
    """Raise where the time point asked for does not exist in the file."""
    if not 0 <= time < n_times:
        points = f"{n_times} time points (0 to {n_times - 1})" if n_times > 1 else "no time axis"
        raise VolumeError(f"{path} has {points}, so time={time} cannot be read.")


def check_numeric(dtype: Any) -> None:
    """Raise where an array does not hold real numbers."""
    kind = np.dtype(dtype).kind
    if kind not in "buif":
        raise VolumeError(
            f"The image holds values of type {np.dtype(dtype)}, not real numbers; "
            "convert it to integers or floats."
        )
