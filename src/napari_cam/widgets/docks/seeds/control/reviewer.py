"""What step 4 does: brush and classes, slices of disagreement, ticks of review."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.labels.seeds.review import (
    Disagreement,
    disagreement,
    disagreement_of_spread,
    next_slice,
    previous_slice,
)
from napari_cam.masks.ensembles.agreement_map import consensus
from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.docks.seeds.work.brush import brush_radii, brush_size, painted
from napari_cam.widgets.docks.seeds.work.ensembling import EnsembleRequest
from napari_cam.widgets.layers.layer_axes import volume_view
from napari_cam.widgets.layers.picture import Picture
from napari_cam.widgets.layers.position import bare
from napari_cam.widgets.layers.seeds_record import background_code
from napari_cam.widgets.threads.follow import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.widgets.docks.seeds.control.ensembler import Ensembler
    from napari_cam.widgets.docks.seeds.control.seeder import Seeder
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.review_step import ReviewStep

NO_SEEDS = "Commit a proposal first, or choose a labels layer, in step 3."
_NO_MEMBERS = "Tick at least two members in step 1."
_NO_PREVIEW = "Make a preview and commit it first, in step 3."


@dataclass(frozen=True, eq=False)
class Dispute:
    """Where to look for disagreement, and which way to go.

    `masks` are two masks (z, y, x), or None for the members of `members`.
    """

    picture: Picture
    step: int
    members: EnsembleRequest | None
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None


def disputed(dispute: Dispute) -> Iterator[Disagreement]:
    """Yield how much is disputed, slice by slice."""
    axis = dispute.picture.slice_axis
    if dispute.members is not None:
        found = consensus(dispute.members.cut())
        yield disagreement_of_spread(found.spread, share=found.share, axis=axis)
    elif dispute.masks is not None:
        yield disagreement(dispute.masks, axis)


class Reviewer:
    """Follows the seeds layer, its brush and the slice on screen."""

    failed = Signal(str)

    def __init__(
        self,
        viewer: Any,
        state: SeedsState,
        step: ReviewStep,
        ensembler: Ensembler,
        seeder: Seeder,
        parent: QWidget,
    ) -> None:
        self._viewer, self._state, self._step = viewer, state, step
        self._ensembler, self._seeder = ensembler, seeder
        self._followed: weakref.ReferenceType[Any] | None = None
        self._follower = Follower(parent, disputed, self._go, self.failed.emit)
        step.paint_wanted.connect(self.paint)
        step.class_wanted.connect(self.next_class)
        step.radius_wanted.connect(self.set_radius)
        step.go_wanted.connect(self.go)
        step.open_wanted.connect(self.go_to_open)
        step.tick_wanted.connect(self.tick)
        step.between.currentIndexChanged.connect(lambda _index: self.show())
        state.seeds_changed.connect(self._on_seeds)
        state.classes_changed.connect(self._on_class)

    @property
    def busy(self) -> bool:
        """Whether disagreement is being looked for."""
        return self._follower.busy

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._follower.drop()
        self._follow(None)

    # What is followed.

    def _on_seeds(self) -> None:
        seeds = self._state.seeds
        self._follow(None if seeds is None else seeds.layer)
        if seeds is not None:
            seeds.changed.connect(self.show)
            seeds.review_changed.connect(self.show)
        self._on_class()

    def _follow(self, layer: Any) -> None:
        old = None if self._followed is None else self._followed()
        if old is layer:
            return
        if old is not None:
            for event in _brush_events(old):
                event.disconnect(self.show_brush)
            old.events.selected_label.disconnect(self._on_label)
        self._followed = None if layer is None else weakref.ref(layer)
        if layer is not None:
            for event in _brush_events(layer):
                event.connect(self.show_brush)
            layer.events.selected_label.connect(self._on_label)

    def _on_label(self, _event: Any = None) -> None:
        """Take the label that was chosen in napari's own controls as the active class."""
        layer = None if self._followed is None else self._followed()
        if layer is not None:
            self._state.choose_class(int(layer.selected_label))

    def _on_class(self) -> None:
        state = self._state
        seeds, code = state.seeds, state.class_code
        each = next((each for each in state.classes if each.code == code), None)
        if each is not None:
            self._step.show_class(f"{each.name} (label {each.code})", each.colour)
        layer = None if seeds is None else seeds.layer
        if layer is not None and int(layer.selected_label) != code:
            layer.selected_label = code
        self.show()

    # What is shown.

    def show(self, _event: Any = None) -> None:
        """Bring the step up to date with the slice on screen."""
        state, step = self._state, self._step
        no_seeds = state.missing or ("" if self._seeds is not None else NO_SEEDS)
        members = self._ensembler.request_possible
        both = self._seeds is not None and self._seeder.preview.layer is not None
        of_members = step.between.currentData() == "members"
        no_dispute = (
            ("" if members else _NO_MEMBERS) if of_members else ("" if both else _NO_PREVIEW)
        )
        one_class = "" if len(state.classes) > 1 else "There is one class only."
        step.show_state(no_seeds, state.missing or no_dispute, one_class)
        self.show_brush()
        self._show_review()

    @property
    def _seeds(self) -> SeedsLayer | None:
        seeds = self._state.seeds
        return seeds if seeds is not None and seeds.layer is not None else None

    def _show_review(self) -> None:
        seeds, picture = self._seeds, self._state.picture
        if seeds is None or picture is None or picture.reference() is None:
            return
        review = seeds.review
        index = picture.shown(self._viewer, review.axis)
        said = (
            f"{len(review.slices)} of {review.n_slices} slices reviewed, {seeds.labelled} hold "
            "labels."
        )
        changed = review.changed(seeds.labels)
        if changed:
            said += f" Changed since their review: {', '.join(map(str, changed[:6]))}"
            said += " …" if len(changed) > 6 else "."
        self._step.show_review(index in review.slices, said)

    def show_brush(self, _event: Any = None) -> None:
        """Say how large the brush is in the image's own units."""
        seeds, picture = self._seeds, self._state.picture
        layer = None if seeds is None else seeds.layer
        if seeds is None or layer is None or picture is None:
            return
        scale, spacing = self._painted(layer, seeds, picture)
        radii = brush_radii(layer.brush_size, scale, spacing)
        unit = "mm" if picture.grid.units == "mm" else "px"
        across = " × ".join(
            f"{2 * radius / size:.0f}" for radius, size in zip(radii, spacing, strict=True)
        )
        shape = "a disc" if len(radii) == 2 else "a ball"
        if max(radii) > 1.01 * min(radii):
            shape = f"stretched to {max(radii):.3g} {unit}: the layer hides its voxel size from it"
        self._step.show_brush(
            min(radii), unit, f"{shape[0].upper()}{shape[1:]}, about {across} voxels across."
        )

    def set_radius(self, radius: float) -> None:
        """Make the brush as large as asked, to the nearest voxel."""
        seeds, picture = self._seeds, self._state.picture
        layer = None if seeds is None else seeds.layer
        if seeds is not None and layer is not None and picture is not None:
            layer.brush_size = brush_size(radius, *self._painted(layer, seeds, picture))
            self.show_brush()

    def _painted(
        self, layer: Any, seeds: SeedsLayer, picture: Picture
    ) -> tuple[list[float], list[float]]:
        first = self._viewer.dims.ndim - layer.ndim
        displayed = [axis - first for axis in self._viewer.dims.displayed]
        return painted(layer, displayed, seeds.axes.spatial, picture.grid)

    # What is done.

    def paint(self) -> None:
        """Hand over the brush, with the active class."""
        seeds = self._seeds
        layer = None if seeds is None else seeds.layer
        if layer is not None and any(bare(each) is layer for each in self._viewer.layers):
            self._viewer.layers.selection.active = layer
            layer.selected_label = self._state.class_code
            layer.mode = "paint"

    def next_class(self, step: int) -> None:
        """Make the next class the active one, or the previous; after the last comes the first."""
        codes = self._state.classes.codes
        if not codes:
            return
        here = codes.index(self._state.class_code) if self._state.class_code in codes else 0
        self._state.choose_class(codes[(here + step) % len(codes)])

    def tick(self, on: bool) -> None:
        """Say that the slice on screen is reviewed, or that it is not."""
        seeds, picture = self._seeds, self._state.picture
        if seeds is None or picture is None:
            return
        try:
            seeds.tick(picture.shown(self._viewer, seeds.review.axis), on)
        except NapariCamError as error:
            self.failed.emit(str(error))

    def go_to_open(self) -> None:
        """Go to the next slice that is not reviewed, after the last one to the first."""
        seeds, picture = self._seeds, self._state.picture
        if seeds is None or picture is None:
            return
        waiting = seeds.review.open
        here = picture.shown(self._viewer, seeds.review.axis)
        target = next_slice(waiting, here)
        target = waiting[0] if target is None and waiting else target
        if target is None:
            self._step.say_disputed("All slices are reviewed.")
        else:
            picture.show(self._viewer, target)

    def go(self, step: int) -> None:
        """Go to the next slice with disagreement, or to the previous one."""
        picture = self._state.picture
        if picture is None:
            return
        if self._step.between.currentData() == "members":
            asked = self._ensembler.request()
            if asked is not None:
                self._follower.want(Dispute(picture, step, asked[1], None), now=True)
            return
        seeds, preview = self._seeds, self._seeder.preview.layer
        if seeds is None or preview is None:
            return
        background = background_code(seeds.classes) or 0
        proposal = np.array(volume_view(preview.data, seeds.axes))
        labels = np.array(seeds.labels)
        # A voxel that one of the two leaves open is no disagreement.
        said = (labels != 0) & (proposal != 0)
        masks = (said & (labels != background), said & (proposal != background))
        self._follower.want(Dispute(picture, step, None, masks), now=True)

    def _go(self, dispute: Dispute, found: Disagreement) -> None:
        picture = dispute.picture
        if picture is not self._state.picture or picture.reference() is None:
            return
        here = picture.shown(self._viewer)
        find = next_slice if dispute.step > 0 else previous_slice
        target = find(found.slices(), here)
        if target is None:
            side = "after" if dispute.step > 0 else "before"
            self._step.say_disputed(f"No slice with disagreement {side} slice {here}.")
            return
        picture.show(self._viewer, target)
        self._step.say_disputed(
            f"Slice {target}: {int(found.disputed[target])} voxels are disputed, "
            f"{found.share[target]:.0%} of what anyone marks."
        )


def _brush_events(layer: Any) -> list[Any]:
    return [layer.events.brush_size, layer.events.n_edit_dimensions, layer.events.scale]
