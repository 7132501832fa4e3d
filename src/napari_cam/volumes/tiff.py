"""TIFF, OME-TIFF and ImageJ's TIFF, with the voxel size that each states in its own way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.volume import Source, Volume, check_numeric, check_time, zyx_spacing

# Units of length in mm, as OME-XML, ImageJ and people write them.
_MM = {
    "pm": 1e-9, "Å": 1e-7, "nm": 1e-6, "nanometer": 1e-6,
    "µm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3,
    "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0,
    "m": 1000.0, "meter": 1000.0, "in": 25.4, "inch": 25.4,
}  # fmt: skip
# Dots per inch that programs write as a default for printing: they say nothing of the sample.
_PRINT_DPI = (1, 72, 96, 100, 120, 144, 150, 200, 240, 254, 300, 400, 600, 1200)
# A file that unfolds into more than this, and by more than this factor, is taken for damaged.
_MOST_BYTES = 64 << 20
_MOST_RATIO = 2000
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class _Sizes:
    """Voxel size in mm; `z` is None where only the pixel is stated."""

    x: float
    y: float
    z: float | None = None


def read_tiff(
    path: Path,
    axis4: Literal["channels", "time"] | None = None,
    time: int = 0,
    spacing: Sequence[float] | None = None,
) -> Volume:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path
        The file.
    axis4
        "time" where the file has a time axis, of which one point is read.
    time
        Which time point.
    spacing
        Voxel size (z, y, x) in mm, or (y, x) for a single slice, in place of the stated one.

    Returns
    -------
    Volume
        (z, y, x) or (c, z, y, x) as stored; its unit is "mm" where a voxel size is known, else
        "pixel".

    Raises
    ------
    VolumeError
        Where the file is damaged or its axes are not those of a volume.
    """
    with decoding(path, "TIFF"), tifffile.TiffFile(path) as tif:
        if not tif.series:
            raise VolumeError(f"{path} is a TIFF file without an image; export it again.")
        series = tif.series[0]
        check_numeric(series.dtype)
        axes = _plain_axes(path, series, axis4)
        check_time(path, time, series.shape[axes.index("T")] if "T" in axes else 1)
        _check_whole(path, tif, series)
        values = _decoded(path, series)
        if "T" in axes:
            values = values.take(time, axes.index("T"))
            axes = axes.replace("T", "")
        values = _to_czyx(values, axes)
        names = _channel_names(tif, series, len(values)) if "C" in axes else ()
        notes = _content_notes(tif, series)
        if "C" not in axes:
            values = values[0]
        elif _has_alpha(series):
            values, names = values[:-1], names[:-1]
            notes.append("The alpha channel is left out.")
        shape = (int(values.shape[-3]), int(values.shape[-2]), int(values.shape[-1]))
        grid = _grid(tif, series, shape, spacing, notes)
        return Volume(
            values, grid, channel_names=names, source=Source("tiff", str(path)), notes=tuple(notes)
        )


def _plain_axes(path: Path, series: Any, axis4: str | None) -> str:
    """Return the series' axes in the letters T, C, Z, Y, X, in stored order.

    Pages without a stated meaning (tifffile's I and Q) are slices, samples (S) are channels.
    """
    stored = str(series.axes)
    axes = stored.translate(str.maketrans("IQS", "ZZC"))
    if not set("YX") <= set(axes) <= set("TCZYX") or len(set(axes)) < len(axes):
        raise VolumeError(
            f"{path} has axes {stored} of length {tuple(series.shape)}; a volume has Y and X, and "
            "at most one each of Z, C (or S) and T: save such a part of it."
        )
    if "T" in axes and axis4 != "time":
        raise VolumeError(
            f"{path} has a time axis of length {series.shape[axes.index('T')]} (axes {stored}); "
            'choose a point with axis4="time" and time=.'
        )
    return axes


def _check_whole(path: Path, tif: tifffile.TiffFile, series: Any) -> None:
    """Raise where the file promises more than it can hold, or planes lie in missing files."""
    n_bytes, on_disk = int(series.nbytes), int(tif.filehandle.size)
    if n_bytes > max(_MOST_BYTES, _MOST_RATIO * on_disk):
        raise VolumeError(
            f"{path} promises {n_bytes} bytes of pixels in a file of {on_disk} bytes, "
            "so it is damaged or cut short; copy or export it again."
        )
    if series.kind == "ome":
        missing = sum(page is None for page in series)
        if missing:
            raise VolumeError(
                f"{path} lacks {missing} of its planes, which its OME-XML expects in other files; "
                "put all files of the image into one folder."
            )


