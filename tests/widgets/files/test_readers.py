"""File > Open: what napari gets, what the user is told, and what is not loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dask.array
import nibabel
import numpy as np
import pytest
import tifffile
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest

import napari_cam as nc
from napari_cam.widgets.files.readers import NO_LAYERS, get_reader, read_layers
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.records import is_heatmap
from tests.widgets.heatmaps import heatmap_on

MANIFEST = Path(nc.__file__).with_name("napari.yaml")
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


@pytest.fixture
def told():
    """What the user was told since the test began."""
    records = notification_manager.records
    start = len(records)
    return lambda: [str(record.message) for record in list(records)[start:]]


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a.nii", True), ("a.NII.GZ", True), ("a.hdr", True), ("a.img", True), ("a.dcm", True),
        ("a.tif", True), ("a.tiff", True), ("a.npy", True), ("a.png", True), ("a.gz", False),
        ("a.csv", False), ("nii", False),
    ],
)  # fmt: skip
def test_files_are_taken_by_their_name(name, taken):
    assert (get_reader(name) is not None) is taken
    assert (get_reader([name]) is not None) is taken
    assert (get_reader([name, name]) is not None) is (name == "a.dcm")


def test_folders_are_taken_by_what_they_hold(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "IM0001").write_bytes(b"\0" * 128 + b"no")
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "deep" / "IM0002").write_bytes(b"\0" * 128 + b"DICM")
    assert get_reader(str(tmp_path)) is not None


def test_files_without_an_ending_are_taken_by_their_first_bytes(tmp_path):
    names = ("IM0001", "I1", "IM-0001-0001", "1.2.840.113619.2.5.1", "MR.1.3.12.2.1107.5.2")
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    for name in names:
        file = tmp_path / name
        assert [reader.command for reader in manager.iter_compatible_readers([str(file)])] == [
            "napari-cam.read"
        ]
        file.write_bytes(b"\0" * 128 + b"no")
        assert get_reader(str(file)) is None
        file.write_bytes(b"\0" * 128 + b"DICM")
        assert get_reader(str(file)) is not None
    stack = [str(tmp_path / name) for name in names]
    assert get_reader(stack) is not None
    assert get_reader([*stack, str(tmp_path / "IM0009")]) is None  # it does not exist


def test_napari_is_not_made_to_ask_about_other_files():
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    for name in ("a.png", "a.jpg", "a.npy", "a.csv", "a.py", "a.zarr", "a.h5", "a.b", "1.2.jpg"):
        assert not list(manager.iter_compatible_readers([name])), name


def test_a_scan_opens_in_the_patients_world(tmp_path, told):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (data, attributes, kind), *others = read_layers(str(save(tmp_path / "scan.nii.gz", values)))
    assert not others
    assert kind == "image"
    layer = Layer.create(data, attributes, kind)
    assert layer.name == "scan"
    assert np.array_equal(layer.scale, (4, -3, -2))
    assert layer.data.shape == (5, 4, 3)
    assert told() == []


def test_what_was_decided_is_told(tmp_path, told):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), AFFINE)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "scan.nii")
    read_layers(str(tmp_path / "scan.nii"))
    assert any("states no orientation" in text for text in told())


def test_oblique_is_told(tmp_path, told):
    turn = np.deg2rad(15)
    affine = AFFINE.copy()
    affine[:2, :2] = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ (AFFINE[:2, :2])
    )
    read_layers(str(save(tmp_path / "scan.nii", np.zeros((3, 4, 5), np.int16), affine)))
    assert any("15.0 degrees oblique" in text for text in told())


def test_what_cannot_be_read_is_one_sentence(tmp_path, told):
    (tmp_path / "scan.nii").write_bytes(b"\0" * 400)
    assert read_layers(str(tmp_path / "scan.nii")) == NO_LAYERS
    (text,) = told()
    assert text.endswith(".")
    assert "scan.nii" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_fourth_axis_is_time(tmp_path, ending):
    values = np.arange(3 * 4 * 5 * 2, dtype=np.int16).reshape(3, 4, 5, 2)
    ((data, attributes, kind),) = read_layers(str(save(tmp_path / f"bold{ending}", values)))
    layer = Layer.create(data, attributes, kind)
    assert isinstance(data, dask.array.Array) == (ending == ".nii")
    assert data.shape == (2, 5, 4, 3)
    assert np.array_equal(np.asarray(data[1]), values[..., 1].transpose(2, 1, 0))
    assert np.array_equal(layer.scale, (1, 4, -3, -2))
    assert tuple(layer.axis_labels) == ("t", "S", "P", "L")
    volume = layer_to_volume(layer, time=1)
    assert volume.source.format == "nifti"
    assert volume.source.header is not None


def test_only_the_time_point_in_view_is_read(tmp_path, monkeypatch):
    values = np.zeros((3, 4, 5, 6), np.float32)
    ((data, _, _),) = read_layers(str(save(tmp_path / "bold.nii", values)))
    read = []
    from napari_cam.volumes import reading

    true = reading.read_nifti
    monkeypatch.setattr(
        reading,
        "read_nifti",
        lambda path, axis4, time: read.append(time) or true(path, axis4, time),
    )
    np.asarray(data[4])
    assert read == [4]


def test_a_tiff_opens_with_its_voxel_size_and_time(tmp_path):
    values = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    tifffile.imwrite(
        tmp_path / "cells.ome.tif", values, ome=True,
        metadata={"axes": "TZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm",
                  "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm",
                  "PhysicalSizeZ": 2, "PhysicalSizeZUnit": "µm"},
    )  # fmt: skip
    ((data, attributes, _),) = read_layers(str(tmp_path / "cells.ome.tif"))
    assert attributes["name"] == "cells"
    assert np.allclose(attributes["scale"], (1, 2e-3, 5e-4, 5e-4))
    assert np.array_equal(np.asarray(data[1]), values[1])
    tifffile.imwrite(tmp_path / "many.ome.tif", values[:, :, None], metadata={"axes": "TZCYX"})


def test_colours_over_time_are_refused_in_a_sentence(tmp_path, told):
    values = np.zeros((2, 3, 6, 7), np.uint16)
    tifffile.imwrite(tmp_path / "c.ome.tif", values, ome=True, metadata={"axes": "TCYX"})
    assert read_layers(str(tmp_path / "c.ome.tif")) == NO_LAYERS
    assert any("several channels over time" in text for text in told())


def test_a_saved_heatmap_and_mask_come_back_as_what_they_were(tmp_path):
    volume = nc.load_sample_volume()
    heatmap = heatmap_on(volume)
    nc.write_volume(tmp_path / "map.nii.gz", heatmap, like=volume)
    nc.write_volume(tmp_path / "mask.nii.gz", heatmap.values > 0.5, like=volume)
    (found,) = read_layers(str(tmp_path / "map.nii.gz"))
    layer = Layer.create(*found)
    assert is_heatmap(layer)
    assert np.array_equal(layer_to_heatmap(layer).valid, heatmap.valid)
    assert layer.contrast_limits == [0, 1]
    (found,) = read_layers(str(tmp_path / "mask.nii.gz"))
    assert found[2] == "labels"
    assert np.array_equal(found[0], heatmap.values > 0.5)
    layer = Layer.create(*found)
    assert np.allclose(layer.get_color(1), (0, 0xE5 / 255, 1, 1))  # as the dock shows masks
    assert found[1]["metadata"][FACTS]["kind"] == "mask"


def test_a_foreign_record_beside_a_scan_is_left_alone(tmp_path):
    save(tmp_path / "scan.nii.gz", np.ones((3, 4, 5), np.uint8))
    (tmp_path / "scan.json").write_text(json.dumps({"RepetitionTime": 2}))
    assert read_layers(str(tmp_path / "scan.nii.gz"))[0][2] == "image"
    (tmp_path / "scan.json").write_text("[")
    assert read_layers(str(tmp_path / "scan.nii.gz"))[0][2] == "image"


def loaded_by(code: str) -> set[str]:
    code += "\nimport json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_asking_for_a_reader_loads_nothing_heavy():
    loaded = loaded_by(
        "from npe2 import PluginManager\n"
        "manager = PluginManager.instance(); manager.discover()\n"
        "assert 'napari-cam' in manager\n"
        "from napari_cam.widgets.files.readers import get_reader\n"
        "assert get_reader('scan.nii.gz')"
    )
    assert not loaded & {"torch", "napari", "numpy", "nibabel", "qtpy", "scipy", "skimage"}


def test_opening_a_scan_loads_no_torch(tmp_path):
    save(tmp_path / "scan.nii.gz", np.zeros((3, 4, 5), np.int16))
    loaded = loaded_by(
        "from npe2 import PluginManager\n"
        "PluginManager.instance().discover(include_npe1=False)\n"
        "from napari.components import ViewerModel\n"
        "viewer = ViewerModel()\n"
        f"viewer.open({str(tmp_path / 'scan.nii.gz')!r}, plugin='napari-cam')\n"
        "viewer.open_sample('napari-cam', 'truth')\n"
        "assert len(viewer.layers) == 3"
    )
    assert not loaded & {"torch", "torchvision", "timm", "PyQt6"}
