"""One slice of a case as every map sees it: what the figures of a report show of the first case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.counts import iou
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.cut_maps import CURVE, axis_of, cut_maps, hard, region_of, rules_of
from napari_cam.reports.cases.map_names import Map, MapName
from napari_cam.reports.page.overlay import overlay_labels
from napari_cam.units import count_by_unit
from napari_cam.volumes.volume import Volume

_MOST_ARRAYS = 8


@dataclass(frozen=True, eq=False)
class MapPicture:
    """A map on the slice, one voxel thick.

    Attributes
    ----------
    name
        Which map.
    heatmap
        In [0, 1]; None for a mask.
    mask
        At the headline threshold.
    """

    name: MapName
    heatmap: NDArray[np.float32] | None = field(repr=False)
    mask: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Overlay:
    """Right and wrong on the slice at one threshold: its name, the IoU, and codes of the voxels."""

    rule: str
    iou: float
    labels: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is kept of a case for the figures.

    Attributes
    ----------
    image, reference
        The slice, one voxel thick, in grey; and what is true on it.
    grid
        Where the slice lies.
    axis
        Array axis across which it is cut.
    maps
        On the slice.
    arrays
        Right and wrong of the first maps in the whole volume (z, y, x), by what a layer is called.
    overlaid, overlays
        The first heatmap in [0, 1], and right and wrong of it on the slice at every threshold.
    """

    image: NDArray[np.float32] = field(repr=False)
    reference: NDArray[np.bool_] = field(repr=False)
    grid: Grid
    axis: int
    maps: tuple[MapPicture, ...] = ()
    arrays: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict, repr=False)
    overlaid: MapName | None = None
    overlays: tuple[Overlay, ...] = ()

    @property
    def slice(self) -> Volume:
        """The slice as a volume."""
        return Volume(self.image, self.grid)

    def called(self, names: Mapping[MapName, MapName]) -> Pictures:
        """Return the same pictures of maps under other names."""
        return replace(
            self,
            maps=tuple(replace(each, name=names.get(each.name, each.name)) for each in self.maps),
            overlaid=None if self.overlaid is None else names.get(self.overlaid, self.overlaid),
        )


class PictureTaker:
    """Takes the pictures of a case as its maps pass by one at a time."""

    def __init__(self, case: Case, rule: ThresholdRule, strict: bool) -> None:
        self._case, self._rule, self._strict = case, rule, strict
        self._reference = hard(case.reference_values())
        self._kept: Pictures | None = None
        self._number = 0

    def kept(self) -> Pictures | None:
        """Return the pictures; None where nothing of the reference is there to be shown."""
        return self._kept

    def take(self, name: MapName, item: Map) -> None:
        """Keep what is shown of a map."""
        case, reference = self._case, self._reference
        if not reference.any():
            return
        kept = self._begun(item, reference) if self._kept is None else self._kept
        region = region_of(case, item)
        mask = next(iter(cut_maps(item, [self._rule], self._strict, case.foreground).values()))
        heat = None
        if isinstance(item, Heatmap):
            heat = self._cut(item.values, kept).astype(np.float32)
        unit = isinstance(item, Heatmap) and item.kind == "unit"
        picture = MapPicture(name, heat if unit else _to_unit(heat), self._cut(mask, kept))
        kept = replace(kept, maps=(*kept.maps, picture))
        if len(kept.arrays) < _MOST_ARRAYS:
            labels = overlay_labels(mask, reference, region)
            kept = replace(kept, arrays={**kept.arrays, f"overlap of {name.label}": labels})
        if not kept.overlays and unit:
            whole = cut_maps(item, rules_of(CURVE), self._strict, case.foreground)
            truth, inside = self._cut(reference, kept), self._cut(region, kept)
            overlays = []
            for rule, each in whole.items():
                cut = self._cut(each, kept)
                score = iou(cut[inside], truth[inside])
                overlays.append(Overlay(rule, score, overlay_labels(cut, truth, inside)))
            kept = replace(kept, overlaid=name, overlays=tuple(overlays))
        self._kept = kept

    def _begun(self, item: Map, reference: NDArray[np.bool_]) -> Pictures:
        """Choose the slice with most of the reference."""
        case, axis = self._case, axis_of(self._case, item) or 0
        self._number = int(count_by_unit(reference, axis).argmax())
        grid = item.grid if isinstance(item, Heatmap) else case.grid
        if case.image is not None and case.image.shape == reference.shape:
            values = case.image.channels_first()
            grid = case.image.grid
        else:
            values = np.zeros((1, *reference.shape), np.uint8)
        sliced = np.asarray(np.take(values, [self._number], axis + 1), dtype=np.float32)
        shape = (sliced.shape[1], sliced.shape[2], sliced.shape[3])
        like = grid if grid is not None else Grid.plain(shape)
        one = Grid(shape, like.affine, like.orientation, like.units)
        return Pictures(sliced.mean(axis=0), np.take(reference, [self._number], axis), one, axis)

    def _cut(self, array: NDArray[Any], kept: Pictures) -> NDArray[Any]:
        return np.take(array, [self._number], kept.axis)


def _to_unit(heat: NDArray[Any] | None) -> NDArray[np.float32] | None:
    if heat is None:
        return None
    top = float(heat.max())
    return np.clip(heat / top if top > 0 else heat * 0, 0, 1).astype(np.float32)
