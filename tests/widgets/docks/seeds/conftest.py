"""Fixtures of the dock "Seeds": a viewer with an image and heatmaps of known values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from napari.layers import Image, Layer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cam.volumes.volume import Volume
from napari_cam.widgets.docks.seeds.dock import SeedsDock
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer
from napari_cam.widgets.layers.image_layers import volume_to_layer
from tests.widgets.heatmaps import heatmap_on

SHAPE = (5, 24, 32)
SPACING = (3.0, 0.5, 0.75)
WAIT = 30_000
Z, Y, X = np.indices(SHAPE)
# Values that are told by heart: one rises along x, the other along y, both from 0 to 1.
along_x = (X / (SHAPE[2] - 1)).astype(np.float32)
along_y = (Y / (SHAPE[1] - 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the dock notified; napari's own handler would raise it under pytest."""
    sentences: list[str] = []
    monkeypatch.setattr("napari_cam.widgets.docks.live_dock.show_error", sentences.append)
    return sentences


def image_volume() -> Volume:
    """An image of its own values."""
    values = np.random.default_rng(4).normal(100, 20, SHAPE).astype(np.float32)
    return Volume.from_array(values, SPACING)


def add_image(viewer: Any, name: str = "scan", **place: Any) -> Image:
    """Add an image layer, of this plugin or, with a transform in `place`, of nobody."""
    volume = image_volume()
    if place:
        layer = viewer.add_image(volume.values, name=name, **place)
        return getattr(layer, "__wrapped__", layer)
    layer = Layer.create(*volume_to_layer(volume, name))
    viewer.add_layer(layer)
    return layer


def add_heatmap(
    viewer: Any, like: Image, values: Any, target: str = "lesion", name: str = "heatmap"
) -> Image:
    """Add a heatmap of every slice, with evidence and the class predicted in all of them."""
    made = heatmap_on(image_volume())
    units = SHAPE[0]
    made = replace(
        made,
        values=np.asarray(values, np.float32),
        inside=np.ones(SHAPE, bool),
        valid=np.ones(units, bool),
        predicted_index=made.class_index,
        raw_min=np.zeros(units, np.float32),
        raw_max=np.ones(units, np.float32),
        provenance={**made.provenance, "target": target},
    )
    layer = Layer.create(*heatmap_to_layer(made, like, name))
    viewer.add_layer(layer)
    return layer


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer with an image and two heatmaps, slice 2 on screen."""
    made = make_napari_viewer()
    image = add_image(made)
    add_heatmap(made, image, along_x, name="along x")
    add_heatmap(made, image, along_y, name="along y")
    made.dims.set_point(0, image.data_to_world((2, 0, 0))[0])
    return made


@pytest.fixture
def open_dock() -> Callable[[Any], SeedsDock]:
    """Open a dock in a viewer."""

    def open_in(viewer: Any) -> SeedsDock:
        dock = SeedsDock(viewer)
        viewer.window.add_dock_widget(dock, name="Seeds")
        return dock

    return open_in


@pytest.fixture
def dock(viewer: Any, open_dock: Callable[[Any], SeedsDock]) -> SeedsDock:
    """The dock in that viewer."""
    return open_dock(viewer)


def rest(qtbot: Any, dock: SeedsDock) -> None:
    """Wait until nothing is worked out or written any more."""
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


def commit(qtbot: Any, dock: SeedsDock) -> Any:
    """Commit, and return the seeds layer."""
    dock.seeds_step.commit.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    assert dock.state.seeds is not None
    return dock.state.seeds.layer


def use_one_heatmap(dock: SeedsDock, name: str = "along x") -> None:
    """Let the class have the heatmap `name` alone."""
    for layer in dock.seeds_step.heatmaps.layers:
        dock.seeds_step.heatmaps.tick(layer, layer.name == name)


def expected(values: Any = along_x, high: float = 0.6, low: float = 0.2) -> Any:
    """Seeds of one heatmap by the definition: 2 above, 1 below, 0 between."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[values > np.float32(high)] = 2
    labels[values < np.float32(low)] = 1
    return labels


def tick_both(dock: SeedsDock) -> None:
    """Tick the two heatmaps as members of the ensemble."""
    for layer in dock.ensemble_step.members.layers:
        dock.ensemble_step.members.tick(layer, layer.name.startswith("along"))


def choose(box: Any, data: Any) -> None:
    """Choose the entry of a list that stands for `data`."""
    box.setCurrentIndex(box.findData(data))


def ctrl_z(viewer: Any, shift: bool = False) -> None:
    """Undo in the viewer's canvas, or redo."""
    keys = Qt.KeyboardModifier.ControlModifier
    keys = keys | Qt.KeyboardModifier.ShiftModifier if shift else keys
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Z, keys)


def touched(dock: SeedsDock) -> Any:
    """Return which voxels are a person's."""
    assert dock.state.seeds is not None
    return dock.state.seeds.tracker.touched


def choose_format(dock: SeedsDock, kind: str) -> None:
    """Choose the first format of a kind."""
    box = dock.export_step.format
    box.setCurrentIndex(next(n for n in range(box.count()) if box.itemData(n).kind == kind))
