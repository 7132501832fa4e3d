"""What step 4 says of a mask and its overlap with a reference: against counts of other hands."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import napari_cam as nc
from napari_cam.cli.main import main
from napari_cam.widgets.docks.cam.work.figures import Figures, Overlap, figures_of
from napari_cam.widgets.layers.watcher import Watcher
from tests.masks.test_binarize import heatmap
from tests.widgets.docks.cam.test_painting import Stroke
from tests.widgets.docks.cam.test_walk import DAMAGED, click, make_mask, run

SLICE = 4
VOXEL = 3.0 * 0.5 * 0.75


@pytest.fixture
def mask(qtbot, viewer, dock):
    """A live mask at 0.5 of the class "damaged", its slice 4 on screen."""
    go(viewer, SLICE)
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    return make_mask(qtbot, dock)


def go(viewer, index):
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((index, 0, 0))[0])


def values(dock):
    return dock.state.heatmaps[0].result.heatmap.values


@pytest.fixture
def outline(viewer):
    """A reference with labels 1 and 3; none of it in slice 8."""
    labels = np.zeros((9, 56, 72), np.uint8)
    labels[2:6, 15:45, 20:55] = 3
    labels[1:5, 5:20, 30:40] = 1
    fillet = viewer.layers["fillet"]
    return viewer.add_labels(
        labels, name="outline", scale=fillet.scale, translate=fillet.translate, units=fillet.units
    )


def refer(dock, name="outline", numbers=None):
    box = dock.mask_step.reference
    box.list.box.setCurrentIndex(box.list.box.findText(name))
    if numbers is not None:
        box.numbers.setText(numbers)
        box.numbers.editingFinished.emit()


def expected(found, reference=None):
    """What stands in a row, counted with numpy and scipy."""
    _, count = ndimage.label(found)
    row = (
        f"{100 * found.sum() / found.size:.1f}%",
        str(count),
        f"{found.sum() * VOXEL / 1000:.3g}",
    )
    if reference is None:
        return row
    both, either = (found & reference).sum(), (found | reference).sum()
    if not either:
        return (*row, "n/a", "n/a")
    return (*row, f"{both / either:.3f}", f"{2 * both / (found.sum() + reference.sum()):.3f}")


def whole(qtbot, dock, row):
    qtbot.waitUntil(lambda: dock.mask_step.figures.shown("whole") == row, timeout=30_000)


def test_slice_at_once_and_volume_soon(qtbot, viewer, dock, mask, outline):
    refer(dock)
    reference = outline.data != 0
    whole(qtbot, dock, expected(values(dock) > np.float32(0.5), reference))
    dock.mask_step.cut.setValue(0.3)
    found = values(dock) > np.float32(0.3)
    row = dock.mask_step.figures.shown
    assert row("slice") == expected(found[SLICE], reference[SLICE]), "before anything else runs"
    assert row("whole") == ("…",) * 5
    whole(qtbot, dock, expected(found, reference))
    go(viewer, 8)
    assert row("slice") == expected(found[8], reference[8])
    assert not reference[8].any()
    assert dock.mask_step.figures._cells[0, 1].text() == "slice 8"


def test_without_a_reference_there_is_no_overlap(qtbot, dock, mask):
    whole(qtbot, dock, expected(values(dock) > np.float32(0.5)))
    assert len(dock.mask_step.figures.shown("slice")) == 3
    assert not dock.mask_step.figures._cells[4, 0].isVisibleTo(dock)


def test_chosen_labels_count(qtbot, dock, mask, outline):
    found = values(dock) > np.float32(0.5)
    refer(dock, numbers="3")
    whole(qtbot, dock, expected(found, outline.data == 3))
    refer(dock, numbers="1, 7")
    whole(qtbot, dock, expected(found, outline.data == 1))
    refer(dock, numbers="1 3")
    whole(qtbot, dock, expected(found, outline.data != 0))
    refer(dock, numbers="one")
    assert "whole numbers" in dock.mask_step.reference.hint.text()
    whole(qtbot, dock, expected(found))


def test_two_empty_masks_have_no_overlap(qtbot, viewer, dock, mask, outline):
    go(viewer, 8)
    refer(dock)
    dock.mask_step.cut.setValue(1.0)
    assert dock.mask_step.figures.shown("slice") == ("0.0%", "0", "0", "n/a", "n/a")
    whole(qtbot, dock, ("0.0%", "0", "0", "0.000", "0.000"))
    refer(dock, numbers="9")
    whole(qtbot, dock, ("0.0%", "0", "0", "n/a", "n/a"))


def test_a_reference_on_another_grid_is_refused(qtbot, viewer, dock, mask):
    viewer.add_labels(np.ones((9, 56, 72), np.uint8), name="elsewhere", scale=(3, 0.5, 0.7))
    refer(dock, "elsewhere")
    assert "does not lie on the heatmap's own grid" in dock.mask_step.compared.text()
    whole(qtbot, dock, (*expected(values(dock) > np.float32(0.5)), "n/a", "n/a"))
    refer(dock, "none")
    assert not dock.mask_step.compared.text()


def test_the_live_mask_is_no_reference_and_a_kept_one_is(qtbot, dock, mask):
    box = dock.mask_step.reference.list.box
    assert box.findText(mask.name) < 0
    click(qtbot, dock.mask_step.keep)
    assert box.findText(mask.name) > 0


def test_the_brush_is_followed_in_mask_and_reference(
    qtbot, viewer, dock, mask, outline, MouseEvent
):
    refer(dock)
    reference = outline.data != 0
    rows, columns = np.nonzero(mask.data[SLICE] == 0)
    row = np.bincount(rows).argmax()
    place = [(SLICE, int(row), int(x)) for x in columns[rows == row][:3]]
    stroke = Stroke(mask, MouseEvent)
    stroke.press(place[0])
    stroke.move(place[2])
    found = mask.data != 0
    assert found[place[1]]
    assert dock.mask_step.figures.shown("slice") == expected(found[SLICE], reference[SLICE])
    stroke.release(place[2])
    whole(qtbot, dock, expected(mask.data != 0, reference))
    assert "it is kept" in dock.mask_step.said.text()
    mask.undo()
    before = values(dock) > np.float32(0.5)
    whole(qtbot, dock, expected(before, reference))
    outline.data_setitem(tuple(np.mgrid[7:9, 3:9, 3:9].reshape(3, -1)), 2)
    painted = outline.data != 0
    assert painted.sum() == reference.sum() + 2 * 6 * 6
    whole(qtbot, dock, expected(before, painted))
    outline.undo()
    whole(qtbot, dock, expected(before, reference))


def test_another_programs_edits_are_followed(qtbot, dock, mask):
    click(qtbot, dock.mask_step.keep)
    mask.data[:2] = 5
    mask.refresh()
    whole(qtbot, dock, expected(mask.data != 0))


def test_the_mask_that_is_clicked_is_measured(qtbot, viewer, dock, mask):
    click(qtbot, dock.mask_step.keep)
    dock.mask_step.cut.setValue(0.8)
    second = make_mask(qtbot, dock)
    whole(qtbot, dock, expected(second.data != 0))
    assert dock.mask_step.whose.text() == second.name
    viewer.layers.selection.active = mask
    whole(qtbot, dock, expected(values(dock) > np.float32(0.5)))
    assert dock.mask_step.whose.text() == mask.name
    viewer.layers.remove(mask)
    whole(qtbot, dock, expected(second.data != 0))
    viewer.layers.remove(second)
    assert not dock.mask_step.figures.isVisibleTo(dock)


def test_where_the_network_did_not_look(qtbot, viewer, dock, outline):
    """As `napari-cam mask --reference` has it: left out, and said."""
    go(viewer, SLICE)
    run(qtbot, dock, dock.heatmap_step.preview)
    mask = make_mask(qtbot, dock)
    refer(dock)
    found, reference = mask.data[SLICE] != 0, outline.data[SLICE] != 0
    whole(qtbot, dock, expected(found, reference))
    everything = int((outline.data != 0).sum())
    said = f"{everything - reference.sum()} of {everything} voxels of the reference lie where"
    qtbot.waitUntil(lambda: said in dock.mask_step.compared.text(), timeout=30_000)
    go(viewer, 1)
    assert dock.mask_step.figures.shown("slice") == ("n/a", "0", "0", "n/a", "n/a")


def test_the_command_finds_the_same(qtbot, dock, mask, outline, tmp_path, monkeypatch, capsys):
    refer(dock)
    made = dock.state.heatmaps[0]
    nc.write_volume(tmp_path / "map.nii.gz", made.result.heatmap, like=made.volume)
    nc.write_volume(tmp_path / "outline.nii.gz", outline.data, like=made.volume)
    words = ["napari-cam", "mask", str(tmp_path / "map.nii.gz"), "--rule", "fixed:0.5"]
    words += ["--reference", str(tmp_path / "outline.nii.gz"), "--out", str(tmp_path / "masks")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main())
    assert not ended.value.code
    said = capsys.readouterr().out.splitlines()[-1].split()
    whole(qtbot, dock, expected(values(dock) > np.float32(0.5), outline.data != 0))
    share, _, ml, iou, dice = dock.mask_step.figures.shown("whole")
    assert said[-5:] == [share, ml, "mL", iou, dice]


def test_pieces_of_the_volume_wait_for_it(qtbot, viewer, dock, mask):
    dock.mask_step.cleanup.largest.setChecked(True)
    assert set(dock.mask_step.figures.shown("slice")) == {"…"}
    labels, _ = ndimage.label(values(dock) > np.float32(0.5))
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    whole(qtbot, dock, expected(largest))
    assert dock.mask_step.figures.shown("slice") == expected(largest[SLICE])


def test_a_slice_turned_to_while_the_rest_is_due(qtbot, viewer, dock, mask):
    dock.mask_step.cut.setValue(0.2)
    go(viewer, 6)
    found = values(dock)[6] > np.float32(0.2)
    np.testing.assert_array_equal(mask.data[6] == 1, found)
    assert dock.mask_step.figures.shown("slice") == expected(found)


def test_seen_from_the_side(qtbot, viewer, dock, mask):
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, viewer.layers["fillet"].data_to_world((0, 30, 0))[1])
    row = dock.mask_step.figures.shown
    assert row("slice") == expected((values(dock) > np.float32(0.5))[:, 30])
    dock.mask_step.cut.setValue(0.2)
    assert row("slice") == expected((values(dock) > np.float32(0.2))[:, 30])
    np.testing.assert_array_equal(mask.data[:, 30] == 1, values(dock)[:, 30] > np.float32(0.2))
    whole(qtbot, dock, expected(values(dock) > np.float32(0.2)))
    mask.contour = 0
    viewer.dims.ndisplay = 3
    assert not dock.mask_step.figures._cells[1, 1].isVisibleTo(dock)


def test_a_closed_dock_measures_nothing_and_one_put_back_does(qtbot, viewer, dock, mask, outline):
    refer(dock)
    click(qtbot, dock.mask_step.keep)
    viewer.window.remove_dock_widget(dock)
    before = dock.mask_step.figures.shown("whole")
    for layer in (mask, outline):
        layer.data_setitem((np.array([SLICE]), np.array([1]), np.array([2])), 1)
    assert not dock.mask_chooser.measurer.busy
    assert dock.mask_step.figures.shown("whole") == before
    viewer.window.add_dock_widget(dock, name="CAM again")
    whole(qtbot, dock, expected(mask.data != 0, outline.data != 0))


def test_a_watch_tells_changes_from_moves(viewer, mask):
    told = []
    layer = viewer.add_labels(np.zeros((9, 56, 72), np.uint8), scale=mask.scale)
    watch = Watcher(viewer, layer, lambda: told.append(1))
    go(viewer, 5)
    assert not told
    layer.data_setitem((np.array([5]), np.array([1]), np.array([2])), 1)
    assert told
    told.clear()
    layer.undo()
    assert told
    told.clear()
    go(viewer, 6)
    assert not told
    watch.end()
    layer.redo()
    assert not told


# Without a window.


def test_figures_typed_by_hand():
    """Two pieces over edges, three voxels; of the reference one is unseen."""
    mask = np.array([[[1, 0, 0, 1], [0, 1, 0, 1]]], bool)
    reference = np.array([[[1, 1, 0, 0], [0, 0, 0, 1]]], bool)
    inside = np.array([[[1, 0, 1, 1], [1, 1, 1, 1]]], bool)
    one = heatmap(np.zeros((1, 2, 4)), inside=inside)
    found = figures_of(mask, one, reference)
    assert found.pieces == 3, "over edges, not corners"
    assert (found.size.voxels, found.size.share) == (4, 4 / 7)
    assert found.overlap == Overlap(iou=2 / 4, dice=4 / 6, left_out=1, voxels=3)
    assert found.texts == ("57.1%", "3", "4", "0.500", "0.667")
    nothing = figures_of(mask & False, one, reference & False)
    assert nothing.texts == ("0.0%", "0", "0", "n/a", "n/a")
    unseen = figures_of(mask, heatmap(np.zeros((1, 2, 4)), inside=inside & False), reference)
    assert unseen.texts == ("n/a", "3", "4", "n/a", "n/a")
    assert Figures(found.size, True, 3).texts[3:] == ("n/a", "n/a")
