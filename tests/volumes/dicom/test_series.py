"""Which DICOM images form which volume, and what a folder holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import napari_cam as nc
from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume
from tests.volumes.dicom.dicoms import (
    PATIENT,
    PREFIX,
    SECONDARY,
    SERIES,
    add_pixels,
    enhanced,
    header,
    new_uid,
    save,
    write,
    write_stack,
)

RNG = np.random.default_rng(8)
SAGITTAL = (0.0, 1, 0, 0, 0, -1)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 4000, shape).astype(np.uint16)


def no_image(path: Path, **attributes: Any) -> None:
    save(path, header(PhotometricInterpretation=None, SamplesPerPixel=None, **attributes))


def segmentation(path: Path) -> None:
    dataset = header(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG", BitsAllocated=8)
    add_pixels(dataset, np.zeros((5, 7), np.uint8))
    save(path, dataset)


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder as it comes from a clinic: two series, a scout, other objects and files."""
    mr = {"Modality": "MR", "SeriesNumber": 9, "SeriesInstanceUID": PREFIX + "8"}
    write_stack(tmp_path / "A" / "1", n_slices=3, SeriesDescription="Thorax\x1b[2J 2.5mm")
    write_stack(tmp_path / "A" / "2", n_slices=4, orientation=SAGITTAL, **mr)
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesNumber": 1}
    write(tmp_path / "B" / "scout", noise(5, 7), SeriesInstanceUID=PREFIX + "1", **scout)
    segmentation(tmp_path / "B" / "seg.dcm")
    no_image(tmp_path / "B" / "report.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    (tmp_path / "readme.txt").write_text("not DICOM")
    (tmp_path / "B" / "empty").touch()
    (tmp_path / "B" / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 400)
    return tmp_path


def test_a_folder_is_listed(clinic: Path) -> None:
    first, second = nc.dicom_series(clinic)
    assert (first.number, first.modality, first.plane, first.n_slices) == (0, "CT", "axial", 3)
    assert (second.number, second.modality, second.plane, second.n_slices) == (
        1, "MR", "sagittal", 4,
    )  # fmt: skip
    assert first.size == second.size == (5, 7)
    assert first.spacing == pytest.approx((2.5, 0.5, 0.75))
    assert (first.uid, second.uid) == (SERIES, PREFIX + "8")
    assert first.problem is None
    assert first.description == "Thorax[2J 2.5mm"  # nothing that steers a terminal
    assert first.summary == "CT, 3 axial slices of 5 x 7"
    for secret in (SERIES, "Thorax", PATIENT, "4711"):
        assert secret not in repr(first)


def test_several_series_need_a_choice(clinic: Path) -> None:
    with pytest.raises(VolumeError) as caught:
        read_volume(clinic)
    message = str(caught.value)
    assert "2 stacks" in message
    assert "0: CT, 3 axial slices of 5 x 7; 1: MR, 4 sagittal slices of 5 x 7" in message
    assert not any(secret in message for secret in (SERIES, "Thorax", PATIENT, "4711"))
    for series, n_slices in ((0, 3), (1, 4), (SERIES, 3), (PREFIX + "8", 4)):
        volume = read_volume(clinic, series=series)
        assert volume.shape[volume.stack_axis] == n_slices
    for wrong in (2, -1, "1.2.3"):
        with pytest.raises(VolumeError, match="holds no series"):
            read_volume(clinic, series=wrong)
    nc.write_volume(clinic / "a.nii", noise(3, 5, 7), like=read_volume(clinic, series=0))
    with pytest.raises(VolumeError, match="no DICOM"):
        read_volume(clinic / "a.nii", series=0)


def test_what_is_left_out_is_counted(clinic: Path) -> None:
    (note,) = (n for n in read_volume(clinic, series=0).notes if "Left out" in n)
    for words in (
        "files that are not DICOM (2)", "segmentations (1)", "localizers (scouts) (1)",
        "reports, contours or plans (1)", "damaged DICOM files (1)",
    ):  # fmt: skip
        assert words in note
    assert str(clinic) not in note


def test_identity_stays_where_it_belongs(clinic: Path) -> None:
    volume = read_volume(clinic, series=0)
    assert (volume.identity.subject, volume.identity.series) == ("X-4711", SERIES)
    text = repr((volume.source, volume.identity, volume.notes, volume.grid, volume.windows))
    assert not any(secret in text for secret in ("4711", SERIES, PATIENT, "Thorax", str(clinic)))


def test_localizers_alone_are_images(tmp_path: Path) -> None:
    write(tmp_path / "a", noise(5, 7), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert read_volume(tmp_path).shape == (1, 5, 7)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.touch(), r"without DICOM images \(it holds files that are not DICOM"),
        (segmentation, r"it holds segmentations \(1\)"),
        (
            lambda path: path.write_bytes(b"\0" * 128 + b"DICM\x08"),
            "cannot be read as DICOM|no DIC",
        ),
    ],
)
def test_folders_without_images(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / "file")
    for reader in (read_volume, nc.dicom_series):
        with pytest.raises(VolumeError, match=words):
            reader(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(VolumeError, match="it holds nothing"):
        read_volume(tmp_path / "b")


@pytest.mark.parametrize(("make", "words"), [(segmentation, "segment"), (no_image, "reports")])
def test_single_objects_without_an_image(
    tmp_path: Path, make: Callable[[Path], Any], words: str
) -> None:
    make(tmp_path / "a.dcm")
    with pytest.raises(VolumeError, match=f"no image .{words}|no image .*{words}"):
        read_volume(tmp_path / "a.dcm")


def test_copies_of_a_file_are_read_once(tmp_path: Path) -> None:
    paths = write_stack(tmp_path)
    once = read_volume(tmp_path)
    shutil.copy(paths[1], tmp_path / "copy of a slice.dcm")
    shutil.copy(paths[2], tmp_path / "another.dcm")
    twice = read_volume(tmp_path)
    np.testing.assert_array_equal(twice.values, once.values)
    assert any("copies of other files (2)" in note for note in twice.notes)


def test_other_images_at_one_place_are_refused_by_name(tmp_path: Path) -> None:
    paths = write_stack(tmp_path)
    dataset = pydicom.dcmread(paths[1])  # the same object UID, but other pixels
    dataset.PixelData = noise(5, 7).tobytes()
    save(tmp_path / "second.dcm", dataset)
    with pytest.raises(VolumeError, match=r"At some places lie 2 images .*second\.dcm.*others 1"):
        read_volume(tmp_path)


def test_nothing_sets_two_sets_of_images_apart(tmp_path: Path) -> None:
    write_stack(tmp_path / "a", n_slices=3)
    write_stack(tmp_path / "b", n_slices=3)
    with pytest.raises(VolumeError, match=r"2 images lie at one place .*nothing sets them apart"):
        read_volume(tmp_path)


def volumes(folder: Path, marks: list[dict[str, Any]], n_slices: int = 3) -> np.ndarray:
    """Write volumes at one place, the names in random order; return (volume, z, y, x)."""
    values = noise(len(marks), n_slices, 5, 7)
    names = iter(RNG.permutation(1000))
    for volume, own in zip(values, marks, strict=True):
        for n, pixels in enumerate(volume):
            write(folder / f"{next(names)}.dcm", pixels, (0, 0, 3.0 * n), **own)
    return values


def test_volumes_at_one_place_are_an_axis_by_choice(tmp_path: Path) -> None:
    values = volumes(tmp_path, [{"EchoTime": t, "Modality": "MR"} for t in (90, 4.6, 20)])
    with pytest.raises(VolumeError, match=r'3 volumes .*differ in echo time; .*axis4="channels"'):
        read_volume(tmp_path)
    by_time = [read_volume(tmp_path, axis4="time", time=n).values for n in range(3)]
    np.testing.assert_array_equal(by_time, values[[1, 2, 0]])
    volume = read_volume(tmp_path, axis4="channels")
    np.testing.assert_array_equal(volume.values, values[[1, 2, 0]])
    assert volume.channel_names == ("echo time 4.6", "echo time 20", "echo time 90")
    named = read_volume(tmp_path, axis4="channels", channel_names=["a", "b", "c"])
    assert named.channel_names == ("a", "b", "c")
    with pytest.raises(VolumeError, match="3 time points"):
        read_volume(tmp_path, axis4="time", time=3)
    (info,) = nc.dicom_series(tmp_path)
    assert (info.n_volumes, info.n_slices, info.apart) == (3, 3, "echo time")
    assert info.summary == "MR, 3 x 3 axial slices of 5 x 7"


def test_places_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    values = noise(2, 3, 5, 7)
    for t in range(2):
        for n in range(3):
            place = (0, 0, 3.0 * n + 0.002 * t)
            write(tmp_path / f"{t}{n}", values[t, n], place, TemporalPositionIdentifier=t)
    np.testing.assert_array_equal(read_volume(tmp_path, axis4="channels").values, values)


def test_channels_of_sagittal_slices(tmp_path: Path) -> None:
    for number in range(2):
        write_stack(tmp_path / f"{number}", orientation=SAGITTAL, AcquisitionNumber=number)
    volume = read_volume(tmp_path, axis4="channels")
    single = read_volume(tmp_path / "0")
    assert volume.values.shape == (2, *single.shape)
    np.testing.assert_array_equal(volume.values[1], single.values)


@pytest.mark.parametrize(
    ("marks", "order"),
    [
        # The order of time, whatever the numbers say.
        ([{"TemporalPositionIdentifier": t, "InstanceNumber": 9 - t} for t in (2, 1)], [1, 0]),
        # Diffusion: one image without a gradient, then directions; written first or later.
        (
            [
                {"DiffusionBValue": 0.0},
                {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [0.0, 1, 0]},
                {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [0.0, 0, 1]},
            ],
            [0, 2, 1],
        ),
        (
            [
                {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": [0.0, 1, 0]},
                {"DiffusionBValue": 0.0},
                {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": [0.0, 0, 1]},
            ],
            [1, 2, 0],
        ),
        # Echoes of each of two times.
        (
            [
                {"TemporalPositionIdentifier": t, "EchoTime": e}
                for t, e in ((2, 30), (1, 30), (2, 5), (1, 5))
            ],
            [3, 1, 2, 0],
        ),
        ([{"ImageType": ["ORIGINAL", "PRIMARY", k]} for k in ("P", "M")], [1, 0]),
        ([{"AcquisitionTime": t} for t in ("101502.50", "101501", "101502.5")], None),
        ([{"InstanceNumber": n} for n in (7, 3)], [1, 0]),
    ],
    ids=[
        "time",
        "diffusion",
        "more diffusion",
        "echoes and times",
        "kinds",
        "times twice",
        "numbers",
    ],
)
def test_what_sets_volumes_apart(
    tmp_path: Path, marks: list[dict[str, Any]], order: list[int] | None
) -> None:
    values = volumes(tmp_path, marks)
    if order is None:
        with pytest.raises(VolumeError, match="nothing sets them apart"):
            read_volume(tmp_path, axis4="channels")
        return
    volume = read_volume(tmp_path, axis4="channels")
    np.testing.assert_array_equal(volume.values, values[order])
    only_numbers = any("their numbers" in note for note in volume.notes)
    assert only_numbers == (list(marks[0]) == ["InstanceNumber"])


def test_times_that_differ_between_slices_order_them_too(tmp_path: Path) -> None:
    # A beating heart: every slice has its own trigger times.
    values = noise(2, 3, 5, 7)
    for phase in range(2):
        for n in range(3):
            own = {"TriggerTime": 40.0 * phase + 7 * n, "InstanceNumber": 1}
            write(tmp_path / f"{(phase * 5 + n * 3) % 7}", values[phase, n], (0, 0, 3.0 * n), **own)
    volume = read_volume(tmp_path, axis4="channels")
    np.testing.assert_array_equal(volume.values, values)
    assert nc.dicom_series(tmp_path)[0].apart == "trigger time"


def test_colours_over_time(tmp_path: Path) -> None:
    values = RNG.integers(0, 255, (2, 2, 5, 7, 3)).astype(np.uint8)
    for t in range(2):
        for n in range(2):
            write(
                tmp_path / f"{t}{n}", values[t, n], (0, 0, 3.0 * n), SamplesPerPixel=3,
                PhotometricInterpretation="RGB", TemporalPositionIdentifier=t,
            )  # fmt: skip
    with pytest.raises(VolumeError, match='use axis4="time"'):
        read_volume(tmp_path, axis4="channels")
    volume = read_volume(tmp_path, axis4="time", time=1)
    np.testing.assert_array_equal(volume.values, values[1].transpose(3, 0, 1, 2))


def test_enhanced_objects_over_time(tmp_path: Path) -> None:
    values = noise(6, 5, 7)
    index = [(t, z) for z in range(3) for t in (2, 1)]  # stored with time running fastest
    own = [{"FrameContentSequence": {"TemporalPositionIndex": t}} for t, _ in index]
    dataset = enhanced(values, [(0, 0, 2.0 * z) for _, z in index], own=own)
    path = save(tmp_path / "a.dcm", dataset)
    first = read_volume(path, axis4="time", time=0)
    np.testing.assert_array_equal(first.values, values[1::2])
    assert nc.dicom_series(path)[0].apart == "temporal position"


def test_frames_at_one_place_are_times_in_stored_order(tmp_path: Path) -> None:
    values = noise(3, 5, 7)
    path = save(tmp_path / "a.dcm", enhanced(values, [(0, 0, 4)] * 3))
    volume = read_volume(path, axis4="time", time=2)
    np.testing.assert_array_equal(volume.values[0], values[2])
    assert any("their numbers" in note for note in volume.notes)


def test_stacks_of_an_enhanced_object(tmp_path: Path) -> None:
    values = noise(5, 5, 7)
    heights = (0, 2, 50, 53, 56)
    own = [{"FrameContentSequence": {"StackID": "12"[z >= 50]}} for z in heights]
    dataset = enhanced(values, [(0, 0, float(z)) for z in heights], own=own)
    path = save(tmp_path / "a.dcm", dataset)
    assert [each.n_slices for each in nc.dicom_series(path)] == [3, 2]
    np.testing.assert_array_equal(read_volume(path, series=0).values, values[2:])
    assert read_volume(path, series=1).spacing[0] == pytest.approx(2)


def test_acquisitions_of_other_lengths_are_split(tmp_path: Path) -> None:
    write_stack(tmp_path / "a", n_slices=4, AcquisitionNumber=1)
    write_stack(tmp_path / "b", n_slices=6, AcquisitionNumber=2)
    assert [each.n_slices for each in nc.dicom_series(tmp_path)] == [6, 4]
    assert read_volume(tmp_path, series=1).shape == (4, 5, 7)


def test_pictures_without_a_place_are_no_stack(tmp_path: Path) -> None:
    values = noise(2, 5, 7)
    for n, pixels in enumerate(values):
        write(
            tmp_path / f"{9 - n}", pixels, None, None, None, SOPClassUID=SECONDARY, Modality="CR",
            InstanceNumber=n,
        )  # fmt: skip
    with pytest.raises(VolumeError, match=r"2 stacks .*0: CR, 1 slice of 5 x 7; 1: CR, 1 slice"):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, series=1).values[0], values[1])


def test_patients_are_not_mixed(tmp_path: Path) -> None:
    write_stack(tmp_path / "a", n_slices=3, PatientID="one")
    write_stack(tmp_path / "b", n_slices=3, PatientID="two")
    assert len(nc.dicom_series(tmp_path)) == 2
    assert read_volume(tmp_path, series=1).identity.subject == "two"


def test_frames_of_reference_are_not_mixed(tmp_path: Path) -> None:
    write_stack(tmp_path / "a", n_slices=3, FrameOfReferenceUID=new_uid())
    write_stack(tmp_path / "b", n_slices=2, FrameOfReferenceUID=new_uid(), origin=(0, 0, 900))
    assert [each.n_slices for each in nc.dicom_series(tmp_path)] == [3, 2]


def test_stacks_that_form_no_volume_are_listed_with_the_reason(tmp_path: Path) -> None:
    for z in (0, 1, 2, 5):
        write(tmp_path / f"{z}", noise(5, 7), (0, 0, z))
    write_stack(tmp_path / "fine", orientation=SAGITTAL)
    bad, fine = sorted(nc.dicom_series(tmp_path), key=lambda each: each.problem is None)
    assert "missing between 2 and 5" in (bad.problem or "")
    assert bad.spacing is None
    assert fine.problem is None
    with pytest.raises(VolumeError, match="missing between 2 and 5"):
        read_volume(tmp_path, series=bad.number)


def test_no_file_name_decides_the_listing(tmp_path: Path) -> None:
    for n in range(3):
        write_stack(
            tmp_path / "zyx"[n], n_slices=2 + n, SeriesNumber=n, SeriesInstanceUID=new_uid()
        )
    assert [each.n_slices for each in nc.dicom_series(tmp_path)] == [2, 3, 4]


def test_a_link_to_a_folder_is_not_followed_and_a_pipe_not_opened(tmp_path: Path) -> None:
    write_stack(tmp_path / "a")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "a" / "pipe")
    assert read_volume(tmp_path).shape == (4, 5, 7)