def _decoded(path: Path, series: Any) -> NDArray[Any]:
    try:
        values = np.asarray(series.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        name = series.keyframe.compression.name
        raise VolumeError(
            f"{path} is compressed with {name}, which needs one more package; "
            "install it with: pip install imagecodecs."
        ) from error
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _to_czyx(values: NDArray[Any], axes: str) -> NDArray[Any]:
    """Return values with stored `axes` as a view (c, z, y, x)."""
    order = [axes.index(letter) for letter in "CZYX" if letter in axes]
    values = values.transpose(order)
    if "Z" not in axes:
        values = values[..., None, :, :]
    return values if "C" in axes else values[None]


def _channel_names(tif: tifffile.TiffFile, series: Any, n: int) -> tuple[str, ...]:
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.RGB and str(series.axes)[-1] == "S":
        return _COLOURS + tuple(f"channel {index + 1}" for index in range(3, n))
    pixels = _ome_pixels(tif)
    if pixels is not None:
        names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
        if len(names) == n and all(names):
            return tuple(str(name) for name in names)
    return tuple(f"channel {index + 1}" for index in range(n))


def _has_alpha(series: Any) -> bool:
    """Whether the last of several interleaved samples is opacity.

    Planes of their own keep all samples: tifffile calls any stack of 4 slices RGB with alpha.
    """
    extra = series.keyframe.extrasamples
    alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    return str(series.axes)[-1] == "S" and bool(extra) and extra[-1] in alpha


def _content_notes(tif: tifffile.TiffFile, series: Any) -> list[str]:
    notes = []
    if len(tif.series) > 1:
        notes.append(f"The file holds {len(tif.series)} images, of which the first is read.")
    if set(series.axes) & set("IQ"):
        notes.append("The file does not say what its pages are; they are taken for slices.")
    if "S" in series.axes[:-1]:
        notes.append(
            "The file calls its planes colours; if they are slices, write it anew with axes ZYX."
        )
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        notes.append("White is stored as zero (MINISWHITE); values are kept as stored.")
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
        notes.append("Values are the indices of the stored colour table.")
    return notes


def _grid(
    tif: tifffile.TiffFile,
    series: Any,
    shape: tuple[int, int, int],
    spacing: Sequence[float] | None,
    notes: list[str],
) -> Grid:
    if spacing is not None:
        return Grid.plain(shape, zyx_spacing(spacing, shape), "mm")
    sizes = _ome_sizes(tif) or _imagej_sizes(tif, series) or _tag_sizes(series, notes)
    if sizes is None:
        return Grid.plain(shape)
    if sizes.z is None and shape[0] > 1:
        notes.append(
            "The file states no distance between slices; the pixel size is taken (give spacing=)."
        )
    return Grid.plain(shape, (sizes.z or sizes.x, sizes.y, sizes.x), "mm")


def _ome_pixels(tif: tifffile.TiffFile) -> ET.Element | None:
    if not tif.ome_metadata:
        return None
    # expat bounds the expansion of entities itself, and external ones are never fetched.
    root = ET.fromstring(tif.ome_metadata)  # noqa: S314
    return root.find("{*}Image/{*}Pixels")


def _ome_sizes(tif: tifffile.TiffFile) -> _Sizes | None:
    pixels = _ome_pixels(tif)
    if pixels is None:
        return None
    x, y, z = (
        _in_mm(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "XYZ"
    )
    return _Sizes(x, y, z) if x and y else None


def _imagej_sizes(tif: tifffile.TiffFile, series: Any) -> _Sizes | None:
    """Return sizes from ImageJ's keys, which tifffile also keeps for its own files."""
    facts = tif.imagej_metadata or next(iter(tif.shaped_metadata or ()), {})
    unit = str(facts.get("unit", ""))
    x, y = (_in_mm(size, unit) for size in _resolution(series))
    return _Sizes(x, y, _in_mm(facts.get("spacing"), unit)) if x and y else None


def _tag_sizes(series: Any, notes: list[str]) -> _Sizes | None:
    """Return sizes from the resolution tags, unless they are a printing default."""
    tag = series.keyframe.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag else 0, "")
    x, y = (_in_mm(size, unit) for size in _resolution(series))
    if not x or not y:
        return None
    dpi = 25.4 / x
    if any(math.isclose(dpi, usual, rel_tol=2e-3) for usual in _PRINT_DPI):
        notes.append(
            f"The file's resolution of {dpi:.0f} dots per inch looks like a setting for printing "
            "and is not used (give spacing=)."
        )
        return None
    return _Sizes(x, y)


def _resolution(series: Any) -> tuple[float | None, float | None]:
    """Return the size of a pixel along x and y in the (elsewhere stated) resolution unit."""
    sizes: list[float | None] = []
    for name in ("XResolution", "YResolution"):
        tag = series.keyframe.tags.get(name)
        count, per = tag.value if tag else (0, 0)
        sizes.append(per / count if count else None)
    return sizes[0], sizes[1]


def _in_mm(size: Any, unit: str) -> float | None:
    """Return a stated size in mm, None where size or unit is missing or makes no sense."""
    # Both signs for micro are in use, and ImageJ writes one of them as an escape.
    unit = unit.strip().replace("\\u00B5", "µ").replace("μ", "µ")
    scale = _MM.get(unit, _MM.get(unit.lower()))
    if scale is None or size is None:
        return None
    try:
        millimetres = float(size) * scale
    except ValueError:
        return None
    return millimetres if 0 < millimetres < math.inf else None
