"""Layers that show what the dock works out: renewed while they are its own, left to who edits."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from psygnal import Signal

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.units import by_unit
from napari_cam.widgets.layers.colormaps import mask_colormap
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.layer_axes import FACTS, volume_view
from napari_cam.widgets.layers.picture import Picture
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import layer_provenance


class ResultLayer:
    """One result and the layer that shows it, made when there is something to show.

    Whoever paints into it takes it over: from then on the dock leaves it alone.

    Parameters
    ----------
    viewer
        Where it is shown.
    name
        Of the layer.
    attributes
        What a labels layer looks like; called when one is made.
    """

    taken = Signal()  # somebody painted into the layer

    def __init__(
        self, viewer: Any, name: str, attributes: Callable[[], dict[str, Any]] | None = None
    ) -> None:
        self._viewer = viewer
        self.name = name
        self._attributes = attributes or (lambda: {"colormap": mask_colormap(), "opacity": 0.6})
        self._layer: weakref.ReferenceType[Any] | None = None
        self._picture: Picture | None = None

    @property
    def layer(self) -> Any:
        """The layer while it is the dock's own and in the viewer, else None."""
        layer = None if self._layer is None else self._layer()
        if layer is None or not any(bare(each) is layer for each in self._viewer.layers):
            return None
        return layer

    def leave(self) -> None:
        """Leave the layer to others."""
        self._layer = None

    def of(self, picture: Picture) -> Any:
        """Return the layer while it shows a result of this very image, else None."""
        mine = self._picture
        same = mine is not None and mine.reference() is picture.reference()
        return self.layer if same and mine.grid.same_as(picture.grid) else None  # type: ignore[union-attr]

    def show_mask(
        self, picture: Picture, mask: NDArray[Any], facts: Mapping[str, Any], kind: str = "mask"
    ) -> Any:
        """Show a mask or labels (z, y, x) of uint8 or bool."""
        made = layer_provenance(None, picture.layer, kind=kind, **_free(facts))
        layer = self.of(picture)
        if layer is not None and layer.data.dtype == np.uint8:
            volume_view(layer.data, _axes_of(layer))[...] = mask  # no undo step: it is no edit
            layer.refresh()
            layer.metadata[FACTS] = {**made, "layer_axes": layer.metadata[FACTS]["layer_axes"]}
            return layer
        data, attributes, layer_kind = mask_to_layer(
            mask.astype(np.uint8), picture.layer, self.name, made, axes=picture.axes
        )
        layer = Layer.create(data, {**attributes, **self._attributes()}, layer_kind)
        layer.events.labels_update.connect(lambda _event=None: self._taken(layer))
        return self._add(picture, layer)

    def show_slice(self, picture: Picture, mask: NDArray[Any], axis: int, index: int) -> None:
        """Show one slice of a mask (rows, columns) across `axis`; nothing where no layer is."""
        layer = self.of(picture)
        if layer is not None:
            by_unit(volume_view(layer.data, _axes_of(layer)), axis)[index] = mask
            layer.refresh()

    def show_heatmap(self, picture: Picture, heatmap: Heatmap) -> Any:
        """Show a heatmap."""
        data, attributes, kind = heatmap_to_layer(
            heatmap, picture.layer, self.name, axes=picture.axes
        )
        layer = self.of(picture)
        if layer is not None:
            layer.data = data
            layer.metadata[FACTS] = attributes["metadata"][FACTS]
            return layer
        return self._add(picture, Layer.create(data, attributes, kind))

    def _add(self, picture: Picture, layer: Any) -> Any:
        # First noted, then added: whoever follows the viewer's layers asks whose it is.
        self._layer, self._picture = weakref.ref(layer), picture
        self._viewer.add_layer(layer)
        return layer

    def _taken(self, layer: Any) -> None:
        if self.layer is layer:
            self.leave()
            self.taken.emit()


def as_heatmap(values: NDArray[np.float32], grid: Grid, provenance: Mapping[str, Any]) -> Heatmap:
    """Return numbers from 0 to 1 (z, y, x) as a heatmap of the whole volume."""
    one = np.ones(1, np.float32)
    return Heatmap(
        values=values,
        kind="unit",
        raw_min=np.zeros(1, np.float32),
        raw_max=one,
        valid=np.ones(1, bool),
        class_index=np.full(1, -1, np.int64),
        predicted_index=np.full(1, -1, np.int64),
        score=np.full(1, np.nan, np.float32),
        inside=np.ones(grid.shape, bool),
        unit_axis=None,
        grid=grid,
        provenance={**provenance, "kind": "heatmap"},
    )


def _axes_of(layer: Any) -> Any:
    from napari_cam.widgets.layers.layer_axes import image_axes

    return image_axes(layer)


def _free(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts without those that `layer_provenance` states itself."""
    return {key: value for key, value in facts.items() if key not in ("kind", "threshold")}
