"""A labels layer as seeds: its classes, whose voxels are whose, and which slices are reviewed.

All of it is kept as plain JSON in ``layer.metadata["napari_cam"]["seeds"]``, and so in the record
beside a saved file.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.labels.choices import Mode
from napari_cam.labels.classes import BACKGROUND, HIGHEST, LabelClasses
from napari_cam.labels.seeds.commit import Commit, commit
from napari_cam.labels.seeds.review import Reviewed
from napari_cam.units import any_by_unit, by_unit
from napari_cam.widgets.docks.seeds.control.layer_classes import class_colormap, classes_of
from napari_cam.widgets.docks.seeds.control.tracker import open_tracker
from napari_cam.widgets.layers.layer_axes import FACTS, ImageAxes, facts_of, image_axes, volume_view
from napari_cam.widgets.layers.records import SEEDS, layer_provenance, seeds_record

if TYPE_CHECKING:
    from napari.layers import Labels


class SeedsLayer:
    """Follows one labels layer.

    Parameters
    ----------
    layer
        Of whole numbers up to 255, in memory, of two or three axes.
    slice_axis
        The axis of (z, y, x) along which slices are reviewed.

    Attributes
    ----------
    axes
        What its axes mean.
    note
        What opening it had to decide, "" for nothing.

    Raises
    ------
    MaskError
        Where the layer cannot hold seeds.
    """

    changed = Signal()  # of its labels: an edit, an undo, a redo, a commit
    classes_changed = Signal()
    review_changed = Signal()

    def __init__(self, layer: Labels, slice_axis: int = 0) -> None:
        self._layer = weakref.ref(layer)
        self.axes = _axes(layer)
        labels = volume_view(layer.data, self.axes)
        record = seeds_record(layer)
        self.tracker, self.note = open_tracker(labels, record.get("written"))
        self.classes = classes_of(record, labels)
        self.review = _review(record, labels.shape, slice_axis)
        self._announced = False  # whether napari has said that something is being painted
        self._dabs = False  # whether a stroke of the mouse is under way
        self._writing = False
        self._paint_it()
        layer.events.paint.connect(self._on_paint)
        layer.events.labels_update.connect(self._on_update)
        layer.events.set_data.connect(self._on_drawn)

    @property
    def layer(self) -> Labels | None:
        """The layer, None where it is gone."""
        return self._layer()

    @property
    def labels(self) -> NDArray[Any]:
        """(z, y, x) its labels, a view.

        Raises
        ------
        MaskError
            Where the layer is gone.
        """
        return volume_view(self._alive().data, self.axes)

    def release(self) -> None:
        """Follow the layer no longer; what is known stays in its metadata."""
        layer = self.layer
        if layer is None:
            return
        self.update()
        self.write_record()
        layer.events.paint.disconnect(self._on_paint)
        layer.events.labels_update.disconnect(self._on_update)
        layer.events.set_data.disconnect(self._on_drawn)

    # What changes the labels.

    def commit(
        self,
        proposal: NDArray[Any],
        mode: Mode,
        code: int | None = None,
        within: NDArray[np.bool_] | None = None,
    ) -> Commit:
        """Write a proposal (z, y, x) as one undo step; what a person touched stays as it is.

        Voxels of slices that are ticked as reviewed stay too.

        Raises
        ------
        MaskError
            Where the proposal does not fit, or the layer is gone.
        """
        layer = self._alive()
        self.update()
        touched = self.tracker.touched
        by_unit(touched, self.review.axis)[list(self.review.slices)] = True
        step = commit(
            self.labels, proposal, mode, touched, self.tracker.from_cam, code=code, within=within
        )
        if len(step) == 0:
            return step
        self._writing = True
        try:
            layer.data_setitem(layer_index(step.where, self.axes), step.values)
        finally:
            self._writing = False
        self.tracker.committed(step)
        self.write_record()
        self.changed.emit()
        return step

    def update(self) -> None:
        """Take note of whatever changed since the last update, whoever did it."""
        layer = self.layer
        if layer is None or self._writing:
            return
        announced, self._announced = self._announced, False
        if self.tracker.update(volume_view(layer.data, self.axes), announced) != "none":
            self.changed.emit()

    def _on_paint(self, _event: Any = None) -> None:
        """Hear of a step of napari's history.

        A stroke of the mouse has been drawn by now, dab by dab. All else is about to be, and the
        next update tells of it.
        """
        if self._writing:
            return
        drawn, self._dabs = self._dabs, False
        self._announced = True
        if drawn:
            self.update()

    def _on_update(self, _event: Any = None) -> None:
        if self._announced:
            self.update()
        elif not self._writing:
            self._dabs = True  # of a stroke, which is one step when it ends

    def _on_drawn(self, _event: Any = None) -> None:
        self.update()

    # Classes.

    def set_classes(self, classes: LabelClasses) -> None:
        """Take another list of classes; labels keep their numbers.

        Raises
        ------
        MaskError
            Where a class goes whose label stands in the layer, or the first label of somebody
            else's, which may be a lesion, would become the background by another name.
        """
        gone = sorted({*self.classes.codes} - {*classes.codes})
        used = [code for code in gone if bool((self.labels == code).any())]
        if used:
            raise MaskError(
                f"Label {used[0]} is in use in '{self._alive().name}'; erase or relabel its voxels "
                "before its class goes."
            )
        unnamed = BACKGROUND in self.classes.codes and self.classes.background is None
        named = next((each.name for each in classes if each.code == BACKGROUND), "")
        if unnamed and named.casefold() != "background" and classes.background == BACKGROUND:
            raise MaskError(
                f"Label {BACKGROUND} is kept for the background, so it cannot be '{named}'; "
                "take these labels as the proposal of a new layer instead."
            )
        self.classes = classes
        self._paint_it()
        self.write_record()
        self.classes_changed.emit()

    def _paint_it(self) -> None:
        layer = self.layer
        if layer is not None:
            layer.colormap = class_colormap(self.classes)

    # Review.

    def tick(self, place: int, on: bool = True) -> None:
        """Say that a slice is reviewed, or that it is not; commits leave reviewed slices alone.

        Raises
        ------
        MaskError
            Where there is no such slice, or the layer is gone.
        """
        self.update()
        review = self.review
        self.review = review.tick(place, self.labels) if on else review.untick(place)
        self.write_record()
        self.review_changed.emit()

    @property
    def labelled(self) -> int:
        """How many slices hold a label."""
        return int(any_by_unit(self.labels != 0, self.review.axis).sum())

    # The record.

    def write_record(self) -> None:
        """Bring the layer's metadata up to date."""
        layer = self.layer
        if layer is None:
            return
        facts = dict(facts_of(layer))
        if facts.get("kind") != SEEDS:
            facts = {**layer_provenance(None, layer, kind=SEEDS), **facts, "kind": SEEDS}
        facts.setdefault("layer_axes", list(self.axes.spatial))
        facts[SEEDS] = {
            "classes": self.classes.to_json(),
            "written": self.tracker.state.to_json(),
            "review": self.review.to_json(),
        }
        layer.metadata[FACTS] = facts

    def _alive(self) -> Labels:
        layer = self.layer
        if layer is None:
            raise MaskError("The seeds layer was removed from the viewer; choose another one.")
        return layer


