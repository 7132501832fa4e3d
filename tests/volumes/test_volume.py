from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.volume import Identity, Source, Volume

pytestmark = pytest.mark.quick

ARRAY = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def test_slices_and_stacks_get_a_z_axis_and_pixel_units() -> None:
    picture = Volume.from_array(ARRAY[0, 0])
    assert picture.values.shape == (1, 4, 5)
    assert (picture.grid.units, picture.spacing) == ("pixel", (1, 1, 1))
    assert picture.n_channels == 1
    stack = Volume.from_array(ARRAY[0], spacing=(3, 0.5, 0.25))
    assert (stack.grid.units, stack.spacing) == ("mm", (3, 0.5, 0.25))
    assert stack.channels_first().shape == (1, 3, 4, 5)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_channels_move_to_the_front(axis: int) -> None:
    volume = Volume.from_array(ARRAY, channel_axis=axis)
    np.testing.assert_array_equal(volume.values, np.moveaxis(ARRAY, axis, 0))
    assert volume.n_channels == ARRAY.shape[axis]
    assert volume.channel_names[:2] == ("channel 1", "channel 2")


def test_rgb_picture() -> None:
    names = ("red", "green", "blue")
    volume = Volume.from_array(ARRAY[0, :, :, :3], channel_axis=-1, channel_names=names)
    assert volume.values.shape == (3, 1, 3, 4)
    assert volume.values[2, 0, 1, 3] == ARRAY[0, 1, 3, 2]
    assert volume.channel_names == names


def test_other_byte_order_becomes_the_machines() -> None:
    volume = Volume.from_array(ARRAY[0].astype(">i4"))
    assert volume.values.dtype.isnative
    np.testing.assert_array_equal(volume.values, ARRAY[0])


@pytest.mark.parametrize(
    ("array", "options", "what"),
    [
        (ARRAY, {}, "4 spatial axes"),
        (ARRAY[0, 0, 0], {}, "1 spatial axes"),
        (ARRAY, {"channel_axis": 4}, "channel_axis 4"),
        (ARRAY[:, :0], {"channel_axis": 0}, "empty"),
        (ARRAY[0].astype(complex), {}, "complex128"),
        (np.array([["a", "b"]]), {}, "not real numbers"),
        (ARRAY[0], {"spacing": (1, 2)}, "3 numbers"),
        (ARRAY[0], {"spacing": (1, 0, 2)}, "positive"),
        (ARRAY[0], {"spacing": (1, np.nan, 2)}, "positive"),
        (ARRAY[0], {"spacing": ("a", 1, 2)}, "numbers in mm"),
        (ARRAY, {"channel_axis": 0, "channel_names": ("one",)}, "1 channel names"),
        (ARRAY[0], {"channel_names": ("one",)}, "1 channel names"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(
    array: np.ndarray, options: dict[str, object], what: str
) -> None:
    with pytest.raises(VolumeError, match=what):
        Volume.from_array(array, **options)  # type: ignore[arg-type]


def test_grid_and_stack_axis_must_fit() -> None:
    with pytest.raises(VolumeError, match="its grid"):
        Volume(ARRAY[0], Grid.plain((4, 3, 5)))
    with pytest.raises(VolumeError, match="stack_axis"):
        Volume(ARRAY[0], Grid.plain((3, 4, 5)), stack_axis=3)


def test_digest_names_the_voxels_alone() -> None:
    volume = Volume.from_array(ARRAY[0].astype(np.int16))
    expected = hashlib.sha256(b"<i2(3, 4, 5)" + ARRAY[0].astype("<i2").tobytes()).hexdigest()
    assert volume.sha256() == expected
    transposed = Volume.from_array(np.asfortranarray(ARRAY[0].astype(np.int16)), spacing=(1, 2, 3))
    assert transposed.sha256() == expected
    assert Volume.from_array(ARRAY[0, ::-1].astype(np.int16)).sha256() != expected


def test_identity_and_path_stay_out_of_texts() -> None:
    source = Source("nifti", "/data/jane_doe.nii", header=b"Jane Doe")
    volume = Volume(
        ARRAY[0], Grid.plain((3, 4, 5)), source=source, identity=Identity("Doe", "1.2.3")
    )
    assert "oe" not in repr(volume.source) + repr(volume.identity)


@pytest.mark.parametrize(
    ("array", "options", "sentence"),
    [
        ([[1, 2], [3]], {}, "A list cannot be taken as an image"),
        (np.ma.masked_array(np.ones((3, 4)), mask=True), {}, "fill it first"),
        (object(), {}, "not real numbers"),
        (ARRAY[0, 0], {"spacing": 0.5}, "spacing is 2 numbers in mm, not 0.5"),
        (ARRAY[0, 0], {"spacing": (1, 2, 3)}, "spacing is 2 numbers in mm"),
        (ARRAY[0], {"channel_axis": "x"}, "channel_axis 'x' does not exist"),
        (ARRAY[0], {"channel_axis": 1.5}, "channel_axis 1.5 does not exist"),
    ],
)
def test_what_is_no_image_is_a_sentence(array, options, sentence) -> None:
    with pytest.raises(VolumeError, match=sentence):
        Volume.from_array(array, **options)


def test_tensors_and_lists_are_arrays() -> None:
    for array in (torch.tensor([[1.5, 2], [3, 4]]), [[1.5, 2], [3, 4]]):
        volume = Volume.from_array(array)
        assert isinstance(volume.values, np.ndarray)
        assert volume.values.tolist() == [[[1.5, 2.0], [3.0, 4.0]]]
