"""Comparisons: the ticked methods, or one layer for each level of the network, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.control.explainer import Explainer
    from napari_cam.widgets.docks.cam.control.side_by_side import SideBySide
    from napari_cam.widgets.docks.cam.state import Made
    from napari_cam.widgets.docks.cam.work.request import Request
    from napari_cam.widgets.networks import MethodHelp

_NO_METHOD = "Tick a method that explains a layer: the ticked ones map the input itself."


class Comparer:
    """Starts the run that a comparison needs, and lays out what comes of it."""

    failed = Signal(str)

    def __init__(self, explainer: Explainer, grid: SideBySide) -> None:
        self._explainer = explainer
        self._grid = grid
        self._waiting = False
        self._levels: dict[str, str] = {}  # by the name of their layer
        explainer.made.connect(self._on_made)
        explainer.ended.connect(self._on_ended)

    def methods(self, make_request: Callable[[Volume], Request], whole: bool) -> None:
        """Show the ticked methods side by side."""
        self._start(make_request, whole)

    def levels(
        self,
        make_request: Callable[[Volume], Request],
        whole: bool,
        layers: Sequence[LayerInfo],
        methods: Sequence[MethodHelp],
    ) -> None:
        """Show one layer for each level side by side, with a row for each method."""
        chosen = tuple(method.name for method in methods if method.needs_layer)
        if not chosen:
            self.failed.emit(_NO_METHOD)
            return
        levels = {info.name: info.level for info in one_per_level(layers)}
        self._start(
            lambda volume: replace(make_request(volume), layers=tuple(levels), methods=chosen),
            whole,
            levels,
        )

    def _start(
        self,
        make_request: Callable[[Volume], Request],
        whole: bool,
        levels: dict[str, str] | None = None,
    ) -> None:
        self._grid.leave()
        self._levels = levels or {}
        self._waiting = True
        self._explainer.start(make_request, whole)

    def _on_made(self, made: list[Made]) -> None:
        if not self._waiting:
            return
        self._waiting = False
        methods = {each.result.parts[0] for each in made}
        layers = {each.result.parts[1] for each in made}
        labels = []
        for each in made:
            at = self._levels.get(each.result.parts[1], each.result.parts[1])
            title = [] if self._levels and len(methods) == 1 else [each.result.title]
            labels.append(", ".join([*title, *([at] if len(layers) > 1 else [])]))
        rows = len(methods) > 1 and len(made) == len(methods) * len(layers)
        self._grid.enter(made, labels, len(layers) if rows and len(layers) > 1 else None)

    def _on_ended(self, _summary: str, _problem: str) -> None:
        self._waiting = False


def one_per_level(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Return one layer of each level, the last of its maps, from the encoder to the decoder.

    What lies beside the bottleneck at its resolution is no level of its own.
    """
    deepest = next((info.shape for info in layers if info.level == "bottleneck"), None)
    found: dict[str, LayerInfo] = {}
    for info in layers:
        if info.level == "bottleneck" or (info.level and info.shape != deepest):
            found[info.level] = info
    return list(found.values())
