"""Writing, judged by nibabel's own loading and by the bytes of the headers."""

from __future__ import annotations

import gzip
import json
import os
import struct
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path as nibabel_data

from napari_cam.errors import WriteError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.volumes import writing
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Source, Volume
from napari_cam.volumes.writing import write_volume
from tests.volumes.test_nifti_reading import ORIENTATIONS, affine_of, marked, rotation, save

RNG = np.random.default_rng(8)

# Where the geometry stands in a header, from the standard: pixdim; qform_code, sform_code,
# quaternion, offsets and srow; xyzt_units.
GEOMETRY = {348: [(76, 108), (252, 328), (123, 124)], 540: [(104, 168), (344, 496), (500, 504)]}


def geometry(raw: bytes, size: int = 348) -> list[bytes]:
    return [raw[start:stop] for start, stop in GEOMETRY[size]]


def heatmap_on(volume: Volume, kind: Any = "unit", provenance: Any = None) -> Heatmap:
    values = RNG.uniform(size=volume.shape).astype(np.float32)
    n = volume.shape[0]
    return Heatmap(
        values=values if kind == "unit" else values * 7 - 3,
        kind=kind,
        raw_min=np.zeros(n, np.float32),
        raw_max=np.ones(n, np.float32),
        valid=np.ones(n, bool),
        class_index=np.zeros(n, np.int64),
        predicted_index=np.zeros(n, np.int64),
        score=np.ones(n, np.float32),
        inside=np.ones(volume.shape, bool),
        unit_axis=0,
        grid=volume.grid,
        provenance=provenance or {},
    )


def plain_volume(spacing: Any = (3, 0.5, 0.7)) -> Volume:
    return Volume.from_array(RNG.normal(size=(4, 5, 6)), spacing=spacing)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
@pytest.mark.parametrize("seed", [None, 6])
def test_results_lie_exactly_on_the_source_grid_in_all_48_orientations(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...], seed: int | None
) -> None:
    turn = np.eye(3) if seed is None else rotation(seed)
    source = save(tmp_path / "a.nii", marked(), affine_of(axes, signs, turn))
    volume = read_volume(source)
    labels = np.zeros(volume.shape, np.int64)
    labels[volume.values == 77] = 3
    written = write_volume(tmp_path / "b.nii", labels, like=volume)
    assert geometry(written.read_bytes()) == geometry(source.read_bytes())
    before, after = nib.load(source), nib.load(written)
    assert after.shape == before.shape
    ijk = np.argwhere(np.asanyarray(before.dataobj) == 77)
    np.testing.assert_array_equal(np.argwhere(np.asanyarray(after.dataobj) == 3), ijk)
    again = read_volume(written)
    assert again.grid.same_as(volume.grid, within=0)
    np.testing.assert_array_equal(again.values, labels)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz"])
