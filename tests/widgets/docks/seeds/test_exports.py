"""Exported files come back, and never replace others by themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtWidgets import QFileDialog

import napari_cam as nc
from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.files.readers import read_layers
from napari_cam.widgets.layers.picture import read_mask
from tests.widgets.docks.seeds.conftest import SHAPE, choose_format, commit, rest, use_one_heatmap


@pytest.mark.parametrize(
    ("kind", "name"),
    [("NIfTI", "a.nii.gz"), ("TIFF with voxel size", "a.ome.tif"),
     ("3D Slicer segmentation", "a.seg.nrrd")],
)  # fmt: skip
def test_exports_come_back(qtbot, viewer, dock, monkeypatch, tmp_path, kind, name):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.data_setitem(tuple(np.array([[3], [4], [0]])), 2)
    path = tmp_path / name
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a: (str(path), ""))
    step = dock.export_step
    step.format.setCurrentText(kind)
    assert step.what.currentText() == "seeds"
    step.write.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    assert step.done.text() == f"Written: {name}"
    again = nc.read_labels(path)
    np.testing.assert_array_equal(again.labels, layer.data)
    assert again.classes.names == ("background", "lesion")
    np.testing.assert_allclose(again.grid.spacing, (3.0, 0.5, 0.75), atol=1e-6)
    if not name.endswith(".nrrd"):
        (saved,) = read_layers(str(path))
        seeds = SeedsLayer(Layer.create(*saved))
        assert np.argwhere(seeds.tracker.touched).tolist() == [[3, 4, 0]]


def test_an_export_never_overwrites_by_itself(qtbot, viewer, dock, monkeypatch, tmp_path, told):
    use_one_heatmap(dock)
    commit(qtbot, dock)
    (tmp_path / "a.json").write_text("mine")
    monkeypatch.setattr(dock.export_step, "ask_path", lambda _name: (tmp_path / "a.nii.gz", False))
    dock.export_step.write.click()
    rest(qtbot, dock)
    assert "exists already" in told[-1]
    assert (tmp_path / "a.json").read_text() == "mine"
    assert not (tmp_path / "a.nii.gz").exists()


def test_an_nnunet_case_and_a_second_one_of_that_name(qtbot, dock, monkeypatch, tmp_path, told):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_a: str(tmp_path))
    step = dock.export_step
    step.format.setCurrentText("nnU-Net dataset")
    step.dataset_id.setValue(17)
    step.dataset_name.setText("Liver")
    step.write.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    folder = tmp_path / "Dataset017_Liver"
    facts = json.loads((folder / "dataset.json").read_text())
    assert facts["labels"] == {"background": 0, "lesion": 1, "ignore": 2}
    assert facts["channel_names"] == {"0": "image"}
    stored = nc.read_volume(folder / "labelsTr" / "case_001.nii.gz").values
    np.testing.assert_array_equal(stored, np.array([2, 0, 1])[layer.data])
    step.write.click()
    rest(qtbot, dock)
    assert "case_001 exists already" in told[-1]


def test_dicom_needs_a_dicom_series_and_says_so(qtbot, dock):
    use_one_heatmap(dock)
    commit(qtbot, dock)
    dock.export_step.format.setCurrentText("DICOM segmentation")
    assert "was not read from a DICOM series" in dock.export_step.write.toolTip()
    assert not dock.export_step.write.isEnabled()
    segments = dock.export_step.segments
    assert segments[1] == (
        "background",
        "309825002,SCT,Spatial and Relational Concept",
        "125040,DCM,Background",
    )
    assert segments[2][0] == "lesion"


def test_label_1_of_somebody_else_is_no_background(
    qtbot, viewer, dock, monkeypatch, tmp_path, told
):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1:3, 4:9, 5:9], drawn[1:3, 10:12, 5:9] = 1, 2
    image = viewer.layers["scan"]
    layer = viewer.add_labels(drawn.copy(), name="expert", scale=image.scale, units=image.units)
    dock.seeds_step.seeds.box.setCurrentIndex(1)
    np.testing.assert_array_equal(read_mask(layer), drawn > 0)
    dock.seeds_step.classes.item(0, 2).setText("lesion")
    assert dock.state.classes.names == ("label 1", "label 2")
    assert "kept for the background" in told[-1]
    choose_format(dock, "nnunet")
    step = dock.export_step
    monkeypatch.setattr(step, "ask_path", lambda _name: (tmp_path, False))
    step.write.click()
    rest(qtbot, dock)
    assert "would become the background" in told[-1]
    assert not list(tmp_path.iterdir())
    dock.seeds_step.classes.item(0, 2).setText("background")
    np.testing.assert_array_equal(read_mask(layer), drawn > 1)
    step.write.click()
    rest(qtbot, dock)
    assert list(tmp_path.rglob("labelsTr/*.nii.gz"))
