"""Volumes out of layers of every kind, and heatmaps and masks into layers and back."""

from __future__ import annotations

import json

import dask.array
import numpy as np
import pytest
from napari.layers import Image, Labels, Layer

import napari_cam as nc
from napari_cam.widgets.layers.derived_layers import (
    heatmap_to_layer,
    layer_to_heatmap,
    mask_to_layer,
)
from napari_cam.widgets.layers.image_layers import (
    layer_to_volume,
    time_series_to_layer,
    volume_to_layer,
)
from napari_cam.widgets.layers.layer_axes import FACTS, VOLUME, image_axes
from napari_cam.widgets.layers.records import is_derived, is_heatmap, layer_provenance
from tests.widgets.heatmaps import heatmap_on

RNG = np.random.default_rng(7)


def test_the_layer_is_a_view_and_its_metadata_plain(tmp_path):
    volume = nc.load_sample_volume()
    layer = Layer.create(*volume_to_layer(volume, "fillet"))
    assert layer.name == "fillet"
    assert np.shares_memory(layer.data, volume.values)
    assert layer_to_volume(layer) is volume
    facts = json.loads(json.dumps(layer.metadata[FACTS], allow_nan=False))
    assert facts["kind"] == "image"
    assert facts["orientation"] == "SPL"
    assert facts["affine"][0] == pytest.approx([0, 0, -0.5, 31.75])
    assert not is_derived(layer)


@pytest.mark.parametrize("width", [3, 4])
def test_a_narrow_volume_is_not_taken_for_colours(width):
    values = RNG.integers(0, 255, (40, 50, width), np.uint8)
    volume = nc.Volume.from_array(values, spacing=(1.0, 2.0, 3.0))
    layer = Layer.create(*volume_to_layer(volume))
    assert not layer.rgb
    assert layer.ndim == 3
    heatmap = Layer.create(*heatmap_to_layer(heatmap_on(volume), layer))
    assert heatmap.ndim == 3
    series = Layer.create(*time_series_to_layer(values[None], volume))
    assert series.ndim == 4


def test_a_flat_layer_is_one_slice():
    values = RNG.random((4, 5))
    volume = layer_to_volume(Image(values, scale=(3, 2), translate=(10, 20), units="mm"))
    assert volume.shape == (1, 4, 5)
    assert np.array_equal(volume.values[0], values)
    assert volume.spacing == (1, 3, 2)
    assert np.allclose(volume.grid.world((0, 1, 2)), (24, 13, 0))  # (x, y, z)


def test_colours_become_channels_and_come_back():
    values = RNG.integers(0, 255, (4, 5, 4), np.uint8)  # (y, x, RGBA)
    volume = layer_to_volume(Image(values, rgb=True))
    assert volume.channel_names == ("red", "green", "blue")
    assert np.array_equal(volume.values[:, 0], values[..., :3].transpose(2, 0, 1))
    layer = Layer.create(*volume_to_layer(volume))
    assert layer.rgb
    assert np.array_equal(layer.data[0], values[..., :3])
    assert layer_to_volume(layer) is volume
    assert layer_to_volume(Image(values[None, ..., :3].repeat(3, 0), rgb=True)).shape == (3, 4, 5)


def test_an_axis_of_channels_anywhere():
    values = RNG.random((4, 2, 5, 6))  # (z, c, y, x), as ImageJ has it
    layer = Image(values, scale=(3, 1, 2, 2.5), units=("mm", "pixel", "mm", "mm"))
    volume = layer_to_volume(layer, channel_axis=1)
    assert np.array_equal(volume.values, values.transpose(1, 0, 2, 3))
    assert volume.spacing == (3, 2, 2.5)
    assert volume.grid.units == "mm"
    axes = image_axes(layer, channel_axis=1)
    heatmap = heatmap_on(volume)
    derived = Layer.create(*heatmap_to_layer(heatmap, layer, axes=axes))
    # Wherever the channel slider stands the heatmap lies over its own voxels.
    assert derived.data.shape == values.shape
    assert np.array_equal(derived.data[:, 1], heatmap.values)
    assert np.allclose(derived.scale, layer.scale)
    assert np.array_equal(layer_to_heatmap(derived).values, heatmap.values)


def test_channels_in_front_leave_a_layer_in_space_alone():
    values = RNG.random((2, 4, 5, 6))
    layer = Image(values, scale=(1, 3, 2, 2.5), translate=(0, 7, 8, 9), rotate=np.eye(4))
    volume = layer_to_volume(layer, channel_axis=0)
    assert np.array_equal(volume.values, values)
    axes = image_axes(layer, channel_axis=0)
    mask = Layer.create(*mask_to_layer(np.ones((4, 5, 6), bool), layer, axes=axes))
    assert mask.data.shape == (4, 5, 6)
    assert np.allclose(mask.scale, (3, 2, 2.5))
    assert np.allclose(mask.translate, (7, 8, 9))