def test_headers_keep_version_byte_order_and_geometry(
    tmp_path: Path, kind: Any, order: str, name: str
) -> None:
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype("i2").newbyteorder(order))
    header["pixdim"][:] = (-1, 1.5, 2.5, 3.5, 2.2, 1, 1, 1)
    header.set_xyzt_units("mm", "sec")
    header.set_sform(affine_of((1, 0, 2), (1, -1, 1), rotation(7)), 4)
    header.set_qform(affine_of((1, 2, 0), (1, -1, 1), rotation(8)), 3)
    nib.save(kind(marked(), None, header), tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    values = RNG.normal(size=volume.shape)
    written = write_volume(tmp_path / name, values, like=volume)
    after = nib.load(written)
    assert type(after) is kind
    assert after.header.endianness == order
    raw = written.read_bytes()
    raw = gzip.decompress(raw) if name.endswith("gz") else raw
    size = header["sizeof_hdr"].item()
    assert geometry(raw, size) == geometry((tmp_path / "a.nii").read_bytes(), size)
    stored = np.asanyarray(after.dataobj)
    np.testing.assert_array_equal(
        stored.transpose(volume.source.stored_axes), values.astype(np.float32)
    )


def test_crooked_headers_are_copied_as_they_are(tmp_path: Path) -> None:
    """Not even what nibabel would mend (qfac 0) changes."""
    path = save(tmp_path / "a.nii", marked(), np.diag([2.0, 3, 4, 1]), qform_code=0)
    raw = bytearray(path.read_bytes())
    raw[76:80] = bytes(4)
    path.write_bytes(raw)
    volume = read_volume(path)
    written = write_volume(tmp_path / "b.nii", np.asarray(volume.values), like=volume)
    assert geometry(written.read_bytes()) == geometry(bytes(raw))


def test_display_fields_belong_to_the_result(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.eye(4), cal_max=900, intent_code=3, glmax=5)
    volume = read_volume(path)
    for kind, low, high in [("unit", 0, 1), ("signed", -3, 4)]:
        written = write_volume(tmp_path / f"{kind}.nii", heatmap_on(volume, kind), like=volume)
        header = nib.load(written).header
        assert header["cal_min"] == pytest.approx(low, abs=0.3)
        assert header["cal_max"] == pytest.approx(high, abs=0.3)
        assert struct.unpack("<2f", written.read_bytes()[112:120]) == (1, 0)  # slope, intercept
        assert (header["intent_code"], header["glmax"]) == (0, 0)
    written = write_volume(tmp_path / "mask.nii", np.asarray(volume.values) > 9, like=volume)
    assert nib.load(written).header["cal_max"] == 0


@pytest.mark.parametrize("name", ["b.nii", "b.tif"])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([False, True]), "u1"),
        (np.array([0, 255], np.int64), "u1"),
        (np.array([0, 256], np.int64), "u2"),
        (np.array([0, 65536], np.uint64), "u4"),
        (np.array([-1, 127], np.int64), "i1"),
        (np.array([-1, 128], np.int64), "i2"),
        (np.array([0.1, 1e-30]), "f4"),
        (np.array([0.5, np.nan], np.float16), "f4"),
    ],
)
def test_types_on_file(tmp_path: Path, name: str, values: np.ndarray, dtype: str) -> None:
    volume = Volume.from_array(np.zeros((1, 2, 3)), spacing=(1, 2, 3))
    full = np.repeat(values, 3).reshape(1, 2, 3)
    read = read_volume(write_volume(tmp_path / name, full, like=volume))
    assert read.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read.values, full.astype(dtype))


def test_labels_beyond_32_bits(tmp_path: Path) -> None:
    volume = Volume.from_array(np.zeros((1, 2, 3)))
    labels = np.full((1, 2, 3), 2**40)
    read = read_volume(write_volume(tmp_path / "b.nii", labels, like=volume))
    assert (read.values.dtype, read.values.max()) == (np.uint64, 2**40)
    with pytest.raises(WriteError, match="number them anew"):
        write_volume(tmp_path / "c.tif", labels, like=volume)


def test_spatial_part_of_a_time_series(tmp_path: Path) -> None:
    stored = RNG.normal(size=(4, 5, 6, 3)).astype(np.float32)
    path = save(tmp_path / "a.nii.gz", stored, affine_of((2, 0, 1), (-1, 1, 1), rotation(9)))
    volume = read_volume(path, axis4="time", time=1)
    written = write_volume(tmp_path / "b.nii", np.asarray(volume.values), like=volume)
    np.testing.assert_array_equal(np.asanyarray(nib.load(written).dataobj), stored[..., 1])
    assert geometry(written.read_bytes()) == geometry(gzip.decompress(path.read_bytes()))
    channels = read_volume(path, axis4="channels")
    mask = channels.values[2] > 0
    written = write_volume(tmp_path / "c.nii", mask, like=channels)
    np.testing.assert_array_equal(np.asanyarray(nib.load(written).dataobj), stored[..., 2] > 0)


