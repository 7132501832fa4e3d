"""Rules, clean-up and foreground of step 4, by clicking: masks against numbers of other hands."""

from __future__ import annotations

import json
import shlex
import sys

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog
from scipy import ndimage
from skimage.filters import threshold_li, threshold_otsu, threshold_triangle, threshold_yen

import napari_cam as nc
from napari_cam.cli.main import main
from napari_cam.widgets.layers.cutting import MaskRequest, cut_heatmap, cut_slice
from napari_cam.widgets.layers.foregrounds import LabelSet, Tissue
from tests.masks.test_binarize import heatmap, shuffled
from tests.widgets.docks.cam.test_walk import DAMAGED, click, make_mask, run

VOXEL = 3.0 * 0.5 * 0.75


@pytest.fixture
def values(qtbot, dock):
    """The values of a heatmap of the class "damaged"."""
    dock.network_step.class_id.setCurrentIndex(DAMAGED)
    run(qtbot, dock)
    return dock.state.heatmaps[0].result.heatmap.values


def choose(dock, rule, value=None, volume=False):
    step = dock.mask_step
    step.rule.setCurrentIndex(step.rule.findData(rule))
    if value is not None:
        step.cut.setValue(value)
    if volume:
        step.scope.setCurrentIndex(1)


def holds(qtbot, layer, expected):
    qtbot.waitUntil(lambda: np.array_equal(layer.data == 1, expected), timeout=30_000)


def by_slice(values, cut):
    return np.stack([each > np.float32(cut(each)) for each in values])


def kept(each, share):
    """The cut that leaves the share of the highest values above it."""
    ordered = np.sort(each.ravel())
    first = ordered.size - int(share * ordered.size + 0.5)
    return (float(ordered[first - 1]) + float(ordered[first])) / 2


CUTS = {
    "quantile": (0.8, lambda each: np.quantile(each.astype(float), 0.8)),
    "area": (0.25, lambda each: kept(each, 0.25)),
    "otsu": (None, lambda each: threshold_otsu(each.astype(float))),
    "li": (None, lambda each: threshold_li(each.astype(float))),
    "triangle": (None, lambda each: threshold_triangle(each.astype(float))),
    "yen": (None, lambda each: threshold_yen(each.astype(float))),
}


@pytest.mark.parametrize("rule", CUTS)
def test_rules_with_a_cut_for_each_slice_or_the_volume(qtbot, dock, values, rule):
    value, cut = CUTS[rule]
    choose(dock, rule, value)
    layer = make_mask(qtbot, dock)
    holds(qtbot, layer, by_slice(values, cut))
    dock.mask_step.scope.setCurrentIndex(1)
    holds(qtbot, layer, values > np.float32(cut(values)))
    assert layer.metadata["napari_cam"]["threshold"]["scope"] == "volume"


def test_stated_rules(qtbot, dock, values):
    choose(dock, "255", 200)
    layer = make_mask(qtbot, dock)
    holds(qtbot, layer, values > np.float32(200 / 255))
    assert dock.mask_step.rules.text == "255:200"
    assert dock.mask_step.scope.isHidden()
    choose(dock, "fixed", 0.25)
    holds(qtbot, layer, values > np.float32(0.25))


def test_otsu_around_each_pixel(qtbot, viewer, dock, values):
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((4, 0, 0))[0])
    layer = make_mask(qtbot, dock)
    choose(dock, "local-otsu", 50)  # beyond the slice of 28 mm by 54 mm: as good as Otsu's
    expected = nc.binarize(dock.state.heatmaps[0].result.heatmap, "local-otsu:50")["mask"]
    holds(qtbot, layer, expected)
    assert "(mm)" in dock.mask_step.rules._label.text()
    assert layer.metadata["napari_cam"]["threshold"]["rule"] == "local-otsu(50)"


def test_a_slider_stands_where_it_was_left(dock, qtbot):
    run(qtbot, dock)
    choose(dock, "quantile", 0.97)
    choose(dock, "255")
    assert dock.mask_step.cut.value() == 200
    choose(dock, "quantile")
    assert dock.mask_step.rules.text == "quantile:0.97"


