"""Segmentation networks in the dock: pixel sets by list, brush and click, and what follows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import napari_cam as nc
from napari_cam.cams.targets.regions import Labelled
from napari_cam.widgets.docks.cam.control.comparer import one_per_level
from tests.widgets.docks.cam.test_walk import click, make_mask, run

SLICE = 4
DAMAGED = 3  # in the list of classes: predicted, background, tissue, damaged


@pytest.fixture(scope="module")
def model():
    return nc.load_sample_model("segmentation")


@pytest.fixture
def seg(qtbot, viewer, dock):
    """The dock with the sample U-Net, its slice 4 on screen, class "damaged"."""
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((SLICE, 0, 0))[0])
    dock.network_step.network.setCurrentIndex(1)
    qtbot.waitUntil(
        lambda: dock.state.network is not None and dock.state.network.source != "sample",
        timeout=30_000,
    )
    assert dock.heatmap_step.follow.isChecked()
    assert not dock.explorer.busy, "nothing runs before anything is chosen"
    with_name = dock.network_step.class_id.findText("damaged")
    assert with_name == DAMAGED
    dock.network_step.class_id.setCurrentIndex(with_name)
    explored(qtbot, dock)
    return dock


def explored(qtbot, dock):
    assert dock.explorer.busy
    qtbot.waitUntil(lambda: not dock.explorer.busy, timeout=20_000)


def kind(dock, data):
    dock.network_step.region.kind.setCurrentIndex(dock.network_step.region.kind.findData(data))


def exploring(dock):
    return next(made for made in dock.state.heatmaps if made.exploring)


def expected(model, dock, target, **more):
    volume = dock.state.picture.layer.metadata["napari_cam_volume"]
    return nc.explain_one(model, volume, "gradcam", target, units=[SLICE], **more)


def same(made, heatmap):
    np.testing.assert_allclose(made.layer().data, heatmap.values, atol=1e-5)
    assert made.result.heatmap.score[SLICE] == pytest.approx(heatmap.score[SLICE], rel=1e-4)
    assert made.result.heatmap.provenance["region"] == heatmap.provenance["region"]


def test_the_slice_on_screen_follows_the_pixel_set(qtbot, viewer, seg, model):
    box = seg.network_step.region
    assert not box.isHidden()
    same(exploring(seg), expected(model, seg, nc.RegionScore("damaged")))
    for chosen, region in (("all", "all"), ("component", "component"), ("probability", "p>0.5")):
        kind(seg, chosen)
        explored(qtbot, seg)
        same(exploring(seg), expected(model, seg, nc.RegionScore("damaged", region)))
    box.above.setValue(0.2)
    explored(qtbot, seg)
    wanted = expected(model, seg, nc.RegionScore("damaged", "p>0.2"))
    same(exploring(seg), wanted)
    pixels = wanted.provenance["region"]["pixels"][SLICE]
    assert pixels > 0
    assert f"{pixels} pixels of slice {SLICE}" in seg.heatmap_step.explored.text()
    assert [layer.name for layer in viewer.layers] == ["fillet", "explore: Grad-CAM"]
    assert "fillet" not in str(exploring(seg).result.heatmap.provenance)


def test_the_slider_is_followed_too(qtbot, viewer, seg, model):
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((6, 0, 0))[0])
    explored(qtbot, seg)
    heatmap = exploring(seg).result.heatmap
    assert np.flatnonzero(heatmap.inside.any(axis=(1, 2))).tolist() == [6]
    seg.heatmap_step.follow.setChecked(False)
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((5, 0, 0))[0])
    assert not seg.explorer.busy


def test_only_the_last_of_many_choices_is_shown(qtbot, seg, model, monkeypatch):
    shown = []
    seg.explorer.explored.connect(shown.append)
    kind(seg, "probability")
    for above in (0.1, 0.2, 0.3, 0.4, 0.6):
        seg.network_step.region.above.setValue(above)
    # A choice while an older one is being explained: what that finds is dropped.
    qtbot.waitUntil(lambda: seg.explorer._follower.running, timeout=5_000)
    seg.network_step.region.above.setValue(0.7)
    seg.explorer._follower.want(None, now=True)
    explored(qtbot, seg)
    assert len(shown) <= 2
    same(exploring(seg), expected(model, seg, nc.RegionScore("damaged", "p>0.7")))


def test_painted_pixels(qtbot, viewer, seg, model):
    kind(seg, "paint")
    assert "paint the pixels" in seg.network_step.region.hint.text()
    assert "paint the pixels" in seg.heatmap_step.run.toolTip()
    assert not seg.heatmap_step.run.isEnabled()
    click(qtbot, seg.network_step.region.paint)
    layer = viewer.layers["pixel set"]
    assert layer.mode == "paint"
    assert viewer.layers.selection.active is layer
    np.testing.assert_allclose(layer.scale, viewer.layers["fillet"].scale)
    place = np.nonzero(np.ones((1, 9, 13)))
    where = (place[0] + SLICE, place[1] + 20, place[2] + 30)
    layer.data_setitem(where, 1)
    explored(qtbot, seg)
    labels = np.zeros((9, 56, 72), np.uint8)
    labels[SLICE, 20:29, 30:43] = 1
    np.testing.assert_array_equal(layer.data, labels)
    same(exploring(seg), expected(model, seg, nc.RegionScore("damaged", Labelled(labels, 1))))
    click(qtbot, seg.network_step.region.paint)  # once more: the same layer
    assert sum("pixel set" in each.name for each in viewer.layers) == 1
    viewer.layers.remove(layer)
    assert not seg.heatmap_step.run.isEnabled() or "paint" in seg.network_step.missing


def test_a_label_of_a_layer(qtbot, viewer, seg, model):
    labels = np.zeros((9, 56, 72), np.uint16)
    labels[SLICE, 10:20, 15:40], labels[SLICE, 30:41, 20:37] = 3, 500
    fillet = viewer.layers["fillet"]
    place = {"scale": fillet.scale, "translate": fillet.translate}
    viewer.add_labels(np.zeros((3, 5, 7), int), name="elsewhere")
    viewer.add_labels(labels, name="organs", units=fillet.units, **place)
    kind(seg, "label")
    box = seg.network_step.region
    box.layer.setCurrentIndex(box.layer.findText("organs"))
    box.number.setValue(500)
    explored(qtbot, seg)
    same(exploring(seg), expected(model, seg, nc.RegionScore("damaged", Labelled(labels, 500))))
    box.layer.setCurrentIndex(box.layer.findText("elsewhere"))
    qtbot.waitUntil(lambda: "does not lie on the image" in seg.problem.text(), timeout=5_000)


class Mouse:
    """A press and release on the viewer, as the canvas sends them."""

    def __init__(self, viewer, MouseEvent):
        self.viewer, self.kind = viewer, MouseEvent

    def click(self, world):
        for kind, callbacks in (
            ("mouse_press", mouse_press_callbacks),
            ("mouse_move", mouse_move_callbacks),
            ("mouse_release", mouse_release_callbacks),
        ):
            event = self.kind(
                type=kind,
                is_dragging=kind == "mouse_move",
                position=world,
                view_direction=None,
                dims_displayed=(1, 2),
                dims_point=world,
            )
            event.modifiers = ()
            for target in (self.viewer, self.viewer.layers.selection.active):
                callbacks(target, ReadOnlyWrapper(event, exceptions=("handled",)))


@pytest.mark.parametrize("what", ["point:", "component:"])
def test_a_click_is_a_point(qtbot, viewer, seg, model, MouseEvent, what):
    kind(seg, "predicted")
    box = seg.network_step.region
    labels = viewer.add_labels(
        np.zeros((9, 56, 72), np.uint8), scale=viewer.layers["fillet"].scale, name="other"
    )
    labels.mode = "paint"
    viewer.layers.selection.active = labels
    kind(seg, what)
    assert "click a point" in seg.network_step.missing
    before = list(viewer.mouse_drag_callbacks)
    click(qtbot, box.click)
    assert box.click.isChecked()
    assert "Esc" in box.click.text()
    # Where the network sees damage: the first pixel of its largest component in this slice.
    volume = seg.state.picture.layer.metadata["napari_cam_volume"]
    y, x = 31, 42
    Mouse(viewer, MouseEvent).click(viewer.layers["fillet"].data_to_world((SLICE, y, x)))
    assert not box.click.isChecked()
    assert viewer.mouse_drag_callbacks == before
    assert not labels.data.any(), "the click painted"
    assert labels.mode == "paint"
    assert f"{SLICE}, {y}, {x}" in box.click.text()
    explored(qtbot, seg)
    target = nc.RegionScore("damaged", f"{what}{SLICE},{y},{x}")
    same(exploring(seg), expected(model, seg, target))
    assert volume.shape == (9, 56, 72)


def test_escape_ends_the_wait(qtbot, viewer, seg):
    kind(seg, "point:")
    before = list(viewer.mouse_drag_callbacks)
    for widget in (viewer.window._qt_viewer.canvas.native, seg):
        click(qtbot, seg.network_step.region.click)
        assert seg.pixel_chooser.picker.waiting
        QTest.keyClick(widget, Qt.Key.Key_Escape)
        assert not seg.pixel_chooser.picker.waiting
    assert viewer.mouse_drag_callbacks == before
    assert not seg.network_step.region.click.isChecked()
    viewer.dims.ndisplay = 3
    click(qtbot, seg.network_step.region.click)
    assert not seg.pixel_chooser.picker.waiting
    assert "2D" in seg.problem.text()


def test_the_table_of_scores_shows_areas(qtbot, viewer, seg, model):
    run(qtbot, seg)
    made = seg.state.heatmaps[-1]
    assert made.layer().name == "Grad-CAM: damaged"
    scores = seg.heatmap_step.scores
    assert scores.isColumnHidden(2)
    assert scores.horizontalHeaderItem(1).text() == "predicted area"
    volume = viewer.layers["fillet"].metadata["napari_cam_volume"]
    import torch

    batch = torch.from_numpy(model.card.bind(volume).batch([SLICE]))
    with torch.no_grad():
        labels = model.module(batch).argmax(1)
    areas = {
        name: float((labels == number).double().mean())
        for number, name in enumerate(model.card.class_names)
    }
    shown = {scores.item(row, 0).text(): scores.item(row, 1).text() for row in range(3)}
    assert shown == {name: f"{area:.1%}" for name, area in areas.items()}
    # A run does not touch what is explored, nor the other way round.
    assert len(seg.state.heatmaps) == 2
    make_mask(qtbot, seg)


def test_layers_are_listed_with_their_levels(qtbot, seg):
    table = seg.network_step.layers
    assert not table.isColumnHidden(4)
    levels = [table.item(row, 4).text() for row in range(table.rowCount())]
    assert levels[0] == "encoder 0"
    assert levels[-1] == "decoder 0"
    chosen = table.selectedIndexes()[0].row()
    assert levels[chosen] == "encoder 1", "the sample network hardly uses its bottleneck"


def test_the_text_says_whose_pixels(qtbot, viewer, seg):
    kind(seg, "probability")
    run(qtbot, seg)
    click(qtbot, seg.save_step.command)
    assert "--model sample:segmentation" in QApplication.clipboard().text()
    assert "--class damaged --region 'p>0.5'" in QApplication.clipboard().text()
    click(qtbot, seg.save_step.python)
    text = QApplication.clipboard().text()
    assert "nc.load_sample_model('segmentation')" in text
    assert "targets=nc.RegionScore('damaged', 'p>0.5')" in text


def test_a_script_with_painted_pixels_gives_the_same(qtbot, viewer, seg, tmp_path, monkeypatch):
    kind(seg, "paint")
    click(qtbot, seg.network_step.region.paint)
    layer = viewer.layers["pixel set"]
    layer.data_setitem((np.array([SLICE, SLICE]), np.array([22, 23]), np.array([33, 35])), 1)
    run(qtbot, seg)
    click(qtbot, seg.save_step.python)
    made = seg.state.heatmaps[-1]
    assert not made.exploring
    nc.write_volume(tmp_path / "image.nii.gz", made.volume.values, like=made.volume)
    layer.save(str(tmp_path / "labels.nii.gz"), plugin="napari-cam")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(QApplication.clipboard().text(), names)  # noqa: S102
    heatmap = names["maps"]["gradcam"]
    np.testing.assert_allclose(heatmap.values, made.result.heatmap.values, atol=1e-6)
    assert heatmap.provenance["region"] == made.result.heatmap.provenance["region"]
    assert heatmap.provenance["region"]["pixels"][SLICE] > 0


def test_nothing_arrives_after_the_dock_is_closed_or_the_network_changed(qtbot, viewer, seg):
    said = []
    seg.explorer.explored.connect(said.append)
    for end in (lambda: seg.network_step.network.setCurrentIndex(0), seg.shut):
        values = exploring(seg).layer().data.copy()
        seg.explorer.want()
        seg.explorer._follower.want(None, now=True)
        assert seg.explorer.busy
        end()
        assert not seg.explorer.busy
        qtbot.wait(400)
        np.testing.assert_array_equal(exploring(seg).layer().data, values)
    assert said == []


def test_a_network_of_volumes(qtbot, viewer, dock, tmp_path, MouseEvent):
    """Random weights do: the numbers are those of the library."""
    import torch

    from napari_cam.models.architectures.unet import UNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = UNet(3, spatial_ndim=3, base_channels=3, depth=3, norm="instance").eval()
    model = nc.wrap_model(
        module,
        class_names=["none", "organ", "tumour"],
        in_channels=1,
        spatial_ndim=3,
        task="segmentation",
    )
    give(dock, model)
    assert not dock.heatmap_step.follow.isChecked(), "a whole volume takes its time"
    dock.network_step.class_id.setCurrentText("tumour")
    assert not dock.explorer.busy
    kind(dock, "point:")
    click(qtbot, dock.network_step.region.click)
    fillet = viewer.layers["fillet"]
    viewer.dims.set_point(0, fillet.data_to_world((SLICE, 0, 0))[0])
    Mouse(viewer, MouseEvent).click(fillet.data_to_world((SLICE, 20, 33)))
    run(qtbot, dock)
    made = dock.state.heatmaps[-1]
    target = nc.RegionScore("tumour", f"point:{SLICE},20,33")
    wanted = nc.explain_one(model, made.volume, "gradcam", target)
    np.testing.assert_allclose(made.layer().data, wanted.values, atol=1e-5)
    assert made.result.heatmap.provenance["region"]["pixels"] == [1]
    assert dock.heatmap_step.scores.horizontalHeaderItem(1).text() == "predicted area"
    click(qtbot, dock.heatmap_step.compare.levels)
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=60_000)
    names = [layer.name for layer in viewer.layers if layer.visible][::2]
    assert names == [info.level for info in one_per_level(dock.network_step.layers.listed)]
    assert (names[0], names[-1]) == ("encoder 0", "decoder 0")
    assert "bottleneck" in names


def give(dock, model):
    """Give the dock a network, as a file would."""
    dock.state.set_network(
        replace(
            dock.state.network,
            source="mine.safetensors",
            model=model,
            layers=tuple(nc.candidate_layers(model)),
        )
    )
