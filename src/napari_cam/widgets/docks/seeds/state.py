"""What the dock knows: image, box, seeds layer, the heatmaps of each class. No Qt."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.labels.classes import LabelClasses
from napari_cam.widgets.docks.seeds.work.box_finding import Box
from napari_cam.widgets.layers.picture import PictureState

if TYPE_CHECKING:
    from napari_cam.labels.choices import Negatives
    from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer

NO_SEEDS = "Commit a proposal first, or choose a labels layer, in step 3."


class SeedsState(PictureState):
    """What the dock knows, with a signal for each part of it.

    Attributes
    ----------
    box
        Where proposals may lie; everywhere while `no_box` says why what was asked for is not there.
    outside
        What lies outside of the box: "unlabelled" or "background".
    seeds
        The layer that commits go to; None for a new one, which is made when it is needed.
    class_code
        The label of the chosen class.
    """

    box_changed = Signal()
    seeds_changed = Signal()
    classes_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.box = Box()
        self.no_box = ""
        self.seeds: SeedsLayer | None = None
        self.outside: Negatives = "unlabelled"
        self.class_code = 2
        self._planned = LabelClasses.of_seeds(("foreground",))
        self._heatmaps: dict[int, list[weakref.ReferenceType[Any]]] = {}

    @property
    def classes(self) -> LabelClasses:
        """The classes of the seeds layer, or those that a new one will have."""
        return self._planned if self.seeds is None else self.seeds.classes

    def set_box(self, box: Box, problem: str = "") -> None:
        """Take another box, or the one for everywhere and why what was asked for is not there."""
        self.box, self.no_box = box, problem
        self.box_changed.emit()

    def set_seeds(self, seeds: SeedsLayer | None) -> None:
        """Take another seeds layer, or none."""
        if self.seeds is not None and self.seeds is not seeds:
            self.seeds.release()
        self.seeds = seeds
        self._choose_a_class()
        self.seeds_changed.emit()
        self.classes_changed.emit()

    def set_classes(self, classes: LabelClasses) -> None:
        """Take another list of classes.

        Raises
        ------
        MaskError
            Where a class goes whose label stands in the seeds layer.
        """
        if self.seeds is not None:
            self.seeds.set_classes(classes)
        else:
            self._planned = classes
        self._choose_a_class()
        self.classes_changed.emit()

    def plan(self, classes: LabelClasses) -> None:
        """Say which classes a new seeds layer will have."""
        self._planned = classes
        self._choose_a_class()
        self.classes_changed.emit()

    def choose_class(self, code: int) -> None:
        """Take another class as the active one."""
        if code != self.class_code and code in self.classes.codes:
            self.class_code = code
            self.classes_changed.emit()

    def _choose_a_class(self) -> None:
        codes = self.classes.codes
        if self.class_code not in codes and codes:
            self.class_code = codes[-1]

    def heatmaps_of(self, code: int) -> list[Any]:
        """Return the layers of heatmaps chosen for a class."""
        return [layer for each in self._heatmaps.get(code, []) if (layer := each()) is not None]

    def set_heatmaps(self, code: int, layers: list[Any]) -> None:
        """Take other heatmaps for a class."""
        self._heatmaps[code] = [weakref.ref(layer) for layer in layers]

    def keep_heatmaps(self, layers: list[Any]) -> None:
        """Forget heatmaps that are not among `layers`."""
        for code in list(self._heatmaps):
            kept = [
                layer for layer in self.heatmaps_of(code) if any(layer is each for each in layers)
            ]
            self.set_heatmaps(code, kept)

    @property
    def any_heatmap(self) -> bool:
        """Whether any class has a heatmap."""
        return any(self.heatmaps_of(code) for code in self.classes.codes)
