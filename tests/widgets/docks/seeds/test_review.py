"""The active class, the brush, slices of disagreement and ticks of review."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_cam.widgets.docks.seeds.control.painter import brush_radii, brush_size
from napari_cam.widgets.docks.seeds.tooltips import KEYS
from tests.widgets.docks.seeds.conftest import (
    add_heatmap,
    along_x,
    choose,
    commit,
    expected,
    rest,
    use_one_heatmap,
)


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
