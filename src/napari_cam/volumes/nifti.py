"""NIfTI-1 and NIfTI-2: ``.nii``, ``.nii.gz`` and ``.hdr`` with ``.img``.

nibabel interprets the header. The bytes are read here, because results are written back with the
header's own bytes (nibabel mends a header as it loads it) and because the promised size must be
checked against the file before memory is asked for.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.nifti_header import (
    HEADER_BYTES,
    geometry_notes,
    open_maybe_gzip,
    parse_header,
    stored_grid,
    stored_shape,
    without_text,
)
from napari_cam.volumes.volume import Source, Volume, check_time

_COLOURS = {"R": "red", "G": "green", "B": "blue"}
# Deflate cannot shrink further than this, so a larger promise is a damaged header.
_MOST_DEFLATE = 1032


@dataclass(frozen=True)
class Block:
    """Which part of a file holds the wanted voxels: `shape` as stored, first axis fastest."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def read_nifti(
    path: Path, axis4: Literal["channels", "time"] | None = None, time: int = 0
) -> Volume:
    """Read a NIfTI file.

    Parameters
    ----------
    path
        The ``.nii``, ``.nii.gz`` or ``.hdr`` file.
    axis4
        What the fourth axis means, where there is one longer than 1.
    time
        Which time point to read with ``axis4="time"``.

    Returns
    -------
    Volume
        (z, y, x) or (c, z, y, x). Integers keep their stored type, scaled values (slope,
        intercept) are float32. Uncompressed files are mapped, not loaded.

    Raises
    ------
    VolumeError
        Where the file is damaged, its geometry unusable or its axes need a choice.
    """
    with decoding(path, "NIfTI"):
        with open_maybe_gzip(path) as file:
            raw = file.read(HEADER_BYTES)
        header, notes = parse_header(path, raw)
        grid, stored_axes = stored_grid(path, header)
        block, has_channels = _choose_axes(path, header, axis4, time)
        stored = _scaled(_read_block(block), header)
        names: tuple[str, ...] = ()
        if stored.dtype.names:
            names = tuple(_COLOURS[field] for field in stored.dtype.names if field in _COLOURS)
            if len(stored.dtype.names) > len(names):
                notes.append("The alpha channel is left out.")
            stored = np.stack([stored[field] for field in "RGB"], axis=-1)
        notes += geometry_notes(header, grid, stored_axes) + _finite_notes(stored)
        order = (3, *stored_axes) if has_channels else stored_axes
        slice_axis = header.get_dim_info()[2]
        return Volume(
            values=stored.transpose(order),
            grid=grid,
            stack_axis=stored_axes.index(2 if slice_axis is None else slice_axis),
            channel_names=names,
            source=Source("nifti", str(path), stored_axes, without_text(raw)),
            notes=tuple(notes),
        )


def _choose_axes(
    path: Path, header: Any, axis4: Literal["channels", "time"] | None, time: int
) -> tuple[Block, bool]:
    """Return the block of voxels to read and whether a channel axis follows the spatial ones."""
    shape, dtype = stored_shape(path, header), header.get_data_dtype()
    if dtype.kind == "c":
        raise VolumeError(
            f"{path} holds complex numbers; save their magnitude or phase as a file of its own."
        )
    spatial = shape[:3]
    extra = [(number, n) for number, n in enumerate(shape[3:], start=4) if n > 1]
    if len(extra) > 1:
        raise VolumeError(
            f"{path} has axes of length {shape}, more than one beyond space; "
            "split it into files of at most four axes."
        )
    file, offset = _voxel_file(path, header)
    n_times = 1
    if extra:
        number, n = extra[0]
        if axis4 is None:
            raise VolumeError(
                f"{path} has a {number}th axis of length {n}; say what it is with "
                f'axis4="channels" or axis4="time" (and time=0 to {n - 1}).'
            )
        if axis4 == "channels":
            if dtype.names:
                raise VolumeError(f'{path} holds RGB voxels over time; use axis4="time".')
            return Block(file, dtype, (*spatial, n), offset), True
        n_times = n
    check_time(path, time, n_times)
    # The first axis runs fastest, so that one time point is one block of its own.
    offset += time * math.prod(spatial) * dtype.itemsize
    return Block(file, dtype, spatial, offset), bool(dtype.names)


def _voxel_file(path: Path, header: Any) -> tuple[Path, int]:
    """Return the file with the voxels and where they start in it."""
    offset = int(header["vox_offset"])
    if header["magic"].item()[:2] == b"n+":
        return path, max(offset, header.single_vox_offset)
    name = path.name.lower()
    if name.endswith((".hdr", ".hdr.gz")):
        stem = path.name[: name.rindex(".hdr")]
        for extension in (".img", ".img.gz", ".IMG"):
            image = path.with_name(stem + extension)
            if image.is_file():
                return image, max(offset, 0)
    raise VolumeError(
        f"{path} is the header of a pair of files, but no image (.img) stands beside it; "
        "put both into one folder and open the .hdr file."
    )


def _read_block(block: Block) -> NDArray[Any]:
    n_bytes = math.prod(block.shape) * block.dtype.itemsize
    on_disk = block.path.stat().st_size
    with open_maybe_gzip(block.path) as file:
        if block.offset + n_bytes > on_disk * (
            _MOST_DEFLATE if isinstance(file, gzip.GzipFile) else 1
        ):
            raise VolumeError(
                f"{block.path} is cut short: its header promises {n_bytes} bytes of voxels, "
                f"more than the file of {on_disk} bytes can hold; copy or export it again."
            )
        if not isinstance(file, gzip.GzipFile):
            return np.memmap(
                block.path, block.dtype, "c", block.offset, shape=block.shape, order="F"
            )
        values = np.empty(block.shape, block.dtype, order="F")
        file.seek(block.offset)
        _fill(file, values.T.reshape(-1).view(np.uint8).data)
        while file.read(1 << 20):
            pass  # only at the end of the stream does gzip compare its checksum
    return values


def _fill(file: gzip.GzipFile, target: memoryview) -> None:
    done = 0
    while done < len(target):
        n = file.readinto(target[done : done + (1 << 24)])
        if n == 0:
            raise EOFError(f"the voxels end after {done} of {len(target)} bytes")
        done += n


def _scaled(stored: NDArray[Any], header: Any) -> NDArray[Any]:
    """Apply slope and intercept (float32) and bring other types to the machine's byte order."""
    dtype = stored.dtype
    if dtype.names:
        return stored
    slope, inter = header.get_slope_inter()
    if slope is not None and (slope, inter) != (1.0, 0.0):
        result = np.empty(stored.shape, np.float32, order="F")
        for index in range(stored.shape[-1]):  # slab by slab: double precision, little memory
            result[..., index] = stored[..., index] * np.float64(slope) + inter
        return result
    if dtype.kind == "f" and dtype.itemsize > 8:
        return stored.astype(np.float64)
    return stored if dtype.isnative else stored.astype(dtype.newbyteorder("="))


def _finite_notes(stored: NDArray[Any]) -> list[str]:
    if stored.dtype.kind != "f":
        return []
    n_nan = n_inf = 0
    for index in range(stored.shape[-1]):
        slab = stored[..., index]
        odd = slab[~np.isfinite(slab)]
        n_nan += int(np.isnan(odd).sum())
        n_inf += int(np.isinf(odd).sum())
    if not n_nan and not n_inf:
        return []
    return [f"{n_nan} voxels are not a number and {n_inf} are infinite; they are kept as stored."]
