"""What step 4 does: which heatmap is cut and how, what its mask is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from psygnal import Signal

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.masks.cleanup import Cleanup
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
    from napari_cam.widgets.docks.cam.state import CamState, ShownHeatmap, ShownMask
    from napari_cam.widgets.docks.cam.views.mask_step import MaskStep

NO_HEATMAP = "Make a heatmap first, in step 3."
_KEPT = "You painted into the mask, so it is kept; the slider makes a new one."


class MaskChooser:
    """Chooses among the heatmaps there are, has the chosen one cut and its mask measured."""

    chosen_changed = Signal()
    failed = Signal(str)

    def __init__(
        self, viewer: Any, state: CamState, step: MaskStep, masker: Masker, parent: QObject
    ) -> None:
        self._viewer = viewer
        self._state = state
        self._step = step
        self._masker = masker
        self._known: list[ShownHeatmap] = []
        self._chosen: ShownHeatmap | None = None
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
    def chosen(self) -> ShownHeatmap | None:
        """The heatmap chosen in step 4."""
        return self._chosen

    def list_heatmaps(self) -> None:
        """List the heatmaps and masks there are now; a new heatmap is chosen at once."""
        heatmaps, chosen = self._state.heatmaps, self._chosen
        new = [each for each in heatmaps if not any(each is old for old in self._known)]
        if new:
            chosen = new[0]
        elif not any(each is chosen for each in heatmaps):
            chosen = heatmaps[-1] if heatmaps else None
        self._known, self._chosen = list(heatmaps), chosen
        place = next((n for n, each in enumerate(heatmaps) if each is chosen), -1)
        self._step.show_heatmaps([each.title for each in heatmaps], place)
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
        shown = self._chosen
        live = shown is not None and self._state.live_mask(shown) is not None
        self._step.show_state("" if shown is not None else NO_HEATMAP, live)
        if shown is not None:
            heatmap = shown.result.heatmap
            self._step.show_image(heatmap.grid.units, heatmap.unit_axis is not None)
        measured = self.measurer.mask
        if not any(mask is measured for mask in self._state.masks):
            self._show(self._state.masks[-1] if self._state.masks else None)

    def _on_changed(self) -> None:
        """Bring the chosen heatmap's mask up to date with the controls."""
        if self._closed:
            return
        index = self._step.heatmap.currentIndex()
        if 0 <= index < len(self._state.heatmaps):
            self._chosen = self._state.heatmaps[index]
        self._watch_foreground()
        self._allow()
        self.chosen_changed.emit()
        shown, request = self._asked()
        if shown is not None and request is not None:
            self._masker.follow(shown, request)

    def _watch_foreground(self) -> None:
        """Follow the brush in the layer within which masks may lie."""
        layer = self._step.within.layer
        if self._within is not None and self._within.layer is layer:
            return
        if self._within is not None:
            self._within.end()
        self._within = None if layer is None else Watcher(self._viewer, layer, self._on_changed)

    def _asked(self) -> tuple[ShownHeatmap | None, MaskRequest | None]:
        """Return the chosen heatmap and how it is to be cut, None where that cannot be said."""
        shown = self._chosen
        if shown is None:
            return None, None
        self.failed.emit("")
        try:
            return shown, self.request(shown)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return shown, None

    def request(self, shown: ShownHeatmap) -> MaskRequest:
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
            foreground=self._foreground(shown),
            cleanup=Cleanup(**step.cleanup.chosen) or None,
        )

    def _foreground(self, shown: ShownHeatmap) -> Foreground | None:
        layer, word = self._step.within.layer, self._step.within.word
        if layer is not None:
            return label_set_on(layer, shown.result.heatmap.grid, shown.beside[0])
        return Tissue(word, self._image(shown)) if word else None

    def _image(self, shown: ShownHeatmap) -> Volume:
        """Return the image that a heatmap explains: of an opened one what step 1 says."""
        if shown.request.heatmap is None:
            return shown.volume
        picture, grid = self._state.picture, shown.result.heatmap.grid
        if picture is not None:
            image = picture.volume(self._viewer)
            if image.grid.same_as(grid):
                return image
        raise MaskError(
            "The tissue is looked for in the image that was explained; choose it in step 1, as "
            "the heatmap was opened from a file."
        )

    def make(self) -> None:
        """Add a mask of the chosen heatmap."""
        shown, request = self._asked()
        if shown is not None and request is not None:
            self._masker.make(shown, request)

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

    def _measure(self, mask: ShownMask) -> None:
        """Measure a mask of the chosen heatmap, or the one that is measured already."""
        if mask.cut_from is self._chosen or mask is self.measurer.mask:
            if mask.live:
                self._step.said.say("")
            self._show(mask)

    def _follow_brush(self, mask: ShownMask) -> None:
        if self._closed:
            return
        self._name(mask)
        self.measurer.follow(mask)

    def _show(self, mask: ShownMask | None) -> None:
        self._name(mask)
        self.measurer.take(mask)

    def _name(self, mask: ShownMask | None) -> None:
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
