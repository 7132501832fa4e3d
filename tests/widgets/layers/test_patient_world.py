"""Where layers lie, against nibabel's own reading of the same files."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from napari.layers import Image, Layer
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

import napari_cam as nc
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import (
    layer_to_volume,
    volume_to_layer,
    volume_to_layers,
)
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.placement import grid_of_world, oblique_degrees
from tests.widgets.heatmaps import heatmap_on

SHAPE = (4, 5, 7)  # stored (i, j, k); no two alike
SIZES = np.diag([2.0, 0.5, 3.0, 1.0])
CODES = [
    "".join(letters) for order in permutations(("RL", "AP", "SI")) for letters in product(*order)
]


def stored_affine(codes: str) -> np.ndarray:
    """Affine of a file whose axes run along `codes`, with sizes 2, 0.5, 3 and an odd origin."""
    flip = ornt_transform(axcodes2ornt(codes), axcodes2ornt("RAS"))
    # Directions of the axes times their sizes; the origin is the same for all.
    turned = np.linalg.inv(inv_ornt_aff(flip, SHAPE))
    affine = np.eye(4)
    affine[:3, :3] = turned[:3, :3] @ SIZES[:3, :3]
    affine[:3, 3] = (11.0, -23.0, 40.5)
    return affine


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.deg2rad(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned = np.eye(4)
    turned[:3, :3] = x @ y @ z
    return turned


def save(path, affine: np.ndarray, shape=SHAPE):
    """Write a file in which every voxel has a value of its own; return the values."""
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return values


def as_spl(ras: np.ndarray) -> np.ndarray:
    """(R, A, S) -> (S, P, L), typed by hand."""
    return np.stack([ras[..., 2], -ras[..., 1], -ras[..., 0]], axis=-1)


def test_there_are_48_orientations():
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("codes", CODES)
def test_every_corner_lies_where_nibabel_puts_it(codes, tmp_path):
    values = save(tmp_path / "v.nii", stored_affine(codes))
    loaded = nibabel.load(tmp_path / "v.nii")
    assert "".join(nibabel.aff2axcodes(loaded.affine)) == codes
    layer = Layer.create(*volume_to_layer(nc.read_volume(tmp_path / "v.nii")))
    for corner in product(*[(0, n - 1) for n in SHAPE]):
        place = tuple(np.argwhere(layer.data == values[corner])[0])
        ras = nibabel.affines.apply_affine(loaded.affine, corner)
        assert np.allclose(layer.data_to_world(place), as_spl(ras), atol=1e-4)
    assert tuple(layer.axis_labels) == ("S", "P", "L")
    assert {str(unit) for unit in layer.units} == {"millimeter"}


@pytest.mark.parametrize("codes", ["RAS", "LPS", "AIR", "SLP"])
def test_oblique_shows_sizes_about_the_true_centre_and_keeps_the_affine(codes, tmp_path):
    affine = rotation((12, -7, 20)) @ stored_affine(codes)
    save(tmp_path / "v.nii", affine)
    loaded = nibabel.load(tmp_path / "v.nii")
    volume = nc.read_volume(tmp_path / "v.nii")
    layer = Layer.create(*volume_to_layer(volume))
    middle = (np.array(SHAPE) - 1) / 2
    expected = as_spl(nibabel.affines.apply_affine(loaded.affine, middle))
    shown = layer.data_to_world(tuple((np.array(volume.shape) - 1) / 2))
    assert np.allclose(shown, expected, atol=1e-4)
    assert np.allclose(np.abs(layer.scale), volume.spacing, rtol=1e-6)
    assert np.array_equal(layer.rotate, np.eye(3))
    assert np.allclose(layer.metadata[FACTS]["affine"], volume.affine)
    assert layer.metadata[FACTS]["oblique_degrees"] == pytest.approx(
        np.rad2deg(nibabel.affines.obliquity(loaded.affine)).max(), abs=1e-3
    )
    mask = Layer.create(*mask_to_layer(np.asarray(volume.values) > 30, layer))
    assert layer_to_volume(mask).grid is volume.grid


def test_a_straight_volume_is_not_called_oblique(tmp_path):
    save(tmp_path / "v.nii", stored_affine("LPS"))
    assert oblique_degrees(nc.read_volume(tmp_path / "v.nii").grid) == 0


def test_a_mark_of_one_patient_lies_at_one_place_in_two_scans(tmp_path):
    # Two scans of other orientation, voxel size and field of view; the mark is at (R, A, S) below.
    mark = np.array([5.0, -8.0, 21.0, 1.0])
    places = []
    for codes, shape, size, index in (
        ("RAS", (12, 14, 9), (1.0, 2.0, 3.0), (7, 5, 4)),
        ("PSL", (20, 8, 11), (0.5, 1.5, 1.25), (13, 6, 2)),
    ):
        affine = stored_affine(codes)
        affine[:3, :3] = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) * size
        affine[:3, 3] = mark[:3] - affine[:3, :3] @ index
        values = np.zeros(shape, np.uint8)
        values[index] = 200
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / f"{codes}.nii")
        layer = Layer.create(*volume_to_layer(nc.read_volume(tmp_path / f"{codes}.nii")))
        places.append(layer.data_to_world(tuple(np.argwhere(layer.data == 200)[0])))
    assert np.allclose(places, [21.0, 8.0, -5.0], atol=1e-4)


def test_what_the_layer_says_itself_gives_the_same_grid(tmp_path):
    # Without metadata (a layer of other origin in the patient's world) nothing moves.
    save(tmp_path / "v.nii", stored_affine("LIP"))
    volume = nc.read_volume(tmp_path / "v.nii")
    data, attributes, _ = volume_to_layer(volume)
    attributes.pop("metadata")
    found = layer_to_volume(Image(data, **attributes))
    assert found.orientation == volume.orientation
    assert np.allclose(found.affine, volume.affine, atol=1e-5)


def test_a_moved_layer_is_where_it_was_moved(tmp_path):
    save(tmp_path / "v.nii", stored_affine("RAS"))
    volume = nc.read_volume(tmp_path / "v.nii")
    layer = Layer.create(*volume_to_layer(volume))
    assert layer_to_volume(layer) is volume
    layer.translate = np.add(layer.translate, (0, 0, 10))  # 10 mm to the patient's left
    moved = layer_to_volume(layer)
    assert moved.source.header is None
    assert np.allclose(moved.grid.world((0, 0, 0)), volume.grid.world((0, 0, 0)) - (10, 0, 0))


@pytest.mark.parametrize(("unit", "mm"), [("um", 0.001), ("cm", 10.0), ("mm", 1.0)])
def test_units_of_length_become_millimetres(unit, mm):
    layer = Image(np.zeros((3, 4, 5)), scale=(4, 2, 3), units=unit, translate=(1, 2, 3))
    volume = layer_to_volume(layer)
    assert volume.grid.units == "mm"
    assert np.allclose(volume.spacing, np.array([4, 2, 3]) * mm)
    assert np.allclose(volume.grid.world((0, 0, 0)), np.array([3, 2, 1]) * mm)  # (x, y, z)
    assert volume.orientation is None


def test_pixels_stay_pixels():
    volume = layer_to_volume(Image(np.zeros((3, 4, 5)), scale=(4, 2, 3)))
    assert volume.grid.units == "pixel"
    assert volume.spacing == (4, 2, 3)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_the_grid_of_any_transform_is_the_layers_own():
    rng = np.random.default_rng(4)
    layer = Image(
        np.zeros((3, 4, 5)), scale=(4, 2, 3), rotate=(10, 20, 30), shear=(0.1, 0.2, 0.3),
        translate=(7, 8, 9), affine=np.block([[np.eye(3), np.ones((3, 1))], [0, 0, 0, 1]]),
    )  # fmt: skip
    grid = layer_to_volume(layer).grid
    for index in rng.uniform(0, 3, (5, 3)):
        assert np.allclose(grid.world(index)[::-1], layer.data_to_world(index))


def test_a_transform_of_no_size_is_refused():
    flat = np.eye(4)
    flat[1, 1] = 0
    with pytest.raises(nc.NapariCamError, match="singular"):
        grid_of_world(flat, (3, 4, 5), ("mm",) * 3, patient=False)


TRANSFORMS = [
    {"scale": (4, 0.5, 2)},
    {"scale": (4, -0.5, 2), "translate": (7, -8, 9), "units": ("mm", "um", "mm")},
    {"rotate": (20, 10, -5), "scale": (3, 1, 2), "axis_labels": ("a", "b", "c")},
    {"shear": (0.1, 0.3, -0.2), "translate": (1, 2, 3)},
    {"affine": np.array([[0.9, 0.2, 0, 5], [-0.2, 0.9, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1.0]])},
]


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_derived_layers_lie_over_their_source(transform):
    source = Image(np.random.default_rng(1).random((3, 4, 5)), metadata={"mine": 1}, **transform)
    volume = layer_to_volume(source)
    derived = [
        Layer.create(*heatmap_to_layer(heatmap_on(volume), source)),
        Layer.create(*mask_to_layer(np.asarray(volume.values) > 0.5, source)),
    ]
    for layer in derived:
        for name in ("scale", "translate", "rotate", "shear"):
            assert np.allclose(getattr(layer, name), getattr(source, name)), name
        assert np.allclose(layer.affine.affine_matrix, source.affine.affine_matrix)
        assert layer.units == source.units
        assert layer.axis_labels == source.axis_labels
        assert layer.metadata["mine"] == 1
        assert layer_to_volume(layer).grid.same_as(volume.grid, within=1e-4)


def test_channels_lie_together(tmp_path):
    values = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    volume = nc.Volume.from_array(values, spacing=(3.0, 2.0, 1.0), channel_axis=0)
    layers = [Layer.create(*each) for each in volume_to_layers(volume, "scan")]
    assert [layer.name for layer in layers] == ["scan (channel 1)", "scan (channel 2)"]
    assert all(np.array_equal(layer.scale, (3, 2, 1)) for layer in layers)
    assert layer_to_volume(layers) is volume
    assert np.array_equal(layer_to_volume(layers[1]).values, values[1])
    swapped = layer_to_volume(layers[::-1])
    assert np.array_equal(swapped.values, values[::-1])
    assert swapped.channel_names == ("scan (channel 2)", "scan (channel 1)")
    with pytest.raises(nc.NapariCamError, match="one layer each"):
        volume_to_layer(volume)
