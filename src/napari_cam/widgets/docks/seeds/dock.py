"""The dock "Seeds": five steps in one scroll area, below the choice of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_cam.errors import NapariCamError
from napari_cam.widgets.controls.frame import lay_out
from napari_cam.widgets.controls.parts import combo, form, quiet
from napari_cam.widgets.controls.picture_list import PictureList
from napari_cam.widgets.controls.shortcuts import Shortcuts
from napari_cam.widgets.docks.live_dock import LiveDock
from napari_cam.widgets.docks.seeds.control.box_finder import BoxFinder
from napari_cam.widgets.docks.seeds.control.class_editor import ClassEditor
from napari_cam.widgets.docks.seeds.control.ensembler import Ensembler
from napari_cam.widgets.docks.seeds.control.exporter import Exporter
from napari_cam.widgets.docks.seeds.control.painter import Painter
from napari_cam.widgets.docks.seeds.control.reviewer import Reviewer
from napari_cam.widgets.docks.seeds.control.seeder import Seeder, open_as_seeds
from napari_cam.widgets.docks.seeds.state import SeedsState
from napari_cam.widgets.docks.seeds.tooltips import KEYS
from napari_cam.widgets.docks.seeds.views.box_step import BoxStep
from napari_cam.widgets.docks.seeds.views.ensemble_step import EnsembleStep
from napari_cam.widgets.docks.seeds.views.export_step import ExportStep
from napari_cam.widgets.docks.seeds.views.review_step import ReviewStep
from napari_cam.widgets.docks.seeds.views.seeds_step import SeedsStep
from napari_cam.widgets.layers.picture import heatmaps_on, labels_on
from napari_cam.widgets.layers.records import is_seeds

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

_REST_MS = 400
_WIDTH = 370


class SeedsDock(LiveDock):
    """From heatmaps and masks to seeds that a person has edited and reviewed, and to files.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are worked on.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state = SeedsState()
        self.image = combo("seeds_image")
        self.ensemble_step = EnsembleStep()
        self.box_step = BoxStep()
        self.seeds_step = SeedsStep()
        self.review_step = ReviewStep()
        self.export_step = ExportStep()
        self.box_finder = BoxFinder(napari_viewer, self.state, self.box_step, self)
        self.ensembler = Ensembler(napari_viewer, self.state, self.ensemble_step, self)
        self.classes = ClassEditor(self.state, self.seeds_step)
        self.seeder = Seeder(napari_viewer, self.state, self.seeds_step, self)
        self.painter = Painter(napari_viewer, self.state, self.review_step)
        self.reviewer = Reviewer(
            napari_viewer, self.state, self.review_step, self.ensembler, self.seeder, self
        )
        self.exporter = Exporter(napari_viewer, self.state, self.export_step)
        self._pictures = PictureList(napari_viewer, self.image, self.state)
        self._seen: WeakSet[Labels] = WeakSet()  # saved seeds are opened once by themselves
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._write_record)
        self._lay_out()
        self._wire()
        self._begin()

    def _lay_out(self) -> None:
        top = form()
        top.addRow("Image", self.image)
        contents: dict[str, QWidget] = {
            "Ensemble": self.ensemble_step,
            "Box": self.box_step,
            "Seeds": self.seeds_step,
            "Edit and review": self.review_step,
            "Export": self.export_step,
        }
        self.steps, self.scroll_area = lay_out(
            self, contents, (self.problem,), _WIDTH, above=top, closed=("Box",)
        )
        review = self.review_step
        buttons = {
            "commit": self.seeds_step.commit,
            "previous_class": review.previous_class,
            "next_class": review.next_class,
            "previous_disagreement": review.previous,
            "next_disagreement": review.next,
            "reviewed": review.reviewed,
        }
        self.shortcuts = Shortcuts(self, buttons, KEYS)

    def _wire(self) -> None:
        self.image.currentIndexChanged.connect(lambda _index: self._on_image())
        self.ensemble_step.changed.connect(self._allow)
        self.seeds_step.changed.connect(self._allow)
        self.seeds_step.layer_wanted.connect(self._on_layer_wanted)
        self.classes.changed.connect(self._allow)
        self.state.seeds_changed.connect(self._on_seeds)
        for part in (
            self.box_finder,
            self.ensembler,
            self.classes,
            self.seeder,
            self.reviewer,
            self.exporter,
        ):
            part.failed.connect(self.fail)
        for result in (self.ensembler.mask, self.seeder.preview):
            result.taken.connect(self.follow_layers)
        for making in (self.ensembler, self.seeder):
            making.made.connect(lambda: self.fail(""))

    def _heard(self) -> list[tuple[Any, Callable[..., object]]]:
        dims = self._viewer.dims.events
        return [*super()._heard(), (dims.point, self._on_slice), (dims.order, self._on_slice)]

    # The dock's own life.

    def _stop(self) -> None:
        self._rest.stop()
        for part in (
            self.box_finder,
            self.ensembler,
            self.seeder,
            self.painter,
            self.reviewer,
            self.exporter,
        ):
            part.drop()
        self.state.set_seeds(None)

    def _start_again(self) -> None:
        self._seen.clear()
        self.follow_layers()

    @property
    def busy(self) -> bool:
        """Whether anything is being worked out or written."""
        parts = (self.box_finder, self.ensembler, self.seeder, self.reviewer)
        return self.exporter.running or any(part.busy for part in parts)

    # The image and its layers.

    def _list_layers(self) -> None:
        self._pictures.follow()
        self._list_members()
        self._list_seeds()
        self.box_finder.follow_layers()
        self.seeder.follow_layers()
        self.exporter.follow_layers()
        self._show_review()

    def _on_image(self) -> None:
        self._seen.clear()
        self.state.set_seeds(None)
        self._pictures.take_chosen()
        self.follow_layers()

    def _list_members(self) -> None:
        picture, step = self.state.picture, self.ensemble_step
        mine = [self.ensembler.mask, self.ensembler.mean, self.ensembler.share]
        own = [each.layer for each in (*mine, self.ensembler.spread, self.seeder.preview)]
        heatmaps = [] if picture is None else heatmaps_on(picture, self._viewer.layers)
        labels = [] if picture is None else labels_on(picture, self._viewer.layers)
        offered = [each for each in heatmaps if not any(each is other for other in own)]
        self.classes.follow_heatmaps(offered)
        offered += [each for each in labels if not any(each is other for other in own)]
        before = step.members.chosen
        step.members.show_layers(offered, before)
        if len(step.members.chosen) != len(before):
            step.changed.emit()

    def _list_seeds(self) -> None:
        picture, seeds = self.state.picture, self.state.seeds
        labels = [] if picture is None else labels_on(picture, self._viewer.layers)
        own = (self.ensembler.mask.layer, self.seeder.preview.layer)
        offered = [each for each in labels if not any(each is other for other in own)]
        layer = None if seeds is None else seeds.layer
        if seeds is not None and not any(each is layer for each in offered):
            self.state.set_seeds(None)  # it was removed, or the image is another
            layer = None
        self.seeds_step.seeds.follow(offered)
        self._show_seeds()
        if layer is None:
            saved = [each for each in offered if is_seeds(each) and each not in self._seen]
            self._seen.update(saved)
            if saved:
                self._open(saved[0])

    # The seeds layer.

    def _on_layer_wanted(self) -> None:
        layer = self.seeds_step.seeds.layer
        if layer is None:
            self.state.set_seeds(None)
        else:
            self.fail("")
            self._open(layer)

    def _open(self, layer: Labels) -> None:
        picture = self.state.picture
        if picture is None:
            return
        try:
            seeds = open_as_seeds(layer, picture)
        except NapariCamError as error:
            self.fail(str(error))
            self._show_seeds()
            return
        self.state.set_seeds(seeds)
        if seeds.note:
            self.seeds_step.say(seeds.note)

    def _on_seeds(self) -> None:
        seeds = self.state.seeds
        if seeds is not None:
            seeds.changed.connect(self._on_edited)
        self._show_seeds()
        self.follow_layers()

    def _show_seeds(self) -> None:
        layer = None if self.state.seeds is None else self.state.seeds.layer
        with quiet(self.seeds_step.seeds.box):
            self.seeds_step.seeds.choose(layer)

    def _on_edited(self) -> None:
        self._rest.start()

    def _write_record(self) -> None:
        if self.state.seeds is not None:
            self.state.seeds.write_record()

    # What can be done.

    def _allow(self) -> None:
        missing = self.state.missing
        masks = [each for each in self.ensemble_step.members.chosen if isinstance(each, Labels)]
        self.ensemble_step.show_state(missing, masks)
        self.seeds_step.show_state(missing, self.seeder.missing, self.classes.removable)
        self._show_review()

    def _on_slice(self, _event: Any = None) -> None:
        if not self._closed:
            self._show_review()

    def _show_review(self) -> None:
        self.painter.show()
        self.reviewer.show()
