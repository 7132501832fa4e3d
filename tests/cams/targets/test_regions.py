"""Pixel sets: what each region chooses, in hand-typed outputs and on the volume's grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.cams.targets.output_regions import Component, Everything, Predicted, Probability
from napari_cam.cams.targets.region_syntax import as_limit, as_region, parse_region
from napari_cam.cams.targets.regions import Box, Labelled, Painted, Point, Slice
from napari_cam.errors import PreparationError, TargetError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Crop, Orient, Resize, Slices

pytestmark = pytest.mark.quick

# The predicted labels of two images of 3 x 4 pixels.
FIRST = [[1, 1, 0, 1], [0, 0, 0, 1], [2, 0, 0, 1]]
SECOND = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def output(labels=(FIRST, SECOND), strength=2.0, classes=3):
    chosen = torch.tensor(labels)
    return torch.nn.functional.one_hot(chosen, classes).movedim(-1, 1).float() * strength


def chosen(region, class_id=1, within=None, maps=None):
    """Return the pixels that the gradient of the score reaches, through the class's own map."""
    maps = output() if maps is None else maps
    maps = maps.clone().requires_grad_()
    read = nc.RegionScore(class_id, region, within).read(maps)
    (gradient,) = torch.autograd.grad(read.scores.sum(), maps)
    assert read.pixels.tolist() == (gradient[:, class_id] != 0).flatten(1).sum(1).tolist()
    assert set(gradient[:, class_id].unique().tolist()) <= {0.0, 1.0}
    return gradient[:, class_id].int().tolist()


def only(*pixels):
    mask = np.zeros((3, 4), int)
    for pixel in pixels:
        mask[pixel] = 1
    return mask.tolist()


NOTHING = only()
PREDICTED = only((0, 0), (0, 1), (0, 3), (1, 3), (2, 3))


@pytest.mark.parametrize(
    ("region", "first", "second"),
    [
        ("all", np.ones((3, 4), int).tolist(), np.ones((3, 4), int).tolist()),
        ("predicted", PREDICTED, NOTHING),
        ("component", only((0, 3), (1, 3), (2, 3)), NOTHING),
        ("component:0,0", only((0, 0), (0, 1)), NOTHING),
        ("component:1,1", NOTHING, NOTHING),
        ("point:2,1", only((2, 1)), only((2, 1))),
        ("box:0:2,1:3", only((0, 1), (0, 2), (1, 1), (1, 2)), only((0, 1), (0, 2), (1, 1), (1, 2))),
        # softmax at strength 2: e^2 / (e^2 + 2) = 0.787 where it is predicted.
        ("p>0.78", PREDICTED, NOTHING),
        ("p>0.79", NOTHING, NOTHING),
        (np.array(SECOND, bool), NOTHING, NOTHING),
        (np.array([FIRST, SECOND]) == 2, only((2, 0)), NOTHING),
        (Labelled(np.array([FIRST, FIRST]), 2), only((2, 0)), only((2, 0))),
        (lambda logits: logits[:, 2] > 1, only((2, 0)), NOTHING),
    ],
)
def test_what_a_region_chooses(region, first, second):
    assert chosen(region) == [first, second]


def test_within_cuts_a_region():
    mask = np.zeros((3, 4), bool)
    mask[0] = True
    assert chosen("predicted", within=mask)[0] == only((0, 0), (0, 1), (0, 3))
    assert chosen("predicted", within="box:1:3,:")[0] == only((1, 3), (2, 3))
    # The largest component inside the limits is another one than without them.
    assert chosen("component", within=mask)[0] == only((0, 0), (0, 1))


def test_a_component_in_three_dimensions_joins_faces_not_corners():
    labels = np.zeros((1, 2, 3, 4), int)
    labels[0, 0, 0, 0] = labels[0, 1, 0, 0] = labels[0, 1, 1, 1] = 1
    found = np.array(chosen("component:0,0,0", maps=output(labels, classes=2)))
    assert np.argwhere(found[0]).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_scores_are_sums_and_again_means_over_the_first_set():
    read = nc.RegionScore(1).read(output())
    assert read.scores.tolist() == [10.0, 0.0]
    assert read.pixels.tolist() == [5, 0]
    changed = torch.arange(2 * 3 * 3 * 4, dtype=torch.float32).reshape(2, 3, 3, 4)
    # Class 1 of image j holds 36 j + 12 + (place); the places are 0, 1, 3, 7, 11.
    mean = 12 + (0 + 1 + 3 + 7 + 11) / 5
    again = read.again(changed, torch.tensor([0, 0]))
    assert again.tolist() == pytest.approx([mean, 36 + mean])
    assert read.again(changed[:1], torch.tensor([1])).tolist() == [0.0]


