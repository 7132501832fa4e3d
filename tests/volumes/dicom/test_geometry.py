"""Where DICOM slices lie: every voxel's value says where it is, by the standard's own formula."""

from __future__ import annotations

import shutil
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_cam as nc
from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume
from tests.volumes.dicom.dicoms import (
    AXIAL,
    add_pixels,
    code,
    coded_slice,
    enhanced,
    header,
    save,
    write,
    write_stack,
)

pytestmark = pytest.mark.quick

LETTERS = "RLAPSI"  # DICOM's +x is left, +y posterior, +z superior
ALIGNED = [
    tuple(np.ravel([np.eye(3)[a] * sign_a, np.eye(3)[b] * sign_b]))
    for a, b in permutations(range(3), 2)
    for sign_a, sign_b in product((1.0, -1.0), repeat=2)
]


def assert_every_voxel_lies_where_it_says(volume: Volume, tolerance: float = 1) -> None:
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    np.testing.assert_allclose(volume.values, code(volume.grid.world(index)), atol=tolerance)


def letter(direction: np.ndarray) -> str:
    axis = int(np.abs(direction).argmax())
    return ("LPS" if direction[axis] > 0 else "RAI")[axis]


@pytest.mark.parametrize("orientation", ALIGNED)
def test_all_orientations(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    assert len(ALIGNED) == 24
    write_stack(tmp_path, orientation=orientation)
    volume = read_volume(tmp_path)
    assert_every_voxel_lies_where_it_says(volume)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    directions = [np.cross(row, column), column, row]  # along slices, rows, columns
    sizes, n = (2.5, 0.5, 0.75), (4, 5, 7)
    # z is superior-inferior, y anterior-posterior, x left-right, and nothing is flipped.
    for axis, world in enumerate((2, 1, 0)):
        stored = next(k for k, each in enumerate(directions) if abs(each[world]) > 0.5)
        assert volume.shape[axis] == n[stored]
        assert volume.spacing[axis] == pytest.approx(sizes[stored])
        assert (volume.orientation or "")[axis] == letter(directions[stored])
        assert (volume.stack_axis == axis) == (stored == 0)
    assert volume.notes == ()
    assert volume.source.format == "dicom"


def test_oblique_slices(tmp_path: Path) -> None:
    a, b = np.deg2rad([25.0, -14.0])
    turn_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    turn_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    turn = np.array(turn_z) @ turn_x
    orientation = tuple(turn[:, 0]) + tuple(turn[:, 1])
    write_stack(tmp_path, n_slices=6, orientation=orientation)
    volume = read_volume(tmp_path)
    assert_every_voxel_lies_where_it_says(volume)
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.75), rel=1e-6)
    np.testing.assert_allclose(volume.affine[:3, 0], 2.5 * turn[:, 2] * [-1, -1, 1], atol=1e-6)


def test_neither_names_nor_numbers_nor_thickness_decide(tmp_path: Path) -> None:
    paths = write_stack(tmp_path / "a", n_slices=5, SliceThickness=9, SpacingBetweenSlices=7)
    straight = read_volume(tmp_path / "a")
    assert_every_voxel_lies_where_it_says(straight)
    assert straight.spacing[0] == pytest.approx(2.5)
    numbers = [4, 4, 17, 1, 17]  # shuffled and duplicated
    for n, (path, number) in enumerate(zip(paths, numbers, strict=True)):
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = number
        dataset.SliceLocation = -n
        save(tmp_path / "b" / "deep" / f"{9 - n}" / "IM", dataset)
    shuffled = read_volume(tmp_path / "b")
    np.testing.assert_array_equal(shuffled.values, straight.values)
    assert shuffled.grid.same_as(straight.grid, within=0)


def test_two_slices_and_one(tmp_path: Path) -> None:
    paths = write_stack(tmp_path, n_slices=2)
    volume = read_volume(tmp_path)
    assert_every_voxel_lies_where_it_says(volume)
    assert volume.notes == ()
    single = read_volume(paths[1])
    assert_every_voxel_lies_where_it_says(single)
    assert single.shape == (1, 5, 7)
    assert single.spacing == pytest.approx((1, 0.5, 0.75))
    assert [word in " ".join(single.notes) for word in ("no stated thickness", "its folder")] == [
        True,
        True,
    ]
    write_stack(tmp_path / "thick", n_slices=1, SliceThickness=4)
    assert read_volume(tmp_path / "thick").spacing[0] == pytest.approx(4)
    write_stack(tmp_path / "both", n_slices=1, SliceThickness=4, SpacingBetweenSlices=-5)
    single = read_volume(tmp_path / "both")
    assert single.spacing[0] == pytest.approx(5)
    assert single.notes == ("There is one slice; its stated thickness of 5 mm is taken.",)


def slices(folder: Path, positions: list[tuple[float, float, float]], **attributes: object) -> None:
    for n, position in enumerate(positions):
        pixels = coded_slice((5, 7), position, AXIAL, (0.5, 0.75)).astype(np.uint16)
        write(folder / f"s{n}.dcm", pixels, position, **attributes)