def test_time_needs_a_choice():
    values = RNG.random((3, 4, 5, 6))
    layer = Image(values, scale=(0.5, 3, 2, 2.5))
    with pytest.raises(nc.NapariCamError, match=r"3 time points; choose one \(0 to 2\)"):
        layer_to_volume(layer)
    assert np.array_equal(layer_to_volume(layer, time=2).values, values[2])
    with pytest.raises(nc.NapariCamError, match="choose one"):
        layer_to_volume(layer, time=3)
    heatmap = heatmap_on(layer_to_volume(layer, time=1))
    derived = Layer.create(*heatmap_to_layer(heatmap, layer))
    assert derived.data.shape == (4, 5, 6)
    assert np.allclose(derived.scale, (3, 2, 2.5))


def test_a_time_series_of_ours_keeps_its_source():
    first = nc.load_sample_volume()
    points = np.stack([first.values, first.values + 1])
    layer = Layer.create(*time_series_to_layer(points, first, "series"))
    assert tuple(layer.axis_labels) == ("t", "S", "P", "L")
    later = layer_to_volume(layer, time=1)
    assert later.grid is first.grid
    assert np.array_equal(later.values, points[1])


def test_lazy_data_stays_lazy():
    values = dask.array.random.random((6, 4, 5, 3), chunks=(1, 4, 5, 3))
    volume = layer_to_volume(Image(values), time=2)
    assert isinstance(volume.values, dask.array.Array)
    assert volume.values.shape == (4, 5, 3)
    two = layer_to_volume([Image(values[0], name="a"), Image(values[1], name="b")])
    assert isinstance(two.values, dask.array.Array)
    assert two.channel_names == ("a", "b")


def refuse(block_info=None):
    raise AssertionError("a level that was not asked for has been read")


def test_of_a_pyramid_one_level_is_taken_where_its_voxels_lie():
    middle = RNG.random((4, 6, 8)).astype(np.float32)
    finest = dask.array.map_blocks(refuse, chunks=((8,), (12,), (16,)), dtype=np.float32)
    levels = [finest, middle, middle[::2, ::2, ::2]]
    layer = Image(
        levels, multiscale=True, scale=(2, 1, 0.5), translate=(10, 20, 30), units="mm",
        contrast_limits=(0, 1),
    )  # fmt: skip
    volume = layer_to_volume(layer, max_voxels=500)
    assert volume.values is middle or np.shares_memory(volume.values, middle)
    assert volume.spacing == (4, 2, 1)
    # The first voxel of the level covers voxels 0 and 1 of the finest: its centre is at 0.5.
    assert np.allclose(volume.grid.world((0, 0, 0)), (30.25, 20.5, 11))
    heatmap = heatmap_on(volume)
    derived = Layer.create(*heatmap_to_layer(heatmap, layer))
    assert np.allclose(derived.scale, (4, 2, 1))
    assert np.allclose(derived.data_to_world((0, 0, 0)), (11, 20.5, 30.25))
    # Both ends of the image agree: its edges lie half a voxel beyond the centres.
    last = np.array(derived.data_to_world((3.5, 5.5, 7.5)))
    assert np.allclose(last, layer.data_to_world((7.5, 11.5, 15.5)))


def test_a_replaced_or_copied_layer_keeps_its_source():
    volume = nc.load_sample_volume()
    layer = Layer.create(*volume_to_layer(volume))
    data, attributes, kind = layer.as_layer_data_tuple()
    copy = Layer.create(data.copy(), attributes, kind)
    copied = layer_to_volume(copy)
    assert copied.grid is volume.grid
    assert copied.identity is volume.identity
    assert copied.values is copy.data or np.shares_memory(copied.values, copy.data)
    copy.data = copy.data[:5]  # cropped: another grid
    cropped = layer_to_volume(copy)
    assert cropped.shape == (5, 96, 128)
    assert cropped.spacing == pytest.approx((2, 0.5, 0.5))


def test_json_alone_keeps_the_true_grid():
    volume = nc.load_sample_volume()
    data, attributes, kind = volume_to_layer(volume)
    attributes["metadata"] = json.loads(json.dumps({FACTS: attributes["metadata"][FACTS]}))
    found = layer_to_volume(Layer.create(data, attributes, kind))
    assert np.array_equal(found.affine, volume.affine)
    assert found.orientation == "SPL"


@pytest.mark.parametrize("facts", [5, {"affine": [1]}, {"affine": "x", "shape": [1, 2, 3]}, {}])
def test_damaged_metadata_is_no_metadata(facts):
    layer = Image(RNG.random((3, 4, 5)), metadata={FACTS: facts, VOLUME: "no volume"})
    assert layer_to_volume(layer).shape == (3, 4, 5)
    assert not is_heatmap(layer)


