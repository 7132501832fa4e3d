"""Ensembles, boxes, classes, review and export: in a real viewer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QLineEdit,
)

import napari_cam as nc
from napari_cam.widgets.docks.cam.tooltips import TOOLTIPS
from napari_cam.widgets.docks.seeds.control.painter import brush_radii, brush_size
from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.docks.seeds.tooltips import KEYS, SEEDS_TOOLTIPS
from napari_cam.widgets.docks.seeds.work import ensembling
from napari_cam.widgets.files.readers import read_layers
from tests.widgets.docks.seeds.conftest import (
    SHAPE,
    WAIT,
    X,
    Y,
    Z,
    add_heatmap,
    add_image,
    along_x,
    along_y,
    commit,
    rest,
    use_one_heatmap,
)
from tests.widgets.docks.seeds.test_seeds import choose, ctrl_z, expected, touched

IN_X, IN_Y = along_x > np.float32(0.5), along_y > np.float32(0.5)
CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QAbstractSpinBox,
    QAbstractSlider,
)


def tick_both(dock):
    for layer in dock.ensemble_step.members.layers:
        dock.ensemble_step.members.tick(layer, layer.name.startswith("along"))


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("or", IN_X | IN_Y),
        ("and", IN_X & IN_Y),
        ("majority", IN_X & IN_Y),  # more than half of two
        ("smallest", IN_X),  # half of each slice both, so that the first wins
        ("largest", IN_X),
    ],
)
def test_an_ensemble_is_what_its_operator_says_and_follows(qtbot, viewer, dock, operator, wanted):
    tick_both(dock)
    choose(dock.ensemble_step.operator, operator)
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    layer = viewer.layers["ensemble"]
    np.testing.assert_array_equal(layer.data == 1, wanted)
    np.testing.assert_allclose(layer.scale, viewer.layers["scan"].scale)
    dock.ensemble_step.rule.cut.setValue(0.75)
    higher = {"or": (along_x > 0.75) | (along_y > 0.75), "and": (along_x > 0.75) & (along_y > 0.75)}
    if operator in higher:
        np.testing.assert_array_equal(layer.data[2] == 1, higher[operator][2])  # at once
        np.testing.assert_array_equal(layer.data[0] == 1, wanted[0])
        rest(qtbot, dock)
        np.testing.assert_array_equal(layer.data == 1, higher[operator])
    made = layer.metadata["napari_cam"]
    assert made["ensemble"]["operator"] == operator
    assert [each["name"] for each in made["members"]] == [
        "gradcam / layer4 / lesion",
        "gradcam / layer4 / lesion (2)",
    ]
    json.dumps(made)


def test_a_mean_is_a_heatmap_and_consensus_two(qtbot, viewer, dock):
    tick_both(dock)
    choose(dock.ensemble_step.operator, "mean")
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    np.testing.assert_allclose(
        viewer.layers["mean heatmap"].data, (along_x + along_y) / 2, atol=1e-6
    )
    dock.ensemble_step.consensus.click()
    rest(qtbot, dock)
    share = (IN_X.astype(float) + IN_Y) / 2
    np.testing.assert_allclose(viewer.layers["consensus: share of members"].data, share)
    np.testing.assert_allclose(viewer.layers["consensus: spread"].data, 4 * share * (1 - share))
    agree = (IN_X == IN_Y).mean()
    assert f"agree on {agree:.1%}" in dock.ensemble_step.said.text()


def test_whoever_paints_into_an_ensemble_takes_it_over(qtbot, viewer, dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    layer = viewer.layers["ensemble"]
    layer.data_setitem(tuple(np.array([[2], [0], [0]])), 1)
    painted = layer.data.copy()
    dock.ensemble_step.rule.cut.setValue(0.9)
    rest(qtbot, dock)
    np.testing.assert_array_equal(layer.data, painted)
    names = [each.name for each in dock.ensemble_step.members.layers]
    assert "ensemble" in names, "it is a mask like any other now"


def test_staple_of_three(qtbot, viewer, dock):
    image = viewer.layers["scan"]
    add_heatmap(viewer, image, along_x, name="along x again")
    tick_both(dock)
    choose(dock.ensemble_step.operator, "staple")
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    # Two of three members are the same, and STAPLE believes them.
    np.testing.assert_array_equal(viewer.layers["ensemble"].data == 1, IN_X)


def test_an_error_of_an_ensemble_is_told(qtbot, dock, monkeypatch, told):
    def failing(_request):
        raise RuntimeError("odd")
        yield

    monkeypatch.setattr("napari_cam.widgets.docks.seeds.control.ensembler.make_ensemble", failing)
    tick_both(dock)
    dock.ensemble_step.make.click()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    assert "RuntimeError: odd" in dock.problem.text()
    assert ensembling.MEAN == "mean"


# Boxes


def test_a_centred_box_restricts_seeds(qtbot, dock):
    use_one_heatmap(dock)
    dock.box_step.centred.setChecked(True)
    dock.box_step.sizes[1].setValue(50)
    rest(qtbot, dock)
    assert dock.box_step.said.text() == "The box holds 50.0% of the image."
    layer = commit(qtbot, dock)
    inside = (Y >= 6) & (Y < 18)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))
    choose(dock.box_step.outside, "background")
    rest(qtbot, dock)
    commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 1))


def test_a_band_is_left_out_and_a_labels_layer_holds(qtbot, viewer, dock):
    use_one_heatmap(dock)
    labels = (X >= 10).astype(np.uint8)
    image = viewer.layers["scan"]
    viewer.add_labels(labels, name="organ", scale=image.scale, units=image.units)
    dock.box_step.labelled.setChecked(True)
    dock.box_step.band.setChecked(True)
    dock.box_step.band_width.setValue(2.0)  # mm: four voxels of 0.5 mm across a horizontal line
    dock.box_step.band_angle.setValue(0)
    rest(qtbot, dock)
    layer = commit(qtbot, dock)
    inside = (labels == 1) & ((Y < 10) | (Y >= 14))
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))
    viewer.layers.remove("organ")
    rest(qtbot, dock)
    assert not dock.box_step.labelled.isChecked()
    commit(qtbot, dock)
    inside = (Y < 10) | (Y >= 14)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))


ROTATED = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (3, 0.5, 0.75)},
        {"scale": (-3, 0.5, -0.75), "translate": (10, -20, 30)},
        {"scale": (3, 0.5, 0.75), "rotate": ROTATED},
    ],
    ids=["scaled", "flipped", "rotated"],
)
def test_a_drawn_shape_lies_where_it_is_drawn(qtbot, make_napari_viewer, open_dock, place):
    viewer = make_napari_viewer()
    image = add_image(viewer, **place)
    add_heatmap(viewer, image, along_x, name="along x")
    dock = open_dock(viewer)
    use_one_heatmap(dock)
    dock.box_step.draw.click()
    shapes = viewer.layers["box"]
    assert shapes.mode == "add_polygon"
    corners = np.array([(3, 2.5, 4.5), (3, 2.5, 12.5), (3, 9.5, 12.5), (3, 9.5, 4.5)])
    world = [image.data_to_world(corner) for corner in corners]
    shapes.add_polygons(np.array([shapes.world_to_data(point) for point in world]))
    rest(qtbot, dock)
    inside = (Y >= 3) & (Y <= 9) & (X >= 5) & (X <= 12)
    assert dock.state.box.inside is not None
    np.testing.assert_array_equal(dock.state.box.inside, inside)
    dock.box_step.all_slices.setChecked(False)
    rest(qtbot, dock)
    np.testing.assert_array_equal(dock.state.box.inside, inside & (Z == 3))
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(inside & (Z == 3), expected(), 0))
    for corner in [(0, 0, 0), np.array(SHAPE) - 1]:
        np.testing.assert_allclose(
            layer.data_to_world(corner), image.data_to_world(corner), atol=1e-6
        )


def test_an_ellipse_and_a_layer_without_shapes(qtbot, dock, viewer):
    dock.box_step.draw.click()
    rest(qtbot, dock)
    assert "enclose nothing yet" in dock.box_step.hint.text()
    shapes = viewer.layers["box"]
    shapes.add_ellipses(np.array([(2, 4, 8), (2, 4, 24), (2, 16, 24), (2, 16, 8)]))
    rest(qtbot, dock)
    away = ((Y - 10) / 6) ** 2 + ((X - 16) / 8) ** 2
    inside = dock.state.box.inside
    assert inside[away < 0.95].all()
    assert not inside[away > 1.01].any()
    dock.box_step.drawn.setChecked(False)
    rest(qtbot, dock)
    assert dock.state.box.inside is None


def test_nothing_is_committed_while_the_box_is_not_there(qtbot, dock, viewer):
    use_one_heatmap(dock)
    dock.box_step.draw.click()
    rest(qtbot, dock)
    dock.seeds_step.commit.click()
    rest(qtbot, dock)
    assert "enclose nothing yet" in dock.problem.text()
    assert dock.state.seeds is None
    viewer.layers["box"].add_polygons(np.array([(2, 1.5, 3.5), (2, 1.5, 9.5), (2, 8.5, 9.5)]))
    dock.seeds_step.commit.click()
    assert "worked out" in dock.problem.text()
    rest(qtbot, dock)
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(dock.state.box.inside, expected(), 0))


# Classes


def test_classes_are_edited_exported_and_imported(qtbot, viewer, dock, monkeypatch, tmp_path):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    table = dock.seeds_step.classes
    dock.seeds_step.add.click()
    assert dock.state.class_code == 3
    table.item(2, 2).setText("oedema")
    assert layer.selected_label == 3
    np.testing.assert_allclose(layer.get_color(3), np.array([0x56, 0xB4, 0xE9, 255]) / 255)
    path = tmp_path / "classes.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a: (str(path), ""))
    dock.seeds_step.give.click()
    assert path.read_text().splitlines() == [
        "code,name,colour",
        "1,background,#999999",
        "2,lesion,#E69F00",
        "3,oedema,#56B4E9",
    ]
    path.write_text(path.read_text().replace("lesion,#E69F00", "core,#112233"))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a: (str(path), ""))
    dock.seeds_step.take.click()
    assert dock.state.classes.names == ("background", "core", "oedema")
    np.testing.assert_allclose(layer.get_color(2), np.array([0x11, 0x22, 0x33, 255]) / 255)
    assert [each["name"] for each in layer.metadata["napari_cam"]["seeds"]["classes"]] == [
        "background",
        "core",
        "oedema",
    ]


def test_a_class_in_use_cannot_go_and_names_are_unique(qtbot, dock, told):
    use_one_heatmap(dock)
    commit(qtbot, dock)
    dock.seeds_step.remove.click()
    assert "Label 2 is in use" in dock.problem.text()
    assert dock.state.classes.codes == (1, 2)
    dock.seeds_step.classes.item(1, 2).setText("background")
    assert "Two classes have the name 'background'" in told[-1]
    assert dock.seeds_step.classes.item(1, 2).text() == "lesion"
    dock.seeds_step.add.click()
    dock.seeds_step.remove.click()
    assert dock.state.classes.codes == (1, 2)


# Review


def test_keys_go_through_the_classes_and_the_brush_follows(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    dock.seeds_step.add.click()
    shortcuts = dock.shortcuts._shortcuts
    names = list(KEYS)
    for _ in range(2):
        shortcuts[names.index("next_class")].activated.emit()
    assert layer.selected_label == 2  # 3, then 1, then 2
    shortcuts[names.index("previous_class")].activated.emit()
    assert layer.selected_label == 1
    assert "background" in dock.review_step.class_name.text()
    layer.selected_label = 3  # as in napari's own controls
    assert dock.state.class_code == 3
    dock.review_step.paint.click()
    assert viewer.layers.selection.active is layer
    assert layer.mode == "paint"


def test_the_radius_in_mm_is_what_the_brush_paints(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.brush_size = 9
    assert dock.review_step.radius.value() == pytest.approx(2.25)
    for radius in (1.25, 3.25):
        dock.review_step.radius.setValue(radius)
        layer.data[...] = 0
        layer.refresh()
        layer.paint((2, 12, 16), 2)
        painted = np.argwhere(layer.data == 2)
        reach = np.abs(painted - (2, 12, 16)) * (3.0, 0.5, 0.75)
        assert set(painted[:, 0]) == {2}
        distance = np.linalg.norm(reach[:, 1:], axis=1)
        assert distance.max() <= radius
        assert reach[:, 1].max() == radius - 0.25, "to the edge of the last voxel"
        layer.undo()


def test_brush_sizes_by_hand():
    assert brush_radii(9, (0.5, 0.75), (0.5, 0.75)) == pytest.approx((2.25, 2.25))
    # A scale of 1 hides the voxel size, and the brush is round in voxels.
    assert brush_radii(9, (1, 1), (0.5, 0.75)) == pytest.approx((2.25, 3.375))
    assert brush_size(2.25, (0.5, 0.75), (0.5, 0.75)) == 9
    assert brush_size(0.01, (0.5, 0.75), (0.5, 0.75)) == 1


def test_slices_of_disagreement_are_found(qtbot, viewer, dock):
    image = viewer.layers["scan"]
    other = along_x.copy()
    other[1, 3, :4] = 1
    other[4, 7, 2] = 1
    add_heatmap(viewer, image, other, name="along x, nearly")
    for layer in dock.ensemble_step.members.layers:
        dock.ensemble_step.members.tick(layer, layer.name.startswith("along x"))
    shown = lambda: dock.state.picture.shown(viewer)  # noqa: E731
    assert shown() == 2
    dock.review_step.next.click()
    rest(qtbot, dock)
    assert shown() == 4
    any_of_4 = (along_x[4] > 0.5).sum() + 1
    assert f"Slice 4: 1 voxels are disputed, {1 / any_of_4:.0%}" in dock.review_step.disputed.text()
    dock.review_step.next.click()
    rest(qtbot, dock)
    assert shown() == 4
    assert "No slice with disagreement after slice 4" in dock.review_step.disputed.text()
    dock.review_step.previous.click()
    rest(qtbot, dock)
    assert shown() == 1
    assert "4 voxels" in dock.review_step.disputed.text()


def test_seeds_and_preview_disagree_where_someone_painted(qtbot, viewer, dock):
    use_one_heatmap(dock)
    dock.seeds_step.preview.click()
    rest(qtbot, dock)
    layer = commit(qtbot, dock)
    layer.data_setitem(tuple(np.array([[4, 4], [5, 6], [0, 0]])), 2)
    choose(dock.review_step.between, "preview")
    dock.review_step.next.click()
    rest(qtbot, dock)
    assert dock.state.picture.shown(viewer) == 4
    assert "2 voxels" in dock.review_step.disputed.text()


def test_ticks_protect_slices_and_are_counted(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    dock.review_step.reviewed.click()
    assert "1 of 5 slices reviewed, 5 hold labels" in dock.review_step.counts.text()
    dock.seeds_step.high.setValue(0.9)
    commit(qtbot, dock)
    wanted = expected(high=0.9)
    wanted[2] = expected()[2]
    np.testing.assert_array_equal(layer.data, wanted)
    dock.review_step.unreviewed.click()
    assert dock.state.picture.shown(viewer) == 3
    assert not dock.review_step.reviewed.isChecked()
    dock.state.picture.show(viewer, 2)
    assert dock.review_step.reviewed.isChecked()
    layer.data_setitem(tuple(np.array([[2], [0], [0]])), 2)
    assert "Changed since their review: 2" in dock.review_step.counts.text()
    dock.review_step.reviewed.click()
    assert "0 of 5 slices reviewed" in dock.review_step.counts.text()


# Export


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


# The dock itself


def test_every_control_has_its_tooltip_of_the_table(dock):
    assert not {*SEEDS_TOOLTIPS} & {*TOOLTIPS}, "one name, one tooltip"
    found = [
        widget
        for step in dock.steps
        for kind in CONTROLS
        for widget in step.content().findChildren(kind)
        if widget.parent() is step.content()
    ]
    assert len(found) > 40
    for widget in (*found, dock.image):
        assert str(SEEDS_TOOLTIPS[widget.objectName()]) in widget.toolTip()
    names = {widget.objectName() for widget in (*found, dock.image)}
    assert names == {*SEEDS_TOOLTIPS}, "no tooltip without its control"


def test_whatever_is_greyed_out_says_what_is_missing(make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    dock = open_dock(viewer)

    def disabled():
        return {
            widget.objectName(): widget.toolTip()
            for step in dock.steps
            for kind in CONTROLS
            for widget in step.content().findChildren(kind)
            if widget.objectName() in SEEDS_TOOLTIPS and not widget.isEnabledTo(dock)
        }

    nothing = disabled()
    assert {"make_ensemble", "commit", "export", "paint_seeds", "centred"} <= {*nothing}
    assert "File > Open" in nothing["commit"]
    image = add_image(viewer)
    add_heatmap(viewer, image, along_x)
    ready = disabled()
    assert not {"commit", "preview_seeds", "centred"} & {*ready}
    assert "at least two members" in ready["make_ensemble"]
    for said in (nothing, ready):
        for name, tip in said.items():
            reason = tip.removesuffix(str(SEEDS_TOOLTIPS[name])).strip()
            assert reason.endswith("."), (name, tip)


def test_keys_are_shown_and_no_others_are_taken(dock):
    from napari_cam.widgets.controls import shortcuts

    assert not {*KEYS.values()} & {*shortcuts.KEYS.values()}
    texts = " ".join(
        button.text()
        for step in dock.steps
        for button in step.content().findChildren(QAbstractButton)
    )
    for key in KEYS.values():
        assert f"({key})" in texts


def test_layers_come_and_go_while_things_are_worked_out(qtbot, viewer, dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    viewer.layers.remove("along y")
    rest(qtbot, dock)
    dock.seeds_step.commit.click()
    viewer.layers.remove("scan")
    rest(qtbot, dock)
    assert dock.state.picture is None
    assert "File > Open" in dock.seeds_step.commit.toolTip()
    image = add_image(viewer, "another")
    add_heatmap(viewer, image, along_y, name="new")
    use_one_heatmap(dock, "new")
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, expected(along_y))


def test_closing_the_dock_ends_all_and_a_second_one_opens(qtbot, viewer, dock, open_dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    dock.seeds_step.commit.click()
    viewer.window.remove_dock_widget(dock)
    viewer.dims.set_point(0, 0.0)
    viewer.layers.remove("along x")
    second = open_dock(viewer)
    rest(qtbot, second)
    use_one_heatmap(second, "along y")
    np.testing.assert_array_equal(commit(qtbot, second).data, expected(along_y))


def test_two_docks_beside_each_other(qtbot, viewer, dock, open_dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    second = open_dock(viewer)
    assert second.state.seeds.layer is layer
    second.shortcuts.take()  # as when it is shown
    assert second.shortcuts._shortcuts[0].isEnabled()
    assert not dock.shortcuts._shortcuts[0].isEnabled()
    viewer.layers.selection.active = layer
    ctrl_z(viewer)
    assert not touched(dock).any()


def test_the_manifest_opens_the_dock(make_napari_viewer):
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "Seeds")
    assert [step.text().split()[-1] for step in dock.steps] == [
        "Ensemble",
        "Box",
        "Seeds",
        "review",
        "Export",
    ]
    assert dock.minimumSizeHint().height() < 700, "it scrolls"
    widest = max(step.content().minimumSizeHint().width() for step in dock.steps)
    assert widest + 20 <= dock.minimumWidth(), "nothing is cut off"
