"""The dock "CAM": five steps in one scroll area, and the lines below that are always visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_cam.errors import NapariCamError
from napari_cam.normalize import NORMALIZE
from napari_cam.widgets.controls.frame import DeviceLine, lay_out
from napari_cam.widgets.controls.parts import allow, quiet
from napari_cam.widgets.controls.shortcuts import Shortcuts
from napari_cam.widgets.docks.cam.control.asking import Asking
from napari_cam.widgets.docks.cam.control.comparer import Comparer, one_per_level
from napari_cam.widgets.docks.cam.control.explainer import Explainer, picked_volume
from napari_cam.widgets.docks.cam.control.explorer import Explorer
from napari_cam.widgets.docks.cam.control.heatmap_layers import HeatmapLayers
from napari_cam.widgets.docks.cam.control.loader import NetworkLoader
from napari_cam.widgets.docks.cam.control.mask_control import NO_HEATMAP, MaskControl
from napari_cam.widgets.docks.cam.control.masker import Masker
from napari_cam.widgets.docks.cam.control.opened import take_opened
from napari_cam.widgets.docks.cam.control.pixel_sets import PixelSets
from napari_cam.widgets.docks.cam.control.saver import ResultSaver
from napari_cam.widgets.docks.cam.control.side_by_side import SideBySide
from napari_cam.widgets.docks.cam.control.slice_view import SliceView
from napari_cam.widgets.docks.cam.state import DockState, Made
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
        self.state = DockState()
        settings = read_settings()
        self.image_step = ImageStep(napari_viewer)
        self.network_step = NetworkStep(settings.method, settings.model_folder)
        self.heatmap_step = HeatmapStep()
        self.mask_step = MaskStep()
        self.save_step = SaveStep()
        self.device_line = DeviceLine()
        layers = HeatmapLayers(napari_viewer, self.state)
        self.loader = NetworkLoader(self.state, self.network_step)
        self.pixel_sets = PixelSets(napari_viewer, self.state, self.network_step.region, self)
        steps = (self.image_step, self.network_step, self.heatmap_step)
        self.asking = Asking(napari_viewer, self.state, steps, self.pixel_sets, settings)
        self.explainer = Explainer(napari_viewer, self.state, layers)
        self.explorer = Explorer(napari_viewer, self.state, layers, self.asking.request, self)
        self.grid = SideBySide(napari_viewer)
        self.comparer = Comparer(self.explainer, self.grid)
        self.slice_view = SliceView(napari_viewer, self.heatmap_step)
        self.masker = Masker(napari_viewer, self.state, self)
        self.masks = MaskControl(napari_viewer, self.state, self.mask_step, self.masker, self)
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
        self.network_step.chosen.connect(self._on_choice)
        self.heatmap_step.run_wanted.connect(self.run)
        self.heatmap_step.preview_wanted.connect(self.preview)
        self.heatmap_step.cancel_wanted.connect(self.explainer.cancel)
        self.heatmap_step.step_wanted.connect(self.go_to_evidence)
        self.heatmap_step.changed.connect(self.stretch)
        self.heatmap_step.follow_changed.connect(self._on_choice)
        compare = self.heatmap_step.compare
        compare.methods_wanted.connect(self.compare_methods)
        compare.levels_wanted.connect(self.compare_levels)
        compare.leave_wanted.connect(self.grid.leave)
        self.grid.changed.connect(compare.show_grid)
        self.masks.chosen_changed.connect(self._show_slice)
        self.state.network_changed.connect(self._on_network)
        self.state.busy_changed.connect(self._allow)
        self.state.made_changed.connect(self._on_made)
        self.explainer.began.connect(self._on_began)
        self.explainer.progressed.connect(self._on_progress)
        self.explainer.cancelling.connect(self.heatmap_step.show_cancelling)
        self.explainer.ended.connect(self._on_ended)
        self.explainer.stretched.connect(self._on_stretched)
        self.explorer.explored.connect(self._on_explored)
        for part in (
            self.explainer,
            self.explorer,
            self.pixel_sets,
            self.comparer,
            self.masks,
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
        self.pixel_sets.drop()
        self.masker.drop()
        self.masks.drop()
        self.loader.drop()
        self.saver.drop()
        self.state.claim(False)
        self.grid.leave()

    def _start_again(self) -> None:
        self.state.claim(True)
        self.masks.reopen()
        self.state.set_busy("")
        self.heatmap_step.show_idle("")
        self.follow_layers()
        if self.state.network is None:
            self._load(self.network_step.source, None)

    # Step 1.

    def _list_layers(self) -> None:
        self.state.keep_only({id(bare(layer)) for layer in self._viewer.layers})
        take_opened(self.state, self._viewer.layers)
        self.image_step.follow_layers()
        self.network_step.region.follow_layers(self._viewer.layers)
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
        self.loader.list_layers(volume, self.image_step.axis)
        self._allow()

    # Step 2.

    def _load(self, source: str, architecture: str | None) -> None:
        self.explorer.drop()  # what another network says is stale
        self.heatmap_step.show_explored("")
        self.loader.load(source, architecture, self.asking.settings)

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
            self._on_image()
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
        self.asking.read_settings()
        self.explainer.start(self.asking.request, whole)

    def compare_methods(self) -> None:
        """Show the ticked methods side by side."""
        if not self.missing:
            self.asking.read_settings()
            self.comparer.methods(self.asking.request, self.heatmap_step.compare.whole)

    def compare_levels(self) -> None:
        """Show the levels of the network side by side."""
        if not self.missing:
            self.asking.read_settings()
            self.comparer.levels(
                self.asking.request,
                self.heatmap_step.compare.whole,
                self.network_step.listed_layers,
                self.network_step.chosen_help,
            )

    def _on_explored(self, said: str) -> None:
        self.heatmap_step.show_explored(said)
        self.masker.renew()
        self._show_slice()

    def stretch(self) -> None:
        """Stretch the chosen heatmap, and the others of its run, as step 3 says."""
        made = self.chosen
        if made is not None:
            self.fail("")
            chosen = self.heatmap_step.normalize.currentData()
            self.explainer.stretch(made, NORMALIZE.checked(chosen))

    def _on_stretched(self) -> None:
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
    def chosen(self) -> Made | None:
        """The heatmap chosen in step 4."""
        return self.masks.chosen

    def _on_slice(self, _event: Any = None) -> None:
        self._show_slice()
        self.masks.show_slice()
        if self.heatmap_step.follow.isChecked() and not self.missing:
            self.explorer.follow_slice()

    def _on_view(self, _event: Any = None) -> None:
        self.masks.show_slice()

    def _on_active(self, event: Any) -> None:
        self.masks.choose_mask(event.value)

    def _show_slice(self) -> None:
        self.slice_view.show(None if self._closed else self.chosen)

    def go_to_evidence(self, step: int) -> None:
        """Go to the next slice with evidence, or back to the previous one."""
        self.slice_view.go_to_evidence(self.chosen, step)

    # Steps 4 and 5.

    def _on_made(self) -> None:
        missing = "" if self.state.made else NO_HEATMAP
        for button in (self.heatmap_step.previous, self.heatmap_step.next):
            allow(button, missing)
        self.saver.show(missing)
        self.masks.list_made()
