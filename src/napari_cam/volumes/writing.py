"""Writing heatmaps, masks and labels: NIfTI on the source's own grid, TIFF with voxel size.

A NIfTI file made from a NIfTI source carries the source's geometry bit for bit (sform, qform, their
codes, pixdim, units), so that every program puts it exactly where it puts the scan.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import numpy as np
import tifffile
from nibabel import nifti1, nifti2
from numpy.typing import NDArray

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, sidecar_path, suffixes, write_sidecar, writing
from napari_cam.grid import Grid, check_same_place
from napari_cam.heatmap import Heatmap
from napari_cam.provenance import stamp
from napari_cam.volumes.heatmap_files import map_facts
from napari_cam.volumes.nifti_header import header_fields, parse_header, stored_grid
from napari_cam.volumes.stated_grid import grid_facts
from napari_cam.volumes.volume import Volume

_EXACTLY = 1e-3  # so far, in voxels, may a grid lie from that of the header it is written with
_NIFTI = (".nii", ".nii.gz")
_TIFF = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
# Fields that tell how the source's voxels are to be shown or understood, not where they lie.
_NEUTRAL = {
    "scl_slope": 1, "scl_inter": 0, "cal_min": 0, "cal_max": 0, "glmin": 0, "glmax": 0,
    "intent_code": 0, "intent_p1": 0, "intent_p2": 0, "intent_p3": 0,
}  # fmt: skip


@dataclass(frozen=True)
class _Result:
    """What is to be written.

    Voxels (z, y, x) in their final type, where they lie, between which values viewers should show
    them (0 and 0: the viewer's choice), and what made them.
    """

    values: NDArray[Any]
    grid: Grid
    shown: tuple[float, float]
    provenance: Mapping[str, Any]


def write_volume(
    path: str | os.PathLike[str],
    values: Heatmap | NDArray[Any],
    like: Volume | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a heatmap, mask, labels or image, with its provenance as JSON next to it.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz`` for NIfTI on the grid of `like`; ``.tif``, ``.tiff``, ``.ome.tif``
        for OME-TIFF, which stores the voxel size but not the position in the patient.
    values
        A Heatmap or an array (z, y, x) on the grid of `like`. Floats are stored as float32, masks
        as uint8, other integers as the smallest type that holds them.
    like
        The volume that the values belong to. Optional only for a Heatmap written as TIFF.
    provenance
        How the values were made, as plain JSON without patient identity. None uses the heatmap's
        own, or only versions and time. A heatmap's sidecar also holds the facts that voxels cannot
        store, for :func:`~napari_cam.volumes.heatmap_files.read_heatmap`.
    overwrite
        Whether to replace existing files. The file that `like` was read from is never replaced.

    Returns
    -------
    Path
        The written file. The sidecar ``<name>.json`` is written next to it.

    Raises
    ------
    WriteError
        If a file exists already, its folder is not writable, the extension is unknown, or the
        values do not fit the grid. Nothing is written then.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> heatmap = nc.explain_one(model, volume, "gradcam", "damaged")
    >>> path = nc.write_volume("heatmap.nii.gz", heatmap, like=volume)
    >>> path.name
    'heatmap.nii.gz'
    """
    path = Path(path)
    extension = suffixes(path)
    if extension not in _NIFTI + _TIFF:
        raise WriteError(
            f"{path} has no extension that can be written; "
            "give .nii, .nii.gz, .tif, .tiff or .ome.tif."
        )
    result = _result(values, like, provenance, extension in _TIFF)
    _check_places(path, like, overwrite)
    with writing(path, overwrite) as temporary:
        if like is None or extension in _TIFF:
            _write_tiff(temporary, result)
        else:
            _write_nifti(temporary, result, like)
        # Within the block: no result ever stands without its sidecar.
        write_sidecar(path, {**result.provenance, "grid": grid_facts(result.grid)}, overwrite)
    return path


def _check_places(path: Path, like: Volume | None, overwrite: bool) -> None:
    check_writable(path, overwrite)
    check_writable(sidecar_path(path), overwrite)
    source = like.source.path if like is not None else None
    if source and path.exists() and os.path.exists(source) and os.path.samefile(path, source):
        raise WriteError(f"{path} is the image itself; choose another name for the result.")


def _result(
    values: Heatmap | NDArray[Any],
    like: Volume | None,
    provenance: Mapping[str, Any] | None,
    as_tiff: bool,
) -> _Result:
    if isinstance(values, Heatmap):
        if like is None and not as_tiff:
            raise WriteError("A NIfTI file needs the volume whose grid it shall have; give like=.")
        if like is not None:
            check_same_place("The heatmap", values.grid, "like", like.grid, WriteError)
        facts = provenance or values.provenance or stamp(kind="heatmap")
        facts = {**facts, "map": map_facts(values)}
        array = np.asarray(values.values, dtype=np.float32)
        shown = (0.0, 1.0) if values.kind == "unit" else (float(array.min()), float(array.max()))
        return _Result(array, values.grid, shown, facts)
    if like is None:
        raise WriteError("An array has no grid of its own; give the volume it lies on as like=.")
    array = np.asarray(values)
    if array.shape != like.shape:
        raise WriteError(
            f"The values have shape {array.shape}, but the volume {like.shape} (z, y, x); "
            "give values on the volume's grid."
        )
    kind = {"b": "mask", "f": "image"}.get(array.dtype.kind, "labels")
    facts = provenance or stamp(kind=kind)
    return _Result(_compact(array), like.grid, (0.0, 0.0), facts)


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as float32, or in the smallest integer type that holds them."""
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8)
    if kind == "f":
        with np.errstate(over="ignore"):
            result = values.astype(np.float32)
        if np.isinf(result).sum() > np.isinf(values).sum():
            raise WriteError("Some values are too large for float32; scale them down first.")
        return result
    if kind not in "iu":
        raise WriteError(
            f"Values of type {values.dtype} cannot be written; convert to numbers first."
        )
    low, high = int(values.min()), int(values.max())
    types = ("u1", "u2", "u4", "u8") if low >= 0 else ("i1", "i2", "i4", "i8")
    fitting = next(
        name for name in types if np.iinfo(name).min <= low <= high <= np.iinfo(name).max
    )
    return values.astype(fitting)


def _write_tiff(path: Path, result: _Result) -> None:
    """Write OME-TIFF, the only TIFF that states x, y and z sizes without rounding."""
    if result.values.dtype.itemsize > 4:
        raise WriteError("TIFF holds labels up to 4294967295; number them anew from 1.")
    # A name made of the values: tifffile's own would state time and network address.
    digest = hashlib.sha256(np.ascontiguousarray(result.values).data).digest()
    metadata: dict[str, Any] = {"axes": "ZYX", "UUID": str(UUID(bytes=digest[:16], version=4))}
    if result.grid.units == "mm":
        for axis, size in zip("ZYX", result.grid.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "mm"}
    tifffile.imwrite(
        path,
        result.values,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        metadata=metadata,
    )


def _write_nifti(path: Path, result: _Result, like: Volume) -> None:
    fields, stored_axes = _nifti_fields(like)
    stored = result.values.transpose(np.argsort(stored_axes))
    dtype = stored.dtype
    for name, value in _NEUTRAL.items():
        if name in (fields.dtype.names or ()):
            fields[name] = value
    fields["cal_min"], fields["cal_max"] = result.shown
    fields["datatype"] = nifti1.data_type_codes.code[dtype]
    fields["bitpix"] = dtype.itemsize * 8
    single = nifti1.Nifti1Header if fields.dtype.itemsize == 348 else nifti2.Nifti2Header
    fields["magic"] = single.single_magic
    fields["vox_offset"] = single.single_vox_offset
    with path.open("wb") as file:
        if not path.name.endswith(".gz"):
            _write_stored(file, fields, stored)
            return
        # Neither name nor time: the same result gives the same bytes.
        with gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0) as packed:
            _write_stored(packed, fields, stored)


def _write_stored(file: IO[bytes] | gzip.GzipFile, fields: NDArray[Any], stored: Any) -> None:
    file.write(fields.tobytes() + b"\0\0\0\0")  # four zeros: no extensions follow
    order = fields.dtype["datatype"].byteorder
    for index in range(stored.shape[2]):  # slab by slab: no second copy of the whole
        slab = stored[..., index]
        file.write(slab.astype(slab.dtype.newbyteorder(order)).tobytes(order="F"))


def _nifti_fields(like: Volume) -> tuple[NDArray[Any], tuple[int, int, int]]:
    """Return the header record of the result and the order of its axes.

    It is the source's own where `like` lies on a NIfTI file's grid, else made from the affine.
    """
    source = like.source
    if source.format == "nifti" and source.header is not None:
        origin = Path(source.path or "the source image")
        header, _ = parse_header(origin, source.header)
        grid, stored_axes = stored_grid(origin, header)
        if stored_axes == source.stored_axes and grid.same_as(like.grid, _EXACTLY):
            fields = header_fields(source.header)
            n_axes = min(int(fields["dim"][0]), 3)
            fields["dim"][0] = n_axes
            fields["dim"][n_axes + 1 :] = 1
            return fields, stored_axes
    return _fields_of_grid(like.grid), (2, 1, 0)


def _fields_of_grid(grid: Grid) -> NDArray[Any]:
    """Return a header for a grid that comes from no NIfTI file; x runs fastest in it."""
    fits = max(grid.shape) <= np.iinfo(np.int16).max
    header: Any = nifti1.Nifti1Header() if fits else nifti2.Nifti2Header()
    affine = grid.affine[:, [2, 1, 0, 3]]
    header.set_data_shape(grid.shape[::-1])
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1, strip_shears=True)
    if not np.allclose(header.get_qform(), affine, rtol=0, atol=1e-3 * min(grid.spacing)):
        header.set_qform(None, code=0)  # a quaternion cannot express shear
    fields: NDArray[Any] = header.structarr.copy()
    fields["xyzt_units"] = nifti1.unit_codes.code["mm" if grid.units == "mm" else "unknown"]
    return fields
