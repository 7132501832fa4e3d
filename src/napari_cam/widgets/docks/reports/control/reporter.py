"""Runs: from what is chosen to a report, one at a time."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.widgets.docks.reports.control.gatherer import Gatherer
from napari_cam.widgets.docks.reports.work import reporting
from napari_cam.widgets.docks.reports.work.reporting import Cancelled, Progress
from napari_cam.widgets.docks.reports.work.request import NetworkFile, ReportRequest
from napari_cam.widgets.docks.reports.work.thresholds import rules_of
from napari_cam.widgets.docks.settings import read_settings
from napari_cam.widgets.layers.foregrounds import Tissue
from napari_cam.widgets.layers.layer_axes import facts_of
from napari_cam.widgets.networks import OPEN_NETWORKS
from napari_cam.widgets.threads.worker import Failure, Runner

if TYPE_CHECKING:
    from napari_cam.masks.rules import ThresholdRule
    from napari_cam.widgets.docks.reports.state import ReportsState
    from napari_cam.widgets.docks.reports.views.choose_pane import ChoosePane
    from napari_cam.widgets.layers.picture import Picture
    from napari_cam.widgets.networks import Network

_LOOK_MS = 150


class Reporter:
    """Makes one report at a time in another thread."""

    failed = Signal(str)
    changed = Signal()  # whether one is being made

    def __init__(self, viewer: Any, state: ReportsState, pane: ChoosePane, parent: QObject) -> None:
        self._viewer, self._state, self._pane = viewer, state, pane
        self._runner = Runner()
        self._progress = Progress()
        self._timer = QTimer(parent)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._show)
        self._rules: tuple[ThresholdRule, ...] = ()
        self._open: Network | None = None  # kept open as long as its maps are ticked
        pane.thresholds_typed.connect(self._on_thresholds)
        pane.run_wanted.connect(self.start)
        pane.cancel_wanted.connect(self.cancel)
        self._on_thresholds(pane.thresholds.currentText())

    @property
    def running(self) -> bool:
        """Whether a report is being made."""
        return self._runner.running

    def _on_thresholds(self, text: str) -> None:
        """Read the thresholds as they are typed; where that fails the pane says why."""
        try:
            self._rules, wrong = rules_of(text), ""
        except MaskError as error:
            self._rules, wrong = (), str(error)
        self._pane.show_thresholds([rule.name for rule in self._rules], wrong)

    def follow_maps(self) -> None:
        """Offer the network that made the ticked maps."""
        self._open = _network_of(self._pane.maps.chosen)
        self._pane.network.follow(None if self._open is None else self._open.source)

    def start(self) -> None:
        """Make the report that is chosen."""
        picture = self._state.picture
        if self.running or picture is None or self._pane.missing:
            return
        self.failed.emit("")
        try:
            request = self.request(picture)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        chosen = [weakref.ref(layer) for layer in self._pane.maps.chosen]
        layers = dict(zip(request.maps, chosen, strict=True))
        progress = self._progress = Progress()
        self._runner.start(
            lambda: reporting.run_report(request, progress),
            lambda finished: self._state.set_finished(finished, picture, layers),
            self._ended,
        )
        self._timer.start()
        self._show()
        self.changed.emit()

    def request(self, picture: Picture) -> ReportRequest:
        """Return what is asked for, as the controls stand.

        Raises
        ------
        NapariCamError
            Where a layer lies elsewhere, or no longer fits what its metadata says.
        """
        pane, settings = self._pane, read_settings()
        gatherer = Gatherer(picture, pane.resample.isChecked())
        maps = gatherer.maps(pane.maps.chosen, pane.names.isChecked())
        kind, compared, foreground = pane.chosen_kind, pane.reference.chosen, None
        volume = picture.volume(self._viewer)
        reference = None
        if compared is not None and kind != "agreement":
            reference = gatherer.labels(*compared, "reference")
        within = pane.within.layer
        word = pane.within.word
        if within is not None:
            foreground = gatherer.labels(within, (), "foreground")
        asks_network = kind == "faithfulness"
        return ReportRequest(
            kind=kind,
            maps=maps,
            volume=volume,
            grid=picture.grid,
            unit_axis=picture.slice_axis,
            reference=reference,
            foreground=Tissue(word, volume) if word else foreground,
            rules=() if asks_network else self._rules,
            headline=None if asks_network else self._headline,
            strict=bool(pane.inequality.currentData()),
            empty=float(pane.empty.currentData()),
            soft=pane.soft.isChecked(),
            surfaces=pane.surfaces.isChecked(),
            network=self._network if asks_network else None,
            most_units=pane.network.units.value(),
            trained=self._trained(volume),
            device=settings.device,
            precision=settings.precision,
        )

    @property
    def _headline(self) -> ThresholdRule | None:
        """The threshold that is shown first."""
        place = self._pane.headline.currentIndex()
        return self._rules[place] if 0 <= place < len(self._rules) else None

    @property
    def _network(self) -> Network | NetworkFile | None:
        """The network that is asked, or where to load it from."""
        form = self._pane.network
        if form.source is None:
            return self._open
        return NetworkFile(form.source, form.named_architecture)

    def _trained(self, volume: Any) -> bool | None:
        """Return whether an open network was trained on the subject, None where nobody knows."""
        from napari_cam.learning.cohort.subjects import trained_on

        network, subject = _network_of(self._pane.maps.chosen), volume.identity.subject
        if network is None or subject is None:
            return None
        return trained_on(network.model.card.training, subject)

    def cancel(self) -> None:
        """End the report that is being made at its next step."""
        if self.running:
            self._progress.cancelled.set()
            self._pane.show_cancelling()

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._timer.stop()
        self._progress.cancelled.set()
        self._runner.drop()

    def _show(self) -> None:
        if self.running and not self._progress.cancelled.is_set():
            progress = self._progress
            self._pane.show_running(progress.what, progress.done, progress.total)

    def _ended(self, failure: Failure | None) -> None:
        self._timer.stop()
        cancelled = failure is not None and isinstance(failure.error, Cancelled)
        self._pane.show_idle(str(failure.error) if failure is not None and cancelled else "")
        self.changed.emit()
        if failure is not None and not cancelled:
            self.failed.emit(failure.sentence)


def _network_of(layers: list[Any]) -> Network | None:
    """Return the open network that made the first of some heatmaps, None where none is open."""
    for layer in layers:
        digest = facts_of(layer).get("model_sha256")
        if digest:
            return OPEN_NETWORKS.get(str(digest))
    return None
