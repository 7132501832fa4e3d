"""Reports about scans of patients, however their axes run: the same numbers, the right slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Layer

from napari_cam.reports.page.overlay import FN, FP, TN, TP
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import layer_to_volume
from tests.widgets.docks.reports.conftest import choose_text, find, go_to, make, refer_to, rest
from tests.widgets.heatmaps import heatmap_on
from tests.widgets.layers.test_patient_world import rotation, save, stored_affine


@pytest.mark.parametrize(("codes", "oblique"), [("LPS", False), ("PIR", False), ("SLA", True)])
@pytest.mark.parametrize("unit_axis", [0, 2])
def test_scans_of_every_orientation(
    qtbot, make_napari_viewer, open_dock, tmp_path, codes, oblique, unit_axis
):
    viewer = make_napari_viewer()
    affine = stored_affine(codes)
    save(tmp_path / "scan.nii", rotation((25, -20, 30)) @ affine if oblique else affine)
    (image,) = viewer.open(str(tmp_path / "scan.nii"), plugin="napari-cam")
    volume = layer_to_volume(image)
    random = np.random.default_rng(3)
    made, units = heatmap_on(volume), volume.shape[unit_axis]
    ones = np.ones(units, np.float32)
    made = replace(
        made,
        values=random.random(volume.shape, np.float32),
        inside=np.ones(volume.shape, bool),
        unit_axis=unit_axis,
        raw_min=0 * ones,
        raw_max=ones,
        score=ones,
        valid=ones > 0,
        class_index=np.ones(units, np.int64),
        predicted_index=np.ones(units, np.int64),
    )
    outline = random.random(volume.shape) > 0.6
    viewer.add_layer(Layer.create(*heatmap_to_layer(made, image, "map")))
    viewer.add_layer(Layer.create(*mask_to_layer(outline, image, "outline")))
    dock = open_dock(viewer)
    refer_to(dock, "outline")
    choose_text(dock.choose.thresholds, "0.5")
    report = make(qtbot, dock)

    mask = made.values > 0.5
    others = tuple(axis for axis in range(3) if axis != unit_axis)
    expected = (mask & outline).sum(others) / (mask | outline).sum(others)
    rows = report.select(metric="iou_foreground", level="unit", threshold_a="fixed(0.5)")
    np.testing.assert_allclose(rows["value"], expected)

    number = units - 2
    go_to(dock, find(dock, slice=str(number)))
    rest(qtbot, dock)
    overlay = np.select([mask & outline, mask, outline], [TP, FP, FN], TN)
    shown = viewer.layers["report: right and wrong"]
    np.testing.assert_array_equal(
        shown.data, Layer.create(*mask_to_layer(overlay.astype(np.uint8), image)).data
    )
    on_screen = slice_on_screen(viewer, shown)
    counts = {code: int((on_screen == code).sum()) for code in (TP, FP, FN)}
    assert counts[TP] / sum(counts.values()) == pytest.approx(expected[number])


def slice_on_screen(viewer, layer):
    """Return the plane of a layer's data that the slider of the viewer stands at."""
    (slider,) = viewer.dims.not_displayed
    here = np.asarray(viewer.dims.point, float)
    there = here + viewer.dims.range[slider].step * np.eye(3)[slider]
    at = np.asarray(layer.world_to_data(here))
    axis = int(np.abs(layer.world_to_data(there) - at).argmax())
    return layer.data.take(round(at[axis]), axis)
