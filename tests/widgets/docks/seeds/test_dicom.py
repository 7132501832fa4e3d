"""An oblique DICOM series: seeds on it, and the segmentation that refers to it."""

from __future__ import annotations

import numpy as np
import pydicom
from napari.layers import Layer
from qtpy.QtWidgets import QFileDialog

import napari_cam as nc
from napari_cam.widgets.files.readers import read_layers
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer
from napari_cam.widgets.layers.result_layer import as_heatmap
from tests.volumes.dicom.dicoms import PATIENT, write_stack
from tests.widgets.docks.seeds.conftest import rest

TILTED = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)  # about the patient's left-right axis


def test_a_segmentation_of_an_oblique_series_comes_back_where_it_was(
    qtbot, make_napari_viewer, open_dock, monkeypatch, tmp_path
):
    folder = tmp_path / "scans"
    folder.mkdir()
    write_stack(
        folder, 4, (5, 7), orientation=TILTED, FrameOfReferenceUID="1.2.826.0.1.3680043.8.498.4"
    )
    viewer = make_napari_viewer()
    monkeypatch.setattr("napari.utils.notifications.show_warning", lambda _text: None)  # oblique
    (scan,) = read_layers(str(folder))
    image = Layer.create(*scan)
    viewer.add_layer(image)
    grid = nc.read_volume(folder).grid
    values = np.zeros(grid.shape, np.float32)
    values[1, 2:4, 3:6] = 1
    values[2, 1, 1] = 0.4
    heatmap = as_heatmap(values, grid, {"target": "nodule", "method": {"name": "gradcam"}})
    viewer.add_layer(Layer.create(*heatmap_to_layer(heatmap, image, "nodules")))
    dock = open_dock(viewer)
    dock.seeds_step.commit.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    wanted = np.where(values > 0.6, 2, np.where(values < 0.2, 1, 0))
    seeds = dock.state.seeds
    np.testing.assert_array_equal(seeds.labels, wanted)
    assert seeds.layer.metadata["napari_cam"]["image_grid"]["affine"] == grid.affine.tolist()

    path = tmp_path / "seg.dcm"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a: (str(path), ""))
    step = dock.export_step
    step.format.setCurrentText("DICOM segmentation")
    assert step.write.isEnabled()
    step.codes.item(1, 0).setText("Lung nodule")
    step.codes.item(1, 2).setText("27925004,SCT,Nodule")
    step.write.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    again = nc.read_dicom_seg(path)
    np.testing.assert_array_equal(again.labels().labels, wanted)
    assert again.grid.same_as(grid, within=1e-4)
    stored = pydicom.dcmread(path)
    nodule = stored.SegmentSequence[1]
    assert nodule.SegmentLabel == "Lung nodule"
    assert nodule.SegmentedPropertyTypeCodeSequence[0].CodeValue == "27925004"
    assert stored.PatientName == PATIENT, "the file rightly says whose images it belongs to"
    assert PATIENT.split("^")[0] not in path.with_suffix(".json").read_text()

    step.what.setCurrentText("nodules")
    path = tmp_path / "fractions.dcm"
    step.write.click()
    rest(qtbot, dock)
    assert not dock.problem.text()
    assert pydicom.dcmread(path).SegmentationType == "FRACTIONAL"

    step.codes.item(1, 2).setText("a nodule")
    step.what.setCurrentText("seeds")
    step.write.click()
    assert "'a nodule' is no code" in dock.problem.text()
