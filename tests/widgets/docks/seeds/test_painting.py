"""What a person painted is theirs: through commits, undo, other plugins, saving and reopening."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from napari.layers import Layer
from napari.layers.labels._labels_constants import Mode
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
from napari_cam.widgets.files.readers import read_layers
from napari_cam.widgets.files.writers import write_labels
from tests.widgets.docks.seeds.conftest import (
    SHAPE,
    add_heatmap,
    add_image,
    along_x,
    choose,
    commit,
    ctrl_z,
    expected,
    touched,
    use_one_heatmap,
)

MODES = ("replace", "unlabelled", "from-cam")


def stroke(layer, MouseEvent, *places):
    """Drag the brush of one voxel over places (z, y, x) of a slice."""
    layer.mode = Mode.PAINT
    layer.brush_size = 1

    def event(kind, place):
        world = layer.data_to_world(place)
        made = MouseEvent(
            type=kind,
            is_dragging=kind == "mouse_move",
            position=world,
            view_direction=None,
            dims_displayed=(1, 2),
            dims_point=world,
        )
        return ReadOnlyWrapper(made, exceptions=("handled",))

    mouse_press_callbacks(layer, event("mouse_press", places[0]))
    for place in places[1:]:
        mouse_move_callbacks(layer, event("mouse_move", place))
    mouse_release_callbacks(layer, event("mouse_release", places[-1]))
    layer.mode = Mode.PAN_ZOOM


@pytest.mark.parametrize("mode", MODES)
def test_a_commit_never_changes_what_was_painted(qtbot, viewer, dock, MouseEvent, mode):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.selected_label = 2
    stroke(layer, MouseEvent, (2, 5, 1), (2, 5, 3))  # over background
    layer.selected_label = 0
    stroke(layer, MouseEvent, (2, 7, 30), (2, 7, 28))  # erased from the class
    layer.selected_label = 2
    layer.fill((2, 20, 15), 2)  # the unlabelled band
    hand = layer.data != expected()
    assert hand.sum() == 3 + 3 + (expected()[2] == 0).sum()
    np.testing.assert_array_equal(touched(dock), hand)
    choose(dock.seeds_step.mode, mode)
    for high, low in ((0.3, 0.1), (0.9, 0.5)):
        before = layer.data.copy()
        dock.seeds_step.high.setValue(high)
        dock.seeds_step.low.setValue(low)
        commit(qtbot, dock)
        np.testing.assert_array_equal(layer.data[hand], before[hand])
        wanted = expected(high=high, low=low)
        free = ~hand
        if mode == "unlabelled":
            wanted = np.where(before == 0, wanted, before)
        elif mode == "from-cam":
            wanted = np.where(before == 0, 0, wanted)
        np.testing.assert_array_equal(layer.data[free], wanted[free])


def test_an_undone_stroke_protects_nothing_and_a_redone_one_does(qtbot, viewer, dock, MouseEvent):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    viewer.layers.selection.active = layer
    layer.selected_label = 2
    stroke(layer, MouseEvent, (2, 9, 0), (2, 9, 4))
    assert touched(dock).sum() == 5
    ctrl_z(viewer)
    assert not touched(dock).any()
    ctrl_z(viewer, shift=True)
    assert np.argwhere(touched(dock)).tolist() == [[2, 9, x] for x in range(5)]
    # Painted back to what the program wrote is a person's choice as well.
    layer.selected_label = 1
    stroke(layer, MouseEvent, (2, 9, 0), (2, 9, 4))
    np.testing.assert_array_equal(layer.data, expected())
    assert touched(dock).sum() == 5


def test_undo_of_a_hidden_layer_is_noticed(qtbot, viewer, dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.visible = False
    layer.data_setitem(tuple(np.array([[1], [2], [3]])), 2)
    layer.undo()
    layer.undo()
    assert not layer.data.any()
    commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, expected())
    assert not touched(dock).any()


@pytest.mark.parametrize("how", ["in place", "new array", "setitem"])
def test_what_other_plugins_write_is_a_persons(qtbot, viewer, dock, how):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    block = (slice(1, 3), slice(4, 9), slice(0, 5))
    if how == "in place":
        layer.data[block] = 2  # without a word
    elif how == "new array":
        data = layer.data.copy()
        data[block] = 2
        layer.data = data
    else:
        layer.data_setitem(tuple(index.ravel() for index in np.mgrid[block]), 2)
    dock.seeds_step.low.setValue(0.5)
    commit(qtbot, dock)
    wanted = expected(low=0.5)
    wanted[block] = 2
    np.testing.assert_array_equal(layer.data, wanted)
    assert touched(dock).sum() == 2 * 5 * 5


def test_an_existing_labels_layer_counts_as_painted(qtbot, viewer, dock, MouseEvent):
    labels = np.zeros(SHAPE, np.int32)
    labels[2, 3:8, 25:30] = 5
    image = viewer.layers["scan"]
    mine = viewer.add_labels(labels, name="mine", scale=image.scale, units=image.units)
    assert dock.state.seeds is None, "nobody asked for it to become seeds"
    dock.seeds_step.seeds.box.setCurrentIndex(1)
    assert dock.state.seeds.layer is getattr(mine, "__wrapped__", mine)
    assert dock.state.classes.names == ("label 5",)
    np.testing.assert_array_equal(touched(dock), labels == 5)
    # The proposal's classes are found by name; background is none of this layer's.
    dock.seeds_step.classes.item(0, 2).setText("lesion")
    for heatmap in dock.seeds_step.heatmaps.layers:
        dock.seeds_step.heatmaps.tick(heatmap, heatmap.name == "along x")
    layer = commit(qtbot, dock)
    wanted = np.where(expected() == 2, 5, 0)
    np.testing.assert_array_equal(layer.data, np.where(labels == 5, 5, wanted))
    assert layer.data.dtype == np.int32


@pytest.mark.parametrize("ending", [".nii.gz", ".ome.tif"])
def test_what_was_painted_is_known_after_saving_and_reopening(
    qtbot, make_napari_viewer, viewer, dock, open_dock, MouseEvent, tmp_path, ending
):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    layer.selected_label = 2
    stroke(layer, MouseEvent, (2, 11, 2), (2, 11, 4))
    dock.review_step.reviewed.click()  # slice 2
    dock.seeds_step.classes.item(1, 2).setText("tumour")
    dock.state.seeds.write_record()
    path = tmp_path / f"seeds{ending}"
    data, attributes, _ = layer.as_layer_data_tuple()
    write_labels(str(path), data, attributes)
    record = json.loads((tmp_path / "seeds.json").read_text())
    assert record["kind"] == "seeds"
    viewer.close()

    again = make_napari_viewer()
    image = add_image(again)
    (saved,) = read_layers(str(path))
    again.add_layer(Layer.create(*saved))
    add_heatmap(again, image, along_x, target="tumour")
    second = open_dock(again)
    assert second.state.seeds is not None, "saved seeds are open at once"
    assert second.state.classes.names == ("background", "tumour")
    assert np.argwhere(touched(second)).tolist() == [[2, 11, x] for x in (2, 3, 4)]
    assert second.state.seeds.review.slices == (2,)
    second.seeds_step.high.setValue(0.1)
    second.seeds_step.low.setValue(0.05)
    committed = commit(qtbot, second)
    wanted = expected(high=0.1, low=0.05)
    wanted[2] = expected()[2]  # reviewed
    wanted[2, 11, 2:5] = 2
    np.testing.assert_array_equal(committed.data, wanted)
    assert second.state.seeds.labelled == SHAPE[0]


def test_what_another_program_changed_in_the_file_is_a_persons(qtbot, dock, tmp_path):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    path = tmp_path / "seeds.nii.gz"
    data, attributes, _ = layer.as_layer_data_tuple()
    write_labels(str(path), data, attributes)
    image = nibabel.load(path)
    stored = np.asarray(image.dataobj).copy()
    stored[3, 6, 1] = 2  # (x, y, z)
    nibabel.save(nibabel.Nifti1Image(stored, image.affine, image.header), path)
    (saved,) = read_layers(str(path))
    seeds = SeedsLayer(Layer.create(*saved))
    assert np.argwhere(seeds.tracker.touched).tolist() == [[1, 6, 3]]


def test_painting_after_the_dock_is_closed_is_known_when_it_opens_again(
    qtbot, viewer, dock, open_dock, MouseEvent
):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    viewer.window.remove_dock_widget(dock)
    layer.selected_label = 2
    stroke(layer, MouseEvent, (2, 1, 0), (2, 1, 2))
    second = open_dock(viewer)
    assert second.state.seeds.layer is layer
    assert np.argwhere(touched(second)).tolist() == [[2, 1, x] for x in range(3)]
