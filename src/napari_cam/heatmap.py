"""The Heatmap: where a network looked, on the volume's own grid."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import LookupFailed
from napari_cam.grid import Grid
from napari_cam.units import any_by_unit, per_unit, slab

K = TypeVar("K")
V = TypeVar("V")


class Maps(Mapping[K, V], Generic[K, V]):
    """Results by key; a plain string finds one wherever it is unambiguous.

    ``maps["gradcam"]`` works while there is one Grad-CAM map; with two layers say
    ``maps["gradcam / layer4"]``. A key offers its `parts` (method, layer, target) to be found by.
    """

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K | str) -> V:
        """Return the result under `key`, or the only one whose parts a plain string names."""
        asked: Any = key
        if isinstance(asked, Hashable) and asked in self._items:
            return self._items[asked]
        found: list[K] = []
        if isinstance(key, str):
            # Names of classes may hold slashes themselves.
            found = [known for known in self._items if key in (label_of(known), *parts_of(known))]
            wanted = {part.strip() for part in key.split("/")}
            found = found or [known for known in self._items if wanted <= set(parts_of(known))]
        if len(found) == 1:
            return self._items[found[0]]
        known = ", ".join(f"'{label_of(item)}'" for item in self._items)
        problem = "names no map" if not found else f"names {len(found)} maps"
        raise LookupFailed(f"'{key}' {problem}; there are {known}.")

    def __contains__(self, key: object) -> bool:
        """Whether ``maps[key]`` gives a result."""
        try:
            self[key]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        names = ", ".join(label_of(key) for key in self._items)
        return f"{type(self).__name__}({names})"


def parts_of(key: Any) -> tuple[str, ...]:
    """Return the words that a plain string may find `key` by."""
    return tuple(getattr(key, "parts", (str(key),)))


def label_of(key: Any) -> str:
    """Return `key` as people read it: "gradcam / layer4 / damaged"."""
    return " / ".join(parts_of(key))


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A class activation map resampled to the volume's grid.

    A *unit* is one explained image: a slice for a 2D network (u = number of slices along
    `unit_axis`), the whole volume for a 3D one (`unit_axis` None, u = 1).

    Attributes
    ----------
    values
        (z, y, x) float32. Zero if there is no evidence or the network did not see the voxel.
    kind
        "unit": scaled to [0, 1]; "raw": non-negative, in the CAM's own scale; "signed": in the
        CAM's own scale, with sign.
    raw_min, raw_max
        (u,) float32: the numbers that became 0 and 1 in each unit, to undo the normalisation
        (``values * (raw_max - raw_min) + raw_min``). If `kind` is not "unit", the unit's extremes.
    valid
        (u,) bool, False if a unit has no evidence: a flat, all-negative or NaN map.
    class_index, predicted_index
        (u,) int64, the explained class (-1 if the target is not one class) and the network's own
        choice. For a segmentation, the choice is the explained class if it is predicted anywhere,
        otherwise the label other than 0 with the most pixels (0 if there is none).
    score
        (u,) float32, the explained score; for a region, the sum over its pixels.
    inside
        (z, y, x) bool, the voxels that the network saw (outside a centre crop the heatmap is
        undefined, not zero).
    unit_axis
        Array axis along which the units lie; None for a 3D network.
    grid
        Where the voxels lie.
    provenance
        How the heatmap was made, as plain JSON.
    """

    values: NDArray[np.float32]
    kind: Literal["unit", "raw", "signed"]
    raw_min: NDArray[np.float32]
    raw_max: NDArray[np.float32]
    valid: NDArray[np.bool_]
    class_index: NDArray[np.int64]
    predicted_index: NDArray[np.int64]
    score: NDArray[np.float32]
    inside: NDArray[np.bool_]
    unit_axis: int | None
    grid: Grid
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def per_unit(self, values: NDArray[Any]) -> NDArray[Any]:
        """Reshape (u,) `values` so that they broadcast against ``self.values``."""
        return per_unit(values, self.unit_axis)

    @property
    def note(self) -> str | None:
        """One sentence on units without evidence; None if every unit has some."""
        return self._empty_region or self._no_evidence

    @property
    def notes(self) -> tuple[str, ...]:
        """All sentences on how the heatmap was made and what it lacks."""
        made = tuple(str(note) for note in self.provenance.get("notes", ()))
        return (*made, self.note) if self.note else made

    @property
    def _empty_region(self) -> str | None:
        """A sentence on units in which no pixel was to be explained."""
        region = self.provenance.get("region")
        sizes = region.get("pixels", []) if isinstance(region, Mapping) else []
        asked = [size for size in sizes if size is not None]
        if asked.count(0) == 0:
            return None
        target = self.provenance.get("target", "")
        if self.unit_axis is None:
            return f"No voxel belongs to the explained region ({target}), so the map is zero."
        empty = asked.count(0)
        others = np.count_nonzero(~self.valid & self.explained) - empty
        more = f"; {others} others hold no evidence" if others > 0 else ""
        return (
            f"In {empty} of {len(asked)} slices no pixel belongs to the explained region "
            f"({target}), so their maps are zero{more}."
        )

    @property
    def explained(self) -> NDArray[np.bool_]:
        """(u,) bool, the units that were explained."""
        return any_by_unit(self.inside, self.unit_axis)

    @property
    def _no_evidence(self) -> str | None:
        explained = self.explained
        missing = np.count_nonzero(~self.valid & explained)
        if missing == 0:
            return None
        if self.unit_axis is None:
            return (
                "The volume holds no evidence for this class: its map is flat, "
                "all negative or not a number."
            )
        return (
            f"{missing} of {np.count_nonzero(explained)} slices hold no evidence for this class: "
            "their map is flat, all negative or not a number, and left at zero."
        )


def where_predicted(heatmap: Heatmap) -> NDArray[np.bool_]:
    """Return (z, y, x) True in the units for which the network predicts the explained class.

    Normalised slice by slice, even a slice without anything to find has a maximum and so a mask;
    as the foreground of :func:`napari_cam.binarize` this leaves it empty.
    """
    chosen = heatmap.per_unit(heatmap.predicted_index == heatmap.class_index)
    return np.array(np.broadcast_to(chosen, heatmap.values.shape))


def one_slice(heatmap: Heatmap, index: int, axis: int | None = None) -> Heatmap:
    """Return one slice of a heatmap as a heatmap of its own.

    `axis` is that across which the slice lies, None for the axis of the heatmap's units.
    """
    across = heatmap.unit_axis if axis is None else axis
    if across is None:
        raise ValueError("a 3D network's heatmap has no slices")
    place = slab(across, index)
    shape = list(heatmap.grid.shape)
    shape[across] = 1
    affine = heatmap.grid.affine.copy()
    affine[:3, 3] += index * affine[:3, across]
    z, y, x = shape
    units: dict[str, Any] = {}
    if across == heatmap.unit_axis:
        names = ("raw_min", "raw_max", "valid", "class_index", "predicted_index", "score")
        units = {name: getattr(heatmap, name)[index : index + 1] for name in names}
    return replace(
        heatmap,
        values=heatmap.values[place],
        inside=heatmap.inside[place],
        grid=Grid((z, y, x), affine, heatmap.grid.orientation, heatmap.grid.units),
        **units,
    )
