"""Images of every kind, explained by clicking: what comes out lies where it belongs."""

from __future__ import annotations

import dask.array as da
import nibabel
import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from torch import nn

import napari_cam as nc
from napari_cam.models.preparation.steps import Rescale, Slices
from napari_cam.widgets.networks import Network
from tests.widgets.docks.cam.conftest import add_volume
from tests.widgets.layers.test_patient_world import rotation, stored_affine

RNG = np.random.default_rng(11)


class Small(nn.Module):
    """Classes from the mean of a few maps, in 2D or 3D."""

    def __init__(self, ndim, channels):
        super().__init__()
        torch.manual_seed(2)
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        self.conv = conv(channels, 4, 3, stride=2, padding=1)
        self.head = nn.Linear(4, 3)
        self.head.weight.data.abs_()  # there is evidence for every class

    def forward(self, x):
        return self.head(self.conv(x).relu().flatten(2).mean(2))


def give(dock, ndim, channels, **card):
    names = ("a", "b", "c")
    model = nc.wrap_model(
        Small(ndim, channels), names, in_channels=channels, spatial_ndim=ndim, **card
    )
    network = dock.state.network
    layers = tuple(nc.candidate_layers(model))
    dock.state.set_network(
        Network("small", None, model, layers, "", network.methods, network.device)
    )
    return model


