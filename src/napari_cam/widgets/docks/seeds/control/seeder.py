"""What step 3 does: proposals that follow the sliders, and commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer
from psygnal import Signal

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.labels.choices import CONFLICTS, MODES
from napari_cam.normalize import RENORMALIZE
from napari_cam.units import slab
from napari_cam.widgets.docks.seeds.control.layer_classes import class_colormap
from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.docks.seeds.work.seeding import (
    Proposal,
    SeedsRequest,
    propose,
    propose_slice,
    recode,
)
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap, mask_to_layer
from napari_cam.widgets.layers.picture import Picture, labels_on, read_mask
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.records import SEEDS, is_seeds, layer_provenance
from napari_cam.widgets.layers.result_layer import ResultLayer
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.labels.classes import LabelClasses
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.seeds_step import SeedsStep

PREVIEW = "seeds preview"
NO_HEATMAPS = "Tick a heatmap for a class, or choose a mask as the proposal."


class Seeder:
    """Proposes seeds, shows them, and commits them to the seeds layer."""

    failed = Signal(str)
    made = Signal()

    def __init__(self, viewer: Any, state: SeedsState, step: SeedsStep, parent: QWidget) -> None:
        self._viewer, self._state, self._step = viewer, state, step
        self.preview = ResultLayer(viewer, PREVIEW, self._looks)
        self._known: Proposal | None = None
        self._committing = False  # whether the next proposal is to be committed
        self._follower = Follower(parent, self._propose, self._show, self._fail)
        step.preview_wanted.connect(self.show_preview)
        step.commit_wanted.connect(self.commit)
        step.changed.connect(self.follow)
        state.box_changed.connect(self.follow)
        state.picture_changed.connect(self._on_picture)
        state.classes_changed.connect(self._on_classes)

    @property
    def busy(self) -> bool:
        """Whether a proposal is being worked out."""
        return self._follower.busy

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._committing = False
        self._follower.drop()

    @property
    def missing(self) -> str:
        """Why nothing can be proposed, "" where something can."""
        if self.chosen_mask is not None or self._state.any_heatmap:
            return ""
        return NO_HEATMAPS

    # What can be proposed.

    def follow_layers(self) -> None:
        """List the masks that can be proposed."""
        picture = self._state.picture
        layers = [] if picture is None else labels_on(picture, self._viewer.layers)
        preview = self.preview.layer
        masks = [each for each in layers if not is_seeds(each) and each is not preview]
        self._step.proposal.follow(masks)

    @property
    def chosen_mask(self) -> Labels | None:
        """The mask that is proposed, None for the heatmaps of the classes."""
        mask: Labels | None = self._step.proposal.layer
        return mask

    def request(self) -> tuple[Picture, SeedsRequest, LabelClasses] | None:
        """Return what is asked of the heatmaps, as the controls stand; None where there are none.

        Raises
        ------
        NapariCamError
            Where a layer is no heatmap any more.
        """
        state, step, picture = self._state, self._step, self._state.picture
        if picture is None:
            return None
        heatmaps = {
            each.name: tuple(layer_to_heatmap(layer) for layer in state.heatmaps_of(each.code))
            for each in state.classes
            if each.code != state.classes.background and state.heatmaps_of(each.code)
        }
        if not heatmaps:
            return None
        asked = SeedsRequest(
            heatmaps,
            step.high.value(),
            step.low.value(),
            CONFLICTS.checked(step.conflict.currentData()),
            step.gate.isChecked(),
            RENORMALIZE.checked(step.normalize.currentData()),
            picture.grid,
            picture.slice_axis,
            state.box.filter,
            state.box.inside,
            state.outside,
        )
        return picture, asked, state.classes

    # The preview.

    def show_preview(self) -> None:
        """Add the proposal as a layer; from then on it follows the controls."""
        self._want_now()

    def follow(self) -> None:
        """Bring the preview up to date: the slice on screen at once, the rest in a moment."""
        picture = self._state.picture
        if picture is None or self.preview.of(picture) is None:
            return
        asked = self._asked()
        if asked is not None:
            self._show_slice(picture, asked[1])
            self._follower.want(asked)

    def _asked(self) -> tuple[Picture, SeedsRequest, LabelClasses] | None:
        try:
            return self.request()
        except NapariCamError as error:
            self._fail(str(error))
            return None

    def _want_now(self) -> None:
        asked = self._asked()
        if asked is not None:
            self._follower.want(asked, now=True)

    def _show_slice(self, picture: Picture, request: SeedsRequest) -> None:
        index = picture.shown(self._viewer)
        try:
            made = propose_slice(request, self._known, index)
        except NapariCamError:
            return  # the whole volume says so in a moment
        if made is not None:
            labels = self._recode(*made)
            self.preview.show_slice(picture, labels, picture.slice_axis, index)

    def _propose(self, asked: tuple[Picture, SeedsRequest, LabelClasses]) -> Any:
        return propose(asked[1], self._known)

    def _on_picture(self) -> None:
        self._committing = False  # what was to be committed is of another image

    def _show(self, asked: tuple[Picture, SeedsRequest, LabelClasses], got: Proposal) -> None:
        picture = asked[0]
        if picture.reference() is None or picture is not self._state.picture:
            return
        self._known = got
        labels = self._recode(got.seeds.labels, got.seeds.classes)
        self._step.show_notes(" ".join(got.seeds.notes))
        committed, self._committing = self._committing, False
        if committed:
            done = self._commit(picture, labels, None, got.facts)
            if not done or self.preview.of(picture) is None:
                return  # nobody asked for a preview
        self.preview.show_mask(picture, labels, got.facts, kind="mask")
        self.made.emit()

    def _recode(self, labels: Any, classes: LabelClasses) -> Any:
        into = self._state.classes
        return recode(labels, classes, into, into.background)

    def _looks(self) -> dict[str, Any]:
        return {"colormap": class_colormap(self._state.classes), "opacity": 0.45}

    def _on_classes(self) -> None:
        layer = self.preview.layer
        if layer is not None:
            layer.colormap = class_colormap(self._state.classes)
            self.follow()

    # Commits.

    def commit(self) -> None:
        """Commit the proposal to the seeds layer; that of heatmaps as soon as it is up to date."""
        picture = self._state.picture
        if picture is None or self.missing:
            return
        self.failed.emit("")
        if self._state.no_box:  # a commit would go everywhere
            self._fail(f"The box of step 2 is not there yet. {self._state.no_box}")
            return
        mask = self.chosen_mask
        try:
            if mask is not None:
                inside = self._state.box.inside
                proposal = read_mask(mask) if inside is None else read_mask(mask) & inside
                self._commit(picture, proposal, self._state.class_code, {})
                return
        except NapariCamError as error:
            self._fail(str(error))
            return
        asked = self._asked()
        if asked is not None:
            self._committing = True
            self._follower.want(asked, now=True)

    def _commit(self, picture: Picture, proposal: Any, code: int | None, facts: Any) -> bool:
        """Commit a proposal; False where that failed, and has been told."""
        try:
            seeds = self._state.seeds or self._new_layer(picture, facts)
            within = None
            if self._step.slice_only.isChecked():
                within = np.zeros(picture.grid.shape, bool)
                within[slab(picture.slice_axis, picture.shown(self._viewer))] = True
            mode = MODES.checked(self._step.mode.currentData())
            step = seeds.commit(proposal, mode, code, within)
        except NapariCamError as error:
            self._fail(str(error))
            return False
        preview = self.preview.layer
        if preview is not None:
            preview.visible = False  # the seeds are to be seen now
        touched = int(seeds.tracker.touched.sum())
        self._step.say(
            f"Committed: {len(step):,} voxels changed, in one step that Ctrl+Z takes back. "
            f"{touched:,} voxels are a person's and stayed."
        )
        self.made.emit()
        return True

    def _new_layer(self, picture: Picture, facts: Any) -> SeedsLayer:
        """Add an empty seeds layer with the classes of the list."""
        classes = self._state.classes
        nothing = np.zeros(picture.grid.shape, np.uint8)
        kept = {key: value for key, value in dict(facts).items() if key != "kind"}
        made = layer_provenance(None, picture.layer, kind=SEEDS, **kept)
        made[SEEDS] = {"classes": classes.to_json()}
        data, attributes, kind = mask_to_layer(
            nothing, picture.layer, SEEDS, made, axes=picture.axes
        )
        layer: Any = Layer.create(data, {**attributes, "opacity": 0.6}, kind)
        layer.selected_label = self._state.class_code
        self._viewer.add_layer(layer)
        seeds = SeedsLayer(bare(layer), picture.slice_axis)
        seeds.write_record()
        self._state.set_seeds(seeds)
        return seeds

    def _fail(self, sentence: str) -> None:
        self._committing = False
        self.failed.emit(sentence)


def open_as_seeds(layer: Labels, picture: Picture) -> SeedsLayer:
    """Return a labels layer as seeds; what it holds is a person's unless its record says else.

    Raises
    ------
    MaskError
        Where it cannot hold seeds.
    """
    if not picture.holds(layer):
        raise MaskError(f"'{layer.name}' does not lie on the image; choose a layer that does.")
    seeds = SeedsLayer(layer, picture.slice_axis)
    seeds.write_record()
    return seeds
