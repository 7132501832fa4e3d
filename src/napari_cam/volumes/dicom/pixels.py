"""From stored DICOM pixels to real values: decoding, scaling, white bones, colours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import UID

from napari_cam.errors import VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.codecs import decode_frame, is_compressed_here, is_readable
from napari_cam.volumes.dicom.files import check_inflated, quiet, state_encoding
from napari_cam.volumes.dicom.headers import DicomFile
from napari_cam.volumes.dicom.planes import Plane
from napari_cam.volumes.volume import Window

# A file that unfolds into more than this, and by more than this factor, is taken for damaged.
_MOST_BYTES = 64 << 20
_MOST_RATIO = 2000
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_INTEGERS = ("i2", "i4", "i8")


def read_pixels(planes: Sequence[Plane]) -> NDArray[Any]:
    """Return the values of planes of one size.

    Parameters
    ----------
    planes
        In the wanted order, after :func:`check_promises`.

    Returns
    -------
    ndarray
        (n, rows, columns), with a last axis of red, green and blue for colours. Integers stay
        integers where slopes are 1 and intercepts whole, in a type that holds what the headers
        allow; other values are float32. The largest value is white.

    Raises
    ------
    VolumeError
        Where a file is cut short, damaged, or compressed in a way that cannot be read.
    """
    wanted: dict[DicomFile, list[int]] = defaultdict(list)
    for index, plane in enumerate(planes):
        wanted[plane.file].append(index)
    out: NDArray[Any] | None = None
    for file, indices in wanted.items():
        with decoding(file.path, "DICOM"), quiet(), np.errstate(over="raise"):
            frames = stored_frames(file, [planes[index].frame for index in indices])
            for index, (stored, dataset) in zip(indices, frames, strict=True):
                values = _values(planes[index], stored, dataset)
                if out is None:
                    out = np.empty((len(planes), *values.shape), _first_type(planes, values))
                if values.shape != out.shape[1:]:
                    raise VolumeError(
                        f"{file.path} holds an image of shape {values.shape}, others of its series "
                        f"{out.shape[1:]}; leave it out."
                    )
                if not _fits(values, out.dtype):
                    wider = np.promote_types(out.dtype, values.dtype)
                    out = out.astype(wider if file.colour or file.lut else value_type(planes))
                out[index] = values
    if out is None:
        raise VolumeError("There are no images to read.")
    return out


def _first_type(planes: Sequence[Plane], values: NDArray[Any]) -> np.dtype[Any]:
    """Return the type to begin with: 16 bits for Hounsfield units, which nearly always suffice."""
    file = planes[0].file
    if file.colour or file.lut:
        return values.dtype
    widest = value_type(planes)
    narrow = widest == np.int32 and file.bits_allocated <= 16
    return np.dtype(np.int16) if narrow else widest


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    if dtype.kind not in "iu" or np.can_cast(values.dtype, dtype):
        return True
    return bool(np.iinfo(dtype).min <= values.min() and values.max() <= np.iinfo(dtype).max)


def check_promises(planes: Sequence[Plane]) -> None:
    """Raise before memory is asked for where a file cannot hold the pixels that it promises.

    Raises
    ------
    VolumeError
        Also where pixels are encoded in a way that cannot be read.
    """
    for file in dict.fromkeys(plane.file for plane in planes):
        _check_promise(file)


def _check_promise(file: DicomFile) -> None:
    bits = file.rows * file.columns * file.samples * file.bits_allocated * file.n_frames
    promised, on_disk = bits // 8, file.path.stat().st_size
    syntax = UID(file.transfer_syntax)
    if not is_readable(file):
        raise VolumeError(
            f"The pixels of {file.path} are encoded in a way that cannot be read here "
            f"({syntax.name[:80]}); export it again uncompressed, or as JPEG 2000."
        )
    compressed = syntax.is_encapsulated or syntax.is_deflated
    most = max(_MOST_BYTES, _MOST_RATIO * on_disk) if compressed else on_disk
    if file.colour and not compressed:
        most *= 2  # halved colours (4:2:2) unfold
    if promised > most:
        raise VolumeError(
            f"{file.path} is cut short: its header promises {promised} bytes of pixels, more than "
            f"a file of {on_disk} bytes can hold; copy or export it again."
        )


def stored_frames(file: DicomFile, frames: Sequence[int]) -> Iterator[tuple[NDArray[Any], Any]]:
    """Yield the stored pixels of frames, and the dataset.

    Raises
    ------
    VolumeError
        Where the file is cut short or damaged.
    """
    check_inflated(file.path)
    dataset = pydicom.dcmread(file.path, force=True)
    if not any(name in dataset for name in _PIXELS):
        raise VolumeError(
            f"{file.path} is cut short: it ends before its pixels; copy or export it again."
        )
    state_encoding(dataset)
    # What files leave out, stated for the decoder.
    dataset.setdefault("SamplesPerPixel", 1)
    dataset.setdefault("PhotometricInterpretation", "MONOCHROME2")
    if not file.real:
        dataset.setdefault("BitsStored", file.bits_stored)
        dataset.setdefault("PixelRepresentation", 0)
    for pixels in _stored(dataset, file, frames):
        if pixels.shape[:2] != (file.rows, file.columns):
            raise VolumeError(f"An image unfolds into shape {pixels.shape}; export it again.")
        yield pixels, dataset


def _stored(dataset: Any, file: DicomFile, frames: Sequence[int]) -> Iterator[NDArray[Any]]:
    if file.bits_allocated == 1 and not UID(file.transfer_syntax).is_encapsulated:
        yield from _bits(dataset, file, frames)
        return
    if not is_compressed_here(file):
        decoder = get_decoder(file.transfer_syntax)
        for pixels, _ in decoder.iter_array(dataset, indices=frames, allow_excess_frames=False):
            yield pixels
        return
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    for frame in frames:
        yield decode_frame(
            get_frame(
                dataset.PixelData, frame, number_of_frames=file.n_frames, extended_offsets=offsets
            ),
            file,
        )


def _bits(dataset: Any, file: DicomFile, frames: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield frames of single bits, which need not begin with a byte: pydicom takes all or none."""
    size = file.rows * file.columns
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    for frame in frames:
        first = frame * size
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        pixels = bits[first % 8 : first % 8 + size]
        if pixels.size < size:
            raise VolumeError(f"{file.path} is cut short; copy or export it again.")
        yield pixels.reshape(file.rows, file.columns)