@pytest.mark.parametrize(
    ("heights", "words"),
    [
        ([0, 2, 4, 8, 10], ["missing", "s2.dcm and s3.dcm", "4 mm apart", "2 mm"]),
        ([0, 6, 8, 10], ["missing", "s0.dcm and s1.dcm"]),
        ([0, 2, 6], ["missing", "s1.dcm and s2.dcm"]),
        ([0, 2, 4, 6.7, 8.7], ["unevenly spaced", "s2.dcm and s3.dcm", "2.7 mm"]),
        (
            [0, 5, 10, 12.5, 15],
            ["unevenly", "s0.dcm and s1.dcm lie 5 mm apart, others 2.5"],
        ),
    ],
)
def test_gaps_are_refused_by_file(tmp_path: Path, heights: list[float], words: list[str]) -> None:
    slices(tmp_path, [(0, 0, height) for height in heights])
    with pytest.raises(VolumeError) as caught:
        read_volume(tmp_path)
    for word in (*words, str(tmp_path)):
        assert word in str(caught.value)


def test_a_slightly_uneven_spacing_is_noted(tmp_path: Path) -> None:
    slices(tmp_path / "a", [(0, 0, height) for height in (0, 2.001, 4, 6)])
    assert read_volume(tmp_path / "a").notes == ()
    slices(tmp_path / "b", [(0, 0, height) for height in (0, 2.05, 4, 6)])
    volume = read_volume(tmp_path / "b")
    assert volume.notes == ("Slices lie up to 0.05 mm off an even spacing of 2 mm.",)
    assert volume.spacing[0] == pytest.approx(2)


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    lean = np.tan(np.deg2rad(12.0)) * 2.0
    slices(tmp_path / "tilted", [(0, n * lean, n * 2.0) for n in range(4)])
    with pytest.raises(VolumeError, match=r"s0\.dcm to s3\.dcm are stacked askew by 12 deg"):
        read_volume(tmp_path / "tilted")
    # Less than half a pixel over the whole stack is rounding, and kept exactly.
    slices(tmp_path / "rounded", [(0, n * 0.01, n * 2.0) for n in range(4)])
    volume = read_volume(tmp_path / "rounded")
    np.testing.assert_allclose(volume.affine[:3, 0], [0, -0.01, 2], atol=1e-9)
    slices(tmp_path / "shifted", [(0, 0, 0), (0, 3, 2), (0, 0, 4)])
    with pytest.raises(VolumeError, match=r"sideways .*s1\.dcm, by 3 mm"):
        read_volume(tmp_path / "shifted")


def test_images_side_by_side_are_no_time_points(tmp_path: Path) -> None:
    slices(tmp_path, [(0, 0, 0), (40, 0, 0), (0, 0, 2), (40, 0, 2)], AcquisitionNumber=1)
    for n, path in enumerate(sorted(tmp_path.iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.AcquisitionNumber = n % 2
        save(path, dataset)
    with pytest.raises(VolumeError, match=r"side by side, 40 mm apart"):
        read_volume(tmp_path, axis4="time")


def test_several_directions_are_several_stacks(tmp_path: Path) -> None:
    sagittal = (0.0, 1, 0, 0, 0, -1)
    write_stack(tmp_path / "a", n_slices=3)
    write_stack(tmp_path / "b", n_slices=4, orientation=sagittal)
    with pytest.raises(VolumeError, match=r"2 stacks .*0: CT, 4 sagittal .*1: CT, 3 axial"):
        read_volume(tmp_path)
    for number, n_slices in ((0, 4), (1, 3)):
        volume = read_volume(tmp_path, series=number)
        assert_every_voxel_lies_where_it_says(volume)
        assert volume.shape[volume.stack_axis] == n_slices


@pytest.mark.parametrize("attribute", ["shape", "pixel_spacing"])
def test_several_sizes_are_several_stacks(tmp_path: Path, attribute: str) -> None:
    write_stack(tmp_path / "a", n_slices=3)
    other = {"shape": (6, 7), "pixel_spacing": (0.5, 0.5)}[attribute]
    write_stack(tmp_path / "b", n_slices=2, **{attribute: other})  # type: ignore[arg-type]
    found = nc.dicom_series(tmp_path)
    assert [each.n_slices for each in found] == [3, 2]
    for each in found:
        assert_every_voxel_lies_where_it_says(read_volume(tmp_path, series=each.number))


def test_directions_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    paths = write_stack(tmp_path)
    dataset = pydicom.dcmread(paths[2])
    dataset.ImageOrientationPatient = [0.99999995, 0.0003, 0, -0.0003, 0.99999995, 0]
    save(paths[2], dataset)
    assert read_volume(tmp_path).shape == (4, 5, 7)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"orientation": (1, 0, 0, 1, 0, 0)}, "right angles"),
        ({"orientation": (2, 0, 0, 0, 1, 0)}, "right angles"),
        ({"pixel_spacing": (0, 1)}, "which no pixel does"),
        ({"pixel_spacing": (1,)}, "PixelSpacing does not hold 2"),
        ({"pixel_spacing": None}, "states no pixel size"),
    ],
)
def test_impossible_geometry_is_refused(tmp_path: Path, attributes: dict, words: str) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((5, 7), np.uint16), **attributes)
    with pytest.raises(VolumeError, match=words):
        read_volume(path)


