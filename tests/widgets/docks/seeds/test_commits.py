"""Commits are what the cuts say, in one step; previews follow, and other layers are refused."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

from tests.widgets.docks.seeds.conftest import (
    SHAPE,
    WAIT,
    add_heatmap,
    add_image,
    along_x,
    along_y,
    choose,
    commit,
    ctrl_z,
    expected,
    image_volume,
    rest,
    touched,
    use_one_heatmap,
)


def test_a_commit_is_what_the_cuts_say_and_one_step_back(qtbot, viewer, dock):
    assert dock.state.classes.names == ("background", "lesion")
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    assert layer.data.dtype == np.uint8
    np.testing.assert_array_equal(layer.data, expected())
    assert layer.metadata["napari_cam"]["kind"] == "seeds"
    first = layer.data.tobytes()
    dock.seeds_step.high.setValue(0.8)
    dock.seeds_step.low.setValue(0.1)
    commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, expected(high=0.8, low=0.1))
    viewer.layers.selection.active = layer
    ctrl_z(viewer)
    assert layer.data.tobytes() == first
    ctrl_z(viewer)
    assert not layer.data.any()
    assert not touched(dock).any(), "an undone commit is nobody's edit"
    ctrl_z(viewer, shift=True)
    assert layer.data.tobytes() == first
    assert not touched(dock).any()


def test_two_heatmaps_of_a_class_must_agree(qtbot, dock):
    layer = commit(qtbot, dock)
    both = expected(np.minimum(along_x, along_y), low=0.0)
    both[(along_x < np.float32(0.2)) & (along_y < np.float32(0.2))] = 1
    np.testing.assert_array_equal(layer.data, both)


def test_a_commit_of_the_slice_on_screen_alone(qtbot, viewer, dock):
    use_one_heatmap(dock)
    dock.seeds_step.slice_only.setChecked(True)
    layer = commit(qtbot, dock)
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[2] = expected()[2]
    np.testing.assert_array_equal(layer.data, wanted)


def test_a_mask_is_committed_as_the_chosen_class(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 2:6, 14:18] = 1
    image = viewer.layers["scan"]
    viewer.add_labels(mask, name="lung", scale=image.scale, units=image.units)
    dock.seeds_step.add.click()
    dock.seeds_step.classes.item(2, 2).setText("lung")
    dock.seeds_step.proposal.box.setCurrentIndex(1)
    choose(dock.seeds_step.mode, "unlabelled")
    commit(qtbot, dock)
    wanted = expected()
    wanted[(mask == 1) & (wanted == 0)] = 3
    np.testing.assert_array_equal(layer.data, wanted)


def test_the_preview_follows_and_the_seeds_do_not(qtbot, viewer, dock):
    use_one_heatmap(dock)
    dock.seeds_step.preview.click()
    rest(qtbot, dock)
    preview = viewer.layers["seeds preview"]
    np.testing.assert_array_equal(preview.data, expected())
    dock.seeds_step.high.setValue(0.35)
    # The slice on screen is there at once, the others as soon as the slider rests.
    np.testing.assert_array_equal(preview.data[2], expected(high=0.35)[2])
    np.testing.assert_array_equal(preview.data[1], expected()[1])
    rest(qtbot, dock)
    np.testing.assert_array_equal(preview.data, expected(high=0.35))
    layer = commit(qtbot, dock)
    dock.seeds_step.high.setValue(0.7)
    rest(qtbot, dock)
    np.testing.assert_array_equal(layer.data, expected(high=0.35))
    np.testing.assert_array_equal(preview.data, expected(high=0.7))
    assert not preview.visible


def test_several_classes_and_where_they_meet(qtbot, viewer, dock):
    image = viewer.layers["scan"]
    add_heatmap(viewer, image, np.float32(0.9) - along_x * np.float32(0.5), "muscle", "muscle map")
    use_one_heatmap(dock)
    dock.seeds_step.add.click()
    dock.seeds_step.classes.item(2, 2).setText("muscle")
    for layer in dock.seeds_step.heatmaps.layers:
        dock.seeds_step.heatmaps.tick(layer, layer.name == "muscle map")
    choose(dock.seeds_step.normalize, "none")
    dock.seeds_step.high.setValue(0.5)
    muscle = np.float32(0.9) - along_x * np.float32(0.5)
    lesion_there, muscle_there = along_x > 0.5, muscle > 0.5
    layer = commit(qtbot, dock)
    ignored = np.where(lesion_there, 2, 0) + np.where(muscle_there, 3, 0)
    ignored[lesion_there & muscle_there] = 0
    np.testing.assert_array_equal(layer.data, ignored)
    choose(dock.seeds_step.conflict, "highest")
    commit(qtbot, dock)
    highest = np.where(lesion_there & (along_x > muscle), 2, np.where(muscle_there, 3, 0))
    np.testing.assert_array_equal(layer.data, np.where(lesion_there & ~muscle_there, 2, highest))


def test_a_commit_that_waits_ends_with_its_image(qtbot, viewer, dock):
    add_image(viewer, "other")
    use_one_heatmap(dock)
    dock.seeds_step.commit.click()
    dock.image.setCurrentIndex(dock.image.findText("other"))
    rest(qtbot, dock)
    dock.image.setCurrentIndex(dock.image.findText("scan"))
    use_one_heatmap(dock)
    dock.seeds_step.preview.click()
    rest(qtbot, dock)
    assert "seeds" not in viewer.layers, "a preview is no commit"
    assert "seeds preview" in viewer.layers


def test_a_seeds_layer_that_goes_leaves_the_dock_working(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.name = "something else"
    assert dock.seeds_step.seeds.box.currentText() == "something else"
    viewer.layers.remove(layer)
    assert dock.state.seeds is None
    again = commit(qtbot, dock)
    assert again is not layer
    np.testing.assert_array_equal(again.data, expected())


def test_labels_that_cannot_be_seeds_are_refused_in_a_sentence(qtbot, viewer, dock, told):
    labels = np.zeros(SHAPE, np.int32)
    labels[0, 0, 0] = 4711
    image = viewer.layers["scan"]
    viewer.add_labels(labels, name="cells", scale=image.scale, units=image.units)
    dock.seeds_step.seeds.box.setCurrentIndex(1)
    assert dock.state.seeds is None
    assert "labels outside 0 to 255" in dock.problem.text()
    assert told == [dock.problem.text()]
    assert dock.seeds_step.seeds.box.currentIndex() == 0


def test_the_layer_of_another_image_is_not_offered(viewer, dock):
    viewer.add_labels(np.zeros((3, 6, 8), np.uint8), name="elsewhere")
    box = dock.seeds_step.seeds.box
    names = [box.itemText(n) for n in range(box.count())]
    assert names == ["a new layer"]
    assert isinstance(viewer.layers["elsewhere"], Labels)
    assert image_volume().shape == SHAPE
    assert WAIT == 30_000
