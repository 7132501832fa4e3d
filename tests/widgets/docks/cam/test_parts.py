"""Parts of the dock that need no window."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import numpy as np
import pytest

import napari_cam as nc
from napari_cam.heatmap import Heatmap
from napari_cam.masks.size import mask_size
from napari_cam.widgets.controls.tooltips import Tip
from napari_cam.widgets.docks.cam.control.walker import probabilities
from napari_cam.widgets.docks.cam.views.heatmap_step import duration
from napari_cam.widgets.docks.cam.views.network_step import as_table
from napari_cam.widgets.docks.cam.work.as_text import as_command, as_python
from napari_cam.widgets.docks.cam.work.request import PixelSet, Request
from napari_cam.widgets.docks.settings import Settings, read_settings
from napari_cam.widgets.layers.cutting import MaskRequest
from napari_cam.widgets.layers.position import neighbour
from napari_cam.widgets.networks import SAMPLE_SEGMENTATION


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
        series=2,
    )
    for mask in (None, MaskRequest(), MaskRequest("otsu:volume", strict=False, gate=True)):
        script = as_python(request, mask)
        ast.parse(script)
        assert 'axis4="time", time=4, series=2)' in script
    command = as_command(request, MaskRequest("otsu", strict=False))
    assert "--architecture resnet50 --method gradcam --method layercam --class 3" in command
    assert "--layer layer4 --layer 'layer3#2' --normalize volume --device cuda" in command
    assert "--axis4 time --time 4 --series 2 --preparation heatmap.json --out heatmaps" in command
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
    mask_request = MaskRequest("quantile:0.8:volume", strict=False, gate=True)
    explain, mask = as_command(request, mask_request).splitlines()
    assert mask.endswith("--rule quantile:0.8:volume --at-least --gate --out masks")
    for line in (explain, mask):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            raise SystemExit(main())
        assert not ended.value.code
    assert list((tmp_path / "masks").glob("mask_quantile*.nii.gz"))


def test_regions_are_understood(tmp_path, monkeypatch):
    """A label of a file, as a command and as a script."""
    import shlex

    from napari_cam.cli.main import main
    from napari_cam.volumes.heatmap_files import read_heatmap

    monkeypatch.chdir(tmp_path)
    whole = nc.load_sample_volume()
    volume = nc.Volume.from_array(whole.values[12:14], whole.spacing)
    nc.write_volume("image.nii.gz", volume.values, like=volume)
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, 30:50, 40:81] = 3
    nc.write_volume("labels.nii.gz", labels, like=volume)
    request = Request(
        model=SAMPLE_SEGMENTATION, class_id="damaged", region=PixelSet(labels, 3), device="cpu"
    )
    (line,) = as_command(request).splitlines()
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main())
    assert not ended.value.code
    (path,) = (tmp_path / "heatmaps").glob("*.nii.gz")
    names: dict[str, object] = {}
    exec(as_python(request), names)  # noqa: S102
    made = names["maps"]["gradcam"]
    assert made.provenance["region"]["pixels"] == [20 * 41] * 2
    assert made.provenance["region"]["label"] == 3
    np.testing.assert_allclose(read_heatmap(path)[0].values, made.values, atol=1e-6)


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
        "from napari_cam.widgets.docks.settings import read_settings\n"
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
    code = "import sys; import napari_cam.widgets.docks.cam.dock; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
