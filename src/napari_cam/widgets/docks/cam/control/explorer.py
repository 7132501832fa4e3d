"""Heatmaps of the slice on screen that follow every choice: a layer for each ticked method."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.units import n_units
from napari_cam.widgets.docks.cam.control.explainer import picked_volume
from napari_cam.widgets.docks.cam.control.heatmap_layers import Asked, HeatmapLayers
from napari_cam.widgets.docks.cam.work.running import Progress, run_request
from napari_cam.widgets.layers.position import layer_axis, shown_index
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.state import DockState
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
        state: DockState,
        layers: HeatmapLayers,
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
        if self._shown is None or not any(made.exploring for made in self._state.made):
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
        picked = self._state.picked
        if picked is None or picked.layers[0]() is None:
            return None
        if volume is None:
            made = next(made for made in self._state.made if made.exploring)
            volume, axis = made.volume, made.result.heatmap.unit_axis
        shown = layer_axis(picked.axes, axis)
        return shown_index(self._viewer, picked.first, shown, n_units(volume.shape, axis))

    def _explain(self, _wish: None) -> Iterator[tuple[Asked, int, Progress]] | None:
        network, picked = self._state.network, self._state.picked
        if network is None or picked is None:
            return None
        volume = picked_volume(self._viewer, picked)
        request = self._make_request(volume)
        axis = network.model.sliced_along(request.axis).unit_axis(volume)
        index = self._index(volume, axis)
        if index is None:
            return None
        self._shown = index
        asked = Asked(picked, volume, request, network.model.card.class_names)
        cancelled = self._cancelled = threading.Event()
        run = run_request(network.model, volume, request, (index,), index, cancelled)
        return ((asked, index, news) for news in run)

    def _on_news(self, _wish: None, got: tuple[Asked, int, Progress]) -> None:
        asked, index, news = got
        gone = not self._layers.has(asked.picked.layers[0]())
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

    def _show(self, asked: Asked, result: Any, place: int) -> None:
        made = self._state.exploring(result.parts[0], asked.picked.first)
        if made is None or not self._layers.has(made.layer()):
            name = f"explore: {result.title}"
            self._layers.add(asked, result, name, visible=place == 0, exploring=True)
        else:
            self._layers.renew(made, asked, result)

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
