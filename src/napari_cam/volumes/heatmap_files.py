"""Heatmaps as files: what their voxels do not say stands in the sidecar, and is read back from it.

An image file holds values and geometry. Which units have evidence, what the network saw and which
numbers became 0 and 1 are needed to cut a heatmap into a mask, and stand under "map" in the
provenance beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import VolumeError, WriteError
from napari_cam.files import read_sidecar, sidecar_path
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.units import n_units
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume

_FLOATS = ("raw_min", "raw_max", "score")
_INTEGERS = ("class_index", "predicted_index")


def map_facts(heatmap: Heatmap) -> dict[str, Any]:
    """Return what a heatmap's voxels do not say, for its sidecar.

    Raises
    ------
    WriteError
        Where what the network saw is no box (of slices and pixels), as no network here sees it.
    """
    sides = ((1, 2), (0, 2), (0, 1))
    z, y, x = (np.asarray(heatmap.inside.any(axis=across)) for across in sides)
    # It lies within the box of its sides, and is that box where it holds as many voxels.
    if np.count_nonzero(heatmap.inside) != np.prod([np.count_nonzero(side) for side in (z, y, x)]):
        raise WriteError(
            "What the network saw is no box, which a heatmap's file cannot say; "
            "write heatmap.values as an array."
        )
    units = {name: getattr(heatmap, name).tolist() for name in (*_FLOATS, *_INTEGERS, "valid")}
    return {
        "kind": heatmap.kind,
        "unit_axis": heatmap.unit_axis,
        "inside": [_ranges(axis) for axis in (z, y, x)],
        "units": units,
    }


def read_heatmap(path: str | os.PathLike[str]) -> tuple[Heatmap, Volume]:
    """Read a heatmap that :func:`write_volume` wrote, with the JSON sidecar next to it.

    Parameters
    ----------
    path
        NIfTI or TIFF file. Without a sidecar, the file is read as one whole map with evidence
        everywhere, and the volume's notes say so.

    Returns
    -------
    heatmap
        The heatmap as it was written, with the provenance of the sidecar.
    volume
        The file itself as a volume, with notes. Use it as the grid to write masks on.

    Raises
    ------
    VolumeError
        If the file cannot be read, is not a heatmap, or does not fit its sidecar.
    """
    path = Path(path)
    volume = read_volume(path)
    if volume.n_channels != 1 or volume.values.ndim != 3:
        raise VolumeError(
            f"{path} holds {volume.n_channels} channels, but a heatmap has one; "
            "give a file that explain wrote."
        )
    values = np.asarray(volume.values, dtype=np.float32)
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return _bare(path, values, volume)
    facts = _read_sidecar(sidecar)
    if not isinstance(facts.get("map"), Mapping):
        kind = facts.get("kind")
        article = "an" if str(kind).startswith(("a", "e", "i", "o", "u")) else "a"
        what = f"{article} {kind}" if isinstance(kind, str) else "something else"
        raise VolumeError(
            f"{path} is no heatmap but {what}, as {sidecar.name} says; "
            "give a file that explain wrote."
        )
    try:
        return heatmap_of_facts(values, volume.grid, facts), volume
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VolumeError(
            f"{path} does not fit the sidecar {sidecar.name} beside it; "
            "copy both files anew, or remove the sidecar."
        ) from error


def is_heatmap(path: str | os.PathLike[str]) -> bool:
    """Whether the record beside a file says that it is a heatmap."""
    return isinstance(read_sidecar(path).get("map"), Mapping)


def _read_sidecar(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VolumeError(
            f"{path} cannot be read as JSON; copy it anew, or remove it to take the heatmap as "
            "one whole map."
        ) from error
    return facts if isinstance(facts, Mapping) else {}


def heatmap_of_facts(values: NDArray[np.float32], grid: Grid, facts: Mapping[str, Any]) -> Heatmap:
    """Return the heatmap that `map_facts` described under ``facts["map"]``.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError
        Where the facts are not those of a heatmap on `grid`.
    """
    stated, shape = facts["map"], grid.shape
    axis = stated["unit_axis"]
    if axis not in (None, 0, 1, 2) or stated["kind"] not in ("unit", "raw", "signed"):
        raise ValueError("unknown axis or kind")
    units = stated["units"]
    # JSON has no NaN, so that a score which is none stands as null.
    arrays: dict[str, Any] = {
        **{name: np.array(units[name], dtype=np.float32) for name in _FLOATS},
        **{name: np.array(units[name], dtype=np.int64) for name in _INTEGERS},
        "valid": np.array(units["valid"], dtype=np.bool_),
    }
    if any(array.shape != (n_units(shape, axis),) for array in arrays.values()):
        raise ValueError("another number of units")
    z, y, x = (_flags(ranges, n) for ranges, n in zip(stated["inside"], shape, strict=True))
    return Heatmap(
        values=values,
        kind=stated["kind"],
        inside=z[:, None, None] & y[:, None] & x,
        unit_axis=axis,
        grid=grid,
        provenance={key: value for key, value in facts.items() if key not in ("map", "grid")},
        **arrays,
    )


def _bare(path: Path, values: NDArray[np.float32], volume: Volume) -> tuple[Heatmap, Volume]:
    """Return a file without a sidecar as one map with evidence wherever it is a number."""
    finite = np.isfinite(values)
    if not finite.any() or float(values[finite].max()) <= 0:
        raise VolumeError(f"{path} holds no positive number, so it is no heatmap to cut.")
    low, high = float(values[finite].min()), float(values[finite].max())
    heatmap = Heatmap(
        values=np.where(finite, values, 0).astype(np.float32),
        kind="signed" if low < 0 else ("unit" if high <= 1 else "raw"),
        raw_min=np.array([low], np.float32),
        raw_max=np.array([high], np.float32),
        valid=np.array([True]),
        class_index=np.array([-1]),
        predicted_index=np.array([-1]),
        score=np.array([np.nan], np.float32),
        inside=finite,
        unit_axis=None,
        grid=volume.grid,
        provenance={"kind": "heatmap", "sidecar": None},
    )
    note = "No sidecar stands beside the heatmap, so it is taken for one whole map."
    return heatmap, replace(volume, notes=(*volume.notes, note))


def _ranges(flags: NDArray[np.bool_]) -> list[list[int]]:
    """Return where `flags` are True as [first, end) ranges."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    pairs: list[list[int]] = edges.reshape(-1, 2).tolist()
    return pairs


def _flags(ranges: Any, length: int) -> NDArray[np.bool_]:
    flags = np.zeros(length, bool)
    for first, end in ranges:
        if not 0 <= first < end <= length:
            raise ValueError("a range outside of the volume")
        flags[first:end] = True
    return flags
