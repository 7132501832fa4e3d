"""Trained networks on real pictures and a real scan, from file to heatmap to file."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path
from skimage import data
from skimage.transform import resize

import napari_cam as nc
from napari_cam.models.preparation.preparation import Preparation
from tests.models.cifar_resnet import CifarResNet20

CAT, ESPRESSO = "Egyptian cat", "espresso"


@pytest.fixture(scope="module")
def squeezenet(shared_data):
    path = shared_data / "weights/squeezenet_imagenet"
    return nc.load_model(
        path / "squeezenet1_0_imagenet_deepcompression.pth",
        architecture="squeezenet1_0",
        preparation=Preparation.imagenet(divide_by=255),
    )


def mosaic(cat_first):
    """The cat (300 x 451) beside the coffee at the same height, and the column between them."""
    coffee = (resize(data.coffee(), (300, 450), anti_aliasing=True) * 255).astype(np.uint8)
    tiles = [data.chelsea(), coffee] if cat_first else [coffee, data.chelsea()]
    picture = nc.Volume.from_array(np.concatenate(tiles, axis=1), channel_axis=-1)
    return picture, tiles[0].shape[1]


@pytest.mark.data
@pytest.mark.parametrize("cat_first", [True, False])
def test_each_class_is_found_in_its_own_half(squeezenet, cat_first):
    picture, seam = mosaic(cat_first)
    maps = nc.explain(squeezenet, picture, ["gradcam", "hirescam", "layercam"], [CAT, ESPRESSO])
    for key, heatmap in maps.items():
        left = heatmap.values[..., :seam].sum() / heatmap.values.sum()
        in_cat = left if cat_first else 1 - left
        own_half = in_cat if key.target.label == CAT else 1 - in_cat
        assert own_half >= 0.75, f"{key}: {own_half:.2f}"


@pytest.mark.data
@pytest.mark.parametrize("cat_first", [True, False])
def test_so_it_is_before_the_class_scores(squeezenet, cat_first):
    # At "features" the methods differ: the two whose weights keep the gradient's sign still hold.
    picture, seam = mosaic(cat_first)
    maps = nc.explain(squeezenet, picture, ["gradcam", "hirescam"], [CAT, ESPRESSO], "features")
    for key, heatmap in maps.items():
        left = heatmap.values[..., :seam].sum() / heatmap.values.sum()
        in_cat = left if cat_first else 1 - left
        assert (in_cat if key.target.label == CAT else 1 - in_cat) >= 0.75, str(key)


@pytest.mark.data
def test_cifar_weights_into_a_module_given_through_python(shared_data):
    model = nc.load_model(
        shared_data / "weights/cifar_resnet20/resnet20-12fca82f.th", module=CifarResNet20()
    )
    rows = [row for row in nc.candidate_layers(model, (3, 32, 32)) if row.default]
    assert [(row.channels, row.shape) for row in rows] == [(64, (8, 8))]
    small = (resize(data.chelsea()[:, 75:375], (32, 32), anti_aliasing=True) * 255).astype(np.uint8)
    heatmap = nc.explain_one(model, nc.Volume.from_array(small, channel_axis=-1), "cam")
    assert heatmap.values.shape == (1, 32, 32)
    assert heatmap.predicted_index[0] in (3, 5), "a cat's face: cat or dog"


def test_anatomical_scan_comes_back_at_the_same_world_coordinates(tmp_path):
    path = f"{data_path}/anatomical.nii"
    volume = nc.read_volume(path)
    heatmap = nc.explain_one(nc.load_sample_model(), volume, "gradcam", "damaged")
    written = nc.write_volume(tmp_path / "heatmap.nii.gz", heatmap, like=volume)
    source, result = nib.load(path), nib.load(written)
    assert result.shape == source.shape
    for name in ("sform", "qform"):
        ours, theirs = (
            getattr(image.header, f"get_{name}")(coded=True) for image in (result, source)
        )
        assert ours[1] == theirs[1]
        np.testing.assert_array_equal(ours[0], theirs[0])
    # The same voxel of our array and of nibabel's lies at the same place and holds the same value.
    reopened = nc.read_volume(written)
    peak = np.unravel_index(heatmap.values.argmax(), heatmap.values.shape)
    assert reopened.values[peak] == heatmap.values[peak]
    world = reopened.grid.world(peak)
    np.testing.assert_allclose(world, volume.grid.world(peak), atol=1e-4)
    index = np.rint(nib.affines.apply_affine(np.linalg.inv(source.affine), world)).astype(int)
    assert np.asarray(result.dataobj)[tuple(index)] == pytest.approx(heatmap.values[peak])