def test_one_output_map_is_binary():
    z = torch.tensor([[[[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]]])
    assert nc.RegionScore(1).read(z).scores.tolist() == [9.0]
    assert nc.RegionScore(0).read(z).scores.tolist() == [12.0]
    assert nc.RegionScore(0, "all").read(z).scores.tolist() == [3.0]
    sigmoid = 1 / (1 + np.exp(-np.array([1.0, 3.0, 5.0])))
    read = nc.RegionScore(1, score="probability").read(z)
    assert read.scores.tolist() == pytest.approx([sigmoid.sum()], rel=1e-6)
    assert nc.RegionScore(1, "p>0.9").read(z).pixels.tolist() == [2]


def test_the_predicted_class_is_the_largest_label_that_is_not_background():
    read = nc.RegionScore().read(output())
    assert read.class_index.tolist() == [1, 0]
    assert read.pixels.tolist() == [5, 12]


def test_regions_compare_by_what_they_hold():
    mask = np.array(FIRST) == 1
    assert nc.RegionScore(1, mask) == nc.RegionScore(1, mask.copy())
    assert hash(nc.RegionScore(1, mask)) == hash(nc.RegionScore(1, mask.copy()))
    assert nc.RegionScore(1, mask) != nc.RegionScore(1, ~mask)
    target = nc.RegionScore(1, mask)
    mask[:] = False
    assert target.region.values.sum() == 5  # what was given is kept, whatever becomes of it


@pytest.mark.parametrize(
    ("region", "label"),
    [
        ("predicted", "class 1"),
        ("all", "class 1 everywhere"),
        ("p > 0.25", "class 1 where p > 0.25"),
        ("component", "class 1 largest component"),
        (Point((1, 2, 3)), "class 1 at 1,2,3"),
        (Box(((None, 2), (1, 3))), "class 1 in box :2, 1:3"),
        (Labelled(np.zeros((2, 3), int), 4), "class 1 in label 4"),
        (Painted(np.zeros((2, 3), bool), "tumour core"), "class 1 in tumour core"),
    ],
)
def test_labels(region, label):
    assert nc.RegionScore(1, region).label == label
    assert nc.RegionScore(1, region, within=7).label in (
        f"{label}, in slice 7",
        f"{label} in slice 7",
    )


def test_texts():
    assert parse_region("all") == Everything()
    assert parse_region(" predicted") == Predicted()
    assert parse_region("p>.5") == Probability(0.5)
    assert parse_region("component:1,2,3") == Component((1, 2, 3))
    assert parse_region("point:1,2,3") == Point((1, 2, 3))
    assert parse_region("box:3,:5,2:") == Box(((3, 4), (None, 5), (2, None)))
    assert as_limit("4") == Slice(4)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("everything", "names no region; write all, predicted, p>0.5"),
        ("point:a,b", "names no region"),
        ("p>1.5", "at least 0 and below 1"),
        ("box:5:3,1:2", "ends after its beginning"),
        (3, "A region is all, predicted"),
        (np.zeros((3, 4)) + 0.5, "True and False"),
        (np.array([[0, 1, 2]]), "for one label of several"),
        (np.zeros(3, bool), "not of shape"),
    ],
)
def test_what_is_no_region(wanted, sentence):
    with pytest.raises(TargetError, match=sentence):
        as_region(wanted)


def test_what_limits_nothing():
    with pytest.raises(TargetError, match="within a slice"):
        nc.RegionScore(1, within="predicted")
    with pytest.raises(TargetError, match="one of logit"):
        nc.RegionScore(1, score="softmax")