def test_a_file_states_no_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((5, 7), np.uint16), orientation=(0,) * 6)
    volume = read_volume(path)
    assert volume.orientation is None
    assert volume.spacing == (1, 0.5, 0.75)
    path = write(tmp_path / "b.dcm", np.zeros((5, 7), np.uint16), None, None, None)
    volume = read_volume(path)
    assert volume.grid.units == "pixel"
    assert read_volume(path, spacing=(0.2, 0.3)).spacing == (1, 0.2, 0.3)
    placed = write(tmp_path / "c.dcm", np.zeros((5, 7), np.uint16))
    with pytest.raises(VolumeError, match="leave out spacing"):
        read_volume(placed, spacing=(1, 2, 3))


def test_enhanced_frames_are_sorted_by_position(tmp_path: Path) -> None:
    orientation = (0.0, 1, 0, 0, 0, -1)  # sagittal: the normal points to the right
    order = [2, 0, 3, 1]
    positions = [(10.0 - 1.5 * n, -3.0, 8.0) for n in order]
    pixels = np.stack([coded_slice((5, 7), p, orientation, (0.5, 0.75)) for p in positions])
    dataset = enhanced(pixels.astype(np.uint16), positions, orientation)
    volume = read_volume(save(tmp_path / "e.dcm", dataset))
    assert_every_voxel_lies_where_it_says(volume)
    assert volume.spacing == pytest.approx((0.5, 0.75, 1.5))
    assert volume.stack_axis == 2
    assert volume.notes == ()


@pytest.mark.parametrize("first", [0.0, 5.0])
def test_frames_of_a_dose(tmp_path: Path, first: float) -> None:
    # Offsets from the first frame, or positions along the patient's axis.
    positions = [(1.0, 2.0, 5.0 + 3.0 * n) for n in range(4)]
    pixels = np.stack([coded_slice((5, 7), p, AXIAL, (0.5, 0.75)) for p in positions])
    dataset = header(Modality="RTDOSE", NumberOfFrames=4, DoseGridScaling=1)
    dataset.GridFrameOffsetVector = [first + 3.0 * n for n in range(4)]
    dataset.ImagePositionPatient = list(positions[0])
    dataset.ImageOrientationPatient, dataset.PixelSpacing = list(AXIAL), [0.5, 0.75]
    add_pixels(dataset, pixels.astype(np.uint32))
    volume = read_volume(save(tmp_path / "d.dcm", dataset))
    assert_every_voxel_lies_where_it_says(volume)


@pytest.mark.parametrize("step", [2.0, -2.0])
def test_frames_of_reconstructed_nuclear_medicine(tmp_path: Path, step: float) -> None:
    # PS3.3 C.8.4.15: a negative step stacks slices in front of the first, against the normal.
    positions = [(1.0, 2.0, 5.0 + step * n) for n in range(3)]
    pixels = np.stack([coded_slice((5, 7), p, AXIAL, (0.5, 0.75)) for p in positions])
    dataset = header(Modality="NM", NumberOfFrames=3, PixelSpacing=[0.5, 0.75])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    dataset.SpacingBetweenSlices, dataset.SliceVector = step, [1, 2, 3]
    detector = pydicom.Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = [1, 2, 5], list(AXIAL)
    dataset.DetectorInformationSequence = pydicom.Sequence([detector])
    add_pixels(dataset, pixels.astype(np.uint16))
    volume = read_volume(save(tmp_path / "n.dcm", dataset))
    assert_every_voxel_lies_where_it_says(volume)
    assert volume.shape == (3, 5, 7)


def test_frames_without_a_place_are_slices_in_stored_order(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (4, 5, 7)).astype(np.uint8)
    dataset = header(Modality="US", NumberOfFrames=4)
    region = pydicom.Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.03
    dataset.SequenceOfUltrasoundRegions = pydicom.Sequence([region])
    add_pixels(dataset, pixels)
    volume = read_volume(save(tmp_path / "u.dcm", dataset))
    np.testing.assert_array_equal(volume.values, pixels)
    assert volume.spacing == pytest.approx((1, 0.3, 0.2))
    assert volume.orientation is None
    assert any("4 images of the file are taken as slices" in note for note in volume.notes)


def test_results_lie_on_the_scan(tmp_path: Path) -> None:
    write_stack(tmp_path / "scan", orientation=(0.0, 1, 0, 0, 0, -1))
    volume = read_volume(tmp_path / "scan")
    path = nc.write_volume(tmp_path / "a.nii.gz", np.asarray(volume.values), like=volume)
    written = read_volume(path)
    assert_every_voxel_lies_where_it_says(written)
    assert written.grid.same_as(volume.grid, within=1e-4)
    shutil.rmtree(tmp_path / "scan")
    text = path.with_name("a.json").read_text()
    assert not any(secret in text for secret in ("X-4711", "Doe", str(tmp_path), "8.498"))