def _values(plane: Plane, stored: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Return one image's real values: (rows, columns), or (rows, columns, 3) for colours."""
    file = plane.file
    if file.colour:
        if stored.ndim == 2:
            stored = apply_color_lut(stored, dataset)
        if stored.shape[2] not in (3, 4):
            raise VolumeError(f"Its colours have {stored.shape[2]} parts, not 3.")
        return stored[..., :3]
    if stored.ndim != 2:
        raise VolumeError(f"Its grey values have {stored.shape[2]} parts, not 1.")
    if stored.dtype.kind == "f":
        return stored if _is_plain(plane) else _scaled(plane, stored)
    if file.inverted:
        # Wide enough for the sum of the smallest and the largest stored value.
        stored = sum(stored_range(file)) - stored.astype(np.int64)
    if file.lut:
        table = apply_modality_lut(np.clip(stored, *stored_range(file)), dataset)
        return np.asarray(table)
    return stored if _is_plain(plane) else _scaled(plane, stored)


def _is_plain(plane: Plane) -> bool:
    return (plane.slope, plane.intercept) == (1.0, 0.0)


def _scaled(plane: Plane, stored: NDArray[Any]) -> NDArray[Any]:
    if _is_whole(plane):
        return stored.astype(np.int64) + int(plane.intercept)
    return (stored * np.float64(plane.slope) + plane.intercept).astype(np.float32)


def _is_whole(plane: Plane) -> bool:
    whole = plane.slope == 1.0 and plane.intercept.is_integer()
    return whole and not plane.file.real and abs(plane.intercept) < 2**31


def stored_range(file: DicomFile) -> tuple[int, int]:
    """Return the smallest and the largest value that can be stored."""
    if file.signed:
        return -(1 << file.bits_stored - 1), (1 << file.bits_stored - 1) - 1
    return 0, (1 << file.bits_stored) - 1


def value_type(planes: Sequence[Plane]) -> np.dtype[Any]:
    """Return the type that holds the values of all planes: as stored, wider, or float32."""
    files = dict.fromkeys(plane.file for plane in planes)
    if any(file.real for file in files):
        double = all(file.bits_allocated == 64 for file in files)
        return np.dtype(np.float64 if double else np.float32)
    if not all(map(_is_whole, planes)):
        return np.dtype(np.float32)
    low = min(stored_range(plane.file)[0] + int(plane.intercept) for plane in planes)
    high = max(stored_range(plane.file)[1] + int(plane.intercept) for plane in planes)
    first = next(iter(files))
    own = f"{'i' if first.signed else 'u'}{max(first.bits_allocated, 8) // 8}"
    for name in (own, *_INTEGERS):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return np.dtype(name)
    return np.dtype(np.float32)


def windows_of(plane: Plane) -> tuple[Window, ...]:
    """Return a plane's presets for display, in the values that reading yields."""
    if plane.file.colour:
        return ()
    if not plane.file.inverted or plane.file.lut:
        return plane.windows
    turned = sum(stored_range(plane.file)) * plane.slope + 2 * plane.intercept
    return tuple(replace(each, center=turned - each.center) for each in plane.windows)


def pixel_notes(planes: Sequence[Plane], values: NDArray[Any]) -> list[str]:
    """Return what reading had to decide on values, in sentences without names."""
    notes = []
    files = dict.fromkeys(plane.file for plane in planes)
    if any(file.inverted and not file.real for file in files):
        notes.append("Dark and bright are exchanged (MONOCHROME1), so that bones are bright.")
    if len({plane.slope for plane in planes}) > 1:
        notes.append("Slices are scaled by different slopes.")
    first = planes[0]
    if first.file.padding is not None and not first.file.colour and not first.file.lut:
        padding = _padding(first)
        if len({_padding(plane) for plane in planes}) == 1 and bool((values == padding).any()):
            notes.append(f"Voxels of value {padding:g} lie outside what was scanned (padding).")
    return notes


def _padding(plane: Plane) -> float:
    """Return the value that padding has after reading, NaN where none is stated."""
    file = plane.file
    if file.padding is None:
        return math.nan
    low, high = stored_range(file)
    stored = file.padding
    if file.signed and stored > high:
        stored -= 1 << file.bits_allocated  # stated as if it were unsigned
    if file.inverted:
        stored = low + high - stored
    return float(np.float32(stored * plane.slope + plane.intercept))
