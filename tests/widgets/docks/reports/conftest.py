"""Fixtures of the dock "CAM reports": an image and maps whose overlaps are counted by hand.

Three slices of 4 x 6 pixels. At a cut of 0.5 the maps and the reference cover whole columns:

========  ==========  ==========  ==========
slice     P           Q           reference
========  ==========  ==========  ==========
0         x < 3       x < 2       x < 2
1         x < 2       x < 2       2 <= x < 4
2         nothing     x < 1       nothing
========  ==========  ==========  ==========
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from napari.layers import Image, Labels, Layer

from napari_cam.volumes.volume import Volume
from napari_cam.widgets.docks.reports.dock import ReportsDock
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import volume_to_layer
from tests.widgets.heatmaps import heatmap_on

SHAPE = (3, 4, 6)
SPACING = (3.0, 0.5, 0.75)
WAIT = 60_000
X = np.indices(SHAPE)[2]
NOWHERE = X < 0


def slices(*masks: Any) -> Any:
    """Take one slice of each mask."""
    return np.stack([mask[place] for place, mask in enumerate(masks)])


IN_P = slices(X < 3, X < 2, NOWHERE)
IN_Q = slices(X < 2, X < 2, X < 1)
IN_R = slices(X < 2, (X >= 2) & (X < 4), NOWHERE)


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


def add_image(viewer: Any, name: str = "scan") -> Image:
    """Add the image."""
    layer = Layer.create(*volume_to_layer(image_volume(), name))
    viewer.add_layer(layer)
    return layer


def heatmap(inside: Any, high: float, method: str, **facts: Any) -> Any:
    """A heatmap that is `high` inside and 0.2 outside; a slice that is all outside is 0."""
    made = heatmap_on(image_volume())
    values = np.where(inside, high, 0.2).astype(np.float32)
    valid = inside.any(axis=(1, 2))
    values[~valid] = 0
    units = SHAPE[0]
    return replace(
        made,
        values=values,
        inside=np.ones(SHAPE, bool),
        valid=valid,
        predicted_index=made.class_index,
        raw_min=np.zeros(units, np.float32),
        raw_max=np.ones(units, np.float32),
        provenance={**made.provenance, "method": {"name": method}, **facts},
    )


def add_heatmap(viewer: Any, like: Image, made: Any, name: str) -> Image:
    """Add a heatmap of the image."""
    layer = Layer.create(*heatmap_to_layer(made, like, name))
    viewer.add_layer(layer)
    return layer


def add_labels(viewer: Any, like: Image, labels: Any, name: str) -> Labels:
    """Add labels on the image's own grid."""
    data, attributes, kind = mask_to_layer(np.asarray(labels, np.uint8), like, name)
    layer = Layer.create(data, attributes, kind)
    viewer.add_layer(layer)
    return layer


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer with the image, P, Q and the reference, slice 2 on screen."""
    made = make_napari_viewer()
    image = add_image(made)
    add_heatmap(made, image, heatmap(IN_P, 0.9, "gradcam"), "P")
    add_heatmap(made, image, heatmap(IN_Q, 0.7, "layercam"), "Q")
    add_labels(made, image, IN_R, "outline")
    made.dims.set_point(0, image.data_to_world((2, 0, 0))[0])
    return made


@pytest.fixture
def open_dock() -> Callable[[Any], ReportsDock]:
    """Open a dock in a viewer."""

    def open_in(viewer: Any) -> ReportsDock:
        dock = ReportsDock(viewer)
        viewer.window.add_dock_widget(dock, name="CAM reports", area="bottom")
        return dock

    return open_in


@pytest.fixture
def dock(viewer: Any, open_dock: Callable[[Any], ReportsDock]) -> ReportsDock:
    """The dock in that viewer, the outline as its reference."""
    made = open_dock(viewer)
    refer_to(made, "outline")
    choose_text(made.choose.thresholds, "0.5, 0.8")
    return made


def rest(qtbot: Any, dock: ReportsDock) -> None:
    """Wait until nothing is worked out or written any more."""
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


def make(qtbot: Any, dock: ReportsDock, kind: str = "overlap") -> Any:
    """Make a report of a kind, and return it."""
    choose(dock.choose.kind, kind)
    assert dock.choose.run.isEnabled(), dock.choose.hint.text()
    dock.choose.run.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    assert dock.state.finished is not None
    return dock.state.finished.report


def choose(box: Any, value: Any) -> None:
    """Choose the entry of a list that stands for `value`."""
    place = next(n for n in range(box.count()) if box.itemData(n) == value)
    box.setCurrentIndex(place)


def choose_text(box: Any, text: str) -> None:
    """Type into a list."""
    box.setEditText(text)


def refer_to(dock: ReportsDock, name: str) -> None:
    """Choose a labels layer as the reference."""
    dock.choose.reference.list.box.setCurrentText(name)
    assert dock.choose.reference.chosen is not None


def cells(dock: ReportsDock, title: str) -> list[str]:
    """Return a column of the table as it is shown."""
    model = dock.result.table.model
    place = next(n for n, each in enumerate(model.columns) if each.title == title)
    return [model.data(model.index(row, place)) for row in range(model.rowCount())]


def go_to(dock: ReportsDock, row: int) -> None:
    """Click a row of the table."""
    table = dock.result.table
    table.view.setCurrentIndex(table.model.index(row, 0))


def find(dock: ReportsDock, **words: str) -> int:
    """Return the first shown row whose cells say so."""
    columns = {title: cells(dock, title) for title in words}
    count = dock.result.table.model.rowCount()
    return next(
        row for row in range(count) if all(columns[key][row] == words[key] for key in words)
    )