def test_outputs_without_maps_and_masks_of_other_sizes():
    with pytest.raises(TargetError, match="for a classifier give a class"):
        nc.RegionScore(1).read(torch.zeros(2, 3))
    with pytest.raises(TargetError, match="no class 3; its 3 classes"):
        nc.RegionScore(3).read(output())
    with pytest.raises(TargetError, match=r"shape \(5, 4\) but the image \(3, 4\)"):
        nc.RegionScore(1, np.zeros((5, 4), bool)).read(output())
    with pytest.raises(TargetError, match="lies outside"):
        nc.RegionScore(1, "point:3,0").read(output())
    with pytest.raises(TargetError, match=r"returned shape \(3,\)"):
        nc.RegionScore(1, lambda logits: logits[0, :, 0, 0] > 0).read(output())


SHAPE = (4, 6, 8)


def prepared(*steps):
    volume = nc.Volume.from_array(np.zeros(SHAPE, np.float32))
    return Preparation((*steps, Channels("as_is"))).bind(volume)


@pytest.mark.parametrize("orientation", ["IPL", "RSA", "AIR"])
def test_a_point_is_where_its_voxel_is_seen(orientation):
    volume = nc.load_sample_volume()
    for steps in ((Orient(orientation), Slices("axial")), (Orient(orientation),)):
        seen = Preparation((*steps, Channels("as_is"))).bind(volume)
        for voxel in ((0, 0, 0), (21, 3, 100), (7, 95, 127), (11, 50, 2)):
            mask = np.zeros(volume.shape, bool)
            mask[voxel] = True
            unit, place = seen.locate(voxel)
            assert unit == (voxel[0] if len(steps) == 2 else 0)
            (image,) = seen.mask_batch(mask, [unit])
            pixel = [int(share * n) for share, n in zip(place, image.shape, strict=True)]
            assert np.argwhere(image).tolist() == [pixel]


def test_a_mask_and_a_point_reach_the_unit_they_lie_in():
    bound_to = prepared(Slices("acquisition"))
    mask = np.zeros(SHAPE, bool)
    mask[2, 1:3, 4] = True
    bound = nc.RegionScore(1, mask).on_units(bound_to, [3, 2])
    assert np.argwhere(bound.region).tolist() == [[1, 1, 4], [1, 2, 4]]
    read = (
        nc.RegionScore(1, Point((2, 5, 7))).on_units(bound_to, [3, 2]).read(torch.zeros(2, 2, 6, 8))
    )
    assert read.pixels.tolist() == [0, 1]


def test_a_point_is_found_at_the_outputs_own_size():
    bound_to = prepared(Slices("acquisition"), Resize((12, 4)))
    bound = nc.RegionScore(1, "point:2,5,3").on_units(bound_to, [2])
    maps = torch.zeros(1, 2, 6, 2, requires_grad=True)  # half the input's size
    (gradient,) = torch.autograd.grad(bound.read(maps).scores.sum(), maps)
    # Row 5 of 6 -> row 5 of 6; column 3 of 8, centre 3.5 / 8 -> column 0 of 2.
    assert gradient[0, 1].nonzero().tolist() == [[5, 0]]


def test_a_point_outside_a_crop_is_in_no_unit():
    bound_to = prepared(Slices("acquisition"), Crop((2, 2)))
    assert bound_to.locate((2, 0, 0)) is None
    assert bound_to.locate((2, 2, 3)) == (2, (0.25, 0.25))
    read = nc.RegionScore(1, "point:2,0,0").on_units(bound_to, [2]).read(torch.zeros(1, 2, 2, 2))
    assert read.pixels.tolist() == [0]


def test_a_volume_network_sees_the_whole_mask():
    bound_to = prepared()
    bound = nc.RegionScore(1, "box:1:3,2,0:8", within=2).on_units(bound_to, [0])
    read = bound.read(torch.zeros(1, 2, *SHAPE))
    assert read.pixels.tolist() == [8]
    assert nc.RegionScore(1, "point:3,5,7").on_units(bound_to, [0]).places.tolist() == [
        [3.5 / 4, 5.5 / 6, 7.5 / 8]
    ]


def test_regions_that_do_not_fit_the_volume():
    bound_to = prepared(Slices("acquisition"))
    for region, sentence in (
        ("point:4,0,0", "lies outside"),
        ("box:5:6,:,:", "lies outside"),
        (np.zeros((4, 6, 7), bool), "on the image's own grid"),
    ):
        with pytest.raises((TargetError, PreparationError), match=sentence):
            nc.RegionScore(1, region).on_units(bound_to, [0])
    with pytest.raises(TargetError, match="no slice 4"):
        nc.RegionScore(1, within=4).on_units(bound_to, [0])
