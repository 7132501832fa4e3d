"""What step 2 does: the box follows its controls and what is drawn."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Shapes
from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.labels.choices import NEGATIVES
from napari_cam.volumes.choices import TISSUES
from napari_cam.widgets.docks.seeds.work.box_finding import Box, BoxRequest, DrawnShape, find_box
from napari_cam.widgets.layers.derived_layers import mask_to_layer
from napari_cam.widgets.layers.picture import Picture, labels_on, read_mask, shapes_of
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.box_step import BoxStep

_UNDER_WAY = "It is being worked out; try again in a moment."
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class BoxFinder:
    """Works out where proposals may lie."""

    failed = Signal(str)

    def __init__(self, viewer: Any, state: SeedsState, step: BoxStep, parent: QWidget) -> None:
        self._viewer, self._state, self._step = viewer, state, step
        self._watched: list[weakref.ReferenceType[Any]] = []
        self._follower = Follower(parent, find_box, self._show, self._fail)
        step.changed.connect(self._on_changed)
        step.draw_wanted.connect(self.draw)
        state.picture_changed.connect(self.follow)

    @property
    def busy(self) -> bool:
        """Whether the box is being worked out."""
        return self._follower.busy

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._follower.drop()
        self._watch()

    def follow_layers(self) -> None:
        """List the layers that can be a box."""
        picture, step = self._state.picture, self._step
        layers = self._viewer.layers
        labels = [] if picture is None else labels_on(picture, layers)
        gone = [
            tick
            for tick, choice, found in (
                (step.drawn, step.shapes, shapes_of(layers)),
                (step.labelled, step.labels, labels),
            )
            if choice.follow(found) and tick.isChecked()
        ]
        for tick in gone:
            tick.setChecked(False)  # another layer was not meant
        step.show_state(self._state.missing)

    def _on_changed(self) -> None:
        self._step.show_state(self._state.missing)
        self.follow()

    def follow(self, _event: Any = None) -> None:
        """Work the box out anew."""
        picture = self._state.picture
        if picture is None:
            return
        self._step.show_units(picture.grid.units)
        try:
            request = self.request(picture)
        except NapariCamError as error:
            self._fail(str(error))
            return
        if request.empty:
            self._follower.drop()
            self._show(request, Box())
        else:
            self._state.no_box = _UNDER_WAY
            self._follower.want(request)

    def request(self, picture: Picture) -> BoxRequest:
        """Return what is asked for, as the controls stand.

        Raises
        ------
        NapariCamError
            Where a layer is gone or does not lie on the image.
        """
        step = self._step
        sizes = [spin.value() / 100 for spin in step.sizes]
        shapes = step.shapes.layer if step.drawn.isChecked() else None
        labels = step.labels.layer if step.labelled.isChecked() else None
        self._watch(*(layer for layer in (shapes, labels) if layer is not None))
        tissue = TISSUES.checked(step.method.currentData()) if step.tissue.isChecked() else None
        band = (step.band_width.value(), step.band_position.value(), step.band_angle.value())
        return BoxRequest(
            grid=picture.grid,
            slice_axis=picture.slice_axis,
            centred=(sizes[0], sizes[1], sizes[2]) if step.centred.isChecked() else None,
            tissue=tissue,
            band=band if step.band.isChecked() else None,
            shapes=None if shapes is None else _drawn(shapes, picture),
            all_slices=step.all_slices.isChecked(),
            within=None if labels is None else read_mask(labels),
            volume=picture.volume(self._viewer) if tissue else None,
        )

    def draw(self) -> None:
        """Add a layer to draw shapes on, and hand over the pencil."""
        picture = self._state.picture
        if picture is None:
            return
        nothing = np.broadcast_to(np.zeros((), np.uint8), picture.grid.shape)
        _, place, _ = mask_to_layer(nothing, picture.layer, axes=picture.axes)
        ndim = len(picture.axes.spatial)
        layer = Shapes(
            ndim=ndim,
            name="box",
            face_color="transparent",
            edge_color="#56B4E9",
            **{key: place[key] for key in _PLACE},
        )
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_polygon"
        self._step.shapes.choose(layer)
        self._step.drawn.setChecked(True)

    def _watch(self, *layers: Layer) -> None:
        """Follow what is drawn or painted into the layers that are the box."""
        for reference in self._watched:
            for event in _drawing(reference()):
                event.disconnect(self.follow)
        self._watched = [weakref.ref(layer) for layer in layers]
        for layer in layers:
            for event in _drawing(layer):
                event.connect(self.follow)

    def _show(self, _request: BoxRequest, box: Box) -> None:
        said = "The box holds the whole image."
        if box.inside is not None:
            said = f"The box holds {box.share:.1%} of the image."
        self._step.say(said)
        outside = NEGATIVES.checked(self._step.outside.currentData())
        if outside != self._state.outside or not (box.inside is self._state.box.inside is None):
            self._state.outside = outside
            self._state.set_box(box)
        self._state.no_box = ""

    def _fail(self, sentence: str) -> None:
        """Say what is wrong beside the controls: a box half drawn is no error yet."""
        self._step.say("", sentence)
        self._state.set_box(Box(), sentence)


def _drawn(shapes: Shapes, picture: Picture) -> tuple[DrawnShape, ...]:
    """Return drawn shapes in voxels of the image."""
    layer = picture.layer
    spatial = list(picture.axes.spatial)
    found = []
    for kind, corners in zip(shapes.shape_type, shapes.data, strict=True):
        voxels = np.array([_voxel(shapes, layer, corner) for corner in corners])
        kept = voxels[:, spatial if shapes.ndim >= len(spatial) else spatial[-shapes.ndim :]]
        found.append(DrawnShape(str(kind), kept))
    return tuple(found)


def _voxel(shapes: Shapes, layer: Layer, corner: Any) -> Any:
    """Return a corner in the image's own indices; axes that the shapes lack are 0."""
    world = np.asarray(shapes.data_to_world(corner), dtype=float)
    padded = np.zeros(max(layer.ndim, len(world)))
    padded[len(padded) - len(world) :] = world
    if len(world) < layer.ndim:
        start = layer.data_to_world((0,) * layer.ndim)
        padded[: layer.ndim - len(world)] = start[: layer.ndim - len(world)]
    return layer.world_to_data(padded)


def _drawing(layer: Layer | None) -> list[Any]:
    if layer is None:
        return []
    events = layer.events
    return [events.data, *([events.labels_update] if hasattr(events, "labels_update") else [])]
