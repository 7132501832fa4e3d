"""Where pixels go: orientations, slices, crops and resizes, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import (
    Channels,
    Contrast,
    Crop,
    Foreground,
    Orient,
    Pad,
    Rescale,
    Resize,
    Slices,
    Spacing,
    ZScore,
)
from napari_cam.volumes.volume import Volume

from .volumes import ORIENTATIONS, patient_volume, turned, twin

pytestmark = pytest.mark.quick

# (z, y, x) towards S, P, L; all sizes differ.
SCAN = np.random.default_rng(8).gamma(2, 90, (9, 14, 11)).astype(np.float32)

MOVES = [
    (),
    (Crop((6, 8)),),
    (Crop(6, start=(2, 3)),),
    (Pad((20, 33)),),
    (Pad(multiple_of=8, mode="edge"),),
    (Resize((31, 23)),),
    (Resize(5, mode="shorter"),),
    (Resize((13, 21), antialias=False),),
    (Spacing((0.6, 0.9)),),
    (Spacing((None, 0.2)),),
    (Pad((15, 17)), Crop((13, 12)), Resize((40, 29)), Crop((36, 25))),
]


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("letters", ORIENTATIONS)
def test_orient_is_nibabels(letters):
    volume = patient_volume(SCAN, "SPL")
    prepared = Preparation((Orient(letters),)).bind(volume)
    assert np.array_equal(prepared.batch([0])[0, 0], turned(SCAN, "SPL", letters))
    # and back: a map of the input's own resolution lands on the stored voxels
    assert np.array_equal(prepared.on_volume_grid(prepared.batch([0])[:, 0])[0], SCAN)


def test_radiological_views_of_ipl():
    # One voxel at the superior, anterior, right end of the patient.
    scan = np.zeros((3, 4, 5), dtype=np.float32)
    scan[2, 0, 0] = 1  # towards S, P, L: last z is superior, first y anterior, first x right
    volume = patient_volume(scan, "SPL")
    corners = {}
    for plane in ("axial", "coronal", "sagittal"):
        prepared = Preparation((Orient(), Slices(plane))).bind(volume)
        stack = prepared.batch(range(prepared.n_units))[:, 0]
        corners[plane] = (stack.shape, tuple(int(i) for i in np.argwhere(stack)[0]))
    # rows from anterior, columns from right: top left
    assert corners["axial"] == ((3, 4, 5), (2, 0, 0))
    # rows from superior, columns from right
    assert corners["coronal"] == ((4, 3, 5), (0, 0, 0))
    # rows from superior, columns from anterior
    assert corners["sagittal"] == ((5, 3, 4), (0, 0, 0))


@pytest.mark.parametrize("letters", ORIENTATIONS)
def test_a_twin_stored_otherwise_gives_the_same_numbers(letters):
    volume = patient_volume(SCAN, "SPL")
    other = twin(volume, letters)
    steps = (
        Orient("IPL"),
        Foreground("otsu"),
        ZScore(),
        Contrast("stretch"),
        Slices("acquisition"),
        Spacing((0.9, 0.8)),
        Rescale(1, 99),
        Contrast("clahe", tiles=2),
        Channels("replicate", count=3),
    )
    first, second = (Preparation(steps).bind(scan) for scan in (volume, other))
    assert second.unit_axis == [letter in "SI" for letter in letters].index(True)
    # The acquisition axis of SPL is z; slice k lies at k or, stored towards I, at 8 - k.
    indices = [2, 0, 7]
    there = [8 - k for k in indices] if "I" in letters else indices
    assert np.array_equal(first.batch(indices), second.batch(there))
    assert np.array_equal(turned(first.foreground, "SPL", letters), second.foreground)
    # maps land on the same anatomy
    maps = np.random.default_rng(1).random((3, 4, 5), dtype=np.float32)
    here, back = np.zeros(volume.shape), np.zeros(other.shape)
    first.place(first.on_volume_grid(maps), indices, here)
    second.place(second.on_volume_grid(maps), there, back)
    assert np.array_equal(turned(here, "SPL", letters), back)
    assert np.count_nonzero(here) == 3 * 14 * 11


@pytest.mark.parametrize("letters", ["RAS", "SAR", "LIP"])
def test_a_twin_gives_a_3d_network_the_same_numbers(letters):
    volume = patient_volume(np.stack([SCAN, SCAN[::-1]]), "SPL")
    steps = (Orient("RAI"), Foreground("kmeans", fill=0), ZScore(), Resize((7, 8, 12)))
    first, second = (Preparation(steps).bind(scan) for scan in (volume, twin(volume, letters)))
    assert np.array_equal(first.batch([0]), second.batch([0]))
    assert np.array_equal(turned(first.foreground, "SPL", letters), second.foreground)


@pytest.mark.parametrize("axis", [0, 1, 2, "acquisition", "axial", "coronal", "sagittal"])
@pytest.mark.parametrize("letters", ["SPL", "RAS", "AIR"])
def test_slices_lie_across_the_axis_asked_for(axis, letters):
    volume = patient_volume(SCAN, letters, stack_axis=1)
    prepared = Preparation((Slices(axis),)).bind(volume)
    pairs = {"axial": "IS", "coronal": "AP", "sagittal": "LR"}
    stored = 1 if axis == "acquisition" else axis
    if axis in pairs:
        stored = [letter in pairs[axis] for letter in letters].index(True)
    assert prepared.unit_axis == stored
    assert prepared.n_units == SCAN.shape[stored]
    assert np.array_equal(prepared.batch([3])[0, 0], SCAN.take(3, axis=stored))


def centroid(values: np.ndarray) -> np.ndarray:
    places = np.indices(values.shape).reshape(values.ndim, -1)
    return (places * values.ravel()).sum(axis=1) / values.sum()


@pytest.mark.parametrize("moves", MOVES, ids=lambda moves: "+".join(map(str, moves)) or "none")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("letters", ["SPL", "RAI", "ILA"])
def test_a_marked_voxel_comes_back(moves, axis, letters):
    scan = np.zeros((11, 12, 13), dtype=np.float32)
    marked = (5, 4, 6)
    scan[marked] = 1
    volume = patient_volume(scan, letters, spacing=(0.7, 0.5, 0.6))
    prepared = Preparation((Orient("IPL"), Slices(axis), *moves)).bind(volume)
    unit = marked[axis]
    place = [index for a, index in enumerate(marked) if a != axis]
    seen = prepared.batch([unit])[:, 0]
    back = prepared.on_volume_grid(seen)[0]
    assert back.shape == prepared.unit_shape == prepared.inside.shape
    assert np.abs(centroid(back * prepared.inside) - place).max() <= 0.5
    one_hot = (seen == seen.max()).astype(np.float32)
    one_hot = one_hot * (np.cumsum(one_hot).reshape(one_hot.shape) == 1)
    back = prepared.on_volume_grid(one_hot)[0]
    scales = [frame.scale for frame in prepared.unit_steps.frame.axes]
    if min(scales) >= 1:
        assert np.abs(centroid(back * prepared.inside) - place).max() <= 0.5
    assert prepared.inside[tuple(place)]
    whole = np.zeros_like(scan)
    prepared.place(back[None], [unit], whole)
    assert np.array_equal(whole.take(unit, axis=axis), back)
    assert np.count_nonzero(whole) == np.count_nonzero(back)


@pytest.mark.parametrize(
    "moves",
    [
        (Crop((5, 8, 7), start=(2, 3, 1)),),
        (Resize((12, 30, 19)),),
        (Pad((16, 17, 18)), Spacing((None, 0.5, 0.3))),
    ],
)
@pytest.mark.parametrize("letters", ["SPL", "RAI", "ILA"])
def test_a_marked_voxel_comes_back_from_a_3d_network(moves, letters):
    scan = np.zeros((8, 12, 11), dtype=np.float32)
    marked = (4, 6, 5)
    scan[marked] = 1
    volume = patient_volume(scan, letters, spacing=(0.7, 0.6, 0.5))
    prepared = Preparation((Orient("SPL"), *moves)).bind(volume)
    seen = prepared.batch([0])[:, 0]
    back = prepared.on_volume_grid((seen == seen.max()).astype(np.float32))
    assert np.abs(centroid(back[0]) - marked).max() <= 0.5
    out = np.zeros_like(scan)
    prepared.place(back, [0], out)
    assert np.array_equal(out, back[0])


def test_a_coarse_map_of_a_cropped_slice_by_hand():
    # Columns 2..5 of 8 go to the network; its map has two cells, each two columns wide.
    scan = np.zeros((1, 1, 8), dtype=np.float32)
    prepared = Preparation((Slices(), Crop((1, 4)))).bind(Volume.from_array(scan))
    assert prepared.inside.tolist() == [[False, False, True, True, True, True, False, False]]
    back = prepared.on_volume_grid(np.array([[[0, 4]]], dtype=np.float32))
    # cell centres at columns 2.5 and 4.5
    assert back[0, 0].tolist() == [0, 0, 0, 1, 3, 4, 4, 4]


def test_inside_of_a_crop_is_undone_with_the_orientation():
    volume = patient_volume(SCAN, "IAR")
    steps = (Orient("IPL"), Slices("axial"), Crop((3, 4), start=(1, 2)))
    prepared = Preparation(steps).bind(volume)
    expected = np.zeros((14, 11), dtype=bool)
    expected[10:13, 5:9] = True  # rows 1..3 and columns 2..5 counted from the other ends
    assert np.array_equal(prepared.inside, expected)
    stack = SCAN[4][expected].reshape(3, 4)
    assert np.array_equal(prepared.batch([4])[0, 0], stack[::-1, ::-1])


def test_what_was_cut_off_stays_unseen_after_a_pad():
    scan = np.ones((1, 6, 9), dtype=np.float32)
    prepared = Preparation((Slices(), Crop((4, 3)), Pad(12))).bind(Volume.from_array(scan))
    assert prepared.batch([0]).sum() == 12
    expected = np.zeros((6, 9), dtype=bool)
    expected[1:5, 3:6] = True
    assert np.array_equal(prepared.inside, expected)


def test_crop_and_pad_are_centred_by_hand():
    row = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 7)
    centred = Preparation((Slices(), Crop((1, 4)))).bind(Volume.from_array(row))
    assert centred.batch([0]).ravel().tolist() == [2, 3, 4, 5]  # (7 - 4) // 2 = 1
    for mode, expected in {
        "constant": [-1, 1, 2, 3, -1, -1],
        "edge": [1, 1, 2, 3, 3, 3],
        "reflect": [2, 1, 2, 3, 2, 1],
    }.items():
        pad = Pad((1, 6), mode=mode, value=-1)
        padded = Preparation((Slices(), pad)).bind(Volume.from_array(row[..., :3]))
        assert padded.batch([0]).ravel().tolist() == expected
        assert padded.inside.all()


@pytest.mark.parametrize(
    ("step", "shape"),
    [
        (Resize(20), (20, 20)),
        (Resize((20, 6)), (20, 6)),
        (Resize(22, mode="shorter"), (28, 22)),
        (Resize(20, mode="longer"), (20, 16)),  # 15.7
        (Resize(1, mode="longer"), (1, 1)),
        (Spacing((1.5, 1.0)), (7, 6)),  # 14 * .75 / 1.5 and 11 * .5 / 1.0 = 5.5, rounded up
        (Spacing((None, 100)), (14, 1)),
        (Pad(12), (14, 12)),
        (Pad(multiple_of=8), (16, 16)),
        (Pad(size=17, multiple_of=(2, 5)), (18, 20)),
        (Crop(7), (7, 7)),
    ],
    ids=str,
)
def test_sizes(step, shape):
    volume = patient_volume(SCAN, "SPL", spacing=(3.0, 0.75, 0.5))
    prepared = Preparation((Slices("axial"), step)).bind(volume)
    assert prepared.input_shape == (1, *shape)
    assert prepared.batch([0]).shape == (1, 1, *shape)


def test_spacing_follows_the_turned_axes():
    # Stored towards L, S, P with 0.5, 3 and 0.75 mm; a coronal slice has rows I and columns L.
    volume = patient_volume(SCAN, "LSP", spacing=(0.5, 3.0, 0.75))
    prepared = Preparation((Orient("IPL"), Slices("coronal"), Spacing((1.5, 1.5)))).bind(volume)
    assert prepared.unit_axis == 2
    assert prepared.input_shape == (1, 28, 3)


def test_spacing_after_a_resize_counts_from_the_new_voxel_size():
    volume = patient_volume(SCAN, "SPL", spacing=(3.0, 0.75, 0.5))
    steps = (Slices("axial"), Resize((28, 22)), Crop((20, 20)), Spacing((0.75, 0.5)))
    assert Preparation(steps).bind(volume).input_shape == (1, 10, 10)


def test_a_region_is_carried_like_the_image():
    volume = patient_volume(SCAN, "RAI")
    region = np.zeros(SCAN.shape, dtype=bool)
    region[2:6, 3:11, 4:9] = True
    marked = patient_volume(region.astype(np.float32), "RAI")
    moves = (Crop((8, 7)), Resize((24, 21)), Pad(32))
    preparation = Preparation((Orient("IPL"), Slices("sagittal"), *moves))
    carried = preparation.bind(volume).mask_batch(region, [3, 8])
    assert carried.shape == (2, 32, 32)
    assert np.array_equal(carried, preparation.bind(marked).batch([3, 8])[:, 0] >= 0.5)
    assert carried[0].any()
    assert not carried[1].any()
    whole = Preparation((Orient("IPL"),)).bind(volume).mask_batch(region, [0])
    assert np.array_equal(whole[0], turned(region, "RAI", "IPL"))
    with pytest.raises(PreparationError, match=r"mask has shape \(2, 2, 2\) but the image"):
        preparation.bind(volume).mask_batch(np.ones((2, 2, 2), bool), [0])


def test_statistics_follow_the_foreground_through_a_move():
    scan = np.zeros((1, 20, 26), dtype=np.float32)
    scan[0, 4:14, 6:20] = np.random.default_rng(0).uniform(5, 9, (10, 14))
    steps = (Slices(), Foreground("nonzero"), Crop((12, 16), start=(8, 4)), Rescale())
    result = Preparation(steps).bind(Volume.from_array(scan)).batch([0])[0, 0]
    window = scan[0, 8:20, 4:20]
    tissue = window[window > 0]
    expected = np.clip((window - tissue.min()) / (tissue.max() - tissue.min()), 0, 1)
    assert result == pytest.approx(expected, abs=1e-6)


def test_a_picture_without_a_patient_frame_is_taken_as_stored():
    prepared = Preparation((Orient("RAS"), Slices())).bind(Volume.from_array(SCAN))
    assert np.array_equal(prepared.batch([5])[0, 0], SCAN[5])
    assert prepared.notes == ("The image has no patient frame; it is taken as it is stored.",)


@pytest.mark.parametrize("letters", ORIENTATIONS[::7])
@pytest.mark.parametrize(
    "moves",
    [
        (),
        (Crop((6, 8)),),
        (Pad((20, 33)),),
        (Resize((31, 23), antialias=False),),
        (Crop((6, 8)), Resize((13, 21), antialias=False)),
    ],
)
def test_a_map_goes_where_the_image_goes(letters, moves):
    volume = patient_volume(SCAN, letters)
    prepared = Preparation((Orient("IPL"), Slices("axial"), *moves)).bind(volume)
    stored = np.asarray(volume.values)
    found, image = prepared.map_batch(stored, [2, 5]), prepared.batch([2, 5])[:, 0]
    if len(moves) == 2:  # half a pixel from its border a resized crop knows no neighbour
        found, image = found[:, 2:-2, 2:-2], image[:, 2:-2, 2:-2]
    assert found == pytest.approx(image, abs=1e-3)
    with pytest.raises(PreparationError, match="own grid"):
        prepared.map_batch(stored[1:], [0])
