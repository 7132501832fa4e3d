"""Decoding of compressed DICOM pixels: JPEG (also lossless and 12 bits), JPEG-LS, JPEG 2000.

imagecodecs does the work; here a frame's header is read before, so that nothing is unfolded that
is not of the stated size, and so that colours and signs come out as the DICOM header means them.
pydicom itself reads uncompressed and RLE pixels alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space

from napari_cam.volumes.dicom.headers import DicomFile

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)

# Markers of JPEG frames that are lossless (not lossy), and names of their parts that mean RGB.
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_RGB_LETTERS = (b"RGB", b"rgb")


@dataclass(frozen=True)
class _Stated:
    """What a JPEG or JPEG-LS stream states of itself."""

    marker: int
    precision: int
    rows: int
    columns: int
    parts: bytes
    jfif: bool
    adobe: int | None


def is_compressed_here(file: DicomFile) -> bool:
    """Whether :func:`decode_frame` is what reads a file's pixels."""
    return file.transfer_syntax in (*_JPEG, *_JPEG_LS, *_JPEG_2000)


def is_readable(file: DicomFile) -> bool:
    """Whether a file's pixels can be read at all."""
    if is_compressed_here(file):
        return True
    try:
        return get_decoder(file.transfer_syntax).is_available
    except NotImplementedError:
        return False


def decode_frame(source: bytes, file: DicomFile) -> NDArray[Any]:
    """Return the stored pixels of one compressed frame.

    Parameters
    ----------
    source
        The frame as it stands in the file.
    file
        What the file's header states.

    Returns
    -------
    ndarray
        (rows, columns), or (rows, columns, 3) of red, green and blue.

    Raises
    ------
    ValueError
        Where the frame is not of the size that the header states, or is damaged.
    """
    if file.transfer_syntax in _JPEG_2000:
        return _jpeg_2000(source, file)
    stated = _jpeg_header(source)
    _check_size(file, stated.rows, stated.columns)
    if file.transfer_syntax in _JPEG_LS:
        return _right(np.asarray(imagecodecs.jpegls_decode(source)), file, stated.precision)
    return _jpeg(source, stated, file)


def _check_size(file: DicomFile, rows: int, columns: int) -> None:
    """Raise before memory is asked for where a frame is not of the size that the header states."""
    if (rows, columns) != (file.rows, file.columns):
        raise ValueError(
            f"a frame of {rows} x {columns} pixels in an image of {file.rows} x {file.columns}"
        )


def _jpeg_2000(source: bytes, file: DicomFile) -> NDArray[Any]:
    start = source.find(b"\xff\x4f\xff\x51")  # where a header of boxes stands in front
    if start < 0 or len(source) < start + 43:
        raise ValueError("a frame without a JPEG 2000 header")
    x, y, x0, y0 = np.frombuffer(source, ">u4", 4, start + 8).tolist()
    _check_size(file, y - y0, x - x0)
    precision = (source[start + 42] & 0x7F) + 1
    pixels = np.asarray(imagecodecs.jpeg2k_decode(source[start:]))
    return _right(pixels, file, precision)


def _jpeg(source: bytes, stated: _Stated, file: DicomFile) -> NDArray[Any]:
    if file.samples == 1 or stated.marker in _LOSSLESS:
        # Equal names: no conversion. What lossless colours mean, the DICOM header says.
        space = "GRAYSCALE" if file.samples == 1 else "RGB"
        pixels = imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space)
        return _right(np.asarray(pixels), file, file.bits_stored)
    if stated.adobe is not None:
        luminance = stated.adobe != 0
    else:
        in_dicom = file.photometric.startswith("YBR") and stated.parts not in _RGB_LETTERS
        luminance = stated.jfif or in_dicom
    space = "YCBCR" if luminance else "RGB"
    return np.asarray(imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace="RGB"))


def _right(pixels: NDArray[Any], file: DicomFile, precision: int) -> NDArray[Any]:
    """Return decoded pixels with the sign and the colours that the DICOM header states."""
    if file.photometric in ("YBR_FULL", "YBR_FULL_422"):
        return convert_color_space(pixels, "YBR_FULL", "RGB")
    unused = 8 * pixels.dtype.itemsize - min(precision, file.bits_stored)
    if file.signed and pixels.dtype.kind == "u":
        signed = pixels.view(pixels.dtype.str.replace("u", "i"))
        return signed << unused >> unused if unused > 0 else signed
    if not file.signed and pixels.dtype.kind == "i":
        unsigned = pixels.view(pixels.dtype.str.replace("i", "u"))
        return unsigned << unused >> unused if unused > 0 else unsigned
    return pixels


def _jpeg_header(source: bytes) -> _Stated:
    """Return what stands before the compressed pixels."""
    jfif, adobe, at = False, None, 2
    while at + 4 <= len(source) and source[at] == 0xFF:
        marker, length = source[at + 1], int.from_bytes(source[at + 2 : at + 4], "big")
        body = source[at + 4 : at + 2 + length]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xE0 and body.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif _starts_frame(marker) and len(body) >= 6:
            rows, columns = (int.from_bytes(body[n : n + 2], "big") for n in (1, 3))
            return _Stated(marker, body[0], rows, columns, body[6::3], jfif, adobe)
        at += 2 + length
    raise ValueError("a frame without a JPEG header")


def _starts_frame(marker: int) -> bool:
    return marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
