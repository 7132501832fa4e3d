"""Masks of a heatmap for the dock: the whole, or quickly the slice on screen. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import ONLY, binarize
from napari_cam.masks.gate import where_predicted
from napari_cam.masks.rules import rule_from_text
from napari_cam.masks.size import MaskSize, mask_size
from napari_cam.widgets.dock.request import MaskRequest


@dataclass(frozen=True, eq=False)
class Cut:
    """A finished mask.

    Attributes
    ----------
    mask
        (z, y, x) bool.
    threshold
        Rule, scope, inequality and cuts that made it, as plain JSON.
    size
        How much it covers.
    """

    mask: NDArray[np.bool_]
    threshold: dict[str, Any]
    size: MaskSize


def cut_heatmap(heatmap: Heatmap, request: MaskRequest) -> Iterator[Cut]:
    """Yield the mask of a whole heatmap."""
    masks = binarize(heatmap, request.rule, request.strict, _gate(heatmap, request))
    made = masks.provenance_of(ONLY)
    threshold = {name: made[name] for name in ("rule", "scope", "strict", "cuts")}
    mask = masks[ONLY]
    yield Cut(mask, threshold | {"gate": request.gate}, mask_size(mask, heatmap))


def cut_slice(heatmap: Heatmap, index: int, request: MaskRequest) -> NDArray[np.bool_] | None:
    """Return the mask of one slice, None where its cut depends on more than the slice."""
    if heatmap.unit_axis is None or rule_from_text(request.rule).scope != "unit":
        return None
    one = one_slice(heatmap, index)
    mask = binarize(one, request.rule, request.strict, _gate(one, request))[ONLY]
    shown: NDArray[np.bool_] = np.take(mask, 0, axis=heatmap.unit_axis)
    return shown


def one_slice(heatmap: Heatmap, index: int) -> Heatmap:
    """Return one slice of a heatmap of slices as a heatmap of its own."""
    axis = heatmap.unit_axis
    if axis is None:
        raise ValueError("a 3D network's heatmap has no slices")
    here = [slice(None)] * 3
    here[axis] = slice(index, index + 1)
    place = tuple(here)
    shape = list(heatmap.grid.shape)
    shape[axis] = 1
    affine = heatmap.grid.affine.copy()
    affine[:3, 3] += index * affine[:3, axis]
    z, y, x = shape
    per_unit = ("raw_min", "raw_max", "valid", "class_index", "predicted_index", "score")
    return replace(
        heatmap,
        values=heatmap.values[place],
        inside=heatmap.inside[place],
        grid=Grid((z, y, x), affine, heatmap.grid.orientation, heatmap.grid.units),
        **{name: getattr(heatmap, name)[index : index + 1] for name in per_unit},
    )


def _gate(heatmap: Heatmap, request: MaskRequest) -> NDArray[np.bool_] | None:
    """Return where masks may lie, None for wherever the network saw."""
    return where_predicted(heatmap) if request.gate else None
