"""Parts of the dock that need no window, and images of every kind."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from torch import nn

import napari_cam as nc
from napari_cam.heatmap import Heatmap
from napari_cam.masks.size import mask_size
from napari_cam.widgets.dock.heatmap_step import duration, probabilities
from napari_cam.widgets.dock.network_step import as_table
from napari_cam.widgets.dock.position import neighbour
from napari_cam.widgets.dock.request import MaskRequest, Request, as_command, as_python
from napari_cam.widgets.dock.running import Network
from napari_cam.widgets.dock.settings import Settings, read_settings
from napari_cam.widgets.dock.tooltips import Tip


def test_probabilities():
    two = probabilities(np.array([0.0, np.log(3.0)], np.float32))
    np.testing.assert_allclose(two, [0.25, 0.75], rtol=1e-6)
    # One output z = ln 3 comes as (-z, z): its probability is sigmoid(z) = 3/4, not 9/10.
    one = probabilities(np.array([-np.log(3.0), np.log(3.0)], np.float32))
    np.testing.assert_allclose(one, [0.25, 0.75], rtol=1e-6)
    three = probabilities(np.array([1000.0, 1000.0, -1000.0], np.float32))
    np.testing.assert_allclose(three, [0.5, 0.5, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "less than 1 s"), (42.4, "42 s"), (600, "10 min"), (7260, "2 h 01 min")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_neighbours():
    flags = np.array([0, 1, 0, 0, 1, 0], bool)
    assert [neighbour(flags, i, 1) for i in (0, 1, 4)] == [1, 4, None]
    assert [neighbour(flags, i, -1) for i in (5, 4, 1)] == [4, 1, None]


def test_a_card_as_table_keeps_every_word_and_escapes():
    table = as_table("classes        a<b, c\npreparation    one\n               two")
    assert table.count("<tr>") == 2
    assert "a&lt;b, c" in table
    assert "one<br>two" in table


def test_tips_say_unit_and_default():
    assert str(Tip("What.", "mm", "0.5")) == "What. Unit: mm. Default: 0.5."


def test_scripts_are_python_whatever_is_chosen():
    request = Request(
        model="it's mine.pt",
        architecture="resnet50",
        methods=("gradcam", "layercam"),
        class_id=3,
        layers=("layer4", "layer3#2"),
        axis="coronal",
        normalize="volume",
        device="cuda",
        precision="float16",
        image="a 'b'/c.nii",
        time=4,
    )
    for mask in (None, MaskRequest(), MaskRequest("otsu:volume", strict=False, gate=True)):
        script = as_python(request, mask)
        ast.parse(script)
        assert 'axis4="time", time=4)' in script
    command = as_command(request, MaskRequest("otsu", strict=False))
    assert "--architecture resnet50 --method gradcam --method layercam --class 3" in command
    assert "--layer layer4 --layer 'layer3#2' --normalize volume --device cuda" in command
    assert "--axis4 time --time 4 --preparation heatmap.json --out heatmaps" in command
    assert command.splitlines()[1].endswith("--rule otsu --at-least --out masks")


def test_commands_are_understood(tmp_path, monkeypatch):
    """The words are options that exist, with values that are taken."""
    import shlex

    from napari_cam.cli.main import main

    monkeypatch.chdir(tmp_path)
    volume = nc.load_sample_volume()
    nc.write_volume(
        "image.nii.gz",
        volume.values[8:10],
        like=nc.Volume.from_array(volume.values[8:10], volume.spacing),
    )
    request = Request(class_id="damaged", normalize="volume", device="cpu", precision="float32")
    explain, mask = as_command(request, MaskRequest("quantile:0.8:volume", strict=False)).split(
        "\n"
    )[:2]
    for line in (explain, mask):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            raise SystemExit(main())
        assert not ended.value.code
    assert list((tmp_path / "masks").glob("mask_quantile*.nii.gz"))


def heatmap_of(values, inside, grid):
    one = np.ones(1, np.float32)
    return Heatmap(
        values,
        "unit",
        one * 0,
        one,
        one > 0,
        one.astype(int),
        one.astype(int),
        one,
        inside,
        None,
        grid,
    )


def test_mask_sizes():
    inside = np.ones((2, 3, 5), bool)
    inside[:, :, 4] = False  # 24 voxels seen
    mask = np.zeros((2, 3, 5), bool)
    mask[0, :2, :3] = True  # 6 voxels
    grid = nc.Grid.plain((2, 3, 5), (4.0, 0.5, 0.25), "mm")
    size = mask_size(mask, heatmap_of(mask.astype(np.float32), inside, grid))
    assert (size.voxels, size.share) == (6, 0.25)
    assert size.millilitres == pytest.approx(6 * 0.5 / 1000)
    assert str(size) == "25.0%, 0.003 mL"
    plain = mask_size(mask, heatmap_of(mask.astype(np.float32), inside, nc.Grid.plain((2, 3, 5))))
    assert str(plain) == "25.0%, 6 px"


def test_settings_fall_back_where_napari_keeps_none(monkeypatch):
    def unknown(plugin):
        raise KeyError(plugin)

    monkeypatch.setattr("napari.settings.get_plugin_settings", unknown)
    assert read_settings() == Settings()
    monkeypatch.delattr("napari.settings.get_plugin_settings")
    assert read_settings() == Settings("auto", "auto", "gradcam", "")


def test_settings_are_those_of_the_preferences_page(tmp_path):
    code = (
        "from napari.settings import get_plugin_settings as g\n"
        "from napari_cam.widgets.dock.settings import read_settings\n"
        "print(read_settings())\n"
        "g('napari-cam').compute.device = 'cpu'\n"
        "g('napari-cam').compute.method = 'layercam'\n"
        "print(read_settings())\n"
    )
    environment = {**os.environ, "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.splitlines()[-2:]
    assert before == repr(Settings())
    assert after == repr(Settings(device="cpu", method="layercam"))


def test_opening_the_dock_module_loads_no_torch():
    code = "import sys; import napari_cam.widgets.dock.dock; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


# Images of every kind.

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


def give(dock, ndim, channels):
    model = nc.wrap_model(
        Small(ndim, channels), ("a", "b", "c"), in_channels=channels, spatial_ndim=ndim
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


STACK = RNG.random((6, 20, 26)).astype(np.float32)
KINDS = {
    "picture": (STACK[0], {}, 2, 1),
    "rgb picture": ((STACK[:3].transpose(1, 2, 0) * 255).astype(np.uint8), {"rgb": True}, 2, 3),
    "scaled": (STACK, {"scale": (3, 0.5, 0.7), "translate": (-4, 5, 6), "units": "mm"}, 2, 1),
    "rotated": (STACK, {"rotate": rotated(0.4), "scale": (2, 1, 1)}, 2, 1),
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
    volume = dock.state.made[0].volume
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
    np.testing.assert_allclose(dock.state.made[0].result.heatmap.values, expected, atol=1e-6)


def test_channels_in_one_layer(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    viewer.add_image(np.stack([STACK, STACK * 0.5]), name="both")
    dock = open_dock(viewer)
    give(dock, 2, 2)
    dock.image_step.extra_axis.setCurrentIndex(1)
    dock.heatmap_step.run.click()
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=30_000)
    assert not dock.problem.text()
    assert dock.state.made[0].volume.n_channels == 2


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