@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        (np.zeros((2, 3, 4, 5, 6)), {}, "has 5 axes"),
        (np.zeros((3, 4)), {"channel_axis": 1}, "has 1 axes"),
        (np.zeros((3, 4, 5)), {"channel_axis": 3}, "cannot hold its channels"),
    ],
)
def test_what_is_no_volume_is_refused(data, kwargs, message):
    with pytest.raises(nc.NapariCamError, match=message):
        layer_to_volume(Image(data), **kwargs)


def test_channels_on_other_grids_are_refused():
    a, b = (
        Image(np.zeros((3, 4, 5)), name="a"),
        Image(np.zeros((3, 4, 5)), name="b", scale=(2,) * 3),
    )
    with pytest.raises(nc.NapariCamError, match=r"'b' lies on a grid of .* but 'a' on a grid of"):
        layer_to_volume([a, b])
    with pytest.raises(nc.NapariCamError, match="channels of its own"):
        layer_to_volume([Image(np.zeros((4, 5, 3), np.uint8), rgb=True), a])
    with pytest.raises(nc.NapariCamError, match="No layer"):
        layer_to_volume([])


def test_a_heatmap_comes_back_as_it_was():
    volume = nc.load_sample_volume()
    source = Layer.create(*volume_to_layer(volume, "fillet"))
    heatmap = heatmap_on(volume)
    layer = Layer.create(*heatmap_to_layer(heatmap, source, "gradcam"))
    assert is_heatmap(layer)
    assert is_derived(layer)
    assert layer.contrast_limits == [0, 1]
    assert layer.blending == "translucent"
    assert layer.metadata[VOLUME] is volume
    facts = json.loads(json.dumps(layer.metadata[FACTS], allow_nan=False))
    assert facts["model_sha256"] == "a" * 64
    assert facts["target_layers"] == ["layer4"]
    assert facts["source_layer"] == "fillet"
    assert facts["normalisation"] == {"normalize": "unit", "scale": "minmax"}
    back = layer_to_heatmap(layer)
    for name in ("values", "valid", "raw_min", "raw_max", "score", "class_index", "inside"):
        assert np.array_equal(getattr(back, name), getattr(heatmap, name)), name
    assert back.grid is volume.grid
    assert back.unit_axis == 0
    assert np.asarray(nc.binarize(back, nc.Fixed(0.5))["mask"]).sum() > 0


def test_a_heatmap_is_transparent_where_it_is_zero():
    volume = nc.Volume.from_array(np.zeros((3, 4, 5)))
    source = Layer.create(*volume_to_layer(volume))
    for name in ("inferno", "magma", "viridis", "turbo"):
        layer = Layer.create(*heatmap_to_layer(heatmap_on(volume), source, colormap=name))
        alpha = layer.colormap.map(np.linspace(0, 1, 11))[:, 3]
        assert alpha[0] == 0
        assert alpha[-1] > 0.7
        assert np.all(np.diff(alpha) >= 0)


def test_only_a_heatmap_of_ours_is_one():
    with pytest.raises(nc.NapariCamError, match="'scan' is no heatmap"):
        layer_to_heatmap(Image(np.zeros((3, 4, 5)), name="scan"))
    volume = nc.load_sample_volume()
    source = Layer.create(*volume_to_layer(volume))
    layer = Layer.create(*heatmap_to_layer(heatmap_on(volume), source, "map"))
    layer.data = layer.data[3:]
    with pytest.raises(nc.NapariCamError, match="'map' no longer fits"):
        layer_to_heatmap(layer)


def test_masks_are_labels_of_small_integers_on_a_copy():
    source = Image(np.zeros((3, 4, 5)))
    mask = RNG.random((3, 4, 5)) > 0.5
    facts = layer_provenance(None, source, "mask", {"rule": "otsu"}, seed=3)
    data, attributes, kind = mask_to_layer(mask, source, "mask", facts)
    layer = Labels(data, **attributes)
    assert kind == "labels"
    assert layer.data.dtype == np.uint8
    assert not np.shares_memory(layer.data, mask)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 2)
    assert layer.data[0, 0, 0] == 2
    assert layer.metadata[FACTS]["threshold"] == {"rule": "otsu"}
    assert layer.metadata[FACTS]["seed"] == 3
    many = mask_to_layer(np.full((3, 4, 5), 300), source)[0]
    assert many.dtype == np.uint16
    for wrong in (np.full((3, 4, 5), -1), np.zeros((3, 4, 5), np.float32)):
        with pytest.raises(nc.NapariCamError, match="whole numbers"):
            mask_to_layer(wrong, source)


def test_what_does_not_fit_the_layer_is_refused():
    source = Image(np.zeros((3, 4, 5)), name="scan")
    with pytest.raises(nc.NapariCamError, match=r"do not fit the layer 'scan' of shape \(3"):
        mask_to_layer(np.zeros((3, 4, 6), bool), source)