def test_clean_up_is_closed_at_first_and_says_what_it_does(qtbot, dock, values):
    box = dock.mask_step.cleanup
    assert not box.isExpanded()
    assert box.text() == "Clean up"
    click(qtbot, box.toggleButton())
    assert box.isExpanded()
    qtbot.mouseClick(box.holes, Qt.MouseButton.LeftButton, pos=QPoint(8, box.holes.height() // 2))
    box.smallest.setValue(20)
    assert box.text() == "Clean up: holes, smallest"
    assert box.smallest.suffix() == " mm³"
    box.per.setCurrentIndex(1)
    assert box.smallest.suffix() == " mm²"


def test_pieces_of_the_volume_and_of_each_slice(qtbot, dock, values):
    choose(dock, "fixed", 0.6)
    layer = make_mask(qtbot, dock)
    whole = values > np.float32(0.6)
    dock.mask_step.cleanup.largest.setChecked(True)
    labels, count = ndimage.label(whole)
    sizes = np.bincount(labels.ravel())[1:]
    assert count > 1
    holds(qtbot, layer, labels == 1 + sizes.argmax())
    dock.mask_step.cleanup.largest.setChecked(False)
    dock.mask_step.cleanup.smallest.setValue(round(float(np.sort(sizes)[-2]) * VOXEL, 1))
    large = [n for n, size in enumerate(sizes, 1) if size * VOXEL >= np.sort(sizes)[-2] * VOXEL]
    expected = np.isin(labels, large)
    assert expected.any()
    dock.mask_step.cleanup.per.setCurrentIndex(1)
    area = 0.5 * 0.75
    dock.mask_step.cleanup.smallest.setValue(30.0)
    slices = []
    for each in whole:
        flat, n = ndimage.label(each)
        big = [k for k in range(1, n + 1) if (flat == k).sum() * area >= 30.0]
        slices.append(np.isin(flat, big))
    expected = np.stack(slices)
    assert 0 < expected.sum() < whole.sum()
    holds(qtbot, layer, expected)
    found = layer.metadata["napari_cam"]["threshold"]["cleanup"]
    assert (found["smallest"], found["per"]) == (30.0, "unit")


def test_an_opening_in_millimetres(qtbot, dock, values):
    """A disk of 1 mm on pixels of 0.5 mm by 0.75 mm: five rows, and three columns in the middle."""
    choose(dock, "fixed", 0.5)
    dock.mask_step.cleanup.per.setCurrentIndex(1)
    dock.mask_step.cleanup.opening.setValue(1.0)
    layer = make_mask(qtbot, dock)
    rows, columns = np.mgrid[-2:3, -1:2]
    disk = (rows * 0.5) ** 2 + (columns * 0.75) ** 2 <= 1.0
    whole = np.pad(values > np.float32(0.5), ((0, 0), (4, 4), (4, 4)), mode="constant")
    opened = np.stack([ndimage.binary_opening(each, disk) for each in whole])[:, 4:-4, 4:-4]
    inner = (slice(None), slice(4, -4), slice(4, -4))  # the edge of the image is another matter
    qtbot.waitUntil(lambda: np.array_equal((layer.data == 1)[inner], opened[inner]), timeout=30_000)


def test_within_a_labels_layer_which_is_painted_into(qtbot, viewer, dock, values):
    fillet = viewer.layers["fillet"]
    place = {"scale": fillet.scale, "translate": fillet.translate, "units": fillet.units}
    limit = np.zeros(values.shape, np.uint8)
    limit[2:7, 10:40, 20:60] = 3
    layer = viewer.add_labels(limit.copy(), name="limit", **place)
    choose(dock, "otsu")
    box = dock.mask_step.within.box
    box.setCurrentIndex(box.findText("limit"))
    mask = make_mask(qtbot, dock)

    def expected(where):
        return np.stack(
            [
                inside & (each > np.float32(threshold_otsu(each[inside].astype(float))))
                if inside.any()
                else inside
                for each, inside in zip(values, where != 0, strict=True)
            ]
        )

    holds(qtbot, mask, expected(limit))
    more = tuple(np.mgrid[4:5, 40:50, 20:60].reshape(3, -1))
    layer.data_setitem(more, 1)
    limit[more] = 1
    voxels = 5 * 30 * 40 + 400
    qtbot.waitUntil(
        lambda: mask.metadata["napari_cam"]["threshold"]["foreground"]["voxels"] == voxels,
        timeout=30_000,
    )
    np.testing.assert_array_equal(mask.data == 1, expected(limit))
    said = mask.metadata["napari_cam"]["threshold"]["foreground"]
    assert "limit" not in json.dumps(said)
    viewer.layers.remove(layer)
    assert box.currentIndex() == 0
    everywhere = by_slice(values, lambda each: threshold_otsu(each.astype(float)))
    holds(qtbot, mask, everywhere)


def test_a_foreground_elsewhere_is_refused(qtbot, viewer, dock, values):
    viewer.add_labels(np.ones((9, 56, 71), np.uint8), name="other")
    box = dock.mask_step.within.box
    box.setCurrentIndex(box.findText("other"))
    assert "does not lie on the heatmap's own grid" in dock.problem.text()
    box.setCurrentIndex(0)
    assert not dock.problem.text()


def test_tissue_waits_once_and_is_then_at_hand(qtbot, viewer, dock, values):
    viewer.dims.set_point(0, viewer.layers["fillet"].data_to_world((4, 0, 0))[0])
    layer = make_mask(qtbot, dock)
    before = layer.data.copy()
    box = dock.mask_step.within.box
    box.setCurrentIndex(box.findText("tissue (k-means)"))
    np.testing.assert_array_equal(layer.data, before)
    assert set(dock.mask_step.figures.shown("slice")) == {"…"}, "nothing wrong is shown as final"
    tissue = nc.foreground(dock.state.heatmaps[0].volume, "kmeans")
    assert 0 < tissue.sum() < tissue.size
    holds(qtbot, layer, (values > np.float32(0.5)) & tissue)
    dock.mask_step.cut.setValue(0.2)
    np.testing.assert_array_equal(layer.data[4] == 1, ((values > np.float32(0.2)) & tissue)[4])
    holds(qtbot, layer, (values > np.float32(0.2)) & tissue)


def everything(qtbot, viewer, dock, path):
    """Choose something of all there is; the labels come from a file."""
    step = dock.mask_step
    choose(dock, "quantile", 0.85, volume=True)
    step.inequality.setCurrentIndex(1)
    step.gate.setChecked(True)
    (layer,) = viewer.open(str(path), plugin="napari-cam", layer_type="labels")
    step.within.box.setCurrentIndex(step.within.box.findText(layer.name))
    step.cleanup.per.setCurrentIndex(1)
    step.cleanup.closing.setValue(1.5)
    step.cleanup.holes.setChecked(True)
    step.cleanup.smallest.setValue(12.5)
    return make_mask(qtbot, dock)


@pytest.fixture
def files(dock, tmp_path, monkeypatch):
    """The image and a labels layer as files, in the folder in which scripts run."""
    monkeypatch.chdir(tmp_path)
    volume = dock.images.current.metadata["napari_cam_volume"]
    nc.write_volume("image.nii.gz", volume.values, like=volume)
    limit = np.zeros(volume.shape, np.uint8)
    limit[1:8, 5:50, 10:65] = 1
    nc.write_volume("limit.nii.gz", limit, like=volume)
    return tmp_path


def test_the_copied_script_gives_the_same_mask(qtbot, viewer, dock, values, files):
    layer = everything(qtbot, viewer, dock, files / "limit.nii.gz")
    assert 0 < layer.data.sum() < layer.data.size
    click(qtbot, dock.save_step.python)
    names: dict[str, object] = {}
    exec(QApplication.clipboard().text(), names)  # noqa: S102
    np.testing.assert_array_equal(names["masks"]["gradcam"], layer.data == 1)


def test_the_copied_command_gives_the_same_mask(qtbot, viewer, dock, values, files, monkeypatch):
    layer = everything(qtbot, viewer, dock, files / "limit.nii.gz")
    click(qtbot, dock.save_step.command)
    explain, mask = QApplication.clipboard().text().splitlines()
    for line in (explain, mask):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            raise SystemExit(main())
        assert not ended.value.code
    (path,) = (files / "masks").glob("*.nii.gz")
    np.testing.assert_array_equal(nc.read_volume(path).values, layer.data)


@pytest.mark.parametrize("opened", [False, True])
def test_the_script_of_a_mask_in_tissue(qtbot, viewer, dock, values, files, monkeypatch, opened):
    if opened:
        made = dock.state.heatmaps[0]
        nc.write_volume("opened.nii.gz", made.result.heatmap, like=made.volume)
        viewer.open("opened.nii.gz", plugin="napari-cam")
        dock.image_step.image.setCurrentIndex(dock.image_step.image.findText("fillet"))
    box = dock.mask_step.within.box
    box.setCurrentIndex(box.findText("tissue (Otsu)"))
    layer = make_mask(qtbot, dock)
    tissue = nc.foreground(nc.read_volume("image.nii.gz"), "otsu")
    holds(qtbot, layer, (values > np.float32(0.5)) & tissue)
    click(qtbot, dock.save_step.python)
    names: dict[str, object] = {}
    exec(QApplication.clipboard().text(), names)  # noqa: S102
    key = "opened" if opened else "gradcam"
    np.testing.assert_array_equal(names["masks"][key], layer.data == 1)


def test_the_sidecar_says_rule_clean_up_and_foreground(
    qtbot, viewer, dock, values, files, monkeypatch
):
    layer = everything(qtbot, viewer, dock, files / "limit.nii.gz")
    target = files / "mask.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(target), ""))
    click(qtbot, dock.save_step.save)
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=30_000)
    said = json.loads((files / "mask.json").read_text())["threshold"]
    assert (said["rule"], said["scope"], said["strict"]) == (
        "quantile(0.85, volume)", "volume", False,
    )  # fmt: skip
    assert said["gate"] is True
    assert said["foreground"]["labels"] == "all but 0"
    assert said["foreground"]["voxels"] == 7 * 45 * 55
    assert (said["cleanup"]["closing_mm"], said["cleanup"]["smallest"]) == (1.5, 12.5)
    assert said == layer.metadata["napari_cam"]["threshold"]


# Without a window.


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "cleanup", [nc.Cleanup(per="unit", opening_mm=1, smallest=3), nc.Cleanup(per="unit")]
)
def test_a_slice_cut_by_itself_is_that_of_the_whole(axis, cleanup):
    one = heatmap(shuffled((5, 8, 11)), axis)
    limit = LabelSet(shuffled((5, 8, 11)) > 0.3)
    for rule in ("fixed:0.4", "quantile:0.6", "otsu"):
        request = MaskRequest(rule, strict=False, foreground=limit, cleanup=cleanup)
        (whole,) = cut_heatmap(one, request)
        assert whole.mask.any()
        for index in range(one.values.shape[axis]):
            found = cut_slice(one, index, request)
            np.testing.assert_array_equal(found, np.take(whole.mask, index, axis))


