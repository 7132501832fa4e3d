"""Heatmaps side by side: methods, levels, and the window as it was."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

import napari_cam as nc
from napari_cam.models.layers.candidates import LayerInfo
from napari_cam.widgets.docks.cam.control.comparer import one_per_level
from napari_cam.widgets.layers.position import bare
from tests.widgets.docks.cam.conftest import tick
from tests.widgets.docks.cam.test_segmentation import SLICE, seg  # noqa: F401
from tests.widgets.docks.cam.test_walk import click, make_mask, run


def wait(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=60_000)


def cells(viewer):
    """Names of the visible layers, cell by cell in reading order."""
    layers = viewer.layers
    return [
        [layers[index].name for index in found if layers[index].visible]
        for _, found in viewer.canvas.grid.iter_viewboxes(layers)
    ]


@pytest.fixture
def ticked(dock):
    """Grad-CAM, Grad-CAM++ and Layer-CAM."""
    tick(dock, "gradcam++")
    tick(dock, "layercam")
    return dock


def test_methods_lie_side_by_side_each_over_its_image(qtbot, viewer, ticked):
    dock, image = ticked, viewer.layers["fillet"]
    viewer.dims.set_point(0, image.data_to_world((SLICE, 0, 0))[0])
    run(qtbot, dock, dock.heatmap_step.preview)
    make_mask(qtbot, dock)
    qtbot.waitUntil(lambda: viewer.layers[1].visible, timeout=5_000)
    before = [(layer.name, layer.visible) for layer in viewer.layers]
    click(qtbot, dock.heatmap_step.compare.methods)
    wait(qtbot, dock)
    assert viewer.canvas.grid.enabled
    methods = ["Grad-CAM", "Grad-CAM++", "Layer-CAM"]
    titles = [f"{method}: predicted" for method in methods]
    assert cells(viewer)[:3] == [list(pair) for pair in zip(methods, titles, strict=True)]
    for method in methods:
        copy = viewer.layers[method]
        assert np.shares_memory(copy.data, image.data)
        np.testing.assert_allclose(copy.translate, image.translate)
        assert copy.name_overlay.visible
    assert dock.images.current is image
    assert dock.image_step.image.count() == 1, "copies are no images to explain"
    viewer.layers[titles[0]].contrast_limits = (0.25, 0.75)
    assert [tuple(viewer.layers[t].contrast_limits) for t in titles] == [(0.25, 0.75)] * 3
    assert not dock.heatmap_step.compare.leave.isHidden()
    click(qtbot, dock.heatmap_step.compare.leave)
    assert not viewer.canvas.grid.enabled
    assert (viewer.canvas.grid.stride, viewer.canvas.grid.spacing) == (1, 0)
    assert [(layer.name, layer.visible) for layer in viewer.layers] == before
    assert [tuple(viewer.layers[t].contrast_limits) for t in titles] == [(0.0, 1.0)] * 3
    viewer.layers[titles[0]].contrast_limits = (0.1, 0.9)
    assert tuple(viewer.layers[titles[1]].contrast_limits) == (0.0, 1.0)
    assert dock.heatmap_step.compare.leave.isHidden()


def test_all_levels_of_all_slices(qtbot, viewer, seg):  # noqa: F811
    dock = seg
    dock.heatmap_step.follow.setChecked(False)
    dock.heatmap_step.compare.scope.setCurrentIndex(1)
    click(qtbot, dock.heatmap_step.compare.levels)
    wait(qtbot, dock)
    layers = ["encoder.0", "encoder.1", "encoder.2", "bottleneck"]
    layers += ["decoder.0", "decoder.1", "decoder.2"]
    shown = [cell for cell in cells(viewer) if cell]
    assert [cell[1].removeprefix("Grad-CAM: damaged, ") for cell in shown] == layers
    levels = ["encoder 0", "encoder 1", "encoder 2", "bottleneck"]
    assert [cell[0] for cell in shown] == [*levels, "decoder 2", "decoder 1", "decoder 0"]
    model, volume = nc.load_sample_model("segmentation"), dock.state.heatmaps[-1].volume
    maps = nc.explain(model, volume, "gradcam", "damaged", layers)
    for name, heatmap in zip(layers, maps.values(), strict=True):
        layer = viewer.layers[f"Grad-CAM: damaged, {name}"]
        np.testing.assert_allclose(layer.data, heatmap.values, atol=1e-5)
    # One of them goes: the cells no longer fit, so the grid ends.
    viewer.layers.remove(viewer.layers["Grad-CAM: damaged, encoder.1"])
    assert not viewer.canvas.grid.enabled
    assert "encoder 0" not in [layer.name for layer in viewer.layers]


def test_two_methods_are_two_rows_of_levels(qtbot, viewer, seg):  # noqa: F811
    seg.heatmap_step.follow.setChecked(False)
    tick(seg, "hirescam")
    click(qtbot, seg.heatmap_step.compare.levels)
    wait(qtbot, seg)
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (2, 7)
    heatmap = seg.state.heatmaps[-1].result.heatmap
    assert np.flatnonzero(heatmap.inside.any(axis=(1, 2))).tolist() == [SLICE]


def test_a_classifier_has_no_levels(qtbot, viewer, dock):
    button = dock.heatmap_step.compare.levels
    assert not button.isEnabled()
    assert "segmentation" in button.toolTip()


def test_a_closed_dock_leaves_the_grid(qtbot, viewer, ticked):
    click(qtbot, ticked.heatmap_step.compare.methods)
    wait(qtbot, ticked)
    assert viewer.canvas.grid.enabled
    ticked.shut()
    assert not viewer.canvas.grid.enabled
    assert all(
        bare(layer).metadata.get("napari_cam", {}).get("kind") != "copy"
        for layer in viewer.layers
        if isinstance(bare(layer), Image)
    )


def test_one_layer_for_each_level():
    def info(name, level, size):
        return LayerInfo(name, "Conv2d", 4, (size, size), (1.0, 1.0), level=level)

    layers = [
        info("a.0", "encoder 0", 64),
        info("a.1", "encoder 0", 64),
        info("b", "encoder 1", 32),
        info("c.0", "encoder 2", 16),  # in front of the bottleneck, at its resolution
        info("c", "bottleneck", 16),
        info("d.0", "decoder 1", 32),
        info("d.1", "decoder 1", 32),
        info("head", "", 64),
    ]
    assert [each.name for each in one_per_level(layers)] == ["a.1", "b", "c", "d.1"]
