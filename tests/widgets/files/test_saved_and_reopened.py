"""Layers of any transform, saved and opened again: the same numbers at the same place."""

from __future__ import annotations

import json
import math

import dask.array
import numpy as np
import pytest
from napari.layers import Image, Labels, Layer

from napari_cam.errors import VolumeError, WriteError
from napari_cam.widgets.files.readers import read_layers
from napari_cam.widgets.files.writers import write_image, write_labels
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, layer_to_heatmap
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import image_axes, layer_grid
from tests.widgets.heatmaps import heatmap_on

SHAPE = (4, 5, 7)
VALUES = np.random.default_rng(3).normal(0, 100, SHAPE).astype(np.float32)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
FILES = ("result.nii.gz", "result.ome.tif")


def reopened(layer: Layer, path) -> Layer:
    data, attributes, kind = layer.as_layer_data_tuple()
    (write_image if kind == "image" else write_labels)(str(path), data, attributes)
    (again,) = read_layers(str(path))
    return Layer.create(*again)


def grid_of(layer: Layer):
    return layer_grid(layer, image_axes(layer))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "place",
    [
        {"scale": (-3, 2, -1.5), "translate": (10, 20, 30)},
        {"scale": (300, 200, 150), "translate": (9, 8, 7), "units": "um"},
        {"scale": (3, 200, 150), "units": ("mm", "um", "um")},
        {"scale": (-3, 2, -1.5), "units": "mm", "axis_labels": ("S", "P", "L")},
    ],
    ids=["negative", "micrometre", "mixed units", "patient"],
)
def test_a_layer_comes_back_where_it_was(place, file, tmp_path):
    layer = Image(VALUES, **place)
    again = reopened(layer, tmp_path / file)
    np.testing.assert_array_equal(again.data, VALUES)
    mm = [{"pixel": 1.0, "millimeter": 1.0, "micrometer": 1e-3}[str(u)] for u in layer.units]
    for index in [(0, 0, 0), (3, 0, 6), (1, 4, 2)]:
        before = np.array(layer.data_to_world(index)) * mm
        np.testing.assert_allclose(again.data_to_world(index), before, atol=1e-4)
    assert again.axis_labels == (("S", "P", "L") if "axis_labels" in place else ("z", "y", "x"))


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's own, of the source
@pytest.mark.parametrize("file", FILES)
def test_a_turned_and_sheared_layer_is_shown_upright_and_lies_where_it_was(file, tmp_path):
    place = {"scale": (3, 2, 1.5), "rotate": TURN, "shear": (0.1, 0.2, 0.3), "translate": (5, 6, 7)}
    layer = Image(VALUES, **place)
    again = reopened(layer, tmp_path / file)
    np.testing.assert_array_equal(again.data, VALUES)
    for index in [(0, 0, 0), (3, 0, 6), (1, 4, 2)]:
        # The grid's world is (x, y, z), the layer's (z, y, x).
        true = layer.data_to_world(index)[::-1]
        np.testing.assert_allclose(grid_of(again).world(index), true, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari's own, of the source
def test_axes_in_another_order_are_written_in_the_order_of_space(tmp_path):
    affine = np.array([[0, 2.0, 0, 3], [3, 0, 0, 4], [0, 0, -1, 9], [0, 0, 0, 1]])
    again = reopened(Image(VALUES, affine=affine), tmp_path / "result.nii.gz")
    np.testing.assert_array_equal(again.data, VALUES.transpose(1, 0, 2))
    np.testing.assert_allclose(again.data_to_world((4, 3, 6)), (2 * 4 + 3, 3 * 3 + 4, 9 - 6))


@pytest.mark.parametrize("file", FILES)
def test_a_flat_layer_comes_back_as_one_slice(file, tmp_path):
    again = reopened(Image(VALUES[0], scale=(2, -1.5), translate=(7, 8)), tmp_path / file)
    np.testing.assert_array_equal(again.data, VALUES[:1])
    np.testing.assert_allclose(again.data_to_world((0, 4, 6)), (0, 7 + 8, 8 - 9), atol=1e-5)


@pytest.mark.parametrize("file", FILES)
def test_a_heatmap_of_a_plain_image_lies_on_it_again(file, tmp_path):
    source = Image(VALUES, scale=(3, 2, 1.5), translate=(10, 20, 30), units="mm")
    heatmap = heatmap_on(layer_to_volume(source))
    again = reopened(Layer.create(*heatmap_to_layer(heatmap, source)), tmp_path / file)
    np.testing.assert_allclose(again.data_to_world((3, 4, 6)), (19, 28, 39), atol=1e-5)
    back = layer_to_heatmap(again)
    np.testing.assert_array_equal(back.values, heatmap.values)
    assert back.grid.same_as(heatmap.grid, within=3e-5)
    assert back.grid.orientation is None


def test_a_file_that_was_moved_lies_where_it_says_itself(tmp_path):
    import nibabel

    file = tmp_path / "result.nii"
    reopened(Image(VALUES, scale=(3, 2, 1.5)), file)
    image = nibabel.load(file)
    values, affine = np.asarray(image.dataobj), image.affine.copy()
    affine[0, 3] += 12
    nibabel.Nifti1Image(values, affine).to_filename(file)
    (again,) = read_layers(str(file))
    assert Layer.create(*again).axis_labels == ("S", "P", "L")


@pytest.mark.parametrize("shape", [None, [4, 5], "none", [4, 5, 8]])
def test_a_record_that_makes_no_sense_is_passed_over(shape, tmp_path):
    file = tmp_path / "result.ome.tif"
    reopened(Image(VALUES, translate=(10, 20, 30)), file)
    record = json.loads((tmp_path / "result.json").read_text())
    record["grid"]["shape"] = shape
    (tmp_path / "result.json").write_text(json.dumps(record))
    (again,) = read_layers(str(file))
    assert Layer.create(*again).data_to_world((0, 0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("dtype", ["bool", "int16", "int64", "float16", ">f4", "float64"])
def test_an_image_stays_an_image_whatever_its_type(dtype, file, tmp_path):
    values = (VALUES > 0) if dtype == "bool" else VALUES.astype(dtype)
    again = reopened(Image(values), tmp_path / file)
    assert isinstance(again, Image)
    np.testing.assert_array_equal(again.data, values.astype(np.float32))


@pytest.mark.parametrize("file", FILES)
def test_labels_stay_labels(file, tmp_path):
    again = reopened(Labels(np.abs(VALUES).astype(np.int64), scale=(3, 2, 1)), tmp_path / file)
    assert isinstance(again, Labels)
    np.testing.assert_array_equal(again.data, np.abs(VALUES).astype(np.int64))
    assert again.data_to_world((3, 4, 6)) == (9, 8, 6)


@pytest.mark.parametrize("file", FILES)
def test_numbers_that_are_none_come_back_as_such(file, tmp_path):
    values = VALUES.copy()
    values[0, 1, 2], values[3, 4, 5] = np.nan, np.inf
    again = reopened(Image(values, contrast_limits=(0, 1)), tmp_path / file)
    assert math.isnan(again.data[0, 1, 2])
    assert again.data[3, 4, 5] == np.inf
    np.testing.assert_array_equal(again.data, values)


def test_lazy_and_multiscale_layers_are_written_at_their_finest(tmp_path):
    lazy = Image(dask.array.from_array(VALUES, chunks=(1, 2, 3)), scale=(3, 2, 1.5))
    np.testing.assert_array_equal(reopened(lazy, tmp_path / "lazy.nii").data, VALUES)
    pyramid = Image([VALUES, VALUES[::2, ::2, ::2]], multiscale=True, scale=(3, 2, 1.5))
    again = reopened(pyramid, tmp_path / "pyramid.nii")
    np.testing.assert_array_equal(again.data, VALUES)
    np.testing.assert_allclose(again.data_to_world((3, 4, 6)), (9, 8, 9))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # napari's, of no voxels
def test_what_is_no_single_volume_is_refused_in_a_sentence(tmp_path):
    def save(layer):
        data, attributes, kind = layer.as_layer_data_tuple()
        (write_image if kind == "image" else write_labels)(
            str(tmp_path / "out.nii"), data, attributes
        )

    with pytest.raises(WriteError, match="holds 3 time points, and one volume is written; split"):
        save(Image(np.zeros((3, *SHAPE), np.float32)))
    with pytest.raises(WriteError, match="holds colours"):
        save(Image(np.zeros((*SHAPE, 3), np.uint8), rgb=True))
    with pytest.raises(VolumeError, match="has 5 axes besides channels"):
        save(Image(np.zeros((2, 3, *SHAPE), np.float32)))
    with pytest.raises(WriteError, match="too large for float32"):
        save(Image(VALUES.astype(np.float64) * 1e300))
    with pytest.raises(VolumeError, match=r"is empty \(0 voxels\)"):
        save(Labels(np.zeros((0, 5, 7), np.uint8)))
    assert list(tmp_path.iterdir()) == []