def test_a_flat_picture_stays_flat(tmp_path: Path) -> None:
    stored = marked()[..., 0]
    volume = read_volume(save(tmp_path / "a.nii", stored, np.diag([2.0, 3, 4, 1])))
    written = write_volume(tmp_path / "b.nii", np.asarray(volume.values), like=volume)
    after = nib.load(written)
    assert after.shape == (4, 5)
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), stored)


def test_a_pair_of_files_gives_a_single_file(tmp_path: Path) -> None:
    stored = marked()
    affine = affine_of((2, 0, 1), (1, 1, -1), np.eye(3))
    nib.save(nib.Nifti1Pair(stored, affine), tmp_path / "a.hdr")
    volume = read_volume(tmp_path / "a.hdr")
    written = write_volume(tmp_path / "b.nii.gz", np.asarray(volume.values), like=volume)
    np.testing.assert_array_equal(np.asanyarray(nib.load(written).dataobj), stored)
    np.testing.assert_array_equal(nib.load(written).affine, nib.load(tmp_path / "a.hdr").affine)


def test_a_volume_without_nifti_source_is_placed_by_its_affine(tmp_path: Path) -> None:
    volume = plain_volume()
    written = nib.load(write_volume(tmp_path / "b.nii", volume.values, like=volume))
    np.testing.assert_allclose(written.affine, np.diag([0.7, 0.5, 3, 1]), rtol=1e-6)
    np.testing.assert_allclose(written.header.get_qform(), written.affine, rtol=1e-6)
    assert written.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(
        np.asanyarray(written.dataobj), volume.values.astype(np.float32).T
    )
    unknown = plain_volume(None)
    written = nib.load(write_volume(tmp_path / "c.nii", unknown.values, like=unknown))
    assert written.header.get_xyzt_units()[0] == "unknown"


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_a_sheared_grid_has_no_qform(tmp_path: Path, shear: float) -> None:
    affine = affine_of((1, 0, 2), (1, 1, -1), rotation(3))
    affine[:3, 2] += shear * affine[:3, 1]
    volume = Volume(marked(), Grid((4, 5, 6), affine, "PRI"))
    after = nib.load(write_volume(tmp_path / "b.nii", volume.values, like=volume))
    for index in [(0, 0, 0), (3, 1, 2), (1, 4, 5)]:
        expected = nib.affines.apply_affine(affine, index)
        np.testing.assert_allclose(
            nib.affines.apply_affine(after.affine, index[::-1]), expected, atol=1e-5
        )
    assert after.header["sform_code"] == 1
    assert after.header["qform_code"] == (0 if shear else 1)


def test_a_crop_of_a_nifti_volume_is_placed_by_its_own_grid(tmp_path: Path) -> None:
    whole = read_volume(
        save(tmp_path / "a.nii", marked(), affine_of((0, 1, 2), (-1, 1, 1), rotation(5)))
    )
    affine = whole.affine.copy()
    affine[:3, 3] = whole.grid.world((1, 2, 0))
    crop = replace(
        whole,
        values=np.asarray(whole.values)[1:, 2:],
        grid=Grid((5, 3, 4), affine, whole.orientation),
    )
    read = read_volume(write_volume(tmp_path / "b.nii", crop.values, like=crop))
    assert read.grid.same_as(crop.grid, within=5e-5)
    np.testing.assert_array_equal(read.values, crop.values)


def test_axes_too_long_for_nifti_1_give_nifti_2(tmp_path: Path) -> None:
    volume = Volume.from_array(np.ones((1, 2, 40000), np.uint8))
    written = write_volume(tmp_path / "b.nii", volume.values, like=volume)
    assert isinstance(nib.load(written), nib.Nifti2Image)
    assert read_volume(written).shape == (1, 2, 40000)


