"""Runs: from what is chosen to heatmap layers that grow while slices come in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.units import n_units
from napari_cam.widgets.docks.cam.control.presenter import Presenter, RunInput
from napari_cam.widgets.docks.cam.state import CamState, ShownHeatmap
from napari_cam.widgets.docks.cam.work.running import (
    Progress,
    RawMaps,
    Result,
    run_request,
)
from napari_cam.widgets.layers.position import layer_axis, put_on_slider, shown_index
from napari_cam.widgets.threads.worker import Failure, Job, Runner

if TYPE_CHECKING:
    from napari_cam.normalize import Normalize
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.work.request import Request

_GONE = "The image was removed while it was explained; what was finished stays."


class Explainer:
    """Runs one explanation at a time and shows what comes of it."""

    began = Signal(str)
    progressed = Signal(object)
    cancelling = Signal()
    ended = Signal(str, str)  # how it went, what went wrong
    explained = Signal(object)  # the heatmaps of a run that went well, a list
    stretched = Signal()
    failed = Signal(str)

    def __init__(self, viewer: Any, state: CamState, layers: Presenter) -> None:
        self._viewer = viewer
        self._state = state
        self._layers = layers
        self._run: _Run | None = None
        self._stretching = Runner()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def start(self, make_request: Callable[[Volume], Request], whole: bool) -> None:
        """Explain the image, `whole` or the slice on screen alone.

        Nothing happens where something is missing or a run is under way already.
        """
        network, picture = self._state.network, self._state.picture
        if self._run is not None or network is None or picture is None:
            return
        try:
            volume = picture.volume(self._viewer)
            request = make_request(volume)
            axis = network.model.sliced_along(request.axis).unit_axis(volume)
            shown = layer_axis(picture.axes, axis)
            put_on_slider(self._viewer, picture.layer, shown)
            first = shown_index(self._viewer, picture.layer, shown, n_units(volume.shape, axis))
        except NapariCamError as error:
            self.ended.emit("", str(error))
            return
        self._stretching.drop()
        run = _Run(RunInput(picture, volume, request, network.model.card.class_names))
        units = None if whole else (first,)
        run.job = Job(
            lambda: run_request(network.model, volume, request, units, first, run.cancelled),
            lambda news: self._on_progress(run, news),
            lambda failure: self._on_end(run, failure),
        )
        self._run = run
        self._state.set_busy("A run is under way; wait for it or cancel it.")
        self.began.emit("The network is looking at the image …")
        run.job.start()

    def stretch(self, shown: ShownHeatmap, normalize: Normalize) -> None:
        """Stretch the heatmaps of one run anew; the network is not asked again.

        The wish of the moment counts: an older one that is still being worked on is dropped.
        """
        self._stretching.drop()
        if self._run is not None or shown.request.normalize == normalize:
            return
        maps = shown.result.maps
        if maps is None:
            return  # it was opened; its file keeps no more than one stretch
        self._stretching.start(
            lambda: maps.stretched(normalize),
            lambda results: self._on_stretched(maps, results, normalize),
            self._on_stretch_ended,
        )

    def _on_stretched(
        self, maps: RawMaps, results: tuple[Result, ...], normalize: Normalize
    ) -> None:
        by_parts = {result.parts: result for result in results}
        for shown in self._state.heatmaps:
            layer = shown.layer()
            if shown.result.maps is maps and layer is not None:
                request = replace(shown.request, normalize=normalize)
                self._layers.update(shown, by_parts[shown.result.parts], layer, request)
        self.stretched.emit()

    def _on_stretch_ended(self, failure: Failure | None) -> None:
        if failure is not None:
            self.failed.emit(failure.sentence)

    def cancel(self) -> None:
        """Stop after the slices that are being computed; finished ones stay."""
        if self._run is not None:
            self._run.cancelled.set()
            self.cancelling.emit()

    def drop(self) -> None:
        """Stop, and let nothing arrive any more: the dock is closing."""
        if self._run is not None and self._run.job is not None:
            self._run.cancelled.set()
            self._run.job.drop()
        self._run = None
        self._stretching.drop()

    def _on_progress(self, run: _Run, progress: Progress) -> None:
        if run is self._run:
            self._take(run, progress)
        # else it is news of an older run
        progress.shown.set()

    def _take(self, run: _Run, progress: Progress) -> None:
        if not self._layers.has(run.asked.picture.reference()):
            self.drop()
            self._state.set_busy("")
            self.ended.emit("", _GONE)
            return
        run.notes += [note for note in progress.notes if note not in run.notes]
        run.last = progress
        if progress.results is not None:
            try:
                self._show(run, progress.results, progress.finished)
            except NapariCamError as error:
                run.problem = str(error)
        self.progressed.emit(progress)

    def _on_end(self, run: _Run, failure: Failure | None) -> None:
        if run is not self._run:
            return
        self._run = None
        self._state.set_busy("")
        problem = failure.sentence if failure is not None else run.problem
        if not problem and run.heatmaps:
            self.explained.emit(list(run.heatmaps.values()))
        self.ended.emit(run.summary, problem)

    def _show(self, run: _Run, results: tuple[Result, ...], finished: bool) -> None:
        several = len({result.parts[1] for result in results}) > 1
        for place, result in enumerate(results):
            shown = run.heatmaps.get(result.parts)
            if shown is None:
                shown = self._state.find(result.parts, run.asked.picture.layer)
                if shown is None or not self._layers.has(shown.layer()):
                    _, at, target = result.parts
                    name = f"{result.title}: {target}" + (f", {at}" if several else "")
                    run.heatmaps[result.parts] = self._layers.add(
                        run.asked, result, name, visible=place == 0
                    )
                    continue
                run.heatmaps[result.parts] = shown
            self._layers.renew(shown, run.asked, result, finished)


class _Run:
    """One run: what was asked, and what has come of it."""

    def __init__(self, asked: RunInput) -> None:
        self.asked = asked
        self.cancelled = threading.Event()
        self.heatmaps: dict[tuple[str, str, str], ShownHeatmap] = {}
        self.notes: list[str] = []
        self.last: Progress | None = None
        self.problem = ""
        self.job: Job | None = None

    @property
    def summary(self) -> str:
        """How the run went, in a sentence or two."""
        if self.last is None or not self.last.finished:
            return ""
        done, total = self.last.done, self.last.total
        words = f"Done in {self.last.seconds:.1f} s."
        if done < total:
            words = f"Cancelled: {done} of {total} slices are finished and stay."
        return " ".join([words, *self.notes])
