"""File > Save: on the source's grid, read back by nibabel and tifffile."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

import napari_cam as nc
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import volume_to_layer
from tests.widgets.heatmaps import heatmap_on
from tests.widgets.layers.test_patient_world import rotation, save, stored_affine


def save_layer(layer, path, **options) -> None:
    """Save as File > Save does, through napari's own look-up of writers."""
    viewer = ViewerModel()
    viewer.add_layer(layer)
    assert viewer.layers.save(str(path), **options) == [str(path)]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "AIR", "SLP", "ILP"])
@pytest.mark.parametrize("oblique", [False, True])
def test_results_lie_on_the_voxels_of_the_scan(codes, oblique, tmp_path):
    affine = stored_affine(codes)
    if oblique:
        affine = rotation((12, -7, 20)) @ affine
    stored = save(tmp_path / "scan.nii", affine)
    volume = nc.read_volume(tmp_path / "scan.nii")
    source = Layer.create(*volume_to_layer(volume, "Smith_John"))
    heatmap = heatmap_on(volume)
    over = np.asarray(volume.values) > 100
    save_layer(Layer.create(*heatmap_to_layer(heatmap, source)), tmp_path / "map.nii.gz")
    save_layer(Layer.create(*mask_to_layer(over, source)), tmp_path / "mask.nii")
    scan, mask = nibabel.load(tmp_path / "scan.nii"), nibabel.load(tmp_path / "mask.nii")
    assert np.array_equal(mask.affine, scan.affine)
    assert np.array_equal(np.asarray(mask.dataobj), stored > 100)
    assert mask.get_data_dtype() == np.uint8
    back, _ = nc.read_heatmap(tmp_path / "map.nii.gz")
    assert np.array_equal(back.values, heatmap.values)
    assert np.array_equal(back.valid, heatmap.valid)
    assert np.array_equal(nibabel.load(tmp_path / "map.nii.gz").affine, scan.affine)
    record = (tmp_path / "map.json").read_text() + (tmp_path / "mask.json").read_text()
    assert "Smith" not in record
    assert json.loads((tmp_path / "map.json").read_text())["model_sha256"] == "a" * 64
    assert json.loads((tmp_path / "mask.json").read_text())["kind"] == "mask"


def test_a_labels_layer_of_others_is_written_where_it_lies(tmp_path):
    labels = np.zeros((4, 5, 7), np.int64)
    labels[1, 2, 3] = 300
    layer = Labels(labels, scale=(3, 2, 1.5), translate=(10, 20, 30), units="mm")
    save_layer(layer, tmp_path / "labels.nii.gz")
    image = nibabel.load(tmp_path / "labels.nii.gz")
    place = np.argwhere(np.asarray(image.dataobj) == 300)[0]
    # (x, y, z) = translate + scale * index, without a patient
    assert np.allclose(nibabel.affines.apply_affine(image.affine, place), (34.5, 24, 13))
    assert image.get_data_dtype() == np.uint16


def test_a_patients_layer_without_metadata_is_written_where_it_lies(tmp_path):
    save(tmp_path / "scan.nii", stored_affine("LIP"))
    volume = nc.read_volume(tmp_path / "scan.nii")
    data, attributes, _ = volume_to_layer(volume)
    attributes.pop("metadata")
    save_layer(Image(data, **attributes), tmp_path / "copy.nii.gz", plugin="napari-cam")
    back = nc.read_volume(tmp_path / "copy.nii.gz")
    assert np.allclose(back.affine, volume.affine, atol=1e-5)
    assert np.array_equal(back.values, volume.values)


def test_tiff_states_the_voxel_size(tmp_path):
    layer = Image(np.ones((3, 4, 5), np.float32), scale=(3, 2, 1.5), units="mm")
    save_layer(layer, tmp_path / "image.ome.tif", plugin="napari-cam")
    with tifffile.TiffFile(tmp_path / "image.ome.tif") as tif:
        sizes = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [sizes[f"PhysicalSize{axis}"] for axis in "ZYX"] == [3, 2, 1.5]


def test_the_scan_itself_is_never_written_over(tmp_path):
    save(tmp_path / "scan.nii", stored_affine("RAS"))
    before = (tmp_path / "scan.nii").read_bytes()
    volume = nc.read_volume(tmp_path / "scan.nii")
    source = Layer.create(*volume_to_layer(volume))
    mask = Layer.create(*mask_to_layer(np.asarray(volume.values) > 9, source))
    with pytest.raises(nc.NapariCamError, match="is the image itself"):
        save_layer(mask, tmp_path / "scan.nii")
    assert (tmp_path / "scan.nii").read_bytes() == before


def test_a_result_is_written_anew_but_no_foreign_record(tmp_path):
    layer = Labels(np.ones((3, 4, 5), np.uint8))
    save_layer(layer, tmp_path / "a.nii")
    layer.data[0] = 2
    save_layer(layer, tmp_path / "a.nii")
    assert np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).max() == 2
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(nc.NapariCamError, match=r"b\.json exists already"):
        save_layer(layer, tmp_path / "b.nii")
    assert (tmp_path / "b.json").read_text() == "{}"


def test_colours_and_time_are_refused_in_a_sentence(tmp_path):
    colours = Image(np.zeros((4, 5, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(nc.NapariCamError, match="'photo' holds colours"):
        save_layer(colours, tmp_path / "a.nii")
    series = Labels(np.zeros((2, 3, 4, 5), np.uint8), name="series")
    with pytest.raises(nc.NapariCamError, match="'series' holds 2 time points"):
        save_layer(series, tmp_path / "a.nii")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("width", [3, 4])
def test_a_narrow_volume_is_written_as_one(tmp_path, width):
    values = np.arange(40 * 50 * width, dtype=np.int16).reshape(40, 50, width)
    volume = nc.Volume.from_array(values, spacing=(1.0, 2.0, 3.0))
    save_layer(Layer.create(*volume_to_layer(volume)), tmp_path / "a.nii.gz")
    assert np.array_equal(nc.read_volume(tmp_path / "a.nii.gz").values, values)
