"""Labels as files come back as they were, and other libraries put them where they belong."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import napari_cam as nc
from napari_cam.errors import MaskError, WriteError
from napari_cam.grid import Grid
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.volumes.placing import on_grid
from tests.labels.files.grids import (
    CLASSES,
    ORIENTATIONS,
    STORED,
    affine_of,
    scan,
    seeds_on,
    stored_labels,
)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("oblique", [False, True], ids=["straight", "oblique"])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_comes_back_from_nifti_and_slicer(
    tmp_path: Path, codes: str, oblique: bool
) -> None:
    affine, stored = affine_of(codes, oblique), stored_labels()
    volume = scan(tmp_path / "scan.nii.gz", affine)
    seeds = seeds_on(volume, stored)

    nc.export_labels(tmp_path / "seeds.nii.gz", seeds, volume)
    source, image = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "seeds.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), stored)
    np.testing.assert_array_equal(image.affine, source.affine)
    for name in ("sform_code", "qform_code", "pixdim", "quatern_b", "srow_x"):
        np.testing.assert_array_equal(image.header[name], source.header[name])

    nc.export_labels(tmp_path / "slicer.seg.nrrd", seeds, volume)
    # ITK reads the file by itself: every voxel lies where nibabel puts that of the scan.
    itk = SimpleITK.ReadImage(str(tmp_path / "slicer.seg.nrrd"))
    for index in np.ndindex(STORED):
        right, anterior, superior = nib.affines.apply_affine(source.affine, index)
        place = itk.TransformPhysicalPointToIndex((-right, -anterior, superior))
        assert itk[place] == stored[index]

    for name in ("seeds.nii.gz", "slicer.seg.nrrd"):
        back = nc.read_labels(tmp_path / name)
        np.testing.assert_array_equal(back.labels, seeds.labels)
        assert back.grid.orientation == volume.grid.orientation
        np.testing.assert_allclose(back.grid.affine, volume.grid.affine, atol=1e-5)
        assert back.classes == CLASSES
        assert back.kind == "seeds"
        np.testing.assert_array_equal(back.seeds().labels, seeds.labels)


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SRA", "AIL", "PSL"])
def test_labels_drawn_on_one_file_lie_on_another_of_the_same_scan(
    tmp_path: Path, codes: str
) -> None:
    stored = stored_labels()
    image = nib.Nifti1Image(stored.astype(np.float32), affine_of(codes, oblique=True))
    other = nib.as_closest_canonical(image)
    nib.save(image, tmp_path / "one.nii")
    nib.save(other, tmp_path / "other.nii")
    one, canonical = nc.read_volume(tmp_path / "one.nii"), nc.read_volume(tmp_path / "other.nii")
    nc.export_labels(tmp_path / "seeds.nii", seeds_on(one, stored), canonical)
    np.testing.assert_array_equal(
        np.asarray(nib.load(tmp_path / "seeds.nii").dataobj), np.asarray(other.dataobj)
    )
    back = nc.read_labels(tmp_path / "seeds.nii", like=one)
    np.testing.assert_array_equal(back.labels, np.asarray(one.values))


def test_the_header_of_slicer_says_what_slicer_reads(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("LPS"))
    labels = np.zeros(volume.shape, np.uint8)
    labels[1:3, 2, 4] = 2
    classes = LabelClasses(
        (LabelClass(2, "tumour \\ core", "#FF8000"), LabelClass(9, "empty", "#000000"))
    )
    nc.export_labels(tmp_path / "a.seg.nrrd", labels, volume, classes)
    data, header = nrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert data.shape == (5, 6, 7)
    assert data[4, 2, 1] == 2
    assert np.count_nonzero(data) == 2
    assert header["space"] == "left-posterior-superior"
    assert header["encoding"] == "gzip"
    np.testing.assert_array_equal(header["space directions"], np.diag([0.7, 1.1, 2.9]).astype("f4"))
    np.testing.assert_array_equal(header["space origin"], [31.5, -12.25, 104.125])
    assert header["Segment0_ID"] == "Segment_2"
    assert header["Segment0_LabelValue"] == "2"
    assert header["Segment0_Layer"] == "0"
    assert header["Segment0_Extent"] == "4 4 2 2 1 2"
    assert [float(part) for part in header["Segment0_Color"].split()] == [1, 128 / 255, 0]
    assert header["Segment1_Name"] == "empty"
    assert header["Segment1_Extent"] == "0 -1 0 -1 0 -1"
    assert nc.read_labels(tmp_path / "a.seg.nrrd").classes == classes


def test_layers_of_slicer_come_together_unless_they_overlap(tmp_path: Path) -> None:
    layers = np.zeros((2, 3, 4, 5), np.uint8)
    layers[0, 1, 2, 3] = 1
    layers[1, 0, 0, 4] = 1
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.array(
            [[np.nan] * 3, [0.5, 0, 0], [0, 0.5, 0], [0, 0, 2.0]]
        ),
        "space origin": np.array([1.0, 2.0, 3.0]),
        **{f"Segment{n}_{key}": value for n in (0, 1) for key, value in
           {"ID": f"s{n}", "Name": "same", "LabelValue": "1", "Layer": str(n)}.items()},
    }  # fmt: skip
    nrrd.write(str(tmp_path / "two.seg.nrrd"), layers, header, index_order="F")
    image = nc.read_labels(tmp_path / "two.seg.nrrd")
    assert image.labels.shape == (5, 4, 3)
    assert image.labels[3, 2, 1] == 1
    assert image.labels[4, 0, 0] == 2
    assert image.classes.names == ("same 1", "same 2")
    np.testing.assert_allclose(image.grid.world((0, 0, 0)), (-1, -2, 3))
    layers[1, 1, 2, 3] = 1
    nrrd.write(str(tmp_path / "two.seg.nrrd"), layers, header, index_order="F")
    with pytest.raises(MaskError, match="overlaps another"):
        nc.read_labels(tmp_path / "two.seg.nrrd")


def test_images_without_a_patient_come_back_too(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 255, (3, 5, 4)).astype(np.uint8)
    volume = nc.Volume.from_array(values, spacing=(2.0, 0.5, 0.25))
    labels = np.random.default_rng(2).integers(0, 3, (3, 5, 4)).astype(np.uint8)
    for name in ("a.tif", "a2.ome.tif", "b.seg.nrrd", "c.nii.gz"):
        nc.export_labels(tmp_path / name, labels, volume)
        back = nc.read_labels(tmp_path / name)
        np.testing.assert_array_equal(back.labels, labels)
        assert back.grid.orientation is None
        np.testing.assert_allclose(back.grid.affine, volume.grid.affine)
        assert back.classes.names == ("label 1", "label 2")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert 'PhysicalSizeZ="2.0"' in (file.ome_metadata or "")
    itk = SimpleITK.ReadImage(str(tmp_path / "b.seg.nrrd"))
    assert itk.GetSpacing() == (0.25, 0.5, 2.0)


def test_codes_of_nnunet_and_ones_own_are_stated(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    seeds = seeds_on(volume, stored_labels())
    nc.export_labels(tmp_path / "nn.nii", seeds, volume, remap="nnunet", class_table=True)
    expected = np.array([3, 0, 1, 2], np.uint8)[stored_labels()]
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "nn.nii").dataobj), expected)
    record = json.loads((tmp_path / "nn.json").read_text())
    assert record["remap"] == {"0": 3, "1": 0, "2": 1, "3": 2}
    assert record["codes"] == {
        "0": "background", "1": "liver, left lobe", "2": "läsion", "3": "ignore"
    }  # fmt: skip
    assert record["made_from"] == {"kind": "seeds", "high": 0.6}
    table = (tmp_path / "nn.csv").read_text().splitlines()
    assert table[1:] == ['1,"liver, left lobe",#E69F00', "2,läsion,#56B4E9", "3,ignore,#999999"]

    nc.export_labels(tmp_path / "own.nii", seeds, volume, remap={0: 0, 1: 0, 2: 7, 3: 7})
    own = np.array([0, 0, 7, 7], np.uint8)[stored_labels()]
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "own.nii").dataobj), own)
    with pytest.raises(MaskError, match="label 3 has no new code"):
        nc.export_labels(tmp_path / "less.nii", seeds, volume, remap={0: 0, 1: 0, 2: 1})


def test_masks_and_finished_labels_keep_0_for_background(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    mask = np.asarray(volume.values) > 100
    nc.export_labels(tmp_path / "mask.seg.nrrd", mask, volume)
    back = nc.read_labels(tmp_path / "mask.seg.nrrd")
    np.testing.assert_array_equal(back.labels == 1, mask)
    assert back.kind == "mask"
    assert back.classes.names == ("mask",)
    with pytest.raises(MaskError, match="0 is background"):
        back.seeds()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((2, 3, 4), np.uint8), "shape"),
        (np.full((7, 6, 5), 0.5, np.float32), "whole numbers"),
        (np.full((7, 6, 5), -1, np.int16), "number them anew"),
        (np.full((7, 6, 5), 4, np.int16), "holds? 4, which is no class"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, labels: np.ndarray, said: str) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    with pytest.raises(MaskError, match=said):
        nc.export_labels(tmp_path / "out.nii", labels, volume, CLASSES)
    assert sorted(os.listdir(tmp_path)) == ["scan.nii"]


def test_many_labels_fit_nifti_but_no_segmentation(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    labels = np.arange(210).reshape(7, 6, 5) * 5
    nc.export_labels(tmp_path / "many.nii", labels, volume)
    np.testing.assert_array_equal(nc.read_labels(tmp_path / "many.nii").labels, labels)
    with pytest.raises(WriteError, match="up to 255"):
        nc.export_labels(tmp_path / "many.seg.nrrd", labels, volume)


@pytest.mark.parametrize("name", ["out.nii.gz", "out.tif", "out.seg.nrrd"])
@pytest.mark.parametrize("blocked", ["out", "json", "csv"])
def test_nothing_is_replaced_unless_asked(tmp_path: Path, name: str, blocked: str) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    seeds = seeds_on(volume, stored_labels())
    stands = {"out": name, "json": "out.json", "csv": "out.csv"}[blocked]
    (tmp_path / stands).write_text("kept")
    with pytest.raises(WriteError, match="exists already"):
        nc.export_labels(tmp_path / name, seeds, volume, class_table=True)
    assert (tmp_path / stands).read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == sorted([stands, "scan.nii"])
    nc.export_labels(tmp_path / name, seeds, volume, overwrite=True, class_table=True)
    assert sorted(os.listdir(tmp_path)) == sorted([name, "out.csv", "out.json", "scan.nii"])


@pytest.mark.parametrize("name", ["out.nii.gz", "out.tif", "out.seg.nrrd"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    seeds = seeds_on(volume, stored_labels())

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="No space left"):
        nc.export_labels(tmp_path / name, seeds, volume, class_table=True)
    assert sorted(os.listdir(tmp_path)) == ["scan.nii"]


def test_an_earlier_result_survives_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    seeds = seeds_on(volume, stored_labels())
    nc.export_labels(tmp_path / "out.seg.nrrd", seeds, volume)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace, calls = os.replace, []

    def third_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if (
            len(calls) == 4
        ):  # the old file aside, the new one in, the old record aside: then no more
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", third_fails)
    with pytest.raises(WriteError):
        nc.export_labels(tmp_path / "out.seg.nrrd", ~seeds.labels % 3, volume, overwrite=True)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_locked_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    labels = seeds_on(volume, stored_labels())

    def refused(*_: Any, **__: Any) -> None:  # root may write into any folder
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    with pytest.raises(WriteError, match="Nothing can be written"):
        nc.export_labels(tmp_path / "a.seg.nrrd", labels, volume)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]


def test_the_image_itself_is_never_replaced(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    with pytest.raises(WriteError, match="image itself"):
        nc.export_labels(
            tmp_path / "scan.nii", seeds_on(volume, stored_labels()), volume, overwrite=True
        )
    with pytest.raises(WriteError, match="no extension"):
        nc.export_labels(tmp_path / "scan.mha", seeds_on(volume, stored_labels()), volume)


def test_nobody_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "doe_jane"
    folder.mkdir()
    volume = scan(folder / "doe_jane.nii.gz", affine_of("RAS"))
    for name in ("a.nii", "b.tif", "c.seg.nrrd"):
        nc.export_labels(tmp_path / name, seeds_on(volume, stored_labels()), volume)
    for path in tmp_path.glob("*.*"):
        assert b"doe" not in path.read_bytes().lower()


@pytest.mark.parametrize("name", ["lesion.nii.gz", "lesion.seg.nrrd"])
def test_headers_that_a_converter_left_beside_labels_go_nowhere(tmp_path: Path, name: str) -> None:
    volume = scan(tmp_path / "scan.nii.gz", affine_of("RAS"))
    drawn = nc.export_labels(tmp_path / name, seeds_on(volume, stored_labels()), volume)
    headers = {"PatientName": "Doe^Jane", "PatientID": "4711", "SeriesInstanceUID": "1.2.3.4"}
    drawn.with_name("lesion.json").write_text(json.dumps(headers))
    read = nc.read_labels(drawn)
    assert not read.provenance
    nc.export_labels(tmp_path / "copy.nii", read, volume)
    facts = (tmp_path / "copy.json").read_text()
    assert not any(secret in facts for secret in ("Doe", "4711", "1.2.3.4"))


def test_any_name_of_a_class_comes_back_from_slicer(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    names = ("left\\new", "a\\\\b", "läsion \\")
    classes = LabelClasses.of_seeds(names)
    nc.export_labels(tmp_path / "a.seg.nrrd", seeds_on(volume, stored_labels()), volume, classes)
    assert nc.read_labels(tmp_path / "a.seg.nrrd").classes.names == ("background", *names)


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS", oblique=True))
    for name in ("a.seg.nrrd", "b.seg.nrrd"):
        nc.export_labels(tmp_path / name, seeds_on(volume, stored_labels()), volume)
    assert (tmp_path / "a.seg.nrrd").read_bytes() == (tmp_path / "b.seg.nrrd").read_bytes()


@pytest.mark.parametrize(
    "damage", [b"", b"NRRD0004\ntype: unsigned char\n\n", b"NRRD0004\n", b"text"]
)
def test_damaged_nrrd_ends_in_a_sentence(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(damage)
    with pytest.raises(nc.NapariCamError, match=r"a\.seg\.nrrd"):
        nc.read_labels(path)


def test_a_file_cut_short_ends_in_a_sentence(tmp_path: Path) -> None:
    volume = scan(tmp_path / "scan.nii", affine_of("RAS"))
    path = nc.export_labels(tmp_path / "a.seg.nrrd", seeds_on(volume, stored_labels()), volume)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(nc.NapariCamError, match=r"a\.seg\.nrrd"):
        nc.read_labels(path)


@settings(max_examples=60, deadline=None)
@given(
    labels=arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 4)),
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    before=st.tuples(*[st.integers(0, 3)] * 3),
    after=st.tuples(*[st.integers(0, 3)] * 3),
)
def test_turned_padded_and_back_is_the_same(labels, order, flips, before, after) -> None:
    """numpy's own pad, transpose and flip say what must come out."""
    affine = affine_of("SAR", oblique=True)
    grid = Grid(labels.shape, affine, "SAR")
    wide = np.pad(labels, list(zip(before, after, strict=True)))
    origin = np.eye(4)
    origin[:3, 3] = [-n for n in before]
    placed = affine @ origin
    turned = wide.transpose(order)
    placed = placed[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            step = np.eye(4)
            step[axis, axis] = -1
            step[axis, 3] = turned.shape[axis] - 1
            placed = placed @ step
    target = Grid(turned.shape, placed, "SAR")
    np.testing.assert_array_equal(on_grid(labels, grid, target), turned)
    np.testing.assert_array_equal(on_grid(turned, target, grid), labels)


def test_other_places_are_refused() -> None:
    affine = affine_of("SAR")
    grid = Grid((4, 5, 6), affine, "SAR")
    labels = np.ones((4, 5, 6), np.uint8)
    half = affine.copy()
    half[0, 3] += 0.4
    with pytest.raises(MaskError, match="resample"):
        on_grid(labels, grid, Grid((4, 5, 6), half, "SAR"))
    finer = affine.copy()
    finer[:3, :3] /= 2
    with pytest.raises(MaskError, match="resample"):
        on_grid(labels, grid, Grid((8, 10, 12), finer, "SAR"))
    with pytest.raises(MaskError, match="outside of the image"):
        on_grid(labels, grid, Grid((4, 5, 5), affine, "SAR"))
