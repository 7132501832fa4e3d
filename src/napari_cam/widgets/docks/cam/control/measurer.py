"""What step 4 says of a mask: the slice on screen at once, the whole volume when all rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.heatmap import one_slice
from napari_cam.units import slab
from napari_cam.widgets.docks.cam.work.figures import Figures, figures_of
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import image_axes
from napari_cam.widgets.layers.on_grid import label_set_on
from napari_cam.widgets.layers.position import slice_on_screen
from napari_cam.widgets.layers.watcher import Watcher
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Labels
    from qtpy.QtCore import QObject

    from napari_cam.widgets.docks.cam.state import ShownHeatmap, ShownMask
    from napari_cam.widgets.layers.foregrounds import LabelSet

_PAUSE_MS = 80  # nobody paints or moves the slider for so long before the volume is measured


class Measurer:
    """Measures one mask at a time: the one that was cut, painted into or chosen last.

    Attributes
    ----------
    mask
        The mask; None for none.
    """

    sliced = Signal(object, str)  # Figures of the slice on screen, None while it is due; its name
    measured = Signal(object)  # Figures of the whole, None while they are due
    referred = Signal(str)  # what is to be known of the comparison, "" for nothing

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self._viewer = viewer
        self._watch: Watcher | None = None
        self._numbers: tuple[int, ...] = ()
        self._follower = Follower(
            parent, self._measure, self._on_measured, self.referred.emit, _PAUSE_MS
        )
        self.mask: ShownMask | None = None

    @property
    def busy(self) -> bool:
        """Whether a mask is being measured, or soon will be."""
        return self._follower.busy

    def take(self, mask: ShownMask | None) -> None:
        """Measure a mask as it is now; the whole of it at once, unless it is due."""
        self.mask = mask
        self._forget()
        self.show_slice()
        if mask is not None and mask.due is None:
            self._follower.want(mask, now=True)

    def follow(self, mask: ShownMask) -> None:
        """Measure a mask that is being painted into: the whole of it when the brush rests."""
        self.mask = mask
        self._forget()
        self.show_slice()
        self._follower.want(mask)

    def refer(self, layer: Labels | None, numbers: tuple[int, ...]) -> None:
        """Compare with labels of a layer from now on, None for no comparison."""
        if self._watch is not None:
            self._watch.end()
        self._watch = None if layer is None else Watcher(self._viewer, layer, self._on_reference)
        self._numbers = numbers
        self.referred.emit("")
        self.take(self.mask)

    def _on_reference(self) -> None:
        if self.mask is not None:
            self.follow(self.mask)

    def show_slice(self) -> None:
        """Measure the slice on screen, where it is as it was asked for."""
        mask = self.mask
        layer = None if mask is None else mask.layer()
        place = None if layer is None else slice_on_screen(self._viewer, layer, image_axes(layer))
        if mask is None or layer is None or place is None:
            self.sliced.emit(None, "")
            return
        name = f"slice {place[1]}"
        if not mask.shows(place):
            self.sliced.emit(None, name)
            return
        try:
            self.sliced.emit(self._slice_figures(mask, layer, place), name)
        except NapariCamError:
            self.sliced.emit(None, name)  # the mask no longer fits its heatmap

    def _slice_figures(self, mask: ShownMask, layer: Labels, place: tuple[int, int]) -> Figures:
        axis, index = place
        heatmap = mask.cut_from.result.heatmap
        shown = slab(axis, index)
        values = np.asarray(layer_to_volume(layer).values[shown])
        reference = self._reference(mask.cut_from)
        compared = None if reference is None else reference.mask(shown)
        return figures_of(values != 0, one_slice(heatmap, index, axis), compared)

    def _reference(self, shown: ShownHeatmap) -> LabelSet | None:
        """Return the labels to compare with; None where there are none, or they lie elsewhere."""
        layer = None if self._watch is None else self._watch.layer
        if layer is None:
            return None
        try:
            return label_set_on(layer, shown.result.heatmap.grid, shown.beside[0], self._numbers)
        except NapariCamError as error:
            self.referred.emit(str(error))
            return None

    def _forget(self) -> None:
        """Let no figures of an earlier moment arrive."""
        self._follower.drop()
        self.measured.emit(None)

    def _measure(self, mask: ShownMask) -> Iterator[Figures] | None:
        layer = mask.layer()
        if layer is None or mask.due is not None:
            return None
        labels, heatmap = layer_to_volume(layer).values, mask.cut_from.result.heatmap
        reference = self._reference(mask.cut_from)

        def measure() -> Iterator[Figures]:
            compared = None if reference is None else reference.mask()
            yield figures_of(np.asarray(labels) != 0, heatmap, compared)

        return measure()

    def _on_measured(self, _mask: ShownMask, figures: Figures) -> None:
        overlap = figures.overlap
        if overlap is not None:
            self.referred.emit(
                f"{overlap.left_out} of {overlap.voxels} voxels of the reference lie where the "
                "network did not look, and are left out of IoU and Dice."
                if overlap.left_out
                else ""
            )
        self.measured.emit(figures)

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        if self._watch is not None:
            self._watch.end()
            self._watch = None
        self._follower.drop()