@pytest.mark.parametrize("name", ["b.tif", "b.tiff", "b.ome.tif"])
@pytest.mark.parametrize("spacing", [(2.2, 0.1 + 0.2, 1 / 3), None])
def test_tiff_states_the_voxel_size_exactly(tmp_path: Path, name: str, spacing: Any) -> None:
    volume = plain_volume(spacing)
    heatmap = heatmap_on(volume)
    read = read_volume(write_volume(tmp_path / name, heatmap))
    assert read.grid.same_as(volume.grid, within=0)
    assert read.grid.units == ("mm" if spacing else "pixel")
    np.testing.assert_array_equal(read.values, heatmap.values)


def test_tiff_of_a_patient_volume_keeps_its_voxel_size(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", marked(), affine_of((1, 2, 0), (1, -1, 1), rotation(6)))
    volume = read_volume(source)
    read = read_volume(write_volume(tmp_path / "b.tif", heatmap_on(volume), like=volume))
    assert read.spacing == volume.spacing


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = plain_volume()
    for extension in (".nii", ".nii.gz", ".tif"):
        one, two = (tmp_path / f"{name}{extension}" for name in ("one", "two_with_a_longer_name"))
        write_volume(one, volume.values, like=volume, overwrite=True)
        write_volume(two, volume.values, like=volume, overwrite=True)
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", ["b.nii", "b.tif"])
def test_nothing_names_the_patient(tmp_path: Path, name: str) -> None:
    image = nib.Nifti1Image(marked(), np.eye(4))
    for field in ("descrip", "aux_file", "db_name", "intent_name", "data_type"):
        image.header[field] = b"doe_jane"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"doe_jane"))
    nib.save(image, tmp_path / "doe_jane.nii")
    volume = read_volume(tmp_path / "doe_jane.nii")
    folder = tmp_path / "results"
    folder.mkdir()
    write_volume(folder / name, np.asarray(volume.values), like=volume)
    assert sorted(os.listdir(folder)) == sorted([name, "b.json"])
    for file in folder.iterdir():
        assert b"doe" not in file.read_bytes().lower()


def test_every_file_has_its_provenance_beside_it(tmp_path: Path) -> None:
    volume = plain_volume()
    heatmap = heatmap_on(volume, provenance={"method": "gradcam", "cut": np.float32(0.5)})
    write_volume(tmp_path / "a.tif", heatmap)
    write_volume(tmp_path / "b.tif", heatmap, provenance={"method": "mine"})
    write_volume(tmp_path / "c.nii.gz", volume.values > 0, like=volume)
    facts = [json.loads((tmp_path / f"{name}.json").read_text()) for name in "abc"]
    grids = [fact.pop("grid") for fact in facts]
    assert grids[0] == grids[1] == grids[2]
    assert np.array_equal(grids[0].pop("affine"), volume.grid.affine)
    assert grids[0] == {
        "shape": list(volume.shape),
        "orientation": volume.orientation,
        "units": volume.grid.units,
    }
    maps = [fact.pop("map") for fact in facts[:2]]
    assert maps[0] == maps[1]
    assert facts[:2] == [{"method": "gradcam", "cut": 0.5}, {"method": "mine"}]
    assert facts[2]["kind"] == "mask"
    assert facts[2]["versions"]["nibabel"] == nib.__version__


def test_existing_files_stay_unless_asked(tmp_path: Path) -> None:
    volume = plain_volume()
    (tmp_path / "b.json").write_text("mine")
    with pytest.raises(WriteError, match=r"b\.json exists already"):
        write_volume(tmp_path / "b.nii", volume.values, like=volume)
    assert os.listdir(tmp_path) == ["b.json"]
    write_volume(tmp_path / "b.nii", volume.values, like=volume, overwrite=True)
    assert (tmp_path / "b.json").read_text() != "mine"
    with pytest.raises(WriteError, match=r"b\.nii exists already"):
        write_volume(tmp_path / "b.nii", volume.values, like=volume)


