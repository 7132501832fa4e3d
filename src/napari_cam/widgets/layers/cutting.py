"""Masks of a heatmap for the dock: the whole, or quickly the slice on screen. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap, one_slice, where_predicted
from napari_cam.masks.binarize import ONLY, binarize
from napari_cam.masks.cleanup import Cleanup
from napari_cam.masks.rules import Fixed, OutOf255, rule_from_text
from napari_cam.units import slab
from napari_cam.widgets.layers.foregrounds import Foreground, Tissue


@dataclass(frozen=True)
class MaskRequest:
    """How a heatmap is cut.

    Attributes
    ----------
    rule
        Text of the rule: "fixed:0.5", "otsu:volume".
    strict
        Whether a pixel must exceed the cut.
    gate
        Whether slices with another predicted class stay empty.
    foreground
        Where masks may lie and statistics are taken; None for wherever the network saw.
    cleanup
        What is done after the cut; None for nothing.
    """

    rule: str = "fixed:0.5"
    strict: bool = True
    gate: bool = False
    foreground: Foreground | None = None
    cleanup: Cleanup | None = None


@dataclass(frozen=True, eq=False)
class Cut:
    """A finished mask.

    Attributes
    ----------
    mask
        (z, y, x) bool.
    threshold
        Rule, scope, inequality, cuts, foreground and clean-up that made it, as plain JSON.
    """

    mask: NDArray[np.bool_]
    threshold: dict[str, Any]


def cut_heatmap(heatmap: Heatmap, request: MaskRequest) -> Iterator[Cut]:
    """Yield the mask of a whole heatmap."""
    limit = None if request.foreground is None else request.foreground.mask()
    found = None
    if request.foreground is not None and limit is not None:
        found = {**request.foreground.facts(limit), "voxels": int(np.count_nonzero(limit))}
    gated = _gated(heatmap, request, limit)
    masks = binarize(heatmap, request.rule, request.strict, gated, request.cleanup)
    made = masks.provenance_of(ONLY)
    threshold = {name: made[name] for name in ("rule", "scope", "strict", "cuts", "cleanup")}
    yield Cut(masks[ONLY], threshold | {"gate": request.gate, "foreground": found})


def cut_slice(
    heatmap: Heatmap, index: int, request: MaskRequest, axis: int | None = None
) -> NDArray[np.bool_] | None:
    """Return the mask of one slice, None where it depends on more than the slice.

    `axis` is that across which the slice lies, None for the axis of the heatmap's units.
    """
    across = heatmap.unit_axis if axis is None else axis
    if across is None or not _by_itself(request, unit=across == heatmap.unit_axis):
        return None
    one = one_slice(heatmap, index, across)
    limit = None
    if request.foreground is not None:
        limit = request.foreground.mask(slab(across, index))
    gated = _gated(one, request, limit)
    mask = binarize(one, request.rule, request.strict, gated, request.cleanup)[ONLY]
    return mask.squeeze(across)


def _by_itself(request: MaskRequest, unit: bool) -> bool:
    """Whether a slice can be cut without the others; `unit` where it is a unit of its heatmap."""
    if isinstance(request.foreground, Tissue) and not request.foreground.found:
        return False  # it takes a moment to find, once
    if request.cleanup and not (unit and request.cleanup.per == "unit"):
        return False
    rule = rule_from_text(request.rule)
    return isinstance(rule, (Fixed, OutOf255)) or (unit and rule.scope == "unit")


def _gated(
    heatmap: Heatmap, request: MaskRequest, limit: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return where masks may lie, None for wherever the network saw."""
    if not request.gate:
        return limit
    predicted = where_predicted(heatmap)
    return predicted if limit is None else predicted & limit
