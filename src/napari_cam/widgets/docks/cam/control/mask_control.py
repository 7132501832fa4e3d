"""What step 4 does: which heatmap is cut and how, what its mask is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from psygnal import Signal

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.widgets.docks.cam.control.explainer import picked_volume
from napari_cam.widgets.docks.cam.control.measurer import Measurer
from napari_cam.widgets.layers.cutting import MaskRequest
from napari_cam.widgets.layers.foregrounds import Foreground, Tissue
from napari_cam.widgets.layers.on_grid import label_set_on
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.watcher import Watcher

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.control.masker import Masker
    from napari_cam.widgets.docks.cam.state import DockState, Made, MadeMask
    from napari_cam.widgets.docks.cam.views.mask_step import MaskStep

NO_HEATMAP = "Make a heatmap first, in step 3."
_KEPT = "You painted into the mask, so it is kept; the slider makes a new one."


class MaskControl:
    """Chooses among the heatmaps there are, has the chosen one cut and its mask measured."""

    chosen_changed = Signal()
    failed = Signal(str)

    def __init__(
        self, viewer: Any, state: DockState, step: MaskStep, masker: Masker, parent: QObject
    ) -> None:
        self._viewer = viewer
        self._state = state
        self._step = step
        self._masker = masker
        self._known: list[Made] = []
        self._chosen: Made | None = None
        self._within: Watcher | None = None
        self._closed = False
        self.measurer = Measurer(viewer, parent)
        step.changed.connect(self._on_changed)
        step.reference_changed.connect(self._on_reference)
        step.make_wanted.connect(self.make)
        step.keep_wanted.connect(self.keep)
        masker.cut.connect(self._measure)
        masker.kept.connect(lambda _mask: step.said.say(_KEPT))
        masker.painted.connect(self._follow_brush)
        masker.failed.connect(self.failed.emit)
        self.measurer.sliced.connect(step.figures.show_slice)
        self.measurer.measured.connect(step.figures.show_whole)
        self.measurer.referred.connect(step.compared.say)

    @property
    def chosen(self) -> Made | None:
        """The heatmap chosen in step 4."""
        return self._chosen

    def list_made(self) -> None:
        """List the heatmaps and masks there are now; a new heatmap is chosen at once."""
        made, chosen = self._state.made, self._chosen
        new = [each for each in made if not any(each is old for old in self._known)]
        if new:
            chosen = new[0]
        elif not any(each is chosen for each in made):
            chosen = made[-1] if made else None
        self._known, self._chosen = list(made), chosen
        place = next((n for n, each in enumerate(made) if each is chosen), -1)
        self._step.show_heatmaps([each.title for each in made], place)
        self._step.show_labels(self._labels())
        self._allow()
        self.chosen_changed.emit()

    def _labels(self) -> list[Labels]:
        """Return the labels layers that do not follow the slider themselves."""
        live = [mask.layer() for mask in self._state.masks if mask.live]
        layers = [bare(layer) for layer in self._viewer.layers]
        labels = [layer for layer in layers if isinstance(layer, Labels)]
        return [layer for layer in labels if not any(layer is each for each in live)]

    def _allow(self) -> None:
        made = self._chosen
        live = made is not None and self._state.live_mask(made) is not None
        self._step.show_state("" if made is not None else NO_HEATMAP, live)
        if made is not None:
            heatmap = made.result.heatmap
            self._step.show_image(heatmap.grid.units, heatmap.unit_axis is not None)
        measured = self.measurer.mask
        if not any(mask is measured for mask in self._state.masks):
            self._show(self._state.masks[-1] if self._state.masks else None)

    def _on_changed(self) -> None:
        """Bring the chosen heatmap's mask up to date with the controls."""
        if self._closed:
            return
        index = self._step.heatmap.currentIndex()
        if 0 <= index < len(self._state.made):
            self._chosen = self._state.made[index]
        self._watch_foreground()
        self._allow()
        self.chosen_changed.emit()
        made, request = self._asked()
        if made is not None and request is not None:
            self._masker.follow(made, request)

    def _watch_foreground(self) -> None:
        """Follow the brush in the layer within which masks may lie."""
        layer = self._step.within.layer
        if self._within is not None and self._within.layer is layer:
            return
        if self._within is not None:
            self._within.end()
        self._within = None if layer is None else Watcher(self._viewer, layer, self._on_changed)

    def _asked(self) -> tuple[Made | None, MaskRequest | None]:
        """Return the chosen heatmap and how it is to be cut, None where that cannot be said."""
        made = self._chosen
        if made is None:
            return None, None
        self.failed.emit("")
        try:
            return made, self.request(made)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return made, None

    def request(self, made: Made) -> MaskRequest:
        """Return how a heatmap is to be cut, as the controls stand.

        Raises
        ------
        NapariCamError
            Where the foreground does not lie on the heatmap.
        """
        step = self._step
        return MaskRequest(
            rule=step.rules.text,
            strict=step.rules.strict,
            gate=step.gate.isChecked(),
            foreground=self._foreground(made),
            cleanup=step.cleanup.cleanup,
        )

    def _foreground(self, made: Made) -> Foreground | None:
        layer, word = self._step.within.layer, self._step.within.word
        if layer is not None:
            return label_set_on(layer, made.result.heatmap.grid, made.beside[0])
        return Tissue(word, self._image(made)) if word else None

    def _image(self, made: Made) -> Volume:
        """Return the image that a heatmap explains: of an opened one what step 1 says."""
        if made.request.heatmap is None:
            return made.volume
        picked, grid = self._state.picked, made.result.heatmap.grid
        if picked is not None:
            image = picked_volume(self._viewer, picked)
            if image.grid.same_as(grid):
                return image
        raise MaskError(
            "The tissue is looked for in the image that was explained; choose it in step 1, as "
            "the heatmap was opened from a file."
        )

    def make(self) -> None:
        """Add a mask of the chosen heatmap."""
        made, request = self._asked()
        if made is not None and request is not None:
            self._masker.make(made, request)

    def keep(self) -> None:
        """Leave the mask as it is, for editing."""
        if self._chosen is not None:
            self._masker.keep(self._chosen)

    # What is said of masks.

    def show_slice(self) -> None:
        """Follow the viewer's slider."""
        mask = self.measurer.mask
        if mask is not None and mask.due is not None and mask.live:
            try:
                self._masker.cut_shown(mask)
            except NapariCamError as error:
                self.failed.emit(str(error))
        else:
            self.measurer.show_slice()

    def choose_mask(self, layer: Any) -> None:
        """Measure the mask that a layer shows, where it is one of this dock's."""
        mask = next((each for each in self._state.masks if each.layer() is bare(layer)), None)
        if mask is not None and mask is not self.measurer.mask:
            self._show(mask)

    def _measure(self, mask: MadeMask) -> None:
        """Measure a mask of the chosen heatmap, or the one that is measured already."""
        if mask.made is self._chosen or mask is self.measurer.mask:
            if mask.live:
                self._step.said.say("")
            self._show(mask)

    def _follow_brush(self, mask: MadeMask) -> None:
        if self._closed:
            return
        self._name(mask)
        self.measurer.follow(mask)

    def _show(self, mask: MadeMask | None) -> None:
        self._name(mask)
        self.measurer.take(mask)

    def _name(self, mask: MadeMask | None) -> None:
        layer = None if mask is None else mask.layer()
        self._step.show_mask("" if layer is None else str(layer.name))

    def _on_reference(self) -> None:
        chosen = self._step.reference.chosen
        self._step.figures.show_reference(chosen is not None)
        self.measurer.refer(*(chosen or (None, ())))

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._closed = True
        self.measurer.drop()

    def reopen(self) -> None:
        """Go on where `drop` ended."""
        self._closed = False
        self._on_reference()
