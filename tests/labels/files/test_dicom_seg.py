"""DICOM segmentations: what is written is read back by highdicom, by pydicom alone, and by us."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor
from numpy.typing import NDArray

import napari_cam as nc
from napari_cam.errors import MaskError, VolumeError, WriteError
from napari_cam.heatmap import Heatmap
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.files.dicom.segments import lab_of
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.volumes.dicom.signature import is_dicom
from tests.labels.files.grids import CLASSES
from tests.volumes.dicom.dicoms import AXIAL, PATIENT, PREFIX, enhanced, save, write, write_stack

CORONAL = (1.0, 0, 0, 0, 0, -1)
SAGITTAL = (0.0, 1, 0, 0, 0, -1)
OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)
MADE = datetime(2024, 5, 6, 7, 8, 9)
FRAME_OF_REFERENCE = {"FrameOfReferenceUID": PREFIX + "5"}


def stack(folder: Path, **attributes: Any) -> nc.Volume:
    stated = {**FRAME_OF_REFERENCE, "PatientBirthDate": "", "SliceThickness": 2.5, "StudyID": ""}
    stated |= {"PatientSex": "", "AccessionNumber": "", "StudyDate": "", "StudyTime": ""}
    write_stack(folder, **{**stated, **attributes})
    return nc.read_volume(folder)


def seeds_of(volume: nc.Volume) -> Seeds:
    labels = np.random.default_rng(8).integers(0, 4, volume.shape).astype(np.uint8)
    labels[
        tuple(slice(1, 2) if axis == volume.stack_axis else slice(None) for axis in range(3))
    ] = 0
    return Seeds(labels, CLASSES, volume.grid, {"kind": "seeds", "low": 0.2})


def heatmap_of(volume: nc.Volume, values: NDArray[np.float32]) -> Heatmap:
    one = np.ones(1, np.float32)
    return Heatmap(
        values.astype(np.float32), "unit", 0 * one, one, one > 0, np.array([1]), np.array([1]), one,
        np.ones(volume.shape, bool), None, volume.grid, {"target": "damaged", "method": "gradcam"},
    )  # fmt: skip


def by_place(file: Path) -> dict[tuple[int, tuple[float, ...]], NDArray[Any]]:
    """Return the frames of a segmentation by segment and position: pydicom alone."""
    dataset = pydicom.dcmread(file)
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    found = {}
    for frame, own in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        item = own if "SegmentIdentificationSequence" in own else shared
        number = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = own.PlanePositionSequence[0].ImagePositionPatient
        found[number, tuple(float(each) for each in place)] = frame
    return found


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids="acso")
def test_labels_come_back_by_pydicom_alone(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    volume = stack(tmp_path / "scan", orientation=orientation)
    seeds = seeds_of(volume)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds, tmp_path / "scan")
    frames = by_place(file)
    sources = [pydicom.dcmread(path) for path in (tmp_path / "scan").iterdir()]
    assert len(frames) == 3 * len(sources) == 12  # also the slice without any label
    for source in sources:
        place = np.array(source.ImagePositionPatient, float)
        row, column = np.indices((source.Rows, source.Columns))
        cosines = np.array(source.ImageOrientationPatient, float)
        between_rows, between_columns = (float(each) for each in source.PixelSpacing)
        world = place + (column * between_columns)[..., None] * cosines[:3]
        world = (world + (row * between_rows)[..., None] * cosines[3:]) * [-1, -1, 1]
        index = np.linalg.solve(
            volume.affine[:3, :3], (world - volume.affine[:3, 3])[..., None]
        )[..., 0]  # fmt: skip
        z, y, x = np.moveaxis(np.rint(index).astype(int), -1, 0)
        for number, code in ((1, 1), (2, 2), (3, 3)):
            np.testing.assert_array_equal(
                frames[number, tuple(place.tolist())] == 1, seeds.labels[z, y, x] == code
            )


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids="acso")
def test_labels_come_back_by_highdicom_and_by_us(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    volume = stack(tmp_path / "scan", orientation=orientation)
    seeds = seeds_of(volume)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds, volume)
    read = highdicom.seg.segread(file)
    headers = [pydicom.dcmread(path) for path in (tmp_path / "scan").iterdir()]
    series = highdicom.get_volume_from_series(headers)
    got = read.get_volume(combine_segments=True).match_geometry(series)
    # highdicom's volume says itself where its voxels lie, towards left, posterior, superior.
    indices = np.stack(np.indices(got.spatial_shape), -1).reshape(-1, 3)
    world = (indices @ got.affine[:3, :3].T + got.affine[:3, 3]) * [-1, -1, 1]
    back = np.linalg.solve(volume.affine[:3, :3], (world - volume.affine[:3, 3]).T).T
    z, y, x = np.rint(back).astype(int).T
    np.testing.assert_array_equal(got.array.reshape(-1), seeds.labels[z, y, x])

    for like in (None, volume):
        image = nc.read_labels(file, like)
        np.testing.assert_array_equal(image.labels, seeds.labels)
        np.testing.assert_allclose(image.grid.affine, volume.grid.affine, atol=1e-5)
        assert image.grid.orientation == volume.grid.orientation
        assert image.classes == CLASSES
        assert image.kind == "seeds"


def test_what_the_file_says(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan", StudyDate="20240101", PatientSex="F")
    form = nc.SegmentationForm(
        series_description="Seeds of the liver",
        series_number=77,
        segments={
            "läsion": nc.SegmentForm(nc.Code("85756007", "SCT", "Tissue"), algorithm="MANUAL")
        },
        content_label="SEEDS",
    )
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume, form=form, made=MADE)
    read = pydicom.dcmread(file)
    source = pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "PatientSex",
                    "FrameOfReferenceUID"):  # fmt: skip
        assert getattr(read, keyword) == getattr(source, keyword)
    assert read.Modality == "SEG"
    assert read.SegmentationType == "BINARY"
    assert (read.SeriesDescription, read.SeriesNumber) == ("Seeds of the liver", 77)
    assert (read.Manufacturer, read.ContentLabel) == ("napari-cam", "SEEDS")
    assert (read.ContentDate, read.InstanceCreationDate) == ("20240506", "20240506")
    assert read.NumberOfFrames == 12
    referred = {item.ReferencedSOPInstanceUID for item in
                read.ReferencedSeriesSequence[0].ReferencedInstanceSequence}  # fmt: skip
    assert referred == {
        pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "scan").iterdir()
    }
    background, liver, lesion = read.SegmentSequence
    assert [each.SegmentLabel for each in read.SegmentSequence] == list(CLASSES.names)
    assert background.SegmentedPropertyTypeCodeSequence[0].CodeValue == "125040"
    assert liver.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    assert lesion.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Tissue"
    assert [each.SegmentAlgorithmType for each in read.SegmentSequence] == [
        "SEMIAUTOMATIC", "SEMIAUTOMATIC", "MANUAL",
    ]  # fmt: skip
    algorithm = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("napari-cam", "0.1.0")
    segment = nc.read_dicom_seg(file).segments[2]
    assert (segment.label, segment.algorithm, segment.code) == ("läsion", "MANUAL", 3)
    assert str(segment.category) == "85756007,SCT,Tissue"
    assert segment.colour == "#56B4E9"


def test_the_record_states_the_remap_and_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "doe_jane"
    volume = stack(folder)
    labels = np.where(np.asarray(volume.values) % 2, 7, 0).astype(np.uint8)
    classes = LabelClasses((LabelClass(4, "absent", "#112233"), LabelClass(7, "odd", "#445566")))
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, volume, classes)
    text = (tmp_path / "seg.json").read_text()
    record = json.loads(text)
    assert record["remap"] == {"0": 0, "4": 1, "7": 2}
    assert record["codes"] == {"0": "no segment", "1": "absent", "2": "odd"}
    assert record["segmentation_type"] == "binary"
    assert record["form"]["default"]["type"] == "52988006,SCT,Lesion"
    source = pydicom.dcmread(next(folder.iterdir()))
    for secret in ("doe", PATIENT, source.PatientID, source.SeriesInstanceUID, PREFIX):
        assert secret.lower() not in text.lower()
    image = nc.read_labels(file)
    np.testing.assert_array_equal(image.labels, labels)
    assert image.classes == classes
    assert image.kind == "labels"


def test_a_heatmap_becomes_fractions(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan", orientation=CORONAL)
    values = np.random.default_rng(4).random(volume.shape, np.float32)
    values[:, 2] = 0
    file = nc.export_dicom_seg(tmp_path / "map.dcm", heatmap_of(volume, values), volume)
    dataset = pydicom.dcmread(file)
    assert dataset.SegmentationType == "FRACTIONAL"
    assert dataset.SegmentationFractionalType == "PROBABILITY"
    assert dataset.MaximumFractionalValue == 255
    assert dataset.SegmentSequence[0].SegmentLabel == "damaged, gradcam"
    assert dataset.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert "not a probability" in dataset.SegmentSequence[0].SegmentDescription
    read = nc.read_dicom_seg(file, volume)
    assert read.kind == "fractional"
    np.testing.assert_allclose(read.fractions(1), values, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(read.fractions(1) == 0, np.rint(values * 255) == 0)
    np.testing.assert_array_equal(read.mask(), np.rint(values * 255) > 0)
    got = highdicom.seg.segread(file).get_volume(rescale_fractional=True)
    assert got.array.max() <= 1
    np.testing.assert_allclose(np.sort(got.array, axis=None), np.sort(read.fractions(1), axis=None))
    with pytest.raises(MaskError, match="fractions, no labels"):
        read.labels()


def test_several_heatmaps_and_fractions_of_labels(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    ramp = np.linspace(0, 1, volume.values.size, dtype=np.float32).reshape(volume.shape)
    maps = {"one": heatmap_of(volume, ramp), "other": heatmap_of(volume, ramp[::-1])}
    file = nc.export_dicom_seg(tmp_path / "two.dcm", maps, volume)
    read = nc.read_dicom_seg(file)
    np.testing.assert_allclose(read.fractions("other"), ramp[::-1], atol=0.002)
    with pytest.raises(MaskError, match=r"there are 1 \(one\), 2 \(other\)"):
        read.fractions("third")
    seeds = seeds_of(volume)
    file = nc.export_dicom_seg(tmp_path / "seeds.dcm", seeds, volume, kind="fractional")
    np.testing.assert_array_equal(nc.read_dicom_seg(file).fractions(3), seeds.labels == 3)


def test_one_file_of_many_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    pixels = rng.integers(0, 900, (5, 4, 6)).astype(np.uint16)
    heights = [4.0, -2.0, 0.0, 2.0, 6.0]  # stored in no order
    dataset = enhanced(pixels, [(1, 2, height) for height in heights], **FRAME_OF_REFERENCE)
    file = save(tmp_path / "enhanced.dcm", dataset)
    volume = nc.read_volume(file)
    labels = rng.integers(0, 3, volume.shape).astype(np.uint8)
    seg = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, file)
    frames = by_place(seg)
    order = np.argsort(heights)
    for index, stored in enumerate(order):
        np.testing.assert_array_equal(np.asarray(volume.values)[index], pixels[stored])
        for number in (1, 2):
            np.testing.assert_array_equal(
                frames[number, (1.0, 2.0, heights[stored])] == 1, labels[index] == number
            )
    groups = pydicom.dcmread(seg).PerFrameFunctionalGroupsSequence
    for own in groups:
        source = own.DerivationImageSequence[0].SourceImageSequence[0]
        height = own.PlanePositionSequence[0].ImagePositionPatient[2]
        assert heights[source.ReferencedFrameNumber - 1] == height
    np.testing.assert_array_equal(nc.read_labels(seg, volume).labels, labels)


def test_one_time_point_of_a_file_with_several(tmp_path: Path) -> None:
    pixels = np.random.default_rng(6).integers(0, 900, (6, 4, 5)).astype(np.uint16)
    places = [(0, 0, 2.0 * n) for n in range(3)] * 2
    own = [{"FrameContentSequence": {"TemporalPositionIndex": 1 + n // 3}} for n in range(6)]
    file = save(tmp_path / "times.dcm", enhanced(pixels, places, own=own, **FRAME_OF_REFERENCE))
    volume = nc.read_volume(file, axis4="time", time=1)
    labels = (np.asarray(volume.values) > 400).astype(np.uint8)
    seg = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, volume, time=1)
    np.testing.assert_array_equal(nc.read_labels(seg).labels, labels)
    dataset = pydicom.dcmread(seg)
    assert dataset.NumberOfFrames == 3
    referred = [
        own.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for own in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(referred) == [4, 5, 6]  # those of the second time point


def test_one_slice(tmp_path: Path) -> None:
    write(tmp_path / "one.dcm", np.arange(35, dtype=np.uint16).reshape(5, 7), SliceThickness=3,
          **FRAME_OF_REFERENCE)  # fmt: skip
    volume = nc.read_volume(tmp_path / "one.dcm")
    labels = (np.asarray(volume.values) > 20).astype(np.uint8)
    seg = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, tmp_path / "one.dcm")
    np.testing.assert_array_equal(nc.read_labels(seg, volume).labels, labels)


def test_labels_of_a_nifti_file_of_the_series(tmp_path: Path) -> None:
    """A converter turned rows round; nibabel makes that file here."""
    volume = stack(tmp_path / "scan", orientation=OBLIQUE)
    labels = np.random.default_rng(1).integers(0, 3, volume.shape).astype(np.uint8)
    stored = nib.Nifti1Image(labels.transpose(2, 1, 0), volume.affine[:, [2, 1, 0, 3]])
    nib.save(nib.as_closest_canonical(stored), tmp_path / "labels.nii")
    drawn = nc.read_labels(tmp_path / "labels.nii")
    assert drawn.grid.orientation != volume.grid.orientation
    seg = nc.export_dicom_seg(tmp_path / "seg.dcm", drawn, volume)
    np.testing.assert_array_equal(nc.read_labels(seg, volume).labels, labels)
    np.testing.assert_array_equal(nc.read_labels(seg, drawn.grid).labels, drawn.labels)


def test_the_same_at_the_same_time_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    files = [
        nc.export_dicom_seg(tmp_path / name, seeds_of(volume), volume, made=MADE)
        for name in ("a.dcm", "b.dcm")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = nc.export_dicom_seg(tmp_path / "c.dcm", seeds_of(volume).labels % 2, volume, made=MADE)
    uids = {pydicom.dcmread(file).SOPInstanceUID for file in (*files, other)}
    assert len(uids) == 2


@pytest.mark.parametrize(
    "lossy",
    [
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": 12.5,
         "LossyImageCompressionMethod": "ISO_10918_1"},
        {"LossyImageCompression": "01"},
        {"LossyImageCompression": ""},
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": [10, 3.5]},
    ],
)  # fmt: skip
def test_marks_of_lossy_compression_are_kept(tmp_path: Path, lossy: dict[str, Any]) -> None:
    volume = stack(tmp_path / "scan", **lossy)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    read = pydicom.dcmread(file)
    assert read.LossyImageCompression == (lossy["LossyImageCompression"] or "00")
    assert read.get("LossyImageCompressionRatio") == lossy.get("LossyImageCompressionRatio")


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_images_that_lack_what_must_be_referred_to(tmp_path: Path, keyword: str) -> None:
    write_stack(tmp_path / "scan", **{**FRAME_OF_REFERENCE, keyword: None})
    volume = nc.read_volume(tmp_path / "scan")
    with pytest.raises(WriteError, match=f"state no {keyword}"):
        nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), tmp_path / "scan")
    assert sorted(os.listdir(tmp_path)) == ["scan"]


@pytest.mark.parametrize(
    ("character_set", "name"),
    [("ISO_IR 100", "Müller^Jürg"), ("ISO_IR 144", "Люкceмбypг"), ("", "Doe^Jane"),
     (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"), ("GB18030", "王^小东")],
)  # fmt: skip
def test_names_in_other_letters_stay_readable(
    tmp_path: Path, character_set: Any, name: str
) -> None:
    volume = stack(tmp_path / "scan", SpecificCharacterSet=character_set, PatientName=name)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    read = pydicom.dcmread(file)
    assert str(read.PatientName) == name
    assert [each.SegmentLabel for each in read.SegmentSequence] == list(CLASSES.names)


def test_images_that_lack_what_may_be_empty(tmp_path: Path) -> None:
    absent = dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "SliceThickness"))
    volume = stack(tmp_path / "scan", PatientSex="X", **absent)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), tmp_path / "scan")
    read = pydicom.dcmread(file)
    assert read.PatientName == ""
    assert not read.PatientID


def test_what_cannot_carry_a_segmentation_is_named(tmp_path: Path) -> None:
    write(tmp_path / "flat.dcm", np.ones((5, 7), np.uint8), None, None, **FRAME_OF_REFERENCE)
    labels = np.ones((1, 5, 7), np.uint8)
    with pytest.raises(VolumeError, match="where in a patient"):
        nc.export_dicom_seg(tmp_path / "seg.dcm", labels, tmp_path / "flat.dcm")
    nifti = nc.Volume.from_array(np.zeros((3, 4, 5)))
    with pytest.raises(VolumeError, match="not read from DICOM"):
        nc.export_dicom_seg(tmp_path / "seg.dcm", labels, nifti)
    volume = stack(tmp_path / "scan", SOPClassUID="1.2.3.4")
    with pytest.raises(WriteError, match="break the rules of DICOM") as caught:
        nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    assert "Doe" not in str(caught.value)


def test_what_is_asked_for_must_fit(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    out = tmp_path / "seg.dcm"
    heatmap = heatmap_of(volume, np.ones(volume.shape))
    with pytest.raises(MaskError, match="cut it first"):
        nc.export_dicom_seg(out, heatmap, volume, kind="binary")
    with pytest.raises(MaskError, match="not normalised"):
        nc.export_dicom_seg(out, heatmap_of(volume, 2 * heatmap.values), volume)
    with pytest.raises(MaskError, match="kind is"):
        nc.export_dicom_seg(out, heatmap, volume, kind="labelmap")  # type: ignore[arg-type]
    with pytest.raises(MaskError, match="no class"):
        nc.export_dicom_seg(out, np.zeros(volume.shape, np.uint8), volume)
    with pytest.raises(MaskError, match="shape"):
        nc.export_dicom_seg(out, np.zeros((2, 2, 2), np.uint8), volume)
    long = LabelClasses((LabelClass(1, "x" * 65, "#112233"),))
    with pytest.raises(MaskError, match="65 letters"):
        nc.export_dicom_seg(out, np.ones(volume.shape, np.uint8), volume, long)
    for wrong in ({"content_label": "small"}, {"series_number": 0}, {"series_description": " "}):
        with pytest.raises(MaskError):
            nc.SegmentationForm(**wrong)
    with pytest.raises(MaskError, match="VALUE,SCHEME,MEANING"):
        nc.Code.of_text("52988006")
    assert nc.Code.of_text("1, DCM, a, b") == nc.Code("1", "DCM", "a, b")
    assert sorted(os.listdir(tmp_path)) == ["scan"]


def test_nothing_is_replaced_or_left_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = stack(tmp_path / "scan")
    (tmp_path / "seg.json").write_text("kept")
    with pytest.raises(WriteError, match="exists already"):
        nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    assert sorted(os.listdir(tmp_path)) == ["scan", "seg.json"]
    image = next((tmp_path / "scan").iterdir())
    with pytest.raises(WriteError, match="one of the images"):
        nc.export_dicom_seg(image, seeds_of(volume), volume, overwrite=True)

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pydicom.dataset.Dataset, "save_as", full)
    with pytest.raises(WriteError, match="No space left"):
        nc.export_dicom_seg(tmp_path / "other.dcm", seeds_of(volume), volume)
    assert sorted(os.listdir(tmp_path)) == ["scan", "seg.json"]


def test_files_chosen_from_a_folder(tmp_path: Path) -> None:
    paths = write_stack(tmp_path / "a", **FRAME_OF_REFERENCE)
    write_stack(tmp_path / "b", SeriesInstanceUID=PREFIX + "8", **FRAME_OF_REFERENCE)
    volume = nc.read_volume(paths)
    file = nc.export_dicom_seg(tmp_path / "one.dcm", seeds_of(volume), volume)
    np.testing.assert_array_equal(nc.read_labels(file).labels, seeds_of(volume).labels)
    with pytest.raises(VolumeError, match="choose one with series"):
        nc.export_dicom_seg(tmp_path / "two.dcm", seeds_of(volume), tmp_path)
    for series in (0, PREFIX + "8"):
        nc.export_dicom_seg(
            tmp_path / "two.dcm", seeds_of(volume), tmp_path, series=series, overwrite=True
        )


@pytest.mark.parametrize("kept", [(0, 3), (1, 2), (2,)])
def test_frames_that_others_leave_out_are_empty(tmp_path: Path, kept: tuple[int, ...]) -> None:
    """highdicom omits empty frames unless told not to, as other programs do."""
    volume = stack(tmp_path / "scan", n_slices=5)
    labels = np.zeros(volume.shape, np.uint8)
    labels[list(kept)] = np.random.default_rng(2).integers(1, 3, (len(kept), *volume.shape[1:]))
    file = nc.export_dicom_seg(tmp_path / "full.dcm", labels, volume)
    read = highdicom.seg.segread(file)
    headers = sorted(
        (pydicom.dcmread(path) for path in (tmp_path / "scan").iterdir()),
        key=lambda header: header.ImagePositionPatient[2],
    )
    sparse = highdicom.seg.Segmentation(
        headers, labels, "BINARY", [highdicom.seg.SegmentDescription.from_dataset(each)
        for each in read.SegmentSequence], PREFIX + "70", 5, PREFIX + "71", 1, "other", "other",
        "1", "1",
    )  # fmt: skip
    sparse.save_as(tmp_path / "sparse.dcm")
    assert sparse.NumberOfFrames < 10
    back = nc.read_labels(tmp_path / "sparse.dcm", volume)
    np.testing.assert_array_equal(back.labels, labels)
    own = nc.read_labels(tmp_path / "sparse.dcm").labels
    assert own.shape[0] == kept[-1] - kept[0] + 1


def test_segments_that_overlap_are_no_labels(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    dataset = pydicom.dcmread(file)
    dataset.PixelData = b"\xff" * len(dataset.PixelData)
    dataset.save_as(tmp_path / "over.dcm")
    with pytest.raises(MaskError, match="overlaps another"):
        nc.read_labels(tmp_path / "over.dcm")
    assert nc.read_dicom_seg(tmp_path / "over.dcm").mask("läsion").all()


def test_a_labelmap_of_another_program(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    labels = np.random.default_rng(2).integers(0, 3, volume.shape).astype(np.uint8)
    made = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, volume)
    headers = sorted(
        (pydicom.dcmread(path) for path in (tmp_path / "scan").iterdir()),
        key=lambda header: header.ImagePositionPatient[2],
    )
    described = [highdicom.seg.SegmentDescription.from_dataset(each)
                 for each in highdicom.seg.segread(made).SegmentSequence]  # fmt: skip
    highdicom.seg.Segmentation(
        headers, labels, "LABELMAP", described, PREFIX + "70", 5, PREFIX + "71", 1, "other",
        "other", "1", "1", omit_empty_frames=False,
    ).save_as(tmp_path / "map.dcm")  # fmt: skip
    read = nc.read_dicom_seg(tmp_path / "map.dcm", volume)
    assert read.kind == "labelmap"
    np.testing.assert_array_equal(read.labels().labels, labels)
    np.testing.assert_array_equal(read.mask(2), labels == 2)
    np.testing.assert_array_equal(read.mask(), labels > 0)


@pytest.mark.parametrize("cut", [0, 200, 900, -10])
def test_damaged_segmentations_end_in_a_sentence(tmp_path: Path, cut: int) -> None:
    volume = stack(tmp_path / "scan")
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", seeds_of(volume), volume)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(nc.NapariCamError, match=r"seg\.dcm"):
        nc.read_labels(file)
    with pytest.raises(nc.NapariCamError, match=r"seg\.dcm"):
        nc.read_dicom_seg(file).labels()


def test_bytes_changed_at_random_are_read_or_named(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    seeds = seeds_of(volume)
    files = [
        nc.export_dicom_seg(tmp_path / "seg.dcm", seeds, volume),
        nc.export_labels(tmp_path / "slicer.seg.nrrd", seeds, volume),
    ]
    rng = np.random.default_rng(12)
    said: list[bool] = []
    for path in files:
        whole = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            place = int(rng.integers(len(whole)))
            if rng.random() < 0.5:
                damaged[place] ^= 1 << int(rng.integers(8))
            else:
                del damaged[place : place + int(rng.integers(1, 40))]
            path.write_bytes(damaged)
            try:
                nc.read_labels(path, volume)
            except nc.NapariCamError as error:
                said.append(path.name in str(error))
    assert all(said)
    assert 15 < len(said) < 80


def test_images_are_no_segmentations(tmp_path: Path) -> None:
    write_stack(tmp_path)
    with pytest.raises(VolumeError, match="is no DICOM segmentation"):
        nc.read_dicom_seg(next(tmp_path.iterdir()))


@pytest.mark.parametrize(
    "colour", ["#000000", "#FFFFFF", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#FF00FF"]
)
def test_colours_are_those_of_highdicom(colour: str) -> None:
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    assert CIELabColor.from_dicom_value(lab_of(colour)).to_rgb() == tuple(parts)


@pytest.mark.data
def test_a_segmentation_of_another_program_and_its_nrrd(shared_data: Path) -> None:
    """The liver of dcmqi: as DICOM-SEG, and as the NRRD file that it was made from."""
    folder = shared_data / "dicom_ct_liver"
    volume = nc.read_volume(folder / "ct-3slice")
    seg = nc.read_labels(folder / "liver.dcm", volume)
    drawn = nc.read_labels(folder / "liver_seg.nrrd", volume)
    assert seg.labels.any()
    np.testing.assert_array_equal(seg.labels != 0, drawn.labels != 0)
    assert seg.classes.names == ("Liver",)
    liver = nc.read_dicom_seg(folder / "liver.dcm").segments[0]
    assert str(liver.type) == "T-62000,SRT,Liver"


@pytest.mark.data
def test_a_real_series_gets_what_another_program_made_of_it(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "dicom_ct_liver"
    theirs = nc.read_labels(folder / "liver.dcm")
    file = nc.export_dicom_seg(tmp_path / "liver.dcm", theirs, folder / "ct-3slice")
    ours, other = pydicom.dcmread(file), pydicom.dcmread(folder / "liver.dcm")
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "NumberOfFrames"):
        assert getattr(ours, keyword) == getattr(other, keyword)

    def referred(dataset: pydicom.Dataset) -> set[str]:
        items = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        return {item.ReferencedSOPInstanceUID for item in items}

    assert referred(ours) == referred(other)
    made, expected = by_place(file), by_place(folder / "liver.dcm")
    assert len(made) == len(expected) == 3
    for key, frame in expected.items():
        near = min(made, key=lambda each: float(np.abs(np.subtract(each[1], key[1])).max()))
        np.testing.assert_allclose(near[1], key[1], atol=1e-3)
        np.testing.assert_array_equal(made[near], frame)
    got = highdicom.seg.segread(file).get_volume(combine_segments=True)
    assert np.count_nonzero(got.array) == np.count_nonzero(theirs.labels)


SERIES = [
    "ge/anatomical", "generic/anatomical", "generic/compressed", "generic/compressed_rle",
    "generic/compressed_jpegls", "hitachi/anatomical", "philips_enhanced/anatomical",
    "siemens_multiframe/anatomical",
]  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", SERIES)
def test_series_of_several_makers(shared_data: Path, tmp_path: Path, name: str) -> None:
    """These were made anonymous with more care than DICOM allows: they lack what must be there."""
    folder = tmp_path / "scan"
    for path in sorted((shared_data / "dicom_geometry" / name).rglob("*")):
        if path.is_file() and is_dicom(path.read_bytes()[:132]):
            header = pydicom.dcmread(path)
            header.FrameOfReferenceUID = FRAME_OF_REFERENCE["FrameOfReferenceUID"]
            save(folder / f"{path.parent.name}-{path.name}", header)
    volume = nc.read_volume(folder, series=0)
    labels = np.random.default_rng(0).integers(0, 3, volume.shape).astype(np.uint8)
    file = nc.export_dicom_seg(tmp_path / "seg.dcm", labels, volume)
    np.testing.assert_array_equal(nc.read_labels(file, volume).labels, labels)
    alone = nc.read_labels(file)
    np.testing.assert_array_equal(alone.labels, labels)
    np.testing.assert_allclose(alone.grid.affine, volume.affine, atol=2e-3)
    frames = by_place(file)
    assert sum(int(frame.sum()) for frame in frames.values()) == np.count_nonzero(labels)
    counted = np.unique(nc.read_dicom_seg(file).mask(2), return_counts=True)[1]
    assert counted[1] == np.count_nonzero(labels == 2)
