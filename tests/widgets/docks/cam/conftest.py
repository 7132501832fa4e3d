"""Fixtures of the dock: a viewer with a small sample volume, and the dock in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from napari.layers import Image, Layer
from qtpy.QtCore import Qt

import napari_cam as nc
from napari_cam.sample.phantom import phantom
from napari_cam.widgets.docks.cam.dock import CamDock
from napari_cam.widgets.layers.image_layers import volume_to_layer

SHAPE = (9, 56, 72)


@pytest.fixture(autouse=True)
def silent_notifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the dock notified; napari's own handler would raise it under pytest."""
    told: list[str] = []
    monkeypatch.setattr("napari_cam.widgets.docks.live_dock.show_error", told.append)
    return told


def add_volume(viewer: Any, seed: int = 7, name: str = "fillet") -> Image:
    """Add a small damaged fillet as a layer."""
    volume = phantom(seed, shape=SHAPE, spacing=(3.0, 0.5, 0.75)).volume
    data, attributes, kind = volume_to_layer(volume, name)
    layer = Layer.create(data, attributes, kind)
    viewer.add_layer(layer)
    return layer


def tick(dock: CamDock, method: str, on: bool = True) -> None:
    """Tick a method, or take its tick away; the list puts slow methods last."""
    title = nc.METHODS[method].title
    (item,) = dock.network_step.methods.findItems(title, Qt.MatchFlag.MatchExactly)
    item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer with one fillet."""
    made = make_napari_viewer()
    add_volume(made)
    return made


@pytest.fixture
def open_dock(qtbot: Any) -> Callable[..., CamDock]:
    """Open a dock in a viewer and wait for its network."""

    def open_in(viewer: Any, name: str = "CAM") -> CamDock:
        dock = CamDock(viewer)
        viewer.window.add_dock_widget(dock, name=name)
        qtbot.waitUntil(lambda: dock.state.network is not None, timeout=30_000)
        return dock

    return open_in


@pytest.fixture
def dock(viewer: Any, open_dock: Callable[..., CamDock]) -> CamDock:
    """The dock in a viewer with one fillet."""
    return open_dock(viewer)
