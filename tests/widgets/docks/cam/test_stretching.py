"""Another stretch of finished heatmaps: as if they had been computed so, without the network."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cam as nc
from tests.widgets.docks.cam.conftest import tick
from tests.widgets.docks.cam.test_walk import DAMAGED, make_mask, run


def choose(qtbot, dock, normalize):
    box = dock.heatmap_step.normalize
    box.setCurrentIndex(box.findData(normalize))
    qtbot.waitUntil(lambda: not dock.explainer._stretching.running, timeout=20_000)


def no_network(monkeypatch):
    def asked(*_args):
        raise AssertionError("the network was asked again")

    monkeypatch.setattr("napari_cam.cams.plan.compute", asked)


def test_it_gives_what_a_new_run_would_give(qtbot, viewer, dock, monkeypatch):
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    volume = viewer.layers["fillet"].metadata["napari_cam_volume"]
    model = nc.load_sample_model()
    expected = {
        way: nc.explain_one(model, volume, target="damaged", normalize=way)
        for way in ("unit", "volume", "none")
    }
    run(qtbot, dock)
    no_network(monkeypatch)
    mask = make_mask(qtbot, dock)
    layer = viewer.layers["Grad-CAM: damaged"]
    for way in ("volume", "none", "unit"):
        choose(qtbot, dock, way)
        np.testing.assert_allclose(layer.data, expected[way].values, atol=1e-6)
        top = expected[way].values.max() if way == "none" else 1
        np.testing.assert_allclose(layer.contrast_limits, (0, top), rtol=1e-5)
        assert layer.metadata["napari_cam"]["normalisation"]["normalize"] == way
        assert dock.state.heatmaps[0].request.normalize == way
        if way == "none":
            assert "needs a heatmap normalised" in dock.problem.text()  # a fixed cut of 0.5
            continue
        assert not dock.problem.text()
        cut = layer.data > np.float32(0.5)
        qtbot.waitUntil(lambda cut=cut: np.array_equal(mask.data == 1, cut), timeout=5_000)
    assert len(viewer.layers) == 3


def test_all_methods_of_a_run_and_their_masks_follow(qtbot, dock, monkeypatch):
    tick(dock, "layercam")
    run(qtbot, dock)
    masks = []
    for index in range(2):
        dock.mask_step.heatmap.setCurrentIndex(index)
        masks.append(make_mask(qtbot, dock))
    no_network(monkeypatch)
    choose(qtbot, dock, "volume")
    for made, mask in zip(dock.state.heatmaps, masks, strict=True):
        heatmap = made.result.heatmap
        assert np.ptp(heatmap.raw_max) == 0, "one span for all slices"
        cut = heatmap.values > np.float32(0.5)
        qtbot.waitUntil(
            lambda cut=cut, mask=mask: np.array_equal(mask.data == 1, cut), timeout=5_000
        )


def test_a_stretch_that_cannot_be_is_told(qtbot, dock):
    run(qtbot, dock)
    before = dock.state.heatmaps[0].layer().data.copy()
    choose(qtbot, dock, "foreground")  # the sample's preparation looks for none
    assert "foreground" in dock.problem.text()
    np.testing.assert_array_equal(dock.state.heatmaps[0].layer().data, before)
    choose(qtbot, dock, "unit")
    assert not dock.problem.text()


@pytest.mark.parametrize("what", ["heatmap", "image", "dock"])
def test_what_is_removed_meanwhile_stays_removed(qtbot, viewer, dock, what):
    run(qtbot, dock)
    box = dock.heatmap_step.normalize
    box.setCurrentIndex(box.findData("volume"))
    assert dock.explainer._stretching.running
    if what == "dock":
        viewer.window.remove_dock_widget(dock)
    else:
        viewer.layers.remove("fillet" if what == "image" else "Grad-CAM: predicted")
    names = [layer.name for layer in viewer.layers]
    qtbot.wait(300)  # an error in a slot would fail the test
    assert [layer.name for layer in viewer.layers] == names
