"""Real DICOM series against the NIfTI files that another program made of them."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

import napari_cam as nc
from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume

pytestmark = pytest.mark.data

OPEN = {
    "failing/slicecount/001": {},  # two slices: too few for the other program, not for us
    "ge/anatomical/001_single_slice": {},
    "ge/fmri/001": {"axis4": "time"},
    "generic/anatomical/001": {},
    "generic/anatomical/002_non_isotropic": {},
    "generic/compressed/001": {},
    "generic/compressed_jpeg/001": {},
    "generic/compressed_jpegls/001": {},
    "generic/compressed_rle/001": {},
    "generic/rgb/001": {},
    "hitachi/anatomical/001": {},
    "philips_enhanced/anatomical/001": {},
    "siemens_multiframe/anatomical/001": {},
}
REFUSED = {
    "failing/gantrytilting/001": "from IM-0001-0001.dcm to IM-0001-0004.dcm are stacked askew",
    "failing/notavolume/001": "4 images lie at one place (001.dcm, 002.dcm, 003.dcm, ...)",
    "failing/sliceincrement/001": "missing between IM-0001-0009-0001.dcm and IM-0001-0010-0001",
    "failing/sliceincrement/002": "missing between IM-0001-0003.dcm and IM-0001-0005.dcm",
    "failing/sliceorientation/001": "2 sagittal slices of 288 x 288; 1: MR, 2 axial slices",
}


def test_every_series_is_spoken_of(shared_data: Path) -> None:
    root = shared_data / "dicom_geometry"
    series = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.dcm")}
    assert series == set(OPEN) | set(REFUSED)


def corners(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    index = np.array([(*each, 1) for each in product(*((0, n - 1) for n in shape))])
    return (index @ affine.T)[:, :3]


def answer(folder: Path, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the other program's values (x, y, z, channel) and affine."""
    image = nib.load(folder.with_name(f"{folder.name}_ground_truth.nii.gz"))
    values = np.asanyarray(image.dataobj)
    if values.dtype.names:
        values = np.stack([values[each] for each in "RGB"], axis=-1)
    elif values.ndim == 4:
        values = values[..., number : number + 1]
    else:
        values = values[..., None]
    return values.astype(float), image.affine


