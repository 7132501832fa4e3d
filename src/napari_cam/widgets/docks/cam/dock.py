"""The dock "CAM": five steps in one scroll area, and the lines below that are always visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_cam.normalize import NORMALIZE
from napari_cam.widgets.controls.frame import DeviceLine, lay_out
from napari_cam.widgets.controls.parts import allow, quiet
from napari_cam.widgets.controls.shortcuts import KEYS, Shortcuts
from napari_cam.widgets.docks.cam.control.comparer import Comparer, one_per_level
from napari_cam.widgets.docks.cam.control.explainer import Explainer
from napari_cam.widgets.docks.cam.control.explorer import Explorer
from napari_cam.widgets.docks.cam.control.image_chooser import ImageChooser
from napari_cam.widgets.docks.cam.control.loader import NetworkLoader
from napari_cam.widgets.docks.cam.control.mask_chooser import NO_HEATMAP, MaskChooser
from napari_cam.widgets.docks.cam.control.masker import Masker
from napari_cam.widgets.docks.cam.control.pixel_chooser import PixelChooser
from napari_cam.widgets.docks.cam.control.presenter import Presenter, take_opened
from napari_cam.widgets.docks.cam.control.requester import Requester
from napari_cam.widgets.docks.cam.control.saver import ResultSaver
from napari_cam.widgets.docks.cam.control.walker import Walker
from napari_cam.widgets.docks.cam.state import CamState, ShownHeatmap
from napari_cam.widgets.docks.cam.views.heatmap_step import HeatmapStep
from napari_cam.widgets.docks.cam.views.image_step import ImageStep
from napari_cam.widgets.docks.cam.views.mask_step import MaskStep
from napari_cam.widgets.docks.cam.views.network_step import NetworkStep
from napari_cam.widgets.docks.cam.views.save_step import SaveStep
from napari_cam.widgets.docks.cam.work.running import Progress
from napari_cam.widgets.docks.live_dock import LiveDock
from napari_cam.widgets.docks.settings import read_settings
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.networks import SAMPLE, Network

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_cam.volumes.volume import Volume

_WIDTH = 330
_NO_LEVELS = "Only networks of task segmentation have levels."


class CamDock(LiveDock):
    """See where a network looked, cut it into a mask, save it.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are explained.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state = CamState()
        settings = read_settings()
        self.image_step = ImageStep()
        self.network_step = NetworkStep(settings.method, settings.model_folder)
        self.heatmap_step = HeatmapStep()
        self.mask_step = MaskStep()
        self.save_step = SaveStep()
        self.device_line = DeviceLine()
        self.images = ImageChooser(napari_viewer, self.state, self.image_step)
        layers = Presenter(napari_viewer, self.state)
        self.loader = NetworkLoader(self.state, self.network_step)
        self.pixel_chooser = PixelChooser(napari_viewer, self.state, self.network_step.region, self)
        steps = (self.image_step, self.network_step, self.heatmap_step)
        self.requester = Requester(napari_viewer, self.state, steps, self.pixel_chooser, settings)
        self.explainer = Explainer(napari_viewer, self.state, layers)
        self.explorer = Explorer(napari_viewer, self.state, layers, self.requester.request, self)
        self.comparer = Comparer(napari_viewer, self.explainer)
        self.walker = Walker(napari_viewer, self.heatmap_step)
        self.masker = Masker(napari_viewer, self.state, self)
        self.mask_chooser = MaskChooser(
            napari_viewer, self.state, self.mask_step, self.masker, self
        )
        self.saver = ResultSaver(self.state, self.masker, self.save_step)
        self._lay_out()
        self._wire_steps()
        self._begin()
        self._load(SAMPLE, None)

    def _lay_out(self) -> None:
        contents: dict[str, QWidget] = {
            "Image": self.image_step,
            "Network and method": self.network_step,
            "Heatmap": self.heatmap_step,
            "Mask": self.mask_step,
            "Save": self.save_step,
        }
        self.steps, self.scroll_area = lay_out(
            self, contents, (self.problem, self.device_line), _WIDTH
        )
        self.shortcuts = Shortcuts(self, {name: getattr(self.heatmap_step, name) for name in KEYS})

    def _wire_steps(self) -> None:
        self.images.taken.connect(self._on_image)
        self.network_step.network_wanted.connect(self._load)
        self.network_step.changed.connect(self._allow)
        self.network_step.chosen.connect(self._on_choice)
        self.heatmap_step.run_wanted.connect(self.run)
        self.heatmap_step.preview_wanted.connect(self.preview)
        self.heatmap_step.cancel_wanted.connect(self.explainer.cancel)
        self.heatmap_step.step_wanted.connect(self.go_to_evidence)
        self.heatmap_step.changed.connect(self.stretch)
        self.heatmap_step.follow_changed.connect(self._on_choice)
        compare = self.heatmap_step.compare
        compare.methods_wanted.connect(self._compare_methods)
        compare.levels_wanted.connect(self._compare_levels)
        compare.leave_wanted.connect(self.comparer.tiler.leave)
        self.comparer.tiler.changed.connect(compare.show_grid)
        self.mask_chooser.chosen_changed.connect(self._show_slice)
        self.state.network_changed.connect(self._on_network)
        self.state.busy_changed.connect(self._allow)
        self.state.results_changed.connect(self._on_results)
        self.explainer.began.connect(self._on_began)
        self.explainer.progressed.connect(self._on_progress)
        self.explainer.cancelling.connect(self.heatmap_step.show_cancelling)
        self.explainer.ended.connect(self._on_ended)
        self.explainer.stretched.connect(self._on_renewed)
        self.explorer.explored.connect(self.heatmap_step.show_explored)
        self.explorer.explored.connect(self._on_renewed)
        for part in (
            self.explainer,
            self.explorer,
            self.pixel_chooser,
            self.comparer,
            self.mask_chooser,
            self.saver,
        ):
            part.failed.connect(self.fail)

    def _heard(self) -> list[tuple[Any, Callable[..., object]]]:
        dims = self._viewer.dims.events
        return [
            *super()._heard(),
            (self._viewer.layers.selection.events.active, self._on_active),
            (dims.point, self._on_slice),
            (dims.order, self._on_view),
            (dims.ndisplay, self._on_view),
        ]

    # The dock's own life.

    def _stop(self) -> None:
        self.explainer.drop()
        self.explorer.drop()
        self.pixel_chooser.drop()
        self.masker.drop()
        self.mask_chooser.drop()
        self.loader.drop()
        self.saver.drop()
        self.state.claim(False)
        self.comparer.tiler.leave()

    def _start_again(self) -> None:
        self.state.claim(True)
        self.mask_chooser.reopen()
        self.state.set_busy("")
        self.heatmap_step.show_idle("")
        self.follow_layers()
        if self.state.network is None:
            self._load(self.network_step.source, None)

    # Step 1.

    def _list_layers(self) -> None:
        self.state.keep_only({id(bare(layer)) for layer in self._viewer.layers})
        take_opened(self.state, self._viewer.layers)
        self.images.follow()
        self.pixel_chooser.follow_layers()
        self._on_results()

    def _on_image(self, volume: Volume | None) -> None:
        self.loader.list_layers(volume, self.image_step.axis)
        self._allow()

    # Step 2.

    def _load(self, source: str, architecture: str | None) -> None:
        self.explorer.drop()  # what another network says is stale
        self.heatmap_step.show_explored("")
        self.loader.load(source, architecture, self.requester.settings)

    def _on_network(self) -> None:
        network: Network | None = self.state.network
        if network is not None or not self.loader.loading:
            self.network_step.show_network(network, self.state.no_network)
        if network is not None:
            card = network.model.card
            self.device_line.show_device(network.device)
            segments = card.task == "segmentation"
            with quiet(self.heatmap_step.follow):
                self.heatmap_step.follow.setChecked(segments and card.spatial_ndim == 2)
            levels = len(one_per_level(network.layers)) > 1
            self.heatmap_step.compare.show_levels("" if segments and levels else _NO_LEVELS)
            self.images.take_chosen()
        self._allow()

    # Step 3.

    @property
    def missing(self) -> str:
        """Why nothing can run, "" where all is there."""
        if self.state.missing:
            return self.state.missing
        return self.network_step.missing or self.state.busy

    def _allow(self) -> None:
        missing = self.missing
        self.heatmap_step.show_missing(missing)
        if self.explainer.running:
            self.heatmap_step.hint.say("")

    def _on_choice(self, _on: bool = True) -> None:
        """Explain the slice on screen anew where that is wanted."""
        if self.heatmap_step.follow.isChecked() and not self.missing:
            self.explorer.want()

    def run(self) -> None:
        """Explain all slices."""
        self._start(whole=True)

    def preview(self) -> None:
        """Explain the slice on screen."""
        self._start(whole=False)

    def _start(self, whole: bool) -> None:
        if self.missing:
            return
        self.requester.read_settings()
        self.explainer.start(self.requester.request, whole)

    def _compare_methods(self) -> None:
        if not self.missing:
            self.requester.read_settings()
            self.comparer.methods(self.requester.request, self.heatmap_step.compare.whole)

    def _compare_levels(self) -> None:
        if not self.missing:
            self.requester.read_settings()
            step, compare = self.network_step, self.heatmap_step.compare
            self.comparer.levels(
                self.requester.request, compare.whole, step.layers.listed, step.methods.chosen
            )

    def stretch(self) -> None:
        """Stretch the chosen heatmap, and the others of its run, as step 3 says."""
        shown = self.chosen
        if shown is not None:
            self.fail("")
            chosen = self.heatmap_step.normalize.currentData()
            self.explainer.stretch(shown, NORMALIZE.checked(chosen))

    def _on_renewed(self) -> None:
        self.masker.renew()
        self._show_slice()

    def _on_began(self, what: str) -> None:
        self.fail("")
        self.heatmap_step.show_running(what)
        self._allow()

    def _on_progress(self, progress: Progress) -> None:
        self.heatmap_step.show_progress(progress)
        if progress.results is not None:
            self.masker.renew()
        self._show_slice()

    def _on_ended(self, summary: str, problem: str) -> None:
        self.heatmap_step.show_idle(summary)
        self.fail(problem)
        self._allow()
        self._show_slice()

    @property
    def chosen(self) -> ShownHeatmap | None:
        """The heatmap chosen in step 4."""
        return self.mask_chooser.chosen

    def _on_slice(self, _event: Any = None) -> None:
        self._show_slice()
        self.mask_chooser.show_slice()
        if self.heatmap_step.follow.isChecked() and not self.missing:
            self.explorer.follow_slice()

    def _on_view(self, _event: Any = None) -> None:
        self.mask_chooser.show_slice()

    def _on_active(self, event: Any) -> None:
        self.mask_chooser.choose_mask(event.value)

    def _show_slice(self) -> None:
        self.walker.show(None if self._closed else self.chosen)

    def go_to_evidence(self, step: int) -> None:
        """Go to the next slice with evidence, or back to the previous one."""
        self.walker.go_to_evidence(self.chosen, step)

    # Steps 4 and 5.

    def _on_results(self) -> None:
        missing = "" if self.state.heatmaps else NO_HEATMAP
        for button in (self.heatmap_step.previous, self.heatmap_step.next):
            allow(button, missing)
        self.saver.show(missing)
        self.mask_chooser.list_heatmaps()
