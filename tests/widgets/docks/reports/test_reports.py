"""Overlap and agreement in a real viewer: numbers counted by hand, rows, matrix, curves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cam.reports.page.overlay import FN, FP, TN, TP
from tests.widgets.docks.reports.conftest import (
    IN_P,
    IN_Q,
    IN_R,
    X,
    add_heatmap,
    add_image,
    add_labels,
    cells,
    choose,
    choose_text,
    find,
    go_to,
    heatmap,
    make,
    refer_to,
    rest,
)


def values_of(report, metric, **where):
    rows = report.select(metric=metric, **where)
    return rows["value"].tolist()


def slice_shown(viewer):
    return viewer.dims.current_step[0]


def test_overlap_has_the_numbers_that_one_counts(qtbot, dock):
    report = make(qtbot, dock)
    of_p = {"method_a": "gradcam", "threshold_a": "fixed(0.5)"}
    units = values_of(report, "iou_foreground", level="unit", **of_p)
    np.testing.assert_allclose(units, [8 / 12, 0, np.nan])
    (mean,) = values_of(report, "iou_foreground_unit_mean", level="cohort", scored="all", **of_p)
    assert mean == pytest.approx(1 / 3)
    (pooled,) = values_of(report, "iou_pooled_foreground", level="cohort", scored="all", **of_p)
    assert pooled == pytest.approx(8 / 28)
    of_q = {"method_a": "layercam", "threshold_a": "fixed(0.8)"}  # Q reaches 0.7
    np.testing.assert_allclose(
        values_of(report, "iou_foreground", level="unit", **of_q), [0, 0, np.nan]
    )
    assert report.provenance["headline"] == "fixed(0.5)"


def test_the_table_begins_with_slices_at_the_first_threshold(qtbot, dock):
    make(qtbot, dock)
    assert set(cells(dock, "level")) == {"unit"}
    assert set(cells(dock, "metric")) == {"iou_foreground"}
    assert set(cells(dock, "threshold")) == {"fixed(0.5)"}
    assert cells(dock, "value") == ["0.6667", "0", "–", "1", "0", "0"]
    assert cells(dock, "slice") == ["0", "1", "2"] * 2
    dock.result.table.choose("metric", "precision")
    # P: 8 of 12, 0 of 8, none of none; Q: 8 of 8, 0 of 8, 0 of 4.
    assert cells(dock, "value") == ["0.6667", "0", "–", "1", "0", "0"]
    dock.result.table.choose("threshold_a", "fixed(0.8)")
    assert cells(dock, "value") == ["0.6667", "0", "–", "–", "–", "–"]
    assert "6 of" in dock.result.table.count.text()
    model = dock.result.table.model
    tips = [model.data(model.index(0, n), Qt.ItemDataRole.ToolTipRole) for n in range(4)]
    assert "<qt>resnet18 / gradcam / layer4 (layer P)</qt>" in tips


def test_a_row_of_a_slice_takes_the_viewer_there_and_shows_both_masks(qtbot, viewer, dock):
    make(qtbot, dock)
    go_to(dock, find(dock, map="resnet18 / gradcam / layer4", slice="0"))
    rest(qtbot, dock)
    assert slice_shown(viewer) == 0
    layer = viewer.layers["report: right and wrong"]
    expected = np.select([IN_P & IN_R, IN_P, IN_R], [TP, FP, FN], TN)
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.data[0, 0].tolist() == [TP, TP, FP, TN, TN, TN]
    assert layer.data[1, 0].tolist() == [FP, FP, FN, FN, TN, TN]
    np.testing.assert_allclose(layer.scale, viewer.layers["scan"].scale)
    said = dock.result.shown.text.text()
    assert "fixed(0.5)" in said
    assert "IoU of slice 0 0.667" in said
    go_to(dock, find(dock, map="resnet18 / layercam / layer4", slice="1"))
    rest(qtbot, dock)
    assert slice_shown(viewer) == 1
    np.testing.assert_array_equal(
        layer.data, np.select([IN_Q & IN_R, IN_Q, IN_R], [TP, FP, FN], TN)
    )
    names = [each.name for each in viewer.layers if each.name.startswith("report")]
    assert names == ["report: right and wrong"], "one layer is renewed"
    assert layer.visible
    make(qtbot, dock, "agreement")
    assert not layer.visible, "it was of the report before"


def test_a_row_shows_its_own_threshold(qtbot, viewer, dock):
    make(qtbot, dock)
    dock.result.table.choose("threshold_a", "fixed(0.8)")
    go_to(dock, find(dock, map="resnet18 / layercam / layer4", slice="0"))
    rest(qtbot, dock)
    layer = viewer.layers["report: right and wrong"]
    np.testing.assert_array_equal(layer.data, np.where(IN_R, FN, TN))


def test_the_best_in_hindsight_shows_the_threshold_that_it_was(qtbot, viewer, dock):
    make(qtbot, dock)
    dock.result.table.choose("level", "cohort")
    dock.result.table.choose("metric", "iou_foreground_unit_mean")
    dock.result.table.choose("threshold_a", "oracle")
    before = slice_shown(viewer)
    go_to(dock, find(dock, map="resnet18 / layercam / layer4"))
    rest(qtbot, dock)
    layer = viewer.layers["report: right and wrong"]
    np.testing.assert_array_equal(layer.data == TP, IN_Q & IN_R)
    assert slice_shown(viewer) == before, "a row about all slices moves nothing"


def test_labels_of_the_reference_and_a_foreground(qtbot, viewer, dock):
    image = viewer.layers["scan"]
    two = np.where(IN_R, 1, 0)
    two[2, :, 5] = 2
    add_labels(viewer, image, two, "organs")
    add_labels(viewer, image, X > 0, "within")
    refer_to(dock, "organs")
    dock.choose.reference.numbers.setText("1")
    dock.choose.reference.numbers.editingFinished.emit()
    dock.choose.within.box.setCurrentText("within")
    report = make(qtbot, dock)
    of_p = {"method_a": "gradcam", "threshold_a": "fixed(0.5)", "level": "unit"}
    # Without the first column: 4 of 8, 0 of 12, nothing.
    np.testing.assert_allclose(values_of(report, "iou_foreground", **of_p), [0.5, 0, np.nan])
    go_to(dock, 0)
    rest(qtbot, dock)
    assert viewer.layers["report: right and wrong"].data[0, 0].tolist() == [0, TP, FP, TN, TN, TN]
    dock.choose.reference.numbers.setText("7")
    dock.choose.reference.numbers.editingFinished.emit()
    dock.choose.run.click()
    rest(qtbot, dock)
    assert "'organs' holds no label 7" in dock.problem.text()
    assert dock.state.finished.report is report, "nothing is lost"


def test_masks_and_seeds_are_judged_as_they_are(qtbot, viewer, dock):
    mask = add_labels(viewer, viewer.layers["scan"], IN_Q, "by hand")
    for layer in dock.choose.maps.layers:
        dock.choose.maps.tick(layer, layer is mask)
    report = make(qtbot, dock)
    assert set(report.table["threshold_a"]) <= {"mask", ""}
    rows = report.select(metric="iou_foreground", level="unit")
    np.testing.assert_allclose(rows["value"], [1, 0, 0])
    mask.data[:] = 0
    go_to(dock, find(dock, slice="0", metric="iou_foreground"))
    rest(qtbot, dock)
    layer = viewer.layers["report: right and wrong"]
    np.testing.assert_array_equal(layer.data == TP, IN_Q & IN_R)  # as it was compared


def test_agreement_has_the_numbers_that_one_counts(qtbot, viewer, dock):
    report = make(qtbot, dock, "agreement")
    at = {"threshold_a": "fixed(0.5)"}
    np.testing.assert_allclose(
        values_of(report, "phi_m", level="unit", **at), [8 / 12, 1, 0], rtol=1e-6
    )
    (pair,) = values_of(report, "iou_pair_unit_mean", **at)
    assert pair == pytest.approx(5 / 9)
    go_to(dock, find(dock, slice="0", metric="phi_m"))
    rest(qtbot, dock)
    assert slice_shown(viewer) == 0
    layer = viewer.layers["report: two maps"]
    np.testing.assert_array_equal(layer.data, IN_P * 1 + IN_Q * 2)
    assert "IoU of slice 0 0.667" in dock.result.shown.text.text()


def test_a_mean_of_pairs_shows_the_pair_that_agrees_least(qtbot, viewer, dock):
    add_heatmap(viewer, viewer.layers["scan"], heatmap(X > 3, 0.6, "eigencam"), "S")
    report = make(qtbot, dock, "agreement")
    at = {"threshold_a": "fixed(0.5)", "level": "unit"}
    # Slice 1: P and Q are one, S has nothing in common with either.
    assert values_of(report, "phi_m", **at)[1] == pytest.approx(1 / 3)
    go_to(dock, find(dock, slice="1", metric="phi_m"))
    rest(qtbot, dock)
    layer = viewer.layers["report: two maps"]
    assert set(np.unique(layer.data[1])) == {0, 1, 2}
    assert "the pair that agrees least" in dock.result.shown.text.text()


def test_consensus_and_disagreement_become_layers(qtbot, viewer, dock):
    make(qtbot, dock, "agreement")
    dock.result.arrays.click()
    share = (IN_P.astype(float) + IN_Q) / 2
    np.testing.assert_allclose(viewer.layers["consensus"].data, share)
    np.testing.assert_allclose(viewer.layers["disagreement"].data, 4 * share * (1 - share))
    assert "consensus" not in [each.name for each in dock.choose.maps.chosen], "no CAM"
    make(qtbot, dock)
    dock.result.arrays.click()
    layer = next(each for each in viewer.layers if each.name.startswith("overlap of"))
    assert layer.data[1, 0].tolist() == [FP, FP, FN, FN, TN, TN]


def at_pixel(axes, x, y):
    """A mouse event of matplotlib at a place of the data."""
    left, top = axes.transData.transform((x, y))
    return SimpleNamespace(inaxes=axes, xdata=x, ydata=y, x=left, y=top)


def test_the_matrix_tells_and_shows(qtbot, viewer, dock):
    make(qtbot, dock, "agreement")
    pane = dock.result.matrix
    assert pane.chart.title == "IoU of every pair at fixed(0.5)"
    np.testing.assert_allclose(pane.chart.values, [[np.nan, 5 / 9], [5 / 9, np.nan]])
    pane._on_move(at_pixel(pane._axes, 1, 0))
    assert "0.556" in pane.said.text()
    assert "of 3 slices" in pane.said.text()
    pane._on_press(at_pixel(pane._axes, 1, 0))
    rest(qtbot, dock)
    np.testing.assert_array_equal(viewer.layers["report: two maps"].data, IN_P * 1 + IN_Q * 2)
    pane.show_threshold("fixed(0.8)")
    np.testing.assert_allclose(pane.chart.values[0, 1], 0)


def test_curves_tell_and_a_point_shows_its_threshold(qtbot, viewer, dock):
    make(qtbot, dock)
    pane = dock.result.curves
    assert pane.chart.thresholds == ("fixed(0.5)", "fixed(0.8)")
    name = next(each for each in pane.chart.points if "layercam" in each)
    assert [round(point.value, 3) for point in pane.chart.points[name]] == [0.333, 0.0]
    pane._on_move(at_pixel(pane._axes, 0, 1 / 3))
    assert "at fixed(0.5):  0.333" in pane.said.text()
    pane._on_press(at_pixel(pane._axes, 1, 0.0))  # Q at 0.8
    rest(qtbot, dock)
    np.testing.assert_array_equal(
        viewer.layers["report: right and wrong"].data, np.where(IN_R, FN, TN)
    )
    assert set(cells(dock, "threshold")) == {"fixed(0.8)"}, "the table follows"
    pane._on_move(at_pixel(pane._axes, 0.5, 0.9))
    assert "Point at a curve" in pane.said.text()


def test_all_cam_heatmaps_are_ticked_until_somebody_unticks_one(viewer, dock):
    image = viewer.layers["scan"]
    assert [each.name for each in dock.choose.maps.chosen] == ["P", "Q"]
    assert [each.name for each in dock.choose.maps.layers] == ["P", "Q", "outline"]
    add_heatmap(viewer, image, heatmap(X > 3, 0.6, "eigencam"), "S")
    assert [each.name for each in dock.choose.maps.chosen] == ["P", "Q", "S"]
    item = dock.choose.maps.item(0)
    item.setCheckState(item.checkState().Unchecked)
    assert not dock.choose.all_cams.isChecked()
    add_heatmap(viewer, image, heatmap(X > 3, 0.6, "hirescam"), "T")
    assert [each.name for each in dock.choose.maps.chosen] == ["Q", "S"]
    viewer.layers.remove("S")
    assert [each.name for each in dock.choose.maps.chosen] == ["Q"]
    dock.choose.all_cams.setChecked(True)
    assert [each.name for each in dock.choose.maps.chosen] == ["P", "Q", "T"]


def test_another_image_has_its_own_maps(viewer, dock):
    other = add_image(viewer, "other")
    other.translate = (100, 0, 0)
    add_heatmap(viewer, other, heatmap(X > 3, 0.6, "eigencam"), "S")
    assert [each.name for each in dock.choose.maps.chosen] == ["P", "Q"]
    dock.choose.image.setCurrentText("other")
    assert [each.name for each in dock.choose.maps.chosen] == ["S"]


def test_settings_reach_the_report(qtbot, dock):
    choose(dock.choose.inequality, False)
    choose(dock.choose.empty, 1.0)
    dock.choose.soft.setChecked(False)
    dock.choose.surfaces.setChecked(False)
    choose_text(dock.choose.thresholds, "0.7, otsu")
    dock.choose.headline.setCurrentText("otsu")
    report = make(qtbot, dock)
    assert report.provenance["strict"] is False
    assert report.provenance["headline"] == "otsu"
    assert report.empty == 1.0
    assert not {"soft_iou", "hd95"} & set(report.table["metric"])
    at = {"threshold_a": "fixed(0.7)", "level": "unit", "method_a": "layercam"}
    # Q is 0.7 where it is high, which counts with >=; in slice 2 it is wrong.
    np.testing.assert_allclose(values_of(report, "iou_foreground", **at), [1, 0, 0])


def test_a_picture_has_one_slice(qtbot, make_napari_viewer, open_dock):
    from napari.layers import Layer

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
    from napari_cam.widgets.layers.result_layer import as_heatmap

    viewer = make_napari_viewer()
    image = viewer.add_image(np.random.default_rng(0).random((4, 6)), name="picture")
    image = getattr(image, "__wrapped__", image)
    grid = Volume.from_array(np.zeros((1, 4, 6), np.float32)).grid
    values = np.where(IN_P[:1], 0.9, 0.1).astype(np.float32)
    made = as_heatmap(values, grid, {"method": {"name": "gradcam"}})
    viewer.add_layer(Layer.create(*heatmap_to_layer(made, image, "P")))
    viewer.add_layer(Layer.create(*mask_to_layer(IN_R[:1].astype(np.uint8), image, "outline")))
    dock = open_dock(viewer)
    refer_to(dock, "outline")
    report = make(qtbot, dock)
    rows = report.select(metric="iou_foreground", level="unit", threshold_a="fixed(0.5)")
    assert rows["value"].tolist() == [pytest.approx(8 / 12)]
    go_to(dock, 0)
    rest(qtbot, dock)
    assert viewer.layers["report: right and wrong"].data[0].tolist() == [TP, TP, FP, TN, TN, TN]
