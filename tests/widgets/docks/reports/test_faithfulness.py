"""Faithfulness in the dock: the network that is open, the sample, and one of somebody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Layer

import napari_cam as nc
from napari_cam.sample.phantom import phantom
from napari_cam.widgets.docks.cam.state import CamState
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import volume_to_layer
from napari_cam.widgets.networks import OPEN_NETWORKS, load_network
from tests.widgets.docks.reports.conftest import (
    cells,
    choose,
    go_to,
    make,
    rest,
)

SHAPE = (9, 56, 72)


@pytest.fixture
def sample(make_napari_viewer):
    """A viewer with a damaged fillet and its Grad-CAM."""
    viewer = make_napari_viewer()
    volume = phantom(7, shape=SHAPE, spacing=(3.0, 0.5, 0.75)).volume
    image = Layer.create(*volume_to_layer(volume, "fillet"))
    viewer.add_layer(image)
    made = nc.explain_one(nc.load_sample_model(), volume, "gradcam", nc.ClassScore("damaged"))
    viewer.add_layer(Layer.create(*heatmap_to_layer(made, image, "Grad-CAM")))
    return viewer


def test_the_sample_network_is_asked_and_the_verdict_stands_first(qtbot, sample, open_dock):
    sample.layers["Grad-CAM"].visible = False
    dock = open_dock(sample)
    choose(dock.choose.kind, "faithfulness")
    dock.choose.network.network.setCurrentIndex(1)  # the sample
    dock.choose.network.units.setValue(1)
    report = make(qtbot, dock, "faithfulness")
    assert report.kind == "faithfulness"
    notes = dock.result.notes.toPlainText()
    assert report.verdict in notes
    assert "trained on this subject is not known" in notes
    assert {"deletion", "insertion", "road"} <= set(report.table["metric"])
    assert set(report.table["subject"]) == {"1", ""}
    assert [dock.result.tabs.tabText(n) for n in range(dock.result.tabs.count())] == [
        "Table",
        "Figures",
        "Text",
    ]
    dock.result.table.choose("level", "unit")
    unit = int(cells(dock, "slice")[0])
    go_to(dock, 0)
    rest(qtbot, dock)
    assert sample.dims.current_step[0] == unit
    assert sample.layers["Grad-CAM"].visible


def test_maps_of_another_network_are_refused(qtbot, sample, open_dock):
    dock = open_dock(sample)
    choose(dock.choose.kind, "faithfulness")
    dock.choose.network.network.setCurrentIndex(2)  # the U-Net
    dock.choose.run.click()
    rest(qtbot, dock)
    assert "was made by another network" in dock.problem.text()


def test_masks_are_no_matter_of_faithfulness(qtbot, sample, open_dock):
    image = sample.layers["fillet"]
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 20:30, 20:30] = 1
    sample.add_layer(Layer.create(*mask_to_layer(mask, image, "by hand")))
    dock = open_dock(sample)
    choose(dock.choose.kind, "faithfulness")
    for layer in dock.choose.maps.layers:
        dock.choose.maps.tick(layer)
    dock.choose.network.network.setCurrentIndex(1)
    dock.choose.run.click()
    rest(qtbot, dock)
    assert "is a mask; faithfulness is a matter of heatmaps" in dock.problem.text()


def test_a_network_that_a_dock_has_open_is_offered_and_not_touched(
    qtbot, sample, open_dock, monkeypatch
):
    from napari_cam.widgets.docks.reports.work import reporting

    (network,) = load_network("sample", None, "cpu", "auto")
    dock = open_dock(sample)
    choose(dock.choose.kind, "faithfulness")
    assert not dock.choose.run.isEnabled()
    state = CamState()
    state.set_network(network)
    assert OPEN_NETWORKS[network.model.sha256] is network
    dock.follow_layers()
    assert "the sample" in dock.choose.network.network.currentText()
    assert dock.choose.run.isEnabled()
    request = dock.reporter.request(dock.state.picture)
    own = reporting._network(request)
    assert own.sha256 == network.model.sha256
    assert own.module is not network.model.module
    asked = replace(request, network=None)
    with pytest.raises(nc.errors.ReportError, match="open it"):
        reporting._network(asked)
