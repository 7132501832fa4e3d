"""Heatmaps that were opened from a file are cut, stepped through and saved like fresh ones."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QFileDialog

import napari_cam as nc
from napari_cam.heatmap import where_predicted
from tests.widgets.docks.cam.conftest import add_volume
from tests.widgets.docks.cam.test_walk import DAMAGED, click, make_mask, run


@pytest.fixture
def saved(tmp_path):
    """A heatmap file of the class "damaged", and what is in it."""
    from napari_cam.sample.phantom import phantom

    volume = phantom(7, shape=(9, 56, 72), spacing=(3.0, 0.5, 0.75)).volume
    heatmap = nc.explain_one(nc.load_sample_model(), volume, "gradcam", "damaged")
    path = tmp_path / "heatmap.nii.gz"
    nc.write_volume(path, heatmap, like=volume)
    return path, heatmap


def test_it_is_cut_like_a_fresh_one(qtbot, viewer, dock, saved, tmp_path, monkeypatch):
    path, heatmap = saved
    (layer,) = viewer.open(str(path), plugin="napari-cam")
    assert dock.mask_step.heatmap.count() == 1
    assert "as its file says" in dock.heatmap_step.slice_title.text()
    dock.mask_step.gate.setChecked(True)
    dock.mask_step.cut.setValue(0.3)
    mask = make_mask(qtbot, dock)
    expected = (heatmap.values > np.float32(0.3)) & where_predicted(heatmap)
    assert expected.any()
    np.testing.assert_array_equal(mask.data == 1, expected)
    dock.mask_step.cut.setValue(0.6)
    expected = (heatmap.values > np.float32(0.6)) & where_predicted(heatmap)
    qtbot.waitUntil(lambda: np.array_equal(mask.data == 1, expected), timeout=5_000)
    np.testing.assert_allclose(mask.translate, layer.translate)

    dock.save_step.result.setCurrentIndex(1)
    click(qtbot, dock.save_step.command)
    said = QApplication.clipboard().text()
    assert said == f"napari-cam mask {path} --rule fixed:0.6 --gate --out masks\n"
    click(qtbot, dock.save_step.python)
    names: dict[str, object] = {}
    exec(QApplication.clipboard().text(), names)  # noqa: S102
    np.testing.assert_array_equal(names["masks"]["opened"], expected)
    target = tmp_path / "mask.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(target), ""))
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=20_000)
    np.testing.assert_array_equal(nc.read_volume(target).values == 1, expected)
    assert nc.read_volume(target).grid.same_as(nc.read_volume(path).grid, within=1e-4)


def test_what_a_dock_makes_is_not_taken_by_another(qtbot, viewer, dock, open_dock, saved):
    second = open_dock(viewer, "second")
    run(qtbot, dock)
    assert len(dock.state.heatmaps) == 1
    assert second.state.heatmaps == []
    viewer.open(str(saved[0]), plugin="napari-cam")
    assert [len(each.state.heatmaps) for each in (dock, second)] == [2, 1]
    dock.shut()
    third = open_dock(viewer, "third")
    assert len(third.state.heatmaps) == 2


def test_a_run_beside_an_opened_heatmap(qtbot, viewer, dock, saved):
    (layer,) = viewer.open(str(saved[0]), plugin="napari-cam")
    values = layer.data.copy()
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    dock.heatmap_step.normalize.setCurrentIndex(1)  # has no say in what was opened
    run(qtbot, dock)
    assert len(dock.state.heatmaps) == 2
    np.testing.assert_array_equal(layer.data, values)
    viewer.layers.remove(layer)
    assert len(dock.state.heatmaps) == 1


def test_coverage_follows_the_brush(qtbot, viewer, dock):
    run(qtbot, dock)
    mask = make_mask(qtbot, dock)
    inside = int(dock.state.heatmaps[0].result.heatmap.inside.sum())
    free = np.nonzero(mask.data == 0)
    where = tuple(axis[:500] for axis in free)
    before = int(mask.data.sum())
    mask.data_setitem(where, 1)

    def said(count):
        return (f"{count / inside:.1%}", f"{count * 3 * 0.5 * 0.75 / 1000:.3g}")

    def whole():
        share, _, volume = dock.mask_step.figures.shown("whole")
        return share, volume

    qtbot.waitUntil(lambda: whole() == said(before + 500), timeout=30_000)
    mask.undo()
    qtbot.waitUntil(lambda: whole() == said(before), timeout=30_000)


def test_a_plain_image_of_that_kind_is_left_alone(qtbot, viewer, dock):
    add_volume(viewer, 8, "other")
    viewer.add_image(
        np.zeros((9, 56, 72)), name="liar", metadata={"napari_cam": {"kind": "heatmap"}}
    )
    assert dock.state.heatmaps == []
