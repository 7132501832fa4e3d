"""Masks that follow the slider and the brush that ends that: nothing painted is written over."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers.labels._labels_constants import Mode
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

import napari_cam as nc
from napari_cam.widgets.docks.cam.control import masker as masking
from napari_cam.widgets.layers.cutting import cut_heatmap
from tests.widgets.docks.cam.test_walk import click, make_mask, run


@pytest.fixture
def mask(qtbot, viewer, dock):
    """A live mask at 0.5, its slice 4 on screen."""
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((4, 0, 0))[0])
    run(qtbot, dock)
    return make_mask(qtbot, dock)


def above(dock, cut):
    return dock.state.heatmaps[0].result.heatmap.values > np.float32(cut)


def ctrl_z(viewer):
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


class Stroke:
    """A drag of the brush over a layer, step by step."""

    def __init__(self, layer, MouseEvent):
        layer.mode = Mode.PAINT
        layer.brush_size = 1
        layer.selected_label = 1
        self.layer, self.kind = layer, MouseEvent

    def at(self, index, callbacks, kind):
        event = self.kind(
            type=kind,
            is_dragging=kind == "mouse_move",
            position=self.layer.data_to_world(index),
            view_direction=None,
            dims_displayed=(1, 2),
            dims_point=self.layer.data_to_world(index),
        )
        callbacks(self.layer, ReadOnlyWrapper(event, exceptions=("handled",)))

    def press(self, index):
        self.at(index, mouse_press_callbacks, "mouse_press")

    def move(self, index):
        self.at(index, mouse_move_callbacks, "mouse_move")

    def release(self, index):
        self.at(index, mouse_release_callbacks, "mouse_release")


@pytest.fixture
def empty(mask):
    """Places (4, y, x) of the slice on screen that are not in the mask, in one row."""
    rows, columns = np.nonzero(mask.data[4] == 0)
    row = np.bincount(rows).argmax()
    return [(4, int(row), int(x)) for x in columns[rows == row][:4]]


def test_ctrl_z_undoes_the_stroke_and_not_the_slider(qtbot, viewer, dock, mask, empty, MouseEvent):
    dock.mask_step.cut.setValue(0.6)
    click(qtbot, dock.mask_step.keep)
    assert viewer.layers.selection.active is mask
    kept = mask.data.copy()
    np.testing.assert_array_equal(kept == 1, above(dock, 0.6))
    stroke = Stroke(mask, MouseEvent)
    stroke.press(empty[0])
    stroke.move(empty[2])
    stroke.release(empty[2])
    painted = [mask.data[place] for place in empty[:3]]
    assert painted == [1, 1, 1]
    ctrl_z(viewer)
    np.testing.assert_array_equal(mask.data, kept)
    ctrl_z(viewer)  # nothing is left to undo: the slider's work is none
    np.testing.assert_array_equal(mask.data, kept)
    mask.redo()
    assert mask.data[empty[1]] == 1


def test_a_run_does_not_write_over_a_stroke_under_way(qtbot, dock, mask, empty, MouseEvent):
    before = mask.data.copy()
    stroke = Stroke(mask, MouseEvent)
    stroke.press(empty[0])
    assert not dock.state.masks[0].live, "the first dab ends it, not the end of the stroke"
    # While the mouse is down the slider moves and a run brings news.
    dock.mask_step.cut.setValue(0.1)
    dock.masker.follow(dock.state.heatmaps[0], dock.mask_chooser.request(dock.state.heatmaps[0]))
    qtbot.wait(300)
    stroke.move(empty[1])
    stroke.release(empty[1])
    before[empty[0]] = before[empty[1]] = 1
    np.testing.assert_array_equal(mask.data, before)
    assert len(dock.state.masks) == 1, "nor does a second mask appear by itself"


def test_a_stroke_while_the_volume_is_being_cut(qtbot, viewer, dock, mask, empty, monkeypatch):
    """The rest of the mask is brought up to date under the stroke, which Ctrl+Z takes away."""
    dock.mask_step.cut.setValue(0.9)  # the slice on screen is cut, the others are due
    assert dock.state.masks[0].due is not None
    place = tuple(np.array([n]) for n in empty[0])
    mask.data_setitem(place, 1)
    expected = above(dock, 0.9)
    assert not expected[empty[0]]
    expected[empty[0]] = True
    np.testing.assert_array_equal(mask.data == 1, expected)
    assert mask.metadata["napari_cam"]["threshold"]["rule"] == "fixed(0.9)"
    assert "it is kept" in dock.mask_step.said.text()
    qtbot.wait(300)
    np.testing.assert_array_equal(mask.data == 1, expected)
    assert len(dock.state.masks) == 1
    viewer.layers.selection.active = mask
    ctrl_z(viewer)
    np.testing.assert_array_equal(mask.data == 1, above(dock, 0.9))


def test_a_mask_kept_or_removed_while_it_is_cut_does_not_come_back(
    qtbot, viewer, dock, mask, monkeypatch
):
    gate = threading.Event()

    def slow(heatmap, request):
        if threading.current_thread() is not threading.main_thread():
            gate.wait(10)
        yield from cut_heatmap(heatmap, request)

    monkeypatch.setattr(masking, "cut_heatmap", slow)
    dock.mask_step.cut.setValue(0.8)
    qtbot.waitUntil(lambda: dock.masker._follower.running, timeout=5_000)
    viewer.layers.remove(mask)
    gate.set()
    qtbot.waitUntil(lambda: not dock.masker._follower.running, timeout=5_000)
    assert dock.state.masks == []
    assert [layer.name for layer in viewer.layers] == ["fillet", "Grad-CAM: predicted"]
    second = make_mask(qtbot, dock)
    gate.clear()
    dock.mask_step.cut.setValue(0.3)
    qtbot.waitUntil(lambda: dock.masker._follower.running, timeout=5_000)
    click(qtbot, dock.mask_step.keep)
    gate.set()
    qtbot.waitUntil(lambda: not dock.masker._follower.running, timeout=5_000)
    np.testing.assert_array_equal(second.data == 1, above(dock, 0.3))
    assert len(dock.state.masks) == 1


def test_a_mask_saved_right_after_the_slider_moved_is_whole(
    qtbot, dock, mask, tmp_path, monkeypatch
):
    path = tmp_path / "mask.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    dock.save_step.result.setCurrentIndex(1)
    dock.mask_step.cut.setValue(0.2)
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=20_000)
    np.testing.assert_array_equal(nc.read_volume(path).values == 1, above(dock, 0.2))


@pytest.mark.parametrize("error", [RuntimeError("odd"), ValueError("odd"), MemoryError()])
def test_an_error_while_cutting_is_told(qtbot, dock, mask, monkeypatch, error):
    def failing(heatmap, request):
        raise error
        yield

    monkeypatch.setattr(masking, "cut_heatmap", failing)
    dock.mask_step.cut.setValue(0.8)
    said = "Memory ran out" if isinstance(error, MemoryError) else type(error).__name__
    qtbot.waitUntil(lambda: said in dock.problem.text(), timeout=5_000)
    monkeypatch.setattr(masking, "cut_heatmap", cut_heatmap)
    dock.mask_step.cut.setValue(0.7)
    qtbot.waitUntil(lambda: np.array_equal(mask.data == 1, above(dock, 0.7)), timeout=5_000)
    assert not dock.problem.text()
