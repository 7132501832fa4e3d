"""Decoding of compressed DICOM pixels: JPEG (also lossless and 12 bits), JPEG-LS, JPEG 2000.

pydicom takes frames out of their envelope and calls a plugin, which is this module; imagecodecs
does the work. pydicom's own decoders cover RLE and uncompressed pixels, but of JPEG only what
other packages bring, of which those for lossless JPEG are under licences that would bind users.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import Decoder, DecodeRunner, get_decoder

_JPEG = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)

DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), ("imagecodecs",))
"""Which transfer syntaxes this plugin decodes (the name is pydicom's)."""

_LOSSLESS_FRAMES = (0xC3, 0xC7, 0xCB, 0xCF)
_RGB_LETTERS = ([82, 71, 66], [114, 103, 98])


def is_available(transfer_syntax: str) -> bool:
    """Whether this plugin decodes a transfer syntax (the name is pydicom's)."""
    return transfer_syntax in DECODER_DEPENDENCIES


@cache
def decoder_of(transfer_syntax: str) -> Decoder | None:
    """Return a decoder of our own, None where the transfer syntax cannot be decoded.

    pydicom's shared ones stay as they are: other programs in this process use them.
    """
    syntax = uid.UID(transfer_syntax)
    if is_available(syntax):
        decoder = Decoder(syntax)
        decoder.add_plugin("imagecodecs", (__name__, "decode_frame"))
        return decoder
    try:
        return get_decoder(syntax)  # RLE and uncompressed pixels, which pydicom itself reads
    except NotImplementedError:
        return None


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the pixels of one compressed frame, colours by pixel.

    Raises
    ------
    ValueError
        Where the frame is damaged, or is not of the size that the header states.
    """
    source = bytes(source)
    syntax = runner.transfer_syntax
    if syntax in _JPEG_2000:
        pixels = _jpeg_2000(source, runner)
    else:
        stated = _jpeg_header(source)
        _check_size(runner, stated["rows"], stated["columns"])
        if syntax in _JPEG_LS:
            pixels = imagecodecs.jpegls_decode(source)
        else:
            pixels = _jpeg(source, stated, runner)
    if pixels.size != runner.rows * runner.columns * runner.samples_per_pixel:
        raise ValueError(f"it unfolds into pixels of shape {pixels.shape}")
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    return np.ascontiguousarray(pixels).tobytes()


def _check_size(runner: DecodeRunner, rows: int, columns: int) -> None:
    """Raise before memory is asked for where a frame is not of the size that the header states."""
    if (rows, columns) != (runner.rows, runner.columns):
        raise ValueError(
            f"a frame of {rows} x {columns} pixels in an image of {runner.rows} x {runner.columns}"
        )


def _jpeg_2000(source: bytes, runner: DecodeRunner) -> NDArray[Any]:
    start = source.find(b"\xff\x4f\xff\x51")  # where a header of boxes stands in front
    if start < 0 or len(source) < start + 24:
        raise ValueError("no JPEG 2000 header")
    numbers = np.frombuffer(source, ">u4", 4, start + 8).tolist()
    _check_size(runner, numbers[1] - numbers[3], numbers[0] - numbers[2])
    pixels: NDArray[Any] = imagecodecs.jpeg2k_decode(source[start:])
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")  # undone as part of the decoding
    return pixels


def _jpeg(source: bytes, stated: dict[str, Any], runner: DecodeRunner) -> NDArray[Any]:
    if runner.samples_per_pixel == 1 or stated["marker"] in _LOSSLESS_FRAMES:
        # Equal names: no conversion. What lossless samples mean, the DICOM header says.
        space = "GRAYSCALE" if runner.samples_per_pixel == 1 else "RGB"
        return np.asarray(imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space))
    if stated["adobe"] is not None:
        ybr = stated["adobe"] != 0
    else:
        ybr = stated["jfif"] or (
            stated["components"] not in _RGB_LETTERS
            and str(runner.photometric_interpretation).startswith("YBR")
        )
    pixels = imagecodecs.jpeg8_decode(
        source, colorspace="YCBCR" if ybr else "RGB", outcolorspace="RGB"
    )
    runner.set_option("photometric_interpretation", "RGB")
    return np.asarray(pixels)


def _jpeg_header(source: bytes) -> dict[str, Any]:
    """Return what a JPEG or JPEG-LS stream states of its size and colours."""
    found: dict[str, Any] = {"jfif": False, "adobe": None}
    at = 2
    while at + 4 <= len(source):
        if source[at] != 0xFF:
            raise ValueError("no JPEG header")
        marker, length = source[at + 1], int.from_bytes(source[at + 2 : at + 4], "big")
        body = source[at + 4 : at + 2 + length]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xE0 and body.startswith(b"JFIF"):
            found["jfif"] = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            found["adobe"] = body[11]
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            if len(body) < 6:
                break
            found |= {
                "marker": marker,
                "rows": int.from_bytes(body[1:3], "big"),
                "columns": int.from_bytes(body[3:5], "big"),
                "components": list(body[6::3]),
            }
            return found
        at += 2 + length
    raise ValueError("no JPEG header")
