"""The preparation as a whole: order, scopes, numbers, channels, raw arrays."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from napari_cam.errors import NapariCamError, PreparationError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import (
    Channels,
    Contrast,
    Crop,
    Divide,
    Foreground,
    Orient,
    Pad,
    Rescale,
    Resize,
    Slices,
    Spacing,
    Standardize,
    Threshold,
    Window,
    ZScore,
)
from napari_cam.volumes.volume import Volume

from .volumes import patient_volume

pytestmark = pytest.mark.quick

# Four slices of 2 x 3 pixels; slice 3 is blank.
STACK = np.array(
    [
        [[0, 2, 4], [6, 8, 10]],
        [[10, 10, 10], [10, 10, 20]],
        [[0, 1, 2], [3, 4, 5]],
        [[0, 0, 0], [0, 0, 0]],
    ],
    dtype=np.int16,
)


def bound(*steps, stack=STACK, **options):
    return Preparation(steps).bind(Volume.from_array(stack, **options))


def test_steps_before_slices_see_the_volume_and_steps_after_it_the_slice():
    whole = bound(Rescale(), Slices()).batch([1, 2])
    assert whole[:, 0].tolist() == np.float32([STACK[1] / 20, STACK[2] / 20]).tolist()
    each = bound(Slices(), Rescale()).batch([1, 2, 3])
    assert each[0, 0].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert each[1, 0].tolist() == np.float32(STACK[2] / 5).tolist()
    assert not each[2].any()  # blank, not NaN


def test_a_unit_does_not_depend_on_its_batch():
    steps = (Slices(), Foreground("nonzero"), ZScore(), Resize((7, 5)))
    prepared = bound(*steps)
    together = prepared.batch([3, 0, 2, 1])
    assert together.shape == (4, 1, 7, 5)
    assert together.dtype == np.float32
    assert together.flags.c_contiguous
    for place, index in enumerate([3, 0, 2, 1]):
        assert np.array_equal(prepared.batch([index])[0], together[place])
    assert prepared.batch([]).shape == (0, 1, 7, 5)


def test_statistics_come_from_the_foreground_and_zero_valued_tissue_counts():
    image = np.zeros((1, 5, 6), dtype=np.float32)
    image[0, 1:4, 1:5] = [[4, 6, 4, 6], [6, 0, 0, 6], [4, 6, 4, 6]]
    image[0, 1:4, 5] = 0
    prepared = bound(Slices(), Foreground("nonzero"), ZScore(), stack=image)
    tissue = image[0, 1:4, 1:5]  # the two enclosed zeros belong to it
    assert prepared.foreground is not None
    expected = np.zeros((5, 6), dtype=bool)
    expected[1:4, 1:5] = True
    assert np.array_equal(prepared.foreground[0], expected)
    result = prepared.batch([0])[0, 0]
    assert result[expected] == pytest.approx((tissue.ravel() - tissue.mean()) / tissue.std())
    assert result[0, 0] == pytest.approx(-tissue.mean() / tissue.std())


def test_fill_sets_the_outside_and_only_that():
    image = np.pad(np.full((1, 3, 4), 5.0), ((0, 0), (2, 1), (1, 2)))
    image[0, 3, 2] = 0  # tissue of value 0
    for order in (
        [Foreground("nonzero", fill=-3), Slices()],
        [Slices(), Foreground("nonzero", -3)],
    ):
        result = bound(*order, stack=image).batch([0])[0, 0]
        assert result[3, 2] == 0
        assert (result == -3).sum() == 6 * 7 - 12
        assert (result == 5).sum() == 11


def test_a_volume_foreground_is_one_mask_and_a_slice_foreground_one_per_slice():
    assert bound(Rescale(), Slices()).foreground is None
    for steps in ([Foreground("nonzero"), Slices(1)], [Slices(1), Foreground("nonzero")]):
        found = bound(*steps).foreground
        assert found.shape == (4, 2, 3)
        assert np.array_equal(found, STACK != 0)


def test_a_foreground_found_after_a_resize_comes_back_on_the_grid():
    image = np.zeros((2, 40, 60), dtype=np.float32)
    image[1, 10:24, 20:50] = 3
    prepared = bound(Slices(), Crop((36, 50)), Resize(100), Foreground("otsu"), stack=image)
    found = prepared.foreground
    assert not found[0].any()
    assert (found[1] ^ (image[1] > 0)).sum() <= 2 * (14 + 30)  # at most its outline


def test_later_statistics_are_taken_from_what_earlier_steps_leave():
    result = bound(Window(2, 6), Rescale(0, 50), Slices()).batch([0])[0, 0]
    # Window: 0 0 .5 1 1 1, six ones, 0 0 0 .25 .5 .75, six zeros; their median is 3/8.
    assert result[0].tolist() == [0, 0, 1]
    assert bound(Window(2, 6), Rescale(0, 50), Slices()).batch([2])[0, 0, 1, 0] == pytest.approx(
        0.25 / 0.375
    )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Divide(4), [[0, 0.5, 1], [1.5, 2, 2.5]]),
        (Window(2, 6), [[0, 0, 0.5], [1, 1, 1]]),
        (Threshold(6, low=1, high=255), [[1, 1, 1], [255, 255, 255]]),
        (Standardize((4,), (2,)), [[-2, -1, 0], [1, 2, 3]]),
        (Rescale(20, 80), [[0, 0, 1 / 3], [2 / 3, 1, 1]]),
        (Rescale(20, 80, clip=False), [[-1 / 3, 0, 1 / 3], [2 / 3, 1, 4 / 3]]),
        (ZScore(), (np.array([[0, 2, 4], [6, 8, 10]]) - 5) / np.sqrt(35 / 3)),
        (Contrast("stretch", 0, 100), [[0, 0.2, 0.4], [0.6, 0.8, 1]]),
        (Contrast("equalize"), [[0, 0.2, 0.4], [0.6, 0.8, 1]]),
    ],
    ids=str,
)
def test_numbers_by_hand(step, expected):
    assert bound(Slices(), step).batch([0])[0, 0] == pytest.approx(np.array(expected), abs=1e-6)


def test_the_grey_scale_chain_of_the_fillet_study():
    # Background out, slice by slice, one variant, ready for the network.
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, (2, 64, 56)).astype(np.uint16)
    image[:, 16:48, 14:42] = rng.integers(1000, 4096, (2, 32, 28))
    steps = (Slices(), Foreground("kmeans", fill=0), Contrast("clahe"), Channels("as_is", count=1))
    result = bound(*steps, stack=image).batch([0, 1])
    assert result.shape == (2, 1, 64, 56)
    assert not result[:, 0, :9].any()
    assert 0.3 < result[:, 0, 20:44, 18:38].mean() < 0.7


def test_integers_beyond_float32_keep_their_differences():
    stack = np.array([[[2**30, 2**30 + 1, 2**30 + 2]]], dtype=np.int32)
    assert bound(Slices(), Rescale(), stack=stack).batch([0]).ravel().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", ">i2", "<u4", "i8", "f2", ">f4", "f8", np.longdouble]
)
def test_every_number_type_is_taken(dtype):
    stack = (STACK % 2 if dtype == "bool" else STACK).astype(dtype)
    prepared = bound(Slices(), Divide(2), stack=stack)
    assert prepared.batch([2]).tolist() == [[(stack[2].astype(float) / 2).tolist()]]


def test_voxels_that_are_no_numbers_become_the_smallest_of_their_channel():
    stack = np.stack([STACK, 3 - STACK]).astype(np.float32)
    stack[0, 0, 0, 0] = np.nan
    stack[1, 0, 0, 1] = np.inf
    stack[1, 2, 0, 1] = -np.inf
    prepared = bound(Slices(), stack=stack, channel_axis=0)
    result = prepared.batch([0, 2])
    assert result[0, 0, 0, 0] == 0
    assert result[0, 1, 0, 1] == result[1, 1, 0, 1] == -17
    assert result[0, 0, 0, 1] == 2
    assert any("smallest finite value" in note for note in prepared.notes)
    assert np.isnan(prepared.volume.values[0, 0, 0, 0])  # the user's array is left alone
    clean = bound(Slices(), stack=STACK.astype(np.float32))
    assert clean.notes == ()


def test_an_image_without_any_number_is_refused():
    stack = np.full((2, 3, 4), np.nan)
    with pytest.raises(PreparationError, match="holds no finite number"):
        bound(Slices(), stack=stack)
    huge = bound(Slices(), Rescale(), stack=np.array([[[-1e300, 0, 1e300]]]))
    assert np.isfinite(huge.batch([0])).all()


def test_one_pixel_slices_are_allowed():
    prepared = bound(Rescale(), Slices(), Resize((3, 5)), stack=np.array([[[3]], [[4]]]))
    assert prepared.batch([0, 1]).reshape(2, -1).tolist() == [[0] * 15, [1] * 15]
    assert prepared.on_volume_grid(np.ones((1, 2, 2), np.float32)).tolist() == [[[1]]]


class Lazy:
    """Slices like an array and records how much is read at a time."""

    def __init__(self, values, reads=None):
        self.values, self.reads = values, [] if reads is None else reads
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key):
        return Lazy(self.values[key], self.reads)

    def transpose(self, *axes):
        return Lazy(self.values.transpose(*axes), self.reads)

    def __array__(self, dtype=None, copy=None):
        self.reads.append(self.values.size)
        return np.asarray(self.values, dtype)


def test_only_the_asked_for_slices_are_read():
    lazy = Lazy(STACK)
    prepared = bound(Slices(), Divide(2), stack=lazy)
    assert lazy.reads == []  # nothing asks for the volume's statistics
    assert np.array_equal(prepared.batch([2])[0, 0], STACK[2] / np.float32(2))
    assert lazy.reads == [6]
    lazy = Lazy(STACK.astype(np.float32))
    prepared = bound(Foreground("nonzero"), Rescale(), ZScore(), Slices(), stack=lazy)
    assert lazy.reads == [24]  # once, for everything
    prepared.batch([0, 3])
    assert lazy.reads == [24, 12]


def test_a_slice_that_does_not_exist_is_refused():
    prepared = bound(Slices())
    for index in (4, -1):
        with pytest.raises(PreparationError, match=f"no slice {index}; the image has 4"):
            prepared.batch([index])
    with pytest.raises(PreparationError, match="no unit 1; the image has 1"):
        bound(Rescale()).batch([1])


# ---------------------------------------------------------------------------- channels


def rgb(channels=3):
    values = np.arange(channels * 2 * 5 * 7).reshape(channels, 2, 5, 7)
    return values.astype(np.uint8)


def test_one_channel_is_repeated_with_a_note():
    prepared = bound(Slices(), Channels("replicate", count=3))
    assert prepared.input_shape == (3, 2, 3)
    result = prepared.batch([2])[0]
    assert all(np.array_equal(channel, STACK[2]) for channel in result)
    assert prepared.notes == ("The image's one channel is repeated to 3.",)


def test_matching_channels_pass_through_replicate():
    prepared = bound(Slices(), Channels("replicate", count=3), stack=rgb(), channel_axis=0)
    assert np.array_equal(prepared.batch([1])[0], rgb()[:, 1])
    assert prepared.notes == ()


def test_channels_are_selected_in_order_and_averaged():
    select = bound(Slices(), Channels("select", indices=(2, 0)), stack=rgb(), channel_axis=0)
    assert np.array_equal(select.batch([1])[0], rgb()[[2, 0], 1])
    assert "channels 2, 0 (from 0) of the image's 3" in select.notes[0]
    mean = bound(Slices(), Channels("mean"), stack=rgb(), channel_axis=0)
    assert np.array_equal(mean.batch([1])[0, 0], rgb()[1, 1])  # the middle of an even ramp
    assert "averaged" in mean.notes[0]


def test_one_modality_is_selected_and_repeated():
    # As the ensemble study fed FLAIR alone to networks of three channels.
    steps = (Slices(), Channels("select", indices=(1,)), Channels("replicate", count=3))
    result = bound(*steps, stack=rgb(4), channel_axis=0).batch([0])[0]
    assert result.shape == (3, 5, 7)
    assert all(np.array_equal(channel, rgb(4)[1, 0]) for channel in result)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (Channels("replicate", count=3), "network takes 3 channels, made from 1, but .* has 4"),
        (Channels("as_is", count=5), "network takes 5 channels but the image has 4"),
        (Channels("select", indices=(0, 4)), "takes channel 4 .* but the image has 4"),
        (Standardize((0, 0, 0), (1, 1, 1)), "'standardize': .* 3 channels but the image has 4"),
    ],
)
def test_channels_that_do_not_fit_are_refused(step, sentence):
    for steps in ([step, Slices()], [Slices(), step]):
        with pytest.raises(PreparationError, match=sentence):
            bound(*steps, stack=rgb(4), channel_axis=0)


def test_scaling_each_channel_or_all_together():
    stack = np.array([[[[0, 10]]], [[[20, 40]]]], dtype=np.float32)
    each = bound(Rescale(), Slices(), stack=stack, channel_axis=0).batch([0])
    assert each.ravel().tolist() == [0, 1, 0, 1]
    joint = bound(Rescale(per_channel=False), Slices(), stack=stack, channel_axis=0).batch([0])
    assert joint.ravel().tolist() == [0, 0.25, 0.5, 1]


# ------------------------------------------------------------------------------- order


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ((Resize(5), Slices()), "'resize' works on one slice .* after the step 'slices'"),
        ((Spacing((1, 1)), Slices()), "'spacing' works on one slice"),
        ((Crop(5), Slices()), "'crop' works on one slice"),
        ((Pad(5), Slices()), "'pad' works on one slice"),
        ((Contrast("clahe"), Slices()), "'contrast' works on one slice"),
        ((Rescale(), Orient(), Slices()), "'orient' must come first"),
        ((Slices(), Orient()), "'orient' must come first"),
        ((Orient(), Orient()), "'orient' twice"),
        ((Slices(), Slices(1)), "'slices' twice"),
        ((Foreground(), Slices(), Foreground()), "'foreground' twice"),
        ((Slices(), Resize((4, 5, 6))), "needs 2 numbers .* 2D"),
        ((Resize((4, 5)),), "needs 3 numbers .* 3D"),
        ((Slices(), "resize"), "not 'resize'"),
    ],
)
def test_steps_that_contradict_each_other_are_refused(steps, sentence):
    with pytest.raises(PreparationError, match=sentence):
        Preparation(steps)


def test_pointwise_contrast_may_see_the_volume():
    result = bound(Contrast("equalize"), Slices()).batch([1])[0, 0]
    values = np.sort(STACK.ravel())
    rank = (values <= 10).sum() - (values == 0).sum()
    assert result[0, 0] == pytest.approx(rank / (values > 0).sum())


def test_what_a_volume_cannot_give_is_refused():
    with pytest.raises(PreparationError, match="states no voxel size in mm"):
        bound(Slices(), Spacing((1, 1)))
    with pytest.raises(PreparationError, match=r"window of \(2, 4\) .* not fit .*\(2, 3\)"):
        bound(Slices(), Crop((2, 4)))
    with pytest.raises(PreparationError, match="does not fit"):
        bound(Slices(), Crop(2, start=(1, 0)))
    for plane in ("axial", "coronal", "sagittal"):
        with pytest.raises(PreparationError, match=f"no patient frame and thus no {plane} slices"):
            bound(Slices(plane))
    with pytest.raises(NapariCamError, match="complex"):
        Preparation((Slices(),)).bind(patient_volume(np.ones((2, 3, 4), complex)))


def test_the_list_of_steps_survives_json():
    preparation = Preparation.imagenet(size=(160, 128), divide_by=255)
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert again == preparation
    for bad in ({"step": "slices"}, "slices", None, 3):
        with pytest.raises(PreparationError, match="a list of steps"):
            Preparation.from_json(bad)


# ----------------------------------------------------------------------- ready-made ones


def test_default_of_a_2d_network():
    preparation = Preparation.default(2, 3)
    assert [step.name for step in preparation.steps] == ["orient", "rescale", "slices", "channels"]
    prepared = preparation.bind(Volume.from_array(STACK))
    assert prepared.input_shape == (3, 2, 3)
    assert prepared.batch([1])[0, 2].tolist() == np.float32(STACK[1] / 20).tolist()
    assert "no patient frame" in prepared.notes[0]


def test_default_of_a_3d_network():
    preparation = Preparation.default(3, 1)
    assert preparation.spatial_ndim == 3
    prepared = preparation.bind(Volume.from_array(STACK))
    assert prepared.unit_axis is None
    assert prepared.n_units == 1
    assert prepared.input_shape == (1, 4, 2, 3)
    assert prepared.batch([0])[0, 0].tolist() == np.float32(STACK / 20).tolist()
    with pytest.raises(PreparationError, match="2D or 3D"):
        Preparation.default(4, 1)


def test_imagenet_numbers_and_whole_picture():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    volume = Volume.from_array(picture, channel_axis=-1)
    prepared = Preparation.imagenet(divide_by=255).bind(volume)
    assert prepared.input_shape == (3, 224, 224)
    assert prepared.inside.all()  # nothing is cropped away
    as_is = Preparation.imagenet(size=None, divide_by=255).bind(volume).batch([0])[0]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (picture / 255 - mean) / std
    assert np.abs(as_is - expected.transpose(2, 0, 1)).max() < 1e-5
    stretched = Preparation.imagenet(size=None).bind(Volume.from_array(STACK)).batch([1])[0]
    assert stretched[:, 1, 2] == pytest.approx((1 - mean) / std)


def test_imagenet_resize_is_torchvisions():
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional")
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(1).normal(size=(1, 1, 301, 237)).astype(np.float32)
    result = Preparation((Slices(), Resize((224, 260)))).apply_units(image)
    # In float64, as torch places its samples less exactly in float32 than we do.
    exact = torchvision.resize(torch.from_numpy(image).double(), [224, 260], antialias=True)
    assert np.abs(result - exact.numpy()).max() < 1e-5


# ---------------------------------------------------------------------------- raw arrays


def test_training_arrays_are_prepared_exactly_as_volumes_are():
    stack = np.random.default_rng(4).gamma(2, 50, (2, 6, 33, 41)).astype(np.float32)
    steps = (
        Slices(),
        Foreground("otsu"),
        Rescale(1, 99),
        Pad(multiple_of=16, mode="edge"),
        Resize(30, mode="shorter"),
        Contrast("clahe"),
        Channels("select", indices=(1, 0, 1)),
        Standardize((0.5, 0.4, 0.3), (1, 2, 3)),
    )
    prepared = bound(*steps, stack=stack, channel_axis=0)
    images = stack.transpose(1, 0, 2, 3)
    result = Preparation(steps).apply_units(images)
    assert result.flags.c_contiguous
    assert np.array_equal(result, prepared.batch(range(6)))


def test_whole_volumes_for_training_a_3d_network():
    stack = np.random.default_rng(4).normal(size=(2, 1, 6, 9, 8)).astype(np.float32)
    preparation = Preparation((Orient(), Spacing((2, None, 1)), Rescale()))
    result = preparation.apply_units(stack, spacing=(1.0, 1.0, 0.5))
    assert result.shape == (2, 1, 3, 9, 4)
    volume = Volume.from_array(stack[1, 0], spacing=(1.0, 1.0, 0.5))
    assert np.array_equal(result[1], preparation.bind(volume).batch([0])[0])


def test_arrays_that_are_no_units_are_refused():
    preparation = Preparation((Slices(), Rescale()))
    for shape in ((3, 4, 5), (2, 1, 3, 4, 5), (0, 1, 4, 5)):
        with pytest.raises(PreparationError, match=r"takes units \(n, c, h, w\)"):
            preparation.apply_units(np.ones(shape))
    with pytest.raises(PreparationError, match="NaN or infinite"):
        preparation.apply_units(np.full((1, 1, 2, 2), np.inf))
    with pytest.raises(PreparationError, match="3D network takes units"):
        Preparation(()).apply_units(np.ones((1, 1, 2, 2)))


@pytest.mark.parametrize(
    ("steps", "shape"),
    [
        ((Rescale(), Slices()), (1, 2, 3)),
        ((Slices(1),), (1, 4, 3)),
        ((Slices(), Resize((7, 5))), (1, 7, 5)),
        ((Slices(), Pad((6, 8))), (1, 6, 8)),
        ((Rescale(),), (1, 4, 2, 3)),
    ],
)
def test_the_input_shape_is_known_without_reading_a_voxel(steps, shape):
    class Unread:
        shape, ndim, dtype = STACK.shape, 3, STACK.dtype

        def __getitem__(self, _key):
            raise AssertionError("a voxel was read")

    volume = Volume.from_array(STACK)
    assert Preparation(steps).bind(volume).input_shape == shape
    unread = copy.copy(volume)
    object.__setattr__(unread, "values", Unread())
    assert Preparation(steps).input_shape(unread) == shape
