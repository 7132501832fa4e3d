"""Heatmaps that were opened, or made by a script, as step 4 cuts them: like fresh ones."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.errors import NapariCamError
from napari_cam.provenance import map_words
from napari_cam.widgets.docks.cam.state import OF_A_DOCK, DockState, Made, Picked
from napari_cam.widgets.docks.cam.work.request import Request
from napari_cam.widgets.docks.cam.work.running import Result
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import image_axes
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import is_heatmap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Image


def take_opened(state: DockState, layers: Iterable[Any]) -> None:
    """Take the heatmaps among `layers` that no dock has made."""
    known = {id(made.layer()) for made in state.made}
    for layer in map(bare, layers):
        if id(layer) in known or not is_heatmap(layer) or layer in OF_A_DOCK:
            continue
        made = opened_heatmap(layer)
        if made is not None:
            state.made.append(made)


def opened_heatmap(layer: Image) -> Made | None:
    """Return what a layer's metadata says it shows; None where it no longer fits its data."""
    try:
        axes = image_axes(layer)
        heatmap = layer_to_heatmap(layer, axes)
        volume = layer_to_volume(layer)
    except NapariCamError:
        return None
    one, two, three = (word or "opened" for word in map_words(heatmap.provenance))
    no_scores = np.zeros((len(heatmap.valid), 0), np.float32)
    return Made(
        Result((one, two, three), str(layer.name), heatmap, no_scores),
        Picked((weakref.ref(layer),), axes),
        volume,
        Request(heatmap=str(layer.source.path or "")),
        (),
        weakref.ref(layer),
    )
