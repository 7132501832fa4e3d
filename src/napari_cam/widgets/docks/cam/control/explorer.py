"""Heatmaps of the slice on screen that follow every choice: a layer for each ticked method."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.units import n_units
from napari_cam.widgets.docks.cam.control.presenter import Presenter, RunInput
from napari_cam.widgets.docks.cam.work.running import Progress, run_request
from napari_cam.widgets.layers.position import layer_axis, shown_index
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.state import CamState
    from napari_cam.widgets.docks.cam.work.request import Request

_PAUSE_MS = 150  # the last choice rests for so long before the network is asked


class Explorer:
    """Explains the slice on screen after each choice; the choice of the moment counts.

    Parameters
    ----------
    viewer, state, layers
        Of the dock.
    make_request
        Returns what is asked for, as the controls stand.
    parent
        Of the timer.
    """

    explored = Signal(str)  # what was found
    failed = Signal(str)

    def __init__(
        self,
        viewer: Any,
        state: CamState,
        layers: Presenter,
        make_request: Callable[[Volume], Request],
        parent: QObject,
    ) -> None:
        self._viewer = viewer
        self._state = state
        self._layers = layers
        self._make_request = make_request
        self._cancelled = threading.Event()
        self._shown: int | None = None
        self._asked_at = 0.0
        self._follower = Follower(parent, self._explain, self._on_news, self.failed.emit, _PAUSE_MS)

    @property
    def busy(self) -> bool:
        """Whether a slice is being explained, or soon will be."""
        return self._follower.busy

    def want(self) -> None:
        """Explain the slice on screen as soon as the choices rest."""
        self._asked_at = time.perf_counter()
        self._cancelled.set()  # what is under way is stale
        self._follower.want(None)

    def follow_slice(self) -> None:
        """Explain the slice on screen where another one was explained."""
        if self._shown is None or not any(shown.exploring for shown in self._state.heatmaps):
            return
        index = self._index()
        if index is not None and index != self._shown:
            self._shown = index
            self.want()

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._cancelled.set()
        self._follower.drop()

    def _index(self, volume: Volume | None = None, axis: int | None = None) -> int | None:
        """Return which slice is on screen; by the heatmaps shown where nothing is given."""
        picture = self._state.picture
        if picture is None or picture.reference() is None:
            return None
        if volume is None:
            shown = next(shown for shown in self._state.heatmaps if shown.exploring)
            volume, axis = shown.volume, shown.result.heatmap.unit_axis
        along = layer_axis(picture.axes, axis)
        return shown_index(self._viewer, picture.layer, along, n_units(volume.shape, axis))

    def _explain(self, _wish: None) -> Iterator[tuple[RunInput, int, Progress]] | None:
        network, picture = self._state.network, self._state.picture
        if network is None or picture is None:
            return None
        volume = picture.volume(self._viewer)
        request = self._make_request(volume)
        axis = network.model.sliced_along(request.axis).unit_axis(volume)
        index = self._index(volume, axis)
        if index is None:
            return None
        self._shown = index
        asked = RunInput(picture, volume, request, network.model.card.class_names)
        cancelled = self._cancelled = threading.Event()
        run = run_request(network.model, volume, request, (index,), index, cancelled)
        return ((asked, index, news) for news in run)

    def _on_news(self, _wish: None, got: tuple[RunInput, int, Progress]) -> None:
        asked, index, news = got
        gone = not self._layers.has(asked.picture.reference())
        if news.results is None or not news.finished or gone:
            news.shown.set()
            return
        try:
            for place, result in enumerate(news.results):
                self._show(asked, result, place)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        finally:
            news.shown.set()
        self.failed.emit("")
        self.explored.emit(self._said(news, index))

    def _show(self, asked: RunInput, result: Any, place: int) -> None:
        shown = self._state.exploring(result.parts[0], asked.picture.layer)
        if shown is None or not self._layers.has(shown.layer()):
            name = f"explore: {result.title}"
            self._layers.add(asked, result, name, visible=place == 0, exploring=True)
        else:
            self._layers.renew(shown, asked, result)

    def _said(self, news: Progress, index: int) -> str:
        assert news.results is not None  # noqa: S101
        heatmap = news.results[0].heatmap
        where = "the volume" if heatmap.unit_axis is None else f"slice {index}"
        region = heatmap.provenance.get("region")
        sizes = region.get("pixels") if region else None
        took = f"{(time.perf_counter() - self._asked_at) * 1000:.0f} ms"
        if not sizes or sizes[index] is None:
            return f"Shown for {where} after {took}."
        count = sizes[index]
        pixels = "no pixel" if not count else f"{count} pixel{'s' if count > 1 else ''}"
        return f"{pixels[0].upper()}{pixels[1:]} of {where} explained after {took}."