def layer_index(where: tuple[NDArray[np.intp], ...], axes: ImageAxes) -> tuple[Any, ...]:
    """Return indices (z, y, x) as indices along a layer's own axes."""
    missing = 3 - len(axes.spatial)
    return tuple(where[missing + axes.spatial.index(axis)] for axis in range(len(axes.spatial)))


def _axes(layer: Labels) -> ImageAxes:
    name = layer.name
    if getattr(layer, "multiscale", False) or not isinstance(layer.data, np.ndarray):
        raise MaskError(
            f"'{name}' cannot be edited here, as it is multiscale or not in memory; "
            "duplicate it as plain labels first."
        )
    try:
        axes = image_axes(layer)
    except NapariCamError as error:
        raise MaskError(str(error)) from error
    if len(axes.spatial) != layer.ndim:
        raise MaskError(
            f"'{name}' has an axis besides those of space, which seeds cannot; split it first "
            "(right click on the layer, Split Stack)."
        )
    if layer.data.size and not 0 <= int(layer.data.min()) <= int(layer.data.max()) <= HIGHEST:
        raise MaskError(
            f"'{name}' holds labels outside 0 to {HIGHEST}, which are instances rather than "
            "classes; merge them first."
        )
    return axes


def _review(record: Mapping[str, Any], shape: tuple[int, ...], axis: int) -> Reviewed:
    try:
        known = Reviewed.from_json(record["review"])
    except (KeyError, NapariCamError):
        known = None
    fits = known is not None and shape[known.axis] == known.n_slices
    return known if fits and known is not None else Reviewed(shape[axis], axis)
