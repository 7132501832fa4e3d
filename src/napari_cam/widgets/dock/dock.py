"""The dock "CAM": five steps in one scroll area, and the lines below that are always visible."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cam.errors import NapariCamError
from napari_cam.widgets.dock.device_line import DeviceLine
from napari_cam.widgets.dock.explaining import Explainer, picked_volume
from napari_cam.widgets.dock.heatmap_step import HeatmapStep
from napari_cam.widgets.dock.image_step import ImageStep
from napari_cam.widgets.dock.mask_step import MaskStep
from napari_cam.widgets.dock.masking import Masker
from napari_cam.widgets.dock.network_step import NetworkStep
from napari_cam.widgets.dock.parts import Hint, Step, allow
from napari_cam.widgets.dock.position import bare, layer_axis, neighbour, show_index, shown_index
from napari_cam.widgets.dock.request import SAMPLE, Request
from napari_cam.widgets.dock.running import Network, Progress, layers_of_image, load_network
from napari_cam.widgets.dock.save_step import SaveStep
from napari_cam.widgets.dock.saving import Savable, as_text, file_name, savable, writing_job
from napari_cam.widgets.dock.settings import read_settings
from napari_cam.widgets.dock.shortcuts import Shortcuts
from napari_cam.widgets.dock.state import DockState, Made, MadeMask
from napari_cam.widgets.dock.worker import Failure, Job

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QShowEvent

    from napari_cam.volumes.volume import Volume

_NO_HEATMAP = "Make a heatmap first, in step 3."


class CamDock(QWidget):
    """See where a network looked, cut it into a mask, save it.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are explained.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._closed = False
        self.state = DockState()
        self.settings = read_settings()
        self.image_step = ImageStep(napari_viewer)
        self.network_step = NetworkStep(self.settings.method, self.settings.model_folder)
        self.heatmap_step = HeatmapStep()
        self.mask_step = MaskStep()
        self.save_step = SaveStep()
        self.device_line = DeviceLine()
        self.problem = Hint("#ff6060")
        self.explainer = Explainer(napari_viewer, self.state)
        self.masker = Masker(napari_viewer, self.state, self)
        self._listed: object = None  # for which network and image the layers are listed
        self._known: list[Made] = []
        self._chosen: Made | None = None
        self._loading: Job | None = None
        self._saving: Job | None = None
        self._listing: Job | None = None
        self._lay_out()
        self._wire_steps()
        self._wire_viewer()
        # Closing the whole window destroys the dock without taking it out first.
        myself = weakref.ref(self)
        self.destroyed.connect(lambda: _shut(myself()))
        self._on_made()
        self.follow_layers()
        self._load(SAMPLE, None)

    def _lay_out(self) -> None:
        steps = QWidget()
        inner = QVBoxLayout(steps)
        inner.setContentsMargins(2, 2, 2, 2)
        contents: tuple[QWidget, ...] = (
            self.image_step,
            self.network_step,
            self.heatmap_step,
            self.mask_step,
            self.save_step,
        )
        titles = ("Image", "Network and method", "Heatmap", "Mask", "Save")
        self.steps = [
            Step(number, title, content)
            for number, (title, content) in enumerate(zip(titles, contents, strict=True), 1)
        ]
        for step in self.steps:
            inner.addWidget(step)
        inner.addStretch(1)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setWidget(steps)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.scroll_area, 1)
        outer.addWidget(self.problem)
        outer.addWidget(self.device_line)
        self.setMinimumWidth(330)
        buttons = {
            "preview": self.heatmap_step.preview,
            "run": self.heatmap_step.run,
            "cancel": self.heatmap_step.cancel,
            "previous": self.heatmap_step.previous,
            "next": self.heatmap_step.next,
        }
        self.shortcuts = Shortcuts(self, buttons)

    def _wire_steps(self) -> None:
        self.image_step.changed.connect(self._on_image)
        self.network_step.network_wanted.connect(self._load)
        self.network_step.changed.connect(self._allow)
        self.heatmap_step.run_wanted.connect(self.run)
        self.heatmap_step.preview_wanted.connect(self.preview)
        self.heatmap_step.cancel_wanted.connect(self.explainer.cancel)
        self.heatmap_step.step_wanted.connect(self.go_to_evidence)
        self.heatmap_step.changed.connect(self.stretch)
        self.mask_step.changed.connect(self._on_mask_changed)
        self.mask_step.make_wanted.connect(self.make_mask)
        self.mask_step.keep_wanted.connect(self.keep_mask)
        self.save_step.save_wanted.connect(self.save_as)
        self.save_step.copy_wanted.connect(self.copy)
        self.state.network_changed.connect(self._on_network)
        self.state.busy_changed.connect(self._allow)
        self.state.made_changed.connect(self._on_made)
        self.explainer.began.connect(self._on_began)
        self.explainer.progressed.connect(self._on_progress)
        self.explainer.cancelling.connect(self.heatmap_step.show_cancelling)
        self.explainer.ended.connect(self._on_ended)
        self.explainer.stretched.connect(self._on_stretched)
        self.explainer.failed.connect(self._fail)
        self.masker.sized.connect(self.mask_step.show_covers)
        self.masker.failed.connect(self._fail)

    def _wire_viewer(self) -> None:
        layers, dims = self._viewer.layers, self._viewer.dims
        layers.events.inserted.connect(self.follow_layers)
        layers.events.removed.connect(self.follow_layers)
        layers.events.reordered.connect(self.follow_layers)
        layers.events.renamed.connect(self.follow_layers)
        dims.events.point.connect(self._on_slice)

    def _unwire_viewer(self) -> None:
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self.follow_layers)
        self._viewer.dims.events.point.disconnect(self._on_slice)

    # The dock's own life.

    def event(self, a0: QEvent | None) -> bool:
        """Close when napari takes the dock out of its window, open when it is put back."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.shut()
            elif self._closed:
                self._reopen()
        return bool(super().event(a0))

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802
        """Take the keys of the window."""
        self.shortcuts.take()
        super().showEvent(a0)

    def shut(self) -> None:
        """Stop everything and let go of the viewer; nothing arrives any more."""
        if self._closed:
            return
        self._closed = True
        self.explainer.drop()
        self.masker.drop()
        for job in (self._loading, self._saving, self._listing):
            if job is not None:
                job.drop()
        self._unwire_viewer()
        self.shortcuts.end()

    def _reopen(self) -> None:
        self._closed = False
        self._wire_viewer()
        self.state.set_busy("")
        self.heatmap_step.show_idle("")
        self.follow_layers()
        if self.state.network is None:
            self._load(self.network_step.source, None)

    # Step 1.

    def follow_layers(self, _event: Any = None) -> None:
        """Follow the viewer's layers."""
        if self._closed:
            return
        self.state.keep_only({id(bare(layer)) for layer in self._viewer.layers})
        self.image_step.follow_layers()
        self._on_made()

    def _on_image(self) -> None:
        picked, problem = self.image_step.pick()
        volume: Volume | None = None
        if picked is not None:
            try:
                volume = picked_volume(self._viewer, picked)
            except NapariCamError as error:
                picked, problem = None, str(error)
        self.state.set_image(picked, problem)
        self.image_step.show_facts(volume, problem)
        self._list_layers(volume)
        self._allow()

    # Step 2.

    def _load(self, source: str, architecture: str | None) -> None:
        if self._loading is not None:
            self._loading.drop()
        self.state.set_network(None, "The network is being loaded; this takes a moment.")
        self.network_step.show_loading()
        device, precision = self.settings.device, self.settings.precision
        self._loading = Job(
            lambda: load_network(source, architecture, device, precision),
            self.state.set_network,
            self._on_loaded,
        ).start()

    def _on_loaded(self, failure: Failure | None) -> None:
        self._loading = None
        if failure is not None:
            self.state.set_network(None, failure.sentence)

    def _list_layers(self, volume: Volume | None) -> None:
        """List the target layers with the sizes that their maps have for this image."""
        if self._listing is not None:
            self._listing.drop()
            self._listing = None
        network = self.state.network
        if network is None or volume is None or not network.layers:
            return
        axis, shape = self.image_step.axis, (volume.values.shape, volume.spacing)
        if (network, axis, shape) == self._listed:
            return
        self._listed = (network, axis, shape)
        self._listing = Job(
            lambda: layers_of_image(network.model, volume, axis),
            self.network_step.show_layers,
            lambda _failure: None,  # a run will tell why
        ).start()

    def _on_network(self) -> None:
        network: Network | None = self.state.network
        if network is not None or self._loading is None:
            self.network_step.show_network(network, self.state.no_network)
        if network is not None:
            self.device_line.show_device(network.device)
            self._on_image()
        self._allow()

    # Step 3.

    @property
    def missing(self) -> str:
        """Why nothing can run, "" where all is there."""
        if self.state.missing:
            return self.state.missing
        if not self.network_step.chosen_methods:
            return "Tick at least one method in step 2."
        return self.state.busy

    def _allow(self) -> None:
        missing = self.missing
        self.heatmap_step.show_missing(missing)
        if self.explainer.running:
            self.heatmap_step.hint.say("")

    def request(self, volume: Volume) -> Request:
        """Return what is asked for, as the controls stand."""
        network, picked = self.state.network, self.state.picked
        time = None
        if picked is not None and picked.axes.time is not None:
            layer = picked.first
            length = layer.data.shape[picked.axes.time]
            time = shown_index(self._viewer, layer, picked.axes.time, length)
        return Request(
            model=network.source if network is not None else SAMPLE,
            architecture=network.architecture if network is not None else None,
            methods=self.network_step.chosen_methods,
            class_id=self.network_step.chosen_class,
            layers=self.network_step.chosen_layers,
            axis=self.image_step.axis,
            normalize=str(self.heatmap_step.normalize.currentData()),
            device=self.settings.device,
            precision=self.settings.precision,
            image=volume.source.path,
            time=time,
        )

    def run(self) -> None:
        """Explain all slices."""
        self._start(whole=True)

    def preview(self) -> None:
        """Explain the slice on screen."""
        self._start(whole=False)

    def _start(self, whole: bool) -> None:
        if self.missing:
            return
        self.settings = read_settings()
        self.explainer.start(self.request, whole)

    def stretch(self) -> None:
        """Stretch the chosen heatmap, and the others of its run, as step 3 says."""
        made = self.chosen
        if made is not None:
            self._fail("")
            self.explainer.stretch(made, str(self.heatmap_step.normalize.currentData()))

    def _on_stretched(self) -> None:
        self.masker.renew()
        self._on_slice()

    def _on_began(self, what: str) -> None:
        self._fail("")
        self.heatmap_step.show_running(what)
        self._allow()

    def _on_progress(self, progress: Progress) -> None:
        self.heatmap_step.show_progress(progress)
        if progress.results is not None:
            self.masker.renew()
        self._on_slice()

    def _on_ended(self, summary: str, problem: str) -> None:
        self.heatmap_step.show_idle(summary)
        self._fail(problem)
        self._allow()
        self._on_slice()

    def _fail(self, sentence: str) -> None:
        """Say what went wrong, in the dock and as a notification; "" for nothing."""
        self.problem.say(sentence)
        if sentence:
            show_error(sentence)

    @property
    def chosen(self) -> Made | None:
        """The heatmap chosen in step 4."""
        return self._chosen

    def _on_slice(self, _event: Any = None) -> None:
        made = self.chosen
        layer = None if made is None else made.layer()
        if self._closed or made is None or layer is None:
            self.heatmap_step.show_scores(None, (), "")
            return
        index = self._shown(made, layer)
        logits = made.result.logits[index]
        known = bool((logits == logits).all())  # NaN where it has not been computed
        where = "The whole volume" if made.result.heatmap.unit_axis is None else f"Slice {index}"
        title = where if known else f"{where} has not been computed yet."
        if known and not made.result.heatmap.valid[index]:
            title += ": no evidence for this class"
        self.heatmap_step.show_scores(logits if known else None, made.class_names, title)

    def _shown(self, made: Made, layer: Any) -> int:
        axis = layer_axis(made.picked.axes, made.result.heatmap.unit_axis)
        source = made.picked.layers[0]()
        return shown_index(self._viewer, layer if source is None else source, axis, made.n_units)

    def go_to_evidence(self, step: int) -> None:
        """Go to the next slice with evidence, or back to the previous one."""
        made = self.chosen
        source = None if made is None else made.picked.layers[0]()
        if made is None or source is None:
            return
        heatmap = made.result.heatmap
        axis = layer_axis(made.picked.axes, heatmap.unit_axis)
        index = shown_index(self._viewer, source, axis, made.n_units)
        found = neighbour(heatmap.valid, index, step)
        if found is None:
            side = "after" if step > 0 else "before"
            self.heatmap_step.slice_title.setText(f"No slice with evidence {side} this one.")
            return
        show_index(self._viewer, source, axis, found, made.n_units)

    # Step 4.

    def _on_made(self) -> None:
        made, chosen = self.state.made, self._chosen
        new = [each for each in made if not any(each is old for old in self._known)]
        if new:
            chosen = new[0]
        elif not any(each is chosen for each in made):
            chosen = made[-1] if made else None
        self._known, self._chosen = list(made), chosen
        place = next((n for n, each in enumerate(made) if each is chosen), -1)
        self.mask_step.show_heatmaps([each.title for each in made], place)
        missing = "" if made else _NO_HEATMAP
        for button in (self.heatmap_step.previous, self.heatmap_step.next):
            allow(button, missing)
        titles = [title for title, _ in savable(self.state)]
        self.save_step.show_results(titles, missing)
        self._allow_mask()
        self._on_slice()

    def _allow_mask(self) -> None:
        made = self.chosen
        live = made is not None and self.state.live_mask(made) is not None
        self.mask_step.show_state("" if made is not None else _NO_HEATMAP, live)
        if not live and not self.state.masks:
            self.mask_step.show_covers("")

    def _on_mask_changed(self) -> None:
        index = self.mask_step.heatmap.currentIndex()
        if 0 <= index < len(self.state.made):
            self._chosen = self.state.made[index]
        self._allow_mask()
        self._on_slice()
        made = self.chosen
        if made is not None:
            self._fail("")
            self.masker.follow(made, self.mask_step.request)

    def make_mask(self) -> None:
        """Add a mask of the chosen heatmap."""
        made = self.chosen
        if made is not None:
            self._fail("")
            self.masker.make(made, self.mask_step.request)

    def keep_mask(self) -> None:
        """Leave the mask as it is, for editing."""
        made = self.chosen
        if made is not None:
            self.masker.keep(made)

    # Step 5.

    def _chosen_result(self) -> Savable | None:
        items = savable(self.state)
        index = self.save_step.result.currentIndex()
        item = items[index][1] if 0 <= index < len(items) else None
        if isinstance(item, MadeMask):
            self.masker.finish(item)
        return item

    def save_as(self) -> None:
        """Ask where, and write the chosen result there."""
        item = self._chosen_result()
        asked = None if item is None else self.save_step.ask_path(file_name(item))
        if item is None or asked is None:
            return
        self._fail("")
        try:
            job = writing_job(item, *asked)
        except NapariCamError as error:
            self._fail(str(error))
            return
        self.save_step.show_done("Writing …")
        self._saving = Job(job, self._on_written, self._on_saved).start()

    def _on_written(self, path: Path) -> None:
        self.save_step.show_done(f"Written: {path}, with its .json beside it.")

    def _on_saved(self, failure: Failure | None) -> None:
        self._saving = None
        if failure is not None:
            self.save_step.show_done("")
            self._fail(failure.sentence)

    def copy(self, kind: str) -> None:
        """Put the chosen result's script or command lines on the clipboard."""
        item = self._chosen_result()
        clipboard = QApplication.clipboard()
        if item is not None and clipboard is not None:
            clipboard.setText(as_text(item, kind))
            what = "script" if kind == "python" else "command lines"
            self.save_step.show_done(f"The {what} that make this again are on the clipboard.")


def _shut(dock: CamDock | None) -> None:
    if dock is not None:
        dock.shut()
