"""What step 1 does: ensembles that follow their controls, and maps of consensus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.choices import MEAN
from napari_cam.masks.ensembles.agreement_map import Consensus
from napari_cam.widgets.docks.seeds.work.ensembling import (
    Ensemble,
    EnsembleRequest,
    make_consensus,
    make_ensemble,
    make_ensemble_slice,
)
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.picture import Picture, read_mask
from napari_cam.widgets.layers.records import made_by, told_apart
from napari_cam.widgets.layers.result_layer import ResultLayer, as_heatmap
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.ensemble_step import EnsembleStep


class Ensembler:
    """Makes ensembles of the ticked members and keeps them up to date."""

    failed = Signal(str)
    made = Signal()

    def __init__(self, viewer: Any, state: SeedsState, step: EnsembleStep, parent: QWidget) -> None:
        self._viewer, self._state, self._step = viewer, state, step
        self.mask = ResultLayer(viewer, "ensemble")
        self.mean = ResultLayer(viewer, "mean heatmap")
        self.share = ResultLayer(viewer, "consensus: share of members")
        self.spread = ResultLayer(viewer, "consensus: spread")
        self._combining = Follower(parent, self._combine, self._show, self.failed.emit)
        self._counting = Follower(parent, self._count, self._show_consensus, self.failed.emit)
        step.make_wanted.connect(self.make)
        step.consensus_wanted.connect(self.make_consensus)
        step.changed.connect(self.follow)
        state.box_changed.connect(self.follow)

    @property
    def busy(self) -> bool:
        """Whether something is being worked out."""
        return self._combining.busy or self._counting.busy

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._combining.drop()
        self._counting.drop()

    def make(self) -> None:
        """Add the ensemble as a layer; from then on it follows the controls."""
        asked = self.request()
        if asked is not None:
            self._combining.want(asked, now=True)

    def make_consensus(self) -> None:
        """Add the maps of consensus as layers; from then on they follow the controls."""
        asked = self.request()
        if asked is not None:
            self._counting.want(asked, now=True)

    def follow(self) -> None:
        """Bring what was made up to date: the slice on screen at once, the rest in a moment."""
        picture = self._state.picture
        if picture is None:
            return
        mean = self._step.operator.currentData() == MEAN
        ensemble = (self.mean if mean else self.mask).of(picture) is not None
        consensus = self.share.of(picture) is not None or self.spread.of(picture) is not None
        if not ensemble and not consensus:
            return
        asked = self.request()
        if asked is None:
            return
        if ensemble:
            self._show_slice(picture, asked)
            self._combining.want((picture, asked[1]))
        if consensus:
            self._counting.want((picture, asked[1]))

    @property
    def request_possible(self) -> bool:
        """Whether at least two members are ticked."""
        return len(self._step.members.chosen) > 1

    def request(self) -> tuple[Picture, EnsembleRequest] | None:
        """Return what is asked for, as the controls stand; None where too little is ticked."""
        picture, layers = self._state.picture, self._step.members.chosen
        if picture is None or len(layers) < 2:
            return None
        try:
            names = told_apart(made_by(layer) for layer in layers)
            members: dict[str, Any] = {
                name: layer_to_heatmap(layer) if isinstance(layer, Image) else read_mask(layer)
                for name, layer in zip(names, layers, strict=True)
            }
        except NapariCamError as error:
            self.failed.emit(str(error))
            return None
        operator = str(self._step.operator.currentData())
        if operator == MEAN and not all(isinstance(m, Heatmap) for m in members.values()):
            return None  # the step says so
        box = self._state.box
        return picture, EnsembleRequest(
            members,
            operator,
            self._step.rule.text,
            True,
            picture.grid,
            picture.slice_axis,
            box.filter,
            box.inside,
        )

    def _show_slice(self, picture: Picture, asked: tuple[Picture, EnsembleRequest]) -> None:
        index = picture.shown(self._viewer)
        try:
            shown = make_ensemble_slice(asked[1], index)
        except NapariCamError:
            return  # the whole volume says so in a moment
        if shown is not None:
            self.mask.show_slice(picture, shown, picture.slice_axis, index)

    @staticmethod
    def _combine(asked: tuple[Picture, EnsembleRequest]) -> Any:
        return make_ensemble(asked[1])

    @staticmethod
    def _count(asked: tuple[Picture, EnsembleRequest]) -> Any:
        return make_consensus(asked[1])

    def _show(self, asked: tuple[Picture, EnsembleRequest], got: Ensemble) -> None:
        picture, request = asked
        if picture.reference() is None:
            return
        if got.heatmap is not None:
            self.mean.show_heatmap(picture, got.heatmap)
            self._step.say(f"The mean of {len(request.members)} heatmaps.")
        elif got.mask is not None:
            self.mask.show_mask(picture, got.mask, got.facts)
            self._step.say(f"{len(request.members)} members: {_covers(got.mask, picture)}.")
        self.made.emit()

    def _show_consensus(self, asked: tuple[Picture, EnsembleRequest], got: Consensus) -> None:
        picture = asked[0]
        if picture.reference() is None:
            return
        for result, values in ((self.share, got.share), (self.spread, got.spread)):
            result.show_heatmap(picture, as_heatmap(values, picture.grid, got.provenance))
        self._step.say(
            f"{len(got.members)} members agree on {1 - got.disputed.mean():.1%} of all voxels."
        )
        self.made.emit()


def _covers(mask: Any, picture: Picture) -> str:
    voxels = int(mask.sum())
    said = f"{voxels / mask.size:.2%} of the image"
    if picture.grid.units != "mm":
        return f"{said}, {voxels} px"
    z, y, x = picture.grid.spacing
    return f"{said}, {voxels * z * y * x / 1000:.3g} mL"
