"""How many time points, or whatever lies beyond space, a file holds."""

from __future__ import annotations

import os
from pathlib import Path

import tifffile

from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.nifti import (
    HEADER_BYTES,
    header_class,
    open_maybe_gzip,
    parse_header,
    stored_shape,
)


def count_times(path: str | os.PathLike[str]) -> int:
    """Return the length of the axis that ``read_volume(..., axis4="time", time=)`` walks along.

    Parameters
    ----------
    path
        An image file; a NIfTI file's ``.hdr``.

    Returns
    -------
    int
        1 where the file has no such axis, or is of a family that knows none.

    Raises
    ------
    VolumeError
        Where the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        return 1
    with decoding(path, "an image"), open_maybe_gzip(path) as file:
        head = file.read(HEADER_BYTES)
    with decoding(path, "an image"):
        if header_class(head) is not None:
            header, _ = parse_header(path, head)
            return max(stored_shape(path, header)[3:], default=1)
        if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            with tifffile.TiffFile(path) as tif:
                series = tif.series[0]
                return int(series.shape[series.axes.index("T")]) if "T" in series.axes else 1
    return 1
