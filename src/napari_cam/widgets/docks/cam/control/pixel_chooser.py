"""The pixel set of step 2 on the canvas: painted, clicked, and read from labels layers."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer
from psygnal import Signal

from napari_cam.errors import NapariCamError, TargetError
from napari_cam.widgets.docks.cam.control.picker import Picker, voxel_at
from napari_cam.widgets.docks.cam.work.request import PixelSet
from napari_cam.widgets.layers.derived_layers import mask_to_layer
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.on_grid import lies_on
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import layer_provenance

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.state import CamState
    from napari_cam.widgets.docks.cam.views.region_box import RegionBox

_NAME = "pixel set"


class PixelChooser:
    """Does on the canvas what the region box asks for."""

    failed = Signal(str)

    def __init__(self, viewer: Any, state: CamState, box: RegionBox, parent: QWidget) -> None:
        self._viewer = viewer
        self._state = state
        self._box = box
        self._watched: weakref.ReferenceType[Labels] | None = None
        self._layers: list[weakref.ReferenceType[Layer]] = []
        self.picker = Picker(viewer, parent)
        self.picker.picked.connect(self._on_picked)
        self.picker.waiting_changed.connect(box.show_waiting)
        box.paint_wanted.connect(self.paint)
        box.click_wanted.connect(self.toggle_click)
        box.changed.connect(self._watch)
        state.picture_changed.connect(self._on_image)

    def follow_layers(self) -> None:
        """Follow the viewer's labels layers."""
        layers = [bare(layer) for layer in self._viewer.layers]
        self._box.show_labels([layer for layer in layers if isinstance(layer, Labels)])

    def paint(self) -> None:
        """Show the layer to paint into, a new one where there is none yet, with brush in hand."""
        picture = self._state.picture
        if picture is None:
            return
        layer = self._box.chosen_layer
        if layer is None:
            try:
                source = picture.layer
                volume = picture.volume(self._viewer)
                facts = layer_provenance(None, source, kind=_NAME)
                empty = np.zeros(volume.shape, np.uint8)
                layer = Layer.create(*mask_to_layer(empty, source, _NAME, facts, axes=picture.axes))
            except NapariCamError as error:
                self.failed.emit(str(error))
                return
            layer.opacity = 0.5
            self._viewer.add_layer(layer)
        layer.visible, layer.mode = True, "paint"
        self._viewer.layers.selection.active = layer
        self._box.take_painted(layer, int(layer.selected_label) or 1)

    def toggle_click(self) -> None:
        """Wait for a click into the image, or no longer."""
        if self.picker.waiting:
            self.picker.cancel()
        elif self._viewer.dims.ndisplay != 2:
            self._box.show_waiting(False)
            self.failed.emit("A point is clicked in a slice; turn the view to 2D first.")
        else:
            self.picker.start()

    def _on_picked(self, world: tuple[float, ...]) -> None:
        picture = self._state.picture
        if picture is None:
            return
        try:
            shape = picture.volume(self._viewer).shape
            point = voxel_at(world, picture.layer, picture.axes, shape)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        if point is None:
            self.failed.emit("That point lies outside the image; click into it.")
            return
        self.failed.emit("")
        self._box.take_point(point)
        self._box.show_waiting(False)

    def _on_image(self) -> None:
        """Forget the point of another image."""
        picture = self._state.picture
        layers = [] if picture is None else list(picture.references)
        if [each() for each in layers] != [each() for each in self._layers]:
            self._layers = layers
            self._box.forget_point()
            self._box.show_waiting(self.picker.waiting)
        self._box.show_paintable(self._state.no_picture if picture is None else "")

    def _watch(self) -> None:
        """Follow the strokes of the brush in the chosen layer."""
        layer = self._box.chosen_layer
        before = None if self._watched is None else self._watched()
        if layer is before:
            return
        if before is not None:
            before.events.labels_update.disconnect(self._on_stroke)
        if layer is not None:
            layer.events.labels_update.connect(self._on_stroke)
        self._watched = None if layer is None else weakref.ref(layer)

    def _on_stroke(self, _event: Any = None) -> None:
        self._box.changed.emit()

    def region(self, volume: Volume) -> str | PixelSet | None:
        """Return the pixel set as it stands, None for what is meant unless it is said otherwise.

        Raises
        ------
        NapariCamError
            Where a labels layer does not lie on the image.
        """
        text = self._box.text
        if text is not None:
            return None if text == "predicted" else text
        layer = self._box.chosen_layer
        if layer is None:
            raise TargetError(self._box.missing)
        labels = layer_to_volume(layer)
        picture = self._state.picture
        if picture is None or not lies_on(layer, labels, volume.grid, picture.layer):
            raise TargetError(
                f"The labels layer '{layer.name}' does not lie on the image's own grid; choose "
                "another, or paint the pixels."
            )
        path = layer.source.path
        values = np.array(labels.values)  # painting may go on
        return PixelSet(values, self._box.number.value(), str(path) if path else None)

    def drop(self) -> None:
        """Wait for nothing any more: the dock is closing."""
        self.picker.cancel()