def rotated(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


SHEARED = np.array([[1, 0, 0, 9], [0, 1.5, 0.2, -4], [0, 0.1, -0.8, 7], [0, 0, 0, 1.0]])
STACK = RNG.random((6, 20, 26)).astype(np.float32)
KINDS = {
    "picture": (STACK[0], {}, 2, 1),
    "rgb picture": ((STACK[:3].transpose(1, 2, 0) * 255).astype(np.uint8), {"rgb": True}, 2, 3),
    "scaled": (STACK, {"scale": (3, 0.5, 0.7), "translate": (-4, 5, 6), "units": "mm"}, 2, 1),
    "rotated": (STACK, {"rotate": rotated(0.4), "scale": (2, 1, 1)}, 2, 1),
    "affine": (STACK, {"affine": SHEARED, "scale": (2, 1, 1), "translate": (1, 2, 3)}, 2, 1),
    "rgb stack": ((np.stack([STACK] * 3, -1) * 255).astype(np.uint8), {"rgb": True}, 2, 3),
    "dask": (da.from_array(STACK, chunks=(1, 20, 26)), {}, 2, 1),
    "multiscale": ([STACK, STACK[:, ::2, ::2]], {"multiscale": True}, 2, 1),
    "series": (np.stack([STACK, STACK[::-1]]), {}, 2, 1),
    "3D network": (STACK, {"scale": (3, 0.5, 0.7)}, 3, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image(qtbot, make_napari_viewer, open_dock, kind):
    data, attributes, ndim, channels = KINDS[kind]
    viewer = make_napari_viewer()
    layer = viewer.add_image(data, name="it", **attributes)
    dock = open_dock(viewer)
    model = give(dock, ndim, channels)
    if kind == "series":
        viewer.dims.set_point(0, 1)
    dock.heatmap_step.run.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    assert not dock.problem.text()
    shown = viewer.layers["Grad-CAM: predicted"]
    volume = dock.state.heatmaps[0].volume
    expected = nc.explain_one(model, volume).values
    np.testing.assert_allclose(np.squeeze(shown.data), np.squeeze(expected), atol=1e-6)
    assert shown.data.max() == 1
    if kind == "series":
        np.testing.assert_array_equal(np.asarray(volume.values), STACK[::-1])
    corner = np.zeros(shown.ndim), np.array(shown.data.shape) - 1
    n = shown.ndim
    for index in corner:
        place = layer.data_to_world((*(0,) * (layer.ndim - n), *index))
        np.testing.assert_allclose(shown.data_to_world(index), place[-n:], atol=1e-6)
    dock.mask_step.make.click()
    qtbot.waitUntil(lambda: bool(dock.state.masks), timeout=20_000)
    dock.mask_step.cut.setValue(0.3)
    mask = dock.state.masks[0].layer()
    above = np.squeeze(expected > np.float32(0.3))
    qtbot.waitUntil(lambda: np.array_equal(np.squeeze(mask.data) == 1, above), timeout=5_000)


def test_several_layers_are_channels(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    for number in range(3):
        viewer.add_image(STACK + number, name=f"echo {number}")
    dock = open_dock(viewer)
    model = give(dock, 2, 2)
    dock.image_step.several.setChecked(True)
    assert "Tick the layers" in dock.heatmap_step.run.toolTip()
    for row in (0, 2):
        dock.image_step.channels.item(row).setCheckState(Qt.CheckState.Checked)
    assert dock.heatmap_step.run.isEnabled()
    dock.heatmap_step.run.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    volume = nc.Volume.from_array(np.stack([STACK, STACK + 2]), channel_axis=0)
    expected = nc.explain_one(model, volume).values
    np.testing.assert_allclose(dock.state.heatmaps[0].result.heatmap.values, expected, atol=1e-6)


def test_channels_in_one_layer(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    viewer.add_image(np.stack([STACK, STACK * 0.5]), name="both")
    dock = open_dock(viewer)
    give(dock, 2, 2)
    dock.image_step.extra_axis.setCurrentIndex(1)
    dock.heatmap_step.run.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    assert not dock.problem.text()
    assert dock.state.heatmaps[0].volume.n_channels == 2


def test_a_wrong_number_of_channels_is_told(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    viewer.add_image((STACK[:3].transpose(1, 2, 0) * 255).astype(np.uint8), rgb=True)
    dock = open_dock(viewer)
    dock.heatmap_step.run.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    assert "channels" in dock.problem.text()


def test_the_manifest_opens_the_dock(qtbot, make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    viewer.add_image(STACK, name="it")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "CAM")
    qtbot.waitUntil(lambda: dock.state.network is not None, timeout=30_000)
    give(dock, 2, 1)
    dock.heatmap_step.preview.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    assert dock.image_step.image.currentText() == "it"
    assert len(viewer.layers) == 2
    viewer.layers["it"].name = "renamed"
    assert dock.image_step.image.currentText() == "renamed"


def run(qtbot, dock, button=None):
    button = button or dock.heatmap_step.run
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=60_000)
    assert not dock.problem.text()


def test_a_chosen_image_among_several(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    first = viewer.add_image(STACK, name="one", scale=(2, 1, 1))
    viewer.add_image(STACK[:, ::-1] + 1, name="two", scale=(3, 1, 1))
    viewer.layers.selection.active = first
    dock = open_dock(viewer)
    model = give(dock, 2, 1)
    assert dock.image_step.image.currentText() == "one", "the active layer is preselected"
    run(qtbot, dock)
    dock.image_step.image.setCurrentIndex(dock.image_step.image.findText("two"))
    run(qtbot, dock)
    one, two = dock.state.heatmaps
    assert one.picture.layer is first
    assert [made.layer().scale[0] for made in (one, two)] == [2, 3]
    for made, source in ((one, STACK), (two, STACK[:, ::-1] + 1)):
        expected = nc.explain_one(model, source).values
        np.testing.assert_allclose(made.layer().data, expected, atol=1e-6)
    assert dock.image_step.image.count() == 2, "heatmaps are no images to explain"


class TooLarge:
    """An array that cannot be read whole, of more voxels than a pyramid is explained at."""

    shape, ndim, dtype = (6, 6000, 7800), 3, np.dtype(np.uint8)

    def __getitem__(self, key):
        shape = [len(range(*part.indices(n))) for part, n in zip(key, self.shape, strict=True)]
        assert np.prod(shape) <= 6000 * 7800, "more than a slice was read at once"
        return np.zeros(shape, np.uint8)


def test_a_pyramid_is_never_read_whole(qtbot, make_napari_viewer, open_dock):
    read = []

    class Noted(TooLarge):
        def __getitem__(self, key):
            read.append(key)
            return super().__getitem__(key)

    meta = np.zeros((0, 0, 0), np.uint8)
    finest = da.from_array(Noted(), chunks=(1, 600, 780), name=False, meta=meta)
    coarse = (STACK * 255).astype(np.uint8)
    viewer = make_napari_viewer()
    layer = viewer.add_image([finest, coarse], multiscale=True, scale=(3, 0.01, 0.02))
    dock = open_dock(viewer)
    model = give(dock, 2, 1)
    assert "6 × 20 × 26" in dock.image_step.facts.text()
    run(qtbot, dock)
    made = dock.state.heatmaps[0]
    expected = nc.explain_one(model, made.volume).values
    np.testing.assert_allclose(made.layer().data, expected, atol=1e-6)
    np.testing.assert_array_equal(made.volume.values, coarse)
    # A coarse voxel tiles 300 by 300 fine ones: its centre lies between their middle two.
    np.testing.assert_allclose(made.layer().scale, (3, 3, 6))
    for index in ((0, 0, 0), (5, 19, 25)):
        fine = np.array(index) * (1, 300, 300) + (0, 149.5, 149.5)
        np.testing.assert_allclose(
            made.layer().data_to_world(index), layer.data_to_world(fine), atol=1e-9
        )
    assert len({key[0].start for key in read}) < 3, "what napari shows, and no more"


def test_a_preview_of_a_lazy_image_reads_its_slice(qtbot, make_napari_viewer, open_dock):
    touched = []

    def load(block_info=None):
        z = block_info[None]["chunk-location"][0]
        touched.append(z)
        return (STACK[z : z + 1] * 255).astype(np.uint8)

    lazy = da.map_blocks(
        load, chunks=((1,) * 6, 20, 26), dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8)
    )
    viewer = make_napari_viewer()
    viewer.add_image(lazy, contrast_limits=(0, 255), name="lazy")
    dock = open_dock(viewer)
    # Without statistics of the whole volume one slice is enough.
    give(dock, 2, 1, preparation=nc.Preparation((Slices("acquisition"), Rescale())))
    viewer.dims.set_point(0, 4)
    touched.clear()
    run(qtbot, dock, dock.heatmap_step.preview)
    assert set(touched) == {4}


def patient_layer(viewer, path):
    (layer,) = viewer.open(str(path), plugin="napari-cam")
    return layer


def scan(path, codes, oblique=False):
    """Write a scan of 20 x 16 x 12 voxels whose axes run along `codes`."""
    affine = stored_affine(codes)
    affine = rotation((25, -20, 30)) @ affine if oblique else affine
    values = np.random.default_rng(5).integers(0, 200, (20, 16, 12)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return affine


def test_two_scans_of_one_patient_overlay_with_their_heatmaps(
    qtbot, make_napari_viewer, open_dock, tmp_path
):
    viewer = make_napari_viewer()
    for codes in ("RAS", "LPI"):
        scan(tmp_path / f"{codes}.nii", codes)
        patient_layer(viewer, tmp_path / f"{codes}.nii")
    dock = open_dock(viewer)
    give(dock, 2, 1)
    for index in range(2):
        dock.image_step.image.setCurrentIndex(index)
        run(qtbot, dock)
    for made, codes in zip(dock.state.heatmaps, ("RAS", "LPI"), strict=True):
        affine = nibabel.load(tmp_path / f"{codes}.nii").affine
        shown = made.layer()
        qtbot.waitUntil(lambda layer=shown: layer.visible, timeout=5_000)
        for k, j, i in ((0, 0, 0), (3, 7, 11)):
            right, front, up = nibabel.affines.apply_affine(affine, (i, j, k))
            viewer.dims.point = (up, -front, -right)
            value = shown.get_value((up, -front, -right), world=True)
            assert value == made.result.heatmap.values[k, j, i]


@pytest.mark.parametrize("way", ["oblique", "sample"])
def test_saved_and_opened_again_it_lies_where_it_was(
    qtbot, make_napari_viewer, open_dock, tmp_path, monkeypatch, way
):

    viewer = make_napari_viewer()
    if way == "oblique":
        scan(tmp_path / "scan.nii", "LIP", oblique=True)
        layer = patient_layer(viewer, tmp_path / "scan.nii")
    else:
        layer = add_volume(viewer)
    dock = open_dock(viewer)
    if way == "oblique":
        give(dock, 2, 1)
    run(qtbot, dock)
    qtbot.mouseClick(dock.mask_step.make, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(dock.state.masks), timeout=20_000)
    shown = [dock.state.heatmaps[0].layer(), dock.state.masks[0].layer()]
    for index, name in enumerate(("map.nii.gz", "mask.nii.gz")):
        path = tmp_path / name
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, to=path: (str(to), ""))
        dock.save_step.result.setCurrentIndex(index and dock.save_step.result.count() - 1)
        qtbot.mouseClick(dock.save_step.save, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda to=path: to.name in dock.save_step.done.text(), timeout=20_000)
        back = patient_layer(viewer, path)
        assert type(back) is type(shown[index])
        assert back.metadata["napari_cam"]["kind"] == ("heatmap", "mask")[index]
        np.testing.assert_array_equal(back.data, shown[index].data)
        for corner in (np.zeros(3), np.array(back.data.shape) - 1):
            place = back.data_to_world(corner)
            np.testing.assert_allclose(place, layer.data_to_world(corner), atol=1e-4)
    assert dock.image_step.image.count() == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_exported_network_is_opened(qtbot, make_napari_viewer, open_dock, tmp_path, monkeypatch):

    network = Small(2, 1).eval()
    axes = {0: torch.export.Dim("batch"), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(network, (torch.randn(2, 1, 20, 26),), dynamic_shapes=(axes,))
    torch.export.save(program, tmp_path / "small.pt2")
    viewer = make_napari_viewer()
    viewer.add_image(STACK, name="it")
    dock = open_dock(viewer)
    path = str(tmp_path / "small.pt2")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (path, ""))
    qtbot.mouseClick(dock.network_step.open, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: dock.state.network is not None and dock.state.network.source == path,
        timeout=60_000,
    )
    assert dock.network_step.class_id.isEditable(), "its classes have no names"
    dock.network_step.class_id.setEditText("2")
    run(qtbot, dock)
    model = nc.wrap_model(network, in_channels=1, spatial_ndim=2)
    expected = nc.explain_one(model, nc.Volume.from_array(STACK), target=2)
    made = dock.state.heatmaps[0].result.heatmap
    np.testing.assert_allclose(made.values, expected.values, atol=1e-5)
    np.testing.assert_allclose(made.score, expected.score, rtol=1e-5)


def table(dock):
    rows = dock.network_step.layers
    return [[rows.item(row, place).text() for place in range(3)] for row in range(rows.rowCount())]


def test_the_layers_are_listed_as_they_are_for_the_image(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    viewer.add_image(STACK, name="it")
    viewer.add_image(np.zeros((5, 44, 30), np.float32), name="other")
    dock = open_dock(viewer)
    dock.image_step.image.setCurrentIndex(0)
    give(dock, 2, 1)
    # A convolution of stride 2 halves 20 x 26, and 44 x 30.
    qtbot.waitUntil(lambda: ["conv", "10 × 13", "2"] in table(dock), timeout=10_000)
    assert "20 × 26" in dock.network_step.layers.title.text()
    dock.image_step.image.setCurrentIndex(1)
    qtbot.waitUntil(lambda: ["conv", "22 × 15", "2"] in table(dock), timeout=10_000)
    # Coronal slices of a volume without patient's axes do not exist; axis 1 does: 5 x 30 pixels.
    dock.image_step.slices.setCurrentIndex(dock.image_step.slices.findData(1))
    qtbot.waitUntil(lambda: table(dock)[0][1] == "3 × 15", timeout=10_000)


def test_a_chosen_layer_stays_chosen_with_another_image(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    add_volume(viewer)
    viewer.add_image(np.zeros((5, 80, 70), np.float32), name="other")
    dock = open_dock(viewer)
    qtbot.waitUntil(lambda: dock.network_step.layers.rowCount() > 2, timeout=10_000)
    dock.network_step.layers.selectRow(0)
    chosen, before = dock.network_step.layers.chosen, table(dock)
    assert len(chosen) == 1
    dock.image_step.image.setCurrentIndex(1 - dock.image_step.image.currentIndex())
    qtbot.wait(300)
    assert dock.network_step.layers.chosen == chosen
    assert [row[0] for row in table(dock)] == [row[0] for row in before]
