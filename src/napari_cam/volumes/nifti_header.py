"""The header of a NIfTI file: its bytes, its meaning, and where it puts the voxels."""

from __future__ import annotations

import gzip
import io
import logging
import math
import struct
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from nibabel import nifti1, nifti2
from numpy.typing import NDArray

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid, patient_grid

HEADER_BYTES = 540
"""Enough to hold the header of either version (348 or 540 bytes)."""

_FREE_TEXT = ("data_type", "db_name", "descrip", "aux_file", "intent_name", "unused_str")
_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}

ByteOrder = Literal["<", ">"]

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())


def open_maybe_gzip(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open `path` for reading, through gzip where its first bytes say so (names may lie)."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")


def header_class(raw: bytes) -> tuple[type[nifti1.Nifti1Header], ByteOrder] | None:
    """Return nibabel's header class and the byte order of a header, None where it is none."""
    if len(raw) < 4:
        return None
    orders: tuple[ByteOrder, ...] = ("<", ">")
    for order in orders:
        size = struct.unpack(f"{order}i", raw[:4])[0]
        if size == 348 and raw[344:348] in (b"n+1\0", b"ni1\0"):
            return nifti1.Nifti1Header, order
        if size == 540 and raw[4:7] in (b"n+2", b"ni2"):
            return nifti2.Nifti2Header, order
    return None


def header_fields(raw: bytes) -> NDArray[Any]:
    """Return a header as a writable record (no axes), every byte as stored.

    Fields have the file's byte order. Bytes after the header are ignored.
    """
    known = header_class(raw)
    if known is None:
        raise VolumeError("These bytes are no NIfTI header.")
    kind, order = known
    dtype = kind.template_dtype.newbyteorder(order)
    return np.frombuffer(raw[: dtype.itemsize], dtype).reshape(()).copy()


def without_text(raw: bytes) -> bytes:
    """Return a header without its free text, which may name the patient, and extensions."""
    fields = header_fields(raw)
    for name in _FREE_TEXT:
        if name in (fields.dtype.names or ()):
            fields[name] = b""
    return fields.tobytes()


def parse_header(path: Path, raw: bytes) -> tuple[Any, list[str]]:
    """Return nibabel's header, mended as nibabel mends it, and a note on what was mended."""
    known = header_class(raw)
    if known is None:
        raise VolumeError(
            f"{path} has no NIfTI header (Analyze 7.5 does not tell left from right); "
            "convert it to NIfTI first."
        )
    kind, order = known
    raw = raw[: kind.template_dtype.itemsize]
    complaints = kind.diagnose_binaryblock(raw, order)
    header = kind(raw, order, check=False)
    header.check_fix(logger=_log, error_level=40)
    notes = []
    if complaints:
        notes.append(
            f"The header departs from the standard: {'; '.join(complaints.split(chr(10)))}."
        )
    return header, notes


def stored_shape(path: Path, header: Any) -> tuple[int, ...]:
    """Return the lengths of all stored axes, at least three."""
    n_axes = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : n_axes + 1])
    if not 1 <= n_axes <= 7 or min(shape) < 1:
        raise VolumeError(
            f"{path} states axes of length {shape}, so it holds no voxels; export it again."
        )
    return shape + (1,) * (3 - len(shape))


def stored_grid(path: Path, header: Any) -> tuple[Grid, tuple[int, int, int]]:
    """Return the grid in (z, y, x) and, for each of its axes, the stored axis it comes from."""
    affine = _in_mm(header.get_best_affine(), header)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        problem = "singular" if np.isfinite(affine).all() else "not finite"
        raise VolumeError(
            f"{path} has an affine that is {problem}, so its voxels lie nowhere; "
            "repair the sform, qform or pixdim of its header."
        )
    x, y, z = stored_shape(path, header)[:3]
    return patient_grid(affine, (x, y, z))


def _in_mm(affine: NDArray[np.float64], header: Any) -> NDArray[np.float64]:
    scale = _MM.get(_length_unit(header), 1.0)
    return np.diag([scale, scale, scale, 1.0]) @ affine


def _length_unit(header: Any) -> str:
    code = int(header["xyzt_units"]) % 8
    return str(nifti1.unit_codes.label[code]) if code in nifti1.unit_codes.code else "invalid"


def geometry_notes(header: Any, grid: Grid, stored_axes: Sequence[int]) -> list[str]:
    """Return what somebody should know of where the header puts the voxels."""
    notes = []
    if _length_unit(header) == "invalid":
        notes.append("The header's unit of length is unknown; millimetres are taken.")
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform and not qform:
        notes.append(
            "The file states no orientation (sform and qform codes are 0): sizes come from "
            "pixdim, and the axes are taken to run to the patient's left, front and head."
        )
    if sform and qform:
        distance = _disagreement(header, grid, stored_axes)
        # Headers are rounded to float32 and quaternions to unit length: that is no conflict.
        if not distance <= 1e-2 * min(grid.spacing):
            notes.append(f"sform and qform differ by up to {distance:.3g} mm; the sform is used.")
    return notes


def _disagreement(header: Any, grid: Grid, stored_axes: Sequence[int]) -> float:
    """Return how far apart sform and qform put the outermost voxels (mm)."""
    try:
        qform = _in_mm(header.get_qform(), header)[:, [*stored_axes, 3]]
    except (ValueError, nibabel.spatialimages.HeaderDataError):
        return math.inf  # a quaternion longer than 1 is no rotation
    corners = np.array([(*corner, 1) for corner in product(*[(0, n - 1) for n in grid.shape])])
    return float(np.linalg.norm(corners @ (qform - grid.affine).T, axis=1).max())
