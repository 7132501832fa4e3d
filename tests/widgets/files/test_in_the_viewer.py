"""Opening, painting and saving in a real viewer, through napari's own menus of readers."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from napari.layers import Layer
from napari.settings import get_settings

import napari_cam as nc
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.patient_view import patient_view
from tests.widgets.heatmaps import heatmap_on
from tests.widgets.layers.test_patient_world import rotation, save, stored_affine

PLUGIN = "napari-cam"


def anatomical() -> Path:
    return Path(nibabel.__file__).parent / "tests" / "data" / "anatomical.nii"


def test_the_preferences_of_the_person_testing_are_left_alone(make_napari_viewer):
    make_napari_viewer()
    used = Path(get_settings().config_path)
    assert used == Path(os.environ["NAPARI_CONFIG"])
    assert "napari_cam_preferences_" in str(used)


def test_two_scans_of_one_patient_lie_over_each_other(make_napari_viewer_proxy, tmp_path):
    viewer = make_napari_viewer_proxy()
    values = {}
    for codes in ("RAS", "PIL"):
        affine = stored_affine(codes)
        values[codes] = save(tmp_path / f"{codes}.nii", affine)
        viewer.open(str(tmp_path / f"{codes}.nii"), plugin=PLUGIN)
    for layer, codes in zip(viewer.layers, values, strict=True):
        affine = nibabel.load(tmp_path / f"{codes}.nii").affine
        for index in ((0, 0, 0), (3, 4, 6), (1, 2, 5)):
            r, a, s = nibabel.affines.apply_affine(affine, index)
            viewer.dims.point = (s, -a, -r)
            # What the status bar says at that place of the world.
            assert layer.get_value((s, -a, -r), world=True) == values[codes][index]
    assert patient_view(viewer).letters["top"] == "A"


@pytest.mark.gl
@pytest.mark.parametrize("codes", ["RAS", "LPS", "AIR", "SLP", "ILP", "PRS"])
@pytest.mark.parametrize("oblique", [False, True])
def test_no_orientation_stops_napari(make_napari_viewer, tmp_path, codes, oblique):
    viewer = make_napari_viewer(show=True)
    affine = stored_affine(codes)
    save(tmp_path / "scan.nii", rotation((25, -20, 30)) @ affine if oblique else affine)
    (layer,) = viewer.open(str(tmp_path / "scan.nii"), plugin=PLUGIN)
    volume = layer_to_volume(layer)
    viewer.add_layer(Layer.create(*heatmap_to_layer(heatmap_on(volume), layer)))
    viewer.add_layer(Layer.create(*mask_to_layer(np.asarray(volume.values) > 70, layer)))
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        viewer.dims.order = order
        for ndisplay in (2, 3):
            viewer.dims.ndisplay = ndisplay
            viewer.reset_view()
            shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
            assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 20


@pytest.mark.gl
def test_a_heatmap_leaves_the_scan_visible(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    volume = nc.Volume.from_array(np.full((3, 40, 40), 0.5))
    source = viewer.add_image(volume.values, contrast_limits=(0, 1))
    heatmap = heatmap_on(volume)
    heatmap.values[:] = 0
    heatmap.values[:, :, 20:] = 1
    bare = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    viewer.add_layer(Layer.create(*heatmap_to_layer(heatmap, source)))
    viewer.reset_view()
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    middle, third = shot.shape[0] // 2, shot.shape[1] // 3
    assert np.array_equal(shot[middle, third], bare[middle, third])
    assert np.ptp(shot[middle, 2 * third].astype(int)) > 50  # coloured


def test_painted_and_undone_on_a_flipped_scan(make_napari_viewer_proxy, tmp_path):
    viewer = make_napari_viewer_proxy()
    save(tmp_path / "scan.nii", stored_affine("LPS"))
    (layer,) = viewer.open(str(tmp_path / "scan.nii"), plugin=PLUGIN)
    volume = layer_to_volume(layer)
    mask = Layer.create(*mask_to_layer(np.zeros(volume.shape, bool), layer, "seeds"))
    viewer.add_layer(mask)
    mask.brush_size = 1
    mask.paint((2, 1, 3), 1)
    assert mask.data[2, 1, 3] == 1
    mask.undo()
    assert mask.data.sum() == 0
    mask.redo()
    viewer.layers.selection.active = mask
    mask.save(str(tmp_path / "seeds.nii.gz"), plugin=PLUGIN)
    (back,) = viewer.open(str(tmp_path / "seeds.nii.gz"), plugin=PLUGIN, layer_type=None)
    assert np.array_equal(back.data, mask.data)
    assert np.allclose(back.data_to_world((2, 1, 3)), mask.data_to_world((2, 1, 3)), atol=1e-4)


@pytest.mark.parametrize(
    ("key", "types"),
    [("volume", ["image"]), ("truth", ["image", "labels"]), ("anatomical", ["image"])],
)
def test_samples_open_from_the_menu(make_napari_viewer_proxy, key, types):
    viewer = make_napari_viewer_proxy()
    viewer.open_sample(PLUGIN, key)
    assert [type(layer).__name__.lower() for layer in viewer.layers] == types
    assert patient_view(viewer).letters["right"] == "L"


def test_the_truth_lies_on_the_damage(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    viewer.open_sample(PLUGIN, "truth")
    image, truth = viewer.layers
    assert np.array_equal(image.scale, truth.scale)
    assert np.array_equal(image.translate, truth.translate)
    volume = layer_to_volume(image)
    assert np.array_equal(volume.values, nc.load_sample_volume().values)
    assert 0.01 < (np.asarray(truth.data) > 0).mean() < 0.22


def test_the_real_sample_is_that_of_nibabel(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    viewer.open_sample(PLUGIN, "anatomical")
    layer = viewer.layers[0]
    image = nibabel.load(anatomical())
    for index in ((0, 0, 0), (32, 40, 24), (10, 30, 5)):
        r, a, s = nibabel.affines.apply_affine(image.affine, index)
        expected = np.asarray(image.dataobj)[index]
        viewer.dims.point = (s, -a, -r)
        assert layer.get_value((s, -a, -r), world=True) == expected


def test_a_broken_file_tells_its_sentence_and_adds_nothing(make_napari_viewer_proxy, tmp_path):
    viewer = make_napari_viewer_proxy()
    (tmp_path / "scan.nii").write_bytes(b"\0" * 500)
    assert viewer.open(str(tmp_path / "scan.nii"), plugin=PLUGIN) == []
    assert len(viewer.layers) == 0


def test_the_command_that_shows_letters_is_in_the_menu(make_napari_viewer):
    from npe2 import PluginManager

    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, "volume")
    assert patient_view(viewer).letters["top"] == "A"
    ids = [item.command for item in PluginManager.instance().iter_menu("napari/layers/visualize")]
    assert "napari-cam.letters" in ids
    PluginManager.instance().commands.execute("napari-cam.letters", (viewer,))
    assert patient_view(viewer).letters["top"] == ""