def test_the_image_itself_is_never_replaced(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", marked(), np.eye(4))
    before = source.read_bytes()
    volume = read_volume(source)
    (tmp_path / "link.nii").symlink_to(source)
    for name in ("a.nii", "link.nii"):
        with pytest.raises(WriteError, match="the image itself"):
            write_volume(tmp_path / name, np.zeros(volume.shape), like=volume, overwrite=True)
    assert source.read_bytes() == before


def test_a_failure_on_the_way_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = plain_volume()
    (tmp_path / "b.nii").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("_write_stored", "write_sidecar"):
        with monkeypatch.context() as patch:
            patch.setattr(writing, step, full)
            with pytest.raises(WriteError, match="No space left"):
                write_volume(tmp_path / "b.nii", volume.values, like=volume, overwrite=True)
        assert os.listdir(tmp_path) == ["b.nii"]
        assert (tmp_path / "b.nii").read_bytes() == b"old"


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    volume, other = plain_volume(), plain_volume((3, 0.5, 0.8))
    heatmap = heatmap_on(volume)
    cases: list[tuple[str, Any, Volume | None, str]] = [
        ("b.nii", heatmap, None, "give like="),
        ("b.tif", volume.values, None, "give the volume"),
        ("b.nii", heatmap, other, "The heatmap lies on a grid of .* but like on a grid of"),
        ("b.nii", volume.values[0], volume, r"shape \(5, 6\)"),
        ("b.nii", volume.values.swapaxes(0, 2), volume, r"shape \(6, 5, 4\)"),
        ("b.nii", volume.values.astype(complex), volume, "complex128"),
        ("b.nii", volume.values * 1e300, volume, "too large"),
        ("b.mha", volume.values, volume, r"give \.nii"),
        ("b", volume.values, volume, r"give \.nii"),
        ("none/b.nii", volume.values, volume, "does not exist"),
    ]
    for name, values, like, what in cases:
        with pytest.raises(WriteError, match=what):
            write_volume(tmp_path / name, values, like=like)
    assert os.listdir(tmp_path) == []


def test_nibabels_anatomical_volume_round_trip(tmp_path: Path) -> None:
    path = Path(nibabel_data) / "anatomical.nii"
    volume = read_volume(path)
    heatmap = heatmap_on(volume)
    written = write_volume(tmp_path / "map.nii.gz", heatmap, like=volume)
    before, after = nib.load(path), nib.load(written)
    np.testing.assert_array_equal(after.affine, before.affine)
    read = read_volume(written)
    assert read.grid.same_as(volume.grid, within=0)
    np.testing.assert_array_equal(read.values, heatmap.values)


@pytest.mark.data
def test_awkward_files_keep_their_geometry_bit_for_bit(shared_data: Path, tmp_path: Path) -> None:
    names = {"PIR", "example4d", "functional_4d", "no_orientation_codes", "oblique_17deg"}
    names |= {"nan_inf", "qform_sform_conflict", "scaled_slope_inter", "RAS_reference"}
    seen = set()
    for path in (shared_data / "nifti_awkward").iterdir():
        name = path.name.split(".")[0]
        if name not in names:
            continue
        volume = read_volume(path, axis4="time")
        written = write_volume(tmp_path / f"{name}.nii", np.asarray(volume.values), like=volume)
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        assert geometry(written.read_bytes()) == geometry(raw), name
        np.testing.assert_array_equal(nib.load(written).affine, nib.load(path).affine)
        seen.add(name)
    assert seen == names


def test_source_of_another_format_never_lends_its_header(tmp_path: Path) -> None:
    volume = replace(plain_volume(), source=Source("tiff", header=b"anything"))
    read = read_volume(write_volume(tmp_path / "b.nii", volume.values, like=volume))
    assert read.spacing == pytest.approx(volume.spacing, rel=1e-6)


def test_all_48_orientations_are_covered() -> None:
    assert len({p.id for p in ORIENTATIONS}) == len(list(permutations(range(3)))) * len(
        list(product((1, -1), repeat=3))
    )