def test_slices_across_other_axes_have_stated_cuts_alone():
    one = heatmap(shuffled((5, 8, 11)), 0)
    (whole,) = cut_heatmap(one, MaskRequest("255:100"))
    found = cut_slice(one, 6, MaskRequest("255:100"), axis=2)
    np.testing.assert_array_equal(found, whole.mask[:, :, 6])
    assert cut_slice(one, 6, MaskRequest("otsu"), axis=2) is None
    cleaned = MaskRequest("fixed:0.5", cleanup=nc.Cleanup(largest_only=True))
    assert cut_slice(one, 2, cleaned) is None, "pieces of the volume"
    flat = MaskRequest("fixed:0.5", cleanup=nc.Cleanup(largest_only=True, per="unit"))
    assert cut_slice(one, 2, flat) is not None
    assert cut_slice(one, 6, flat, axis=2) is None


def test_tissue_is_found_once(monkeypatch):
    volume = nc.load_sample_volume()
    asked = []

    def find(image, method):
        asked.append(method)
        return np.ones(image.shape, bool)

    monkeypatch.setattr("napari_cam.widgets.layers.foregrounds.foreground", find)
    for _ in range(3):
        assert Tissue("otsu", volume).mask((slice(0, 1),)).shape == (1, *volume.shape[1:])
    assert asked == ["otsu"]
    assert Tissue("otsu", volume).found
    assert not Tissue("kmeans", volume).found
