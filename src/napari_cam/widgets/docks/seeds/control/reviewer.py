"""What step 4 does with slices: goes to where there is disagreement, and ticks what is reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.labels.seeds.review import Disagreement, next_slice, previous_slice
from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.docks.seeds.state import NO_SEEDS
from napari_cam.widgets.docks.seeds.work.disputing import (
    Parties,
    find_disagreement,
    seeds_and_proposal,
)
from napari_cam.widgets.layers.layer_axes import volume_view
from napari_cam.widgets.layers.picture import Picture
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.widgets.docks.seeds.control.ensembler import Ensembler
    from napari_cam.widgets.docks.seeds.control.seeder import Seeder
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.review_step import ReviewStep

_NO_MEMBERS = "Tick at least two members in step 1."
_NO_PREVIEW = "Make a preview and commit it first, in step 3."

_Search = tuple[Picture, int, Parties]
"""The image, which way to go from the slice on screen, and who may disagree."""


class Reviewer:
    """Follows the seeds layer and the slice on screen."""

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
        self._follower = Follower(parent, self._find, self._go, self.failed.emit)
        step.go_wanted.connect(self.go)
        step.open_wanted.connect(self.go_to_open)
        step.tick_wanted.connect(self.tick)
        step.between.currentIndexChanged.connect(lambda _index: self.show())
        state.seeds_changed.connect(self._on_seeds)
        state.classes_changed.connect(self.show)

    @property
    def busy(self) -> bool:
        """Whether disagreement is being looked for."""
        return self._follower.busy

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._follower.drop()

    def _on_seeds(self) -> None:
        seeds = self._state.seeds
        if seeds is not None:
            seeds.changed.connect(self.show)
            seeds.review_changed.connect(self.show)
        self.show()

    # What is shown.

    def show(self, _event: Any = None) -> None:
        """Bring the step up to date with the slice on screen."""
        state, step = self._state, self._step
        no_seeds = state.missing or ("" if self._seeds is not None else NO_SEEDS)
        no_dispute = ""
        if step.between.currentData() == "members":
            no_dispute = "" if self._ensembler.request_possible else _NO_MEMBERS
        elif self._seeds is None or self._seeder.preview.layer is None:
            no_dispute = _NO_PREVIEW
        one_class = "" if len(state.classes) > 1 else "There is one class only."
        step.show_state(no_seeds, state.missing or no_dispute, one_class)
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

    # What is done.

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
        parties = self._parties()
        if picture is not None and parties is not None:
            self._follower.want((picture, step, parties), now=True)

    def _parties(self) -> Parties | None:
        """Return who may disagree, as the controls stand; None where one of them is not there."""
        if self._step.between.currentData() == "members":
            asked = self._ensembler.request()
            return None if asked is None else asked[1]
        seeds, preview = self._seeds, self._seeder.preview.layer
        if seeds is None or preview is None:
            return None
        proposal = volume_view(preview.data, seeds.axes)
        return seeds_and_proposal(seeds.labels, proposal, seeds.classes.background or 0)

    @staticmethod
    def _find(asked: _Search) -> Iterator[Disagreement]:
        picture, _, parties = asked
        return find_disagreement(parties, picture.slice_axis)

    def _go(self, asked: _Search, found: Disagreement) -> None:
        picture, step, _ = asked
        if picture is not self._state.picture or picture.reference() is None:
            return
        here = picture.shown(self._viewer)
        target = (next_slice if step > 0 else previous_slice)(found.slices(), here)
        if target is None:
            side = "after" if step > 0 else "before"
            self._step.say_disputed(f"No slice with disagreement {side} slice {here}.")
            return
        picture.show(self._viewer, target)
        self._step.say_disputed(
            f"Slice {target}: {int(found.disputed[target])} voxels are disputed, "
            f"{found.share[target]:.0%} of what anyone marks."
        )
