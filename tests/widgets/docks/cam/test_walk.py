"""The whole walk, by clicking: image, network, heatmap, mask, file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

import napari_cam as nc
from napari_cam.volumes.heatmap_files import read_heatmap
from tests.widgets.docks.cam.conftest import tick

DAMAGED = 2  # place in the list of classes: predicted, healthy, damaged


def click(qtbot, button):
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, dock, button=None):
    click(qtbot, button or dock.heatmap_step.run)
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=60_000)


def make_mask(qtbot, dock):
    before = len(dock.state.masks)
    click(qtbot, dock.mask_step.make)
    qtbot.waitUntil(lambda: len(dock.state.masks) > before, timeout=20_000)
    return dock.state.masks[-1].layer()


def test_the_walk_gives_what_the_library_gives(qtbot, viewer, dock, tmp_path, monkeypatch):
    image = viewer.layers["fillet"]
    assert dock.images.current is image
    assert "9 × 56 × 72" in dock.image_step.facts.text()
    assert "healthy, damaged" in dock.network_step.card.toPlainText()
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    shown = viewer.layers["Grad-CAM: damaged"]
    assert isinstance(shown, Image)

    volume = image.metadata["napari_cam_volume"]
    expected = nc.explain_one(nc.load_sample_model(), volume, "gradcam", "damaged")
    np.testing.assert_allclose(shown.data, expected.values, atol=1e-6)
    np.testing.assert_allclose(shown.scale, image.scale)
    np.testing.assert_allclose(shown.translate, image.translate)

    layer = make_mask(qtbot, dock)
    assert isinstance(layer, Labels)
    assert layer.data.dtype == np.uint8
    np.testing.assert_array_equal(layer.data == 1, expected.values > np.float32(0.5))
    ml = np.count_nonzero(expected.values > 0.5) * 3.0 * 0.5 * 0.75 / 1000
    whole = dock.mask_step.figures
    qtbot.waitUntil(lambda: whole.shown("whole")[2] == f"{ml:.3g}", timeout=30_000)

    target = tmp_path / "mask.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(target), ""))
    dock.save_step.result.setCurrentIndex(1)
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=20_000)
    read = nc.read_volume(target)
    np.testing.assert_array_equal(read.values, layer.data)
    assert read.grid.same_as(volume.grid, within=1e-4)
    sidecar = json.loads((tmp_path / "mask.json").read_text())
    assert sidecar["kind"] == "mask"
    assert sidecar["threshold"]["rule"] == "fixed(0.5)"
    assert sidecar["edited_by_hand"] is False
    assert "fillet" not in (tmp_path / "mask.json").read_text()  # a layer's name may be somebody's


def test_a_saved_heatmap_reads_back(qtbot, dock, tmp_path, monkeypatch):
    run(qtbot, dock)
    target = tmp_path / "map"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_args: (str(target), "TIFF (*.tif *.tiff)")
    )
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=20_000)
    heatmap, _ = read_heatmap(tmp_path / "map.tif")
    made = dock.state.heatmaps[0].result.heatmap
    np.testing.assert_array_equal(heatmap.values, made.values)
    np.testing.assert_array_equal(heatmap.predicted_index, made.predicted_index)


def test_saving_over_the_image_is_refused(qtbot, dock, tmp_path, monkeypatch, silent_notifications):
    run(qtbot, dock)
    blocked = tmp_path / "no folder" / "map.nii"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(blocked), ""))
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: bool(silent_notifications), timeout=20_000)
    assert "does not exist" in silent_notifications[0]
    assert "does not exist" in dock.problem.text()


def test_preview_explains_the_slice_on_screen_alone(qtbot, viewer, dock):
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((6, 0, 0))[0])
    run(qtbot, dock, dock.heatmap_step.preview)
    heatmap = dock.state.heatmaps[0].result.heatmap
    assert np.flatnonzero(heatmap.inside.any(axis=(1, 2))).tolist() == [6]
    assert dock.heatmap_step.scores.rowCount() == 2
    assert dock.heatmap_step.slice_title.text().startswith("Slice 6")
    run(qtbot, dock)
    assert len(dock.state.heatmaps) == 1, "the whole volume grows out of the preview"
    assert heatmap is not dock.state.heatmaps[0].result.heatmap
    assert dock.state.heatmaps[0].result.heatmap.inside.any(axis=(1, 2)).all()


def test_the_scores_follow_the_slider(qtbot, viewer, dock):
    run(qtbot, dock)
    logits = dock.state.heatmaps[0].result.logits
    fillet = viewer.layers["fillet"]
    for index in (1, 7):
        viewer.dims.set_point(0, fillet.data_to_world((index, 0, 0))[0])
        best = int(logits[index].argmax())
        name = ("healthy", "damaged")[best]
        assert dock.heatmap_step.scores.item(0, 0).text().startswith(name)
        assert dock.heatmap_step.scores.item(0, 1).text() == f"{logits[index, best]:.2f}"


def test_evidence_buttons_walk_over_slices_without(qtbot, viewer, dock):
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    made = dock.state.heatmaps[0]
    made.result.heatmap.valid[:] = [False, True, False, False, True, False, False, False, False]
    fillet = viewer.layers["fillet"]

    def shown():
        return round(fillet.world_to_data(viewer.dims.point)[0])

    viewer.dims.set_point(0, fillet.data_to_world((0, 0, 0))[0])
    click(qtbot, dock.heatmap_step.next)
    assert shown() == 1
    click(qtbot, dock.heatmap_step.next)
    assert shown() == 4
    click(qtbot, dock.heatmap_step.next)
    assert shown() == 4
    assert "No slice with evidence after" in dock.heatmap_step.slice_title.text()
    click(qtbot, dock.heatmap_step.previous)
    assert shown() == 1


def test_several_methods_are_separate_layers_of_one_run(qtbot, viewer, dock):
    tick(dock, "gradcam++")
    tick(dock, "layercam")
    run(qtbot, dock)
    names = [layer.name for layer in viewer.layers][1:]
    assert names == ["Grad-CAM: predicted", "Grad-CAM++: predicted", "Layer-CAM: predicted"]
    assert [viewer.layers[name].visible for name in names] == [True, False, False]
    assert dock.mask_step.heatmap.count() == 3


@pytest.mark.parametrize("rule", ["quantile", "otsu"])
def test_other_rules_cut_as_the_library_does(qtbot, dock, rule):
    run(qtbot, dock)
    dock.mask_step.rule.setCurrentIndex(dock.mask_step.rule.findData(rule))
    dock.mask_step.inequality.setCurrentIndex(1)
    dock.mask_step.scope.setCurrentIndex(1)
    layer = make_mask(qtbot, dock)
    heatmap = dock.state.heatmaps[0].result.heatmap
    text = "otsu:volume" if rule == "otsu" else "quantile:0.9:volume"
    assert dock.mask_step.rules.text == text
    expected = nc.binarize(heatmap, text, strict=False)["mask"]
    np.testing.assert_array_equal(layer.data == 1, expected)


def test_the_gate_empties_slices_predicted_otherwise(qtbot, dock):
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    dock.mask_step.gate.setChecked(True)
    layer = make_mask(qtbot, dock)
    heatmap = dock.state.heatmaps[0].result.heatmap
    expected = heatmap.values > np.float32(0.5)
    expected[heatmap.predicted_index != 1] = False
    assert (heatmap.predicted_index != 1).any()
    np.testing.assert_array_equal(layer.data == 1, expected)


def test_the_slider_cuts_the_slice_at_once_and_the_volume_soon(qtbot, viewer, dock):
    run(qtbot, dock)
    layer = make_mask(qtbot, dock)
    values = dock.state.heatmaps[0].result.heatmap.values
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((4, 0, 0))[0])
    dock.mask_step.cut.setValue(0.25)
    np.testing.assert_array_equal(layer.data[4] == 1, values[4] > np.float32(0.25))
    qtbot.waitUntil(
        lambda: np.array_equal(layer.data == 1, values > np.float32(0.25)), timeout=5_000
    )
    assert layer.metadata["napari_cam"]["threshold"]["rule"] == "fixed(0.25)"


def test_painting_keeps_a_mask_and_the_slider_begins_another(qtbot, viewer, dock):
    run(qtbot, dock)
    first = make_mask(qtbot, dock)
    first.data_setitem((np.array([2]), np.array([3]), np.array([5])), 1)
    painted = first.data.copy()
    assert painted[2, 3, 5] == 1
    assert "it is kept" in dock.mask_step.said.text()
    dock.mask_step.cut.setValue(0.8)
    qtbot.wait(300)
    np.testing.assert_array_equal(first.data, painted)
    second = make_mask(qtbot, dock)
    assert second is not first
    first.undo()
    assert first.data[2, 3, 5] == 0


def test_a_kept_mask_stays(qtbot, viewer, dock):
    run(qtbot, dock)
    layer = make_mask(qtbot, dock)
    dock.mask_step.cut.setValue(0.7)
    click(qtbot, dock.mask_step.keep)
    values = dock.state.heatmaps[0].result.heatmap.values
    np.testing.assert_array_equal(layer.data == 1, values > np.float32(0.7))
    dock.mask_step.cut.setValue(0.2)
    qtbot.wait(300)
    np.testing.assert_array_equal(layer.data == 1, values > np.float32(0.7))


def test_a_script_from_the_clipboard_gives_the_same(qtbot, dock, tmp_path, monkeypatch):
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    dock.image_step.slices.setCurrentIndex(dock.image_step.slices.findData(1))
    dock.heatmap_step.normalize.setCurrentIndex(1)
    run(qtbot, dock)
    layer = make_mask(qtbot, dock)
    click(qtbot, dock.save_step.python)
    made = dock.state.heatmaps[0]
    nc.write_volume(tmp_path / "image.nii.gz", made.volume.values, like=made.volume)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(QApplication.clipboard().text(), names)  # noqa: S102
    heatmap = names["maps"]["gradcam"]
    assert heatmap.unit_axis == 1
    np.testing.assert_allclose(heatmap.values, made.result.heatmap.values, atol=1e-6)
    np.testing.assert_array_equal(names["masks"]["gradcam"], layer.data == 1)


def test_the_command_lines_parse_and_name_the_same_choices(qtbot, dock):
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    make_mask(qtbot, dock)
    dock.save_step.result.setCurrentIndex(1)
    click(qtbot, dock.save_step.command)
    explain, mask = QApplication.clipboard().text().splitlines()
    assert explain == (
        "napari-cam explain image.nii.gz --model sample --method gradcam --class damaged "
        "--out heatmaps"
    )
    assert mask == "napari-cam mask heatmaps/heatmap_*.nii.gz --rule fixed:0.5 --out masks"


def test_a_model_file_is_opened(qtbot, dock, tmp_path, monkeypatch):
    path = nc.save_model(nc.load_sample_model(), tmp_path / "mine.safetensors")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    click(qtbot, dock.network_step.open)
    qtbot.waitUntil(
        lambda: dock.state.network is not None and dock.state.network.source == str(path),
        timeout=20_000,
    )
    assert dock.network_step.network.currentText() == "mine.safetensors"
    run(qtbot, dock)
    assert dock.state.heatmaps[0].request.model == str(Path(path))
