"""Pictures (PNG, JPEG) and NumPy files: arrays without a place in a patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.volume import Source, Volume, check_numeric, zyx_spacing

_EXIF_ORIENTATION = 0x0112
_GREY = ("1", "L", "LA", "La", "I", "F")


def read_picture(path: Path, spacing: Sequence[float] | None = None) -> Volume:
    """Read a PNG or JPEG picture as one slice.

    Parameters
    ----------
    path
        The file.
    spacing
        Pixel size (y, x) in mm; pictures do not state it reliably.

    Returns
    -------
    Volume
        (1, y, x) uint8 or uint16 for grey, (3, 1, y, x) uint8 for colour, pixels as stored.

    Raises
    ------
    VolumeError
        Where the file is damaged, or unfolds into more pixels than Pillow holds safe.
    """
    with decoding(path, "a picture"), Image.open(path, formats=("PNG", "JPEG")) as image:
        notes = _notes(path, image)
        values = _pixels(image)
        names: tuple[str, ...] = ()
        if values.ndim == 3:
            values, names = values.transpose(2, 0, 1)[:, None], ("red", "green", "blue")
        else:
            values = values[None]
        grid = _plain_grid(values.shape[-3:], spacing)
        return Volume(
            values, grid, channel_names=names, source=Source("raster", str(path)), notes=notes
        )


def _pixels(image: Image.Image) -> NDArray[Any]:
    """Return (y, x) or (y, x, 3) as stored, without alpha and with palettes expanded."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)  # native byte order
    if image.mode in ("I", "F"):
        return np.asarray(image)
    return np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))


def _notes(path: Path, image: Image.Image) -> tuple[str, ...]:
    notes = []
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        notes.append("The alpha channel is left out.")
    if image.mode == "CMYK":
        notes.append("Printing colours (CMYK) are converted to red, green and blue.")
    if image.format == "PNG" and image.mode in ("LA", "RGB", "RGBA"):
        with path.open("rb") as file:
            if file.read(25)[24] == 16:  # IHDR: bits per sample
                notes.append("Of 16 bits per channel the upper 8 are read.")
    n_frames = getattr(image, "n_frames", 1)
    if n_frames > 1:
        notes.append(f"The file holds {n_frames} pictures, of which the first is read.")
    turned = image.getexif().get(_EXIF_ORIENTATION, 1)
    if turned not in (0, 1):
        notes.append(
            f"The camera asks viewers to turn this picture (EXIF orientation {turned}); "
            "pixels are kept as stored."
        )
    return tuple(notes)


def read_npy(path: Path, spacing: Sequence[float] | None = None) -> Volume:
    """Read a NumPy file (y, x) or (z, y, x), mapped rather than loaded.

    Parameters
    ----------
    path
        The ``.npy`` file. Pickled objects are refused.
    spacing
        Voxel size (z, y, x) or (y, x) in mm.

    Raises
    ------
    VolumeError
        Where the file is damaged or holds no two or three axes of real numbers.
    """
    with decoding(path, "a NumPy array"):
        values = np.load(path, mmap_mode="c", allow_pickle=False)
        check_numeric(values.dtype)
        if values.ndim not in (2, 3):
            raise VolumeError(
                f"{path} holds an array of shape {values.shape}, not (y, x) or (z, y, x); "
                "load it with NumPy and use Volume.from_array with channel_axis."
            )
        if values.ndim == 2:
            values = values[None]
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        grid = _plain_grid(values.shape, spacing)
        return Volume(values, grid, source=Source("array", str(path)))


def _plain_grid(shape: tuple[int, ...], spacing: Sequence[float] | None) -> Grid:
    z, y, x = (int(n) for n in shape)
    if spacing is None:
        return Grid.plain((z, y, x))
    return Grid.plain((z, y, x), zyx_spacing(spacing, (z, y, x)), "mm")