@pytest.mark.parametrize("name", OPEN)
def test_a_series_lies_where_its_answer_lies(shared_data: Path, name: str) -> None:
    folder = shared_data / "dicom_geometry" / name
    numbers = (0, 1) if OPEN[name] else (0,)
    for number in numbers:
        volume = read_volume(folder, **OPEN[name], time=number)
        values, affine = answer(folder, number)
        ours, theirs = corners(volume.shape, volume.affine), corners(values.shape[:3], affine)
        distances = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
        assert distances.min(axis=0).max() < 0.01
        assert distances.min(axis=1).max() < 0.01
        # Every voxel of theirs is the same in ours, wherever its index is.
        index = np.indices(values.shape[:3]).reshape(3, -1)
        world = affine[:3, :3] @ index + affine[:3, 3:]
        to_ours = np.linalg.inv(volume.affine)
        place = np.rint(to_ours[:3, :3] @ world + to_ours[:3, 3:]).astype(int)
        found = volume.channels_first()[:, place[0], place[1], place[2]]
        np.testing.assert_allclose(found.T, values.reshape(place.shape[1], -1), rtol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_volume_is_refused_by_name(shared_data: Path, name: str) -> None:
    folder = shared_data / "dicom_geometry" / name
    with pytest.raises(VolumeError) as caught:
        read_volume(folder)
    assert REFUSED[name] in str(caught.value)
    assert str(folder) in str(caught.value)


def test_the_choice_that_a_refusal_offers(shared_data: Path) -> None:
    failing = shared_data / "dicom_geometry" / "failing"
    assert read_volume(failing / "notavolume/001", axis4="time", time=2).shape == (1, 512, 512)
    stacks = [read_volume(failing / "sliceorientation/001", series=n) for n in (0, 1)]
    assert [stack.stack_axis for stack in stacks] == [2, 0]
    # Distances of the positions in the files.
    assert stacks[0].spacing[2] == pytest.approx(3.3, abs=1e-4)
    assert stacks[1].spacing[0] == pytest.approx(4.4, abs=1e-4)


@pytest.mark.parametrize("numbers", [(7, 7, 7, 7), (2, 4, 1, 3)])
def test_instance_numbers_and_names_change_nothing(
    shared_data: Path, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    folder = shared_data / "dicom_geometry/hitachi/anatomical/001"
    files = sorted(folder.iterdir())
    for number, file in zip(numbers, files, strict=True):
        dataset = pydicom.dcmread(file)
        dataset.InstanceNumber = number
        dataset.save_as(tmp_path / f"{(number * 7) % 5}{file.stem[::-1]}")
    original, changed = read_volume(folder), read_volume(tmp_path)
    np.testing.assert_array_equal(changed.values, original.values)
    assert changed.grid.same_as(original.grid, within=0)


def nrrd(path: Path) -> Volume:
    """Read the outline: a small header of text, then the voxels; directions are LPS."""
    header, content = path.read_bytes().split(b"\n\n", 1)
    fields = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    assert (fields["type"], fields["encoding"], fields["endian"]) == ("short", "gzip", "little")
    sizes = [int(n) for n in fields["sizes"].split()]
    vectors = [
        [float(n) for n in text.strip("()").split(",")]
        for text in (*fields["space directions"].split(), fields["space origin"])
    ]
    affine = np.eye(4)
    affine[:3] = np.diag([-1.0, -1, 1]) @ np.array(vectors).T
    values = np.frombuffer(gzip.decompress(content), "<i2").reshape(sizes, order="F")
    grid = nc.Grid(values.shape[::-1], affine[:, [2, 1, 0, 3]])
    return Volume(values.transpose(2, 1, 0), grid)


def test_the_outline_of_a_liver_lies_on_its_scan(shared_data: Path) -> None:
    folder = shared_data / "dicom_ct_liver"
    scan, outline = read_volume(folder), nrrd(folder / "liver_seg.nrrd")
    assert scan.grid.same_as(outline.grid, within=1e-4)
    assert scan.orientation == "SPL"
    liver = outline.values > 0
    assert 30 < np.median(scan.values[liver]) < 60  # Hounsfield units of a liver
    # Soft tissue, where the outline lies; air and bones, where its mirror image would.
    soft = np.abs(scan.values - 50.0) < 110
    assert soft[liver].mean() > 0.9
    assert soft[liver[:, :, ::-1]].mean() < 0.75
    assert soft[liver[:, ::-1]].mean() < 0.75
    assert any("segmentations (1)" in note for note in scan.notes)
    assert scan.windows[0].limits == (-160, 240)


def test_bones_are_white(shared_data: Path) -> None:
    path = shared_data / "dicom_misc" / "dx_image.dcm"
    volume = read_volume(path)
    stored = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(volume.values[0], 255 - stored.astype(int))
    picture = volume.values[0]
    spine, lung, air = picture[44:54, 90:165], picture[60:74, 90:150], picture[:12, 130:]
    assert spine.mean() > 130
    assert lung.mean() < 80
    assert air.mean() < 20
    assert volume.spacing == pytest.approx((1, 1.2, 1.2012), abs=1e-6)


def test_tiles_of_a_slide(shared_data: Path) -> None:
    path = shared_data / "dicom_misc" / "sm_image_jpegls.dcm"
    volume = read_volume(path)
    assert volume.values.shape == (3, 25, 10, 10)
    assert volume.orientation is None
    assert volume.values.dtype == np.uint8
    assert volume.values.min() > 150  # background of a bright-field slide
