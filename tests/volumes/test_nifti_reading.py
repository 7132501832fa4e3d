"""Reading NIfTI, judged by nibabel's own loading and by hand-made headers."""

from __future__ import annotations

import gzip
import struct
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path as nibabel_data

from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume

RNG = np.random.default_rng(3)
SHAPE = (4, 5, 6)
SIZES = (1.5, 2.25, 3.5)


def rotation(seed: int) -> np.ndarray:
    """A rotation by up to 40 degrees about a random axis (Rodrigues)."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(5, 40))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def affine_of(axes: tuple[int, ...], signs: tuple[int, ...], turn: np.ndarray) -> np.ndarray:
    """Stored axis i runs along world axis ``axes[i]`` with sign ``signs[i]``, then all turn."""
    affine = np.eye(4)
    for stored in range(3):
        column = np.zeros(3)
        column[axes[stored]] = signs[stored] * SIZES[stored]
        affine[:3, stored] = turn @ column
    affine[:3, 3] = (12.5, -40.25, 7.75)
    return affine


ORIENTATIONS = [
    pytest.param(axes, signs, id="".join(nib.aff2axcodes(affine_of(axes, signs, np.eye(3)))))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def save(path: Path, array: Any, affine: Any, **fields: Any) -> Path:
    image = nib.Nifti1Image(array, None)
    image.header.set_sform(affine, 1)
    image.header.set_qform(affine, 1)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def marked(dtype: Any = np.int16) -> np.ndarray:
    """An array whose every voxel has a value of its own."""
    return RNG.permutation(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
@pytest.mark.parametrize("seed", [None, 1])
def test_every_voxel_of_all_48_orientations_keeps_its_place(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...], seed: int | None
) -> None:
    turn = np.eye(3) if seed is None else rotation(seed)
    stored = marked()
    path = save(tmp_path / "a.nii", stored, affine_of(axes, signs, turn))
    volume = read_volume(path)
    reference = nib.load(path)
    for ijk in [(0, 0, 0), (3, 0, 0), (0, 4, 0), (0, 0, 5), (2, 3, 1)]:
        (index,) = np.argwhere(volume.values == stored[ijk])
        world = nib.affines.apply_affine(reference.affine, ijk)
        np.testing.assert_allclose(volume.grid.world(index), world, atol=1e-9)
    assert volume.values.dtype == np.int16
    assert volume.notes == ()


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_axes_are_transposed_to_body_axes_and_never_flipped(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    stored = marked()
    volume = read_volume(save(tmp_path / "a.nii", stored, affine_of(axes, signs, rotation(2))))
    letters = ["RL", "AP", "SI"]
    expected = [letters[axes[i]][signs[i] < 0] for i in range(3)]
    z, y, x = (axes.index(world) for world in (2, 1, 0))
    assert volume.orientation == expected[z] + expected[y] + expected[x]
    np.testing.assert_array_equal(volume.values, stored.transpose(z, y, x))
    assert volume.spacing == pytest.approx((SIZES[z], SIZES[y], SIZES[x]), rel=1e-6)
    assert volume.source.stored_axes == (z, y, x)
    # Slices were acquired along the third stored axis where the header does not say.
    assert (z, y, x)[volume.stack_axis] == 2


def test_slice_axis_of_the_header_is_the_stack_axis(tmp_path: Path) -> None:
    image = nib.Nifti1Image(marked(), affine_of((1, 2, 0), (1, -1, 1), np.eye(3)))
    image.header.set_dim_info(freq=2, phase=0, slice=1)  # stored axis 1 runs along S/I
    nib.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").stack_axis == 0


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u2", "f4", "f8", "i8"])
def test_versions_byte_orders_and_types(
    tmp_path: Path, kind: Any, order: str, name: str, dtype: str
) -> None:
    stored = marked().astype(dtype)
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    nib.save(kind(stored, affine_of((0, 1, 2), (1, 1, 1), rotation(4)), header), tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert volume.values.dtype == np.dtype(dtype)
    assert volume.values.dtype.isnative
    np.testing.assert_array_equal(volume.values, stored.transpose(2, 1, 0))
    assert len(volume.source.header or b"") == (348 if kind is nib.Nifti1Image else 540)


def test_scaling_is_nibabels_in_float32(tmp_path: Path) -> None:
    stored = marked()
    path = save(tmp_path / "a.nii.gz", stored, np.eye(4))
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[112:120] = struct.pack("<2f", 0.37, -10.25)  # scl_slope, scl_inter
    path.write_bytes(gzip.compress(bytes(raw)))
    values = read_volume(path).values
    assert values.dtype == np.float32
    expected = nib.load(path).get_fdata().transpose(2, 1, 0)
    np.testing.assert_allclose(values, expected, rtol=1e-7)
    assert values.max() > 0 > values.min()


def test_uncompressed_files_are_mapped_and_the_file_cannot_be_changed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.eye(4))
    before = path.read_bytes()
    volume = read_volume(path)
    assert isinstance(volume.values, np.memmap)
    volume.values[0, 0, 0] += 1  # copy-on-write
    del volume
    assert path.read_bytes() == before


def test_a_pair_of_files_opens_by_either_name(tmp_path: Path) -> None:
    stored = marked()
    nib.save(
        nib.Nifti1Pair(stored, affine_of((2, 0, 1), (1, 1, -1), np.eye(3))), tmp_path / "a.hdr"
    )
    by_header, by_image = read_volume(tmp_path / "a.hdr"), read_volume(tmp_path / "a.img")
    np.testing.assert_array_equal(by_header.values, by_image.values)
    np.testing.assert_array_equal(by_header.values, stored.transpose(by_header.source.stored_axes))
    (tmp_path / "a.img").rename(tmp_path / "b.img")
    with pytest.raises(VolumeError, match="no image"):
        read_volume(tmp_path / "a.hdr")
    with pytest.raises(VolumeError, match="no header"):
        read_volume(tmp_path / "b.img")


def test_names_may_lie_about_compression(tmp_path: Path) -> None:
    stored = marked()
    path = save(tmp_path / "a.nii.gz", stored, np.eye(4))
    path.rename(tmp_path / "b.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii").values, stored.T)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_fourth_axis_needs_a_choice(tmp_path: Path, name: str) -> None:
    stored = RNG.normal(size=(*SHAPE, 3)).astype(np.float32)
    affine = affine_of((1, 0, 2), (1, -1, 1), np.eye(3))
    path = save(tmp_path / name, stored, affine)
    with pytest.raises(VolumeError, match=r'4th axis of length 3.*axis4="channels".*"time"'):
        read_volume(path)
    channels = read_volume(path, axis4="channels", channel_names=["t1", "t2", "flair"])
    assert channels.channel_names == ("t1", "t2", "flair")
    np.testing.assert_array_equal(channels.values, stored.transpose(3, 2, 0, 1))
    later = read_volume(path, axis4="time", time=2)
    np.testing.assert_array_equal(later.values, stored[..., 2].transpose(2, 0, 1))
    assert later.grid.same_as(channels.grid, within=1e-4)
    with pytest.raises(VolumeError, match="3 time points"):
        read_volume(path, axis4="time", time=3)
    with pytest.raises(VolumeError, match="time=-1"):
        read_volume(path, axis4="time", time=-1)
    with pytest.raises(VolumeError, match="2 channel names"):
        read_volume(path, axis4="channels", channel_names=["a", "b"])


def test_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    stored = marked()
    for number, extra in enumerate([(1,), (1, 1)]):
        path = save(tmp_path / f"{number}.nii", stored.reshape(SHAPE + extra), np.eye(4))
        np.testing.assert_array_equal(read_volume(path, axis4="time").values, stored.T)


def test_vector_images(tmp_path: Path) -> None:
    stored = RNG.normal(size=(*SHAPE, 1, 3)).astype(np.float32)
    path = save(tmp_path / "a.nii", stored, np.eye(4), intent_code=1007)
    with pytest.raises(VolumeError, match="5th axis of length 3"):
        read_volume(path)
    volume = read_volume(path, axis4="channels")
    np.testing.assert_array_equal(volume.values, stored[..., 0, :].transpose(3, 2, 1, 0))
    path = save(tmp_path / "b.nii", RNG.normal(size=(*SHAPE, 2, 3)), np.eye(4))
    with pytest.raises(VolumeError, match="more than one beyond space"):
        read_volume(path, axis4="channels")


def test_a_flat_picture_is_one_slice(tmp_path: Path) -> None:
    stored = marked()[..., 0]
    path = save(tmp_path / "a.nii", stored, np.diag([2.0, 3, 4, 1]))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values, stored.T[None])
    assert volume.spacing == (4, 3, 2)
    assert volume.stack_axis == 0


@pytest.mark.parametrize("alpha", [False, True])
def test_rgb_voxels_become_three_named_channels(tmp_path: Path, alpha: bool) -> None:
    names = "RGBA" if alpha else "RGB"
    colours = RNG.integers(0, 256, (*SHAPE, len(names))).astype(np.uint8)
    voxels = colours.view([(name, "u1") for name in names])[..., 0]
    path = save(tmp_path / "a.nii.gz", voxels, np.eye(4))
    volume = read_volume(path)
    assert volume.channel_names == ("red", "green", "blue")
    np.testing.assert_array_equal(volume.values, colours[..., :3].transpose(3, 2, 1, 0))
    assert any("alpha" in note for note in volume.notes) == alpha


@pytest.mark.parametrize(("unit", "millimetres"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1.0)])
def test_lengths_become_millimetres(tmp_path: Path, unit: str, millimetres: float) -> None:
    affine = affine_of((0, 1, 2), (-1, 1, 1), rotation(5))
    image = nib.Nifti1Image(marked(), affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    expected = nib.affines.apply_affine(nib.load(tmp_path / "a.nii").affine, (3, 2, 1))
    np.testing.assert_allclose(volume.grid.world((1, 2, 3)), expected * millimetres, rtol=1e-12)
    assert volume.grid.units == "mm"


def test_conflicting_orientations_are_reported_and_the_sform_wins(tmp_path: Path) -> None:
    image = nib.Nifti1Image(marked(), None)
    image.header.set_sform(np.diag([2.0, 2, 2, 1]), 2)
    image.header.set_qform(nib.affines.from_matvec(np.diag([2.0, 2, 2]), (0, 7, 0)), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.notes == ("sform and qform differ by up to 7 mm; the sform is used.",)
    assert volume.grid.world((0, 0, 0)).tolist() == [0, 0, 0]


def test_an_impossible_quaternion_beside_a_good_sform_is_only_a_note(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.diag([2.0, 2, 2, 1]), quatern_b=1.5)
    volume = read_volume(path)
    assert any("sform is used" in note for note in volume.notes)


def test_no_orientation_at_all_is_noted_and_placed_as_nibabel_does(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.diag([2.0, 3, 4, 1]), sform_code=0, qform_code=0)
    volume = read_volume(path)
    assert any("states no orientation" in note for note in volume.notes)
    expected = nib.affines.apply_affine(nib.load(path).affine, (3, 2, 1))
    np.testing.assert_allclose(volume.grid.world((1, 2, 3)), expected)
    assert volume.spacing == (4, 3, 2)


def test_mended_headers_are_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(marked()[..., 0], None)
    image.header.set_qform(np.diag([2.0, 2, 1, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[88:92] = struct.pack("<f", 0)  # pixdim[3]: flat pictures often have none
    (tmp_path / "a.nii").write_bytes(raw)
    volume = read_volume(tmp_path / "a.nii")
    assert volume.spacing == (1, 2, 2)
    assert any("pixdim" in note for note in volume.notes)


def test_nan_and_infinity_are_kept_and_counted(tmp_path: Path) -> None:
    stored = marked(np.float32)
    stored[0, 1, 2] = stored[3, 3, 3] = np.nan
    stored[1, 1, 1] = -np.inf
    volume = read_volume(save(tmp_path / "a.nii.gz", stored, np.eye(4)))
    np.testing.assert_array_equal(volume.values, stored.T)
    assert volume.notes == (
        "2 voxels are not a number and 1 are infinite; they are kept as stored.",
    )


def test_free_text_and_extensions_are_not_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(marked(), np.eye(4))
    image.header["descrip"] = image.header["aux_file"] = image.header["intent_name"] = b"Jane Doe"
    image.header["db_name"] = image.header["data_type"] = b"Jane Doe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert b"Doe" in (tmp_path / "a.nii").read_bytes()
    header = volume.source.header or b""
    assert b"Doe" not in header
    assert (len(header), volume.identity.subject) == (348, None)
    np.testing.assert_array_equal(volume.values, np.asanyarray(image.dataobj).T)


def patched(path: Path, offset: int, code: str, *values: Any) -> Path:
    raw = bytearray(path.read_bytes())
    struct.pack_into(f"<{code}", raw, offset, *values)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("offset", "code", "values", "what"),
    [
        (42, "h", (0,), "no voxels"),  # dim[1]
        (42, "h", (-4,), "no voxels"),
        (40, "h", (0,), "no voxels"),  # dim[0]
        (40, "h", (9,), "no voxels"),
        (42, "3h", (30000, 30000, 30000), "cut short"),
        (70, "h", (32,), "complex"),  # datatype
        (70, "h", (1,), "not supported"),
        (70, "h", (77,), "not recognized"),
        (280, "4f", (0, 0, 0, 0), "singular"),  # srow_x
        (280, "f", (float("nan"),), "not finite"),
        (292, "f", (float("inf"),), "not finite"),
        (108, "f", (float("nan"),), "NaN"),  # vox_offset
        (112, "2f", (2.0, float("nan")), "intercept"),  # scl_slope, scl_inter
        (344, "4s", (b"xxxx",), "content is none"),  # magic
        (344, "4s", (b"ni1\0",), "no image"),
        (0, "i", (349,), "content is none"),
    ],
)
def test_broken_headers_are_named_errors(
    tmp_path: Path, offset: int, code: str, values: tuple[Any, ...], what: str
) -> None:
    path = save(tmp_path / "a.nii", marked(), np.eye(4))
    with pytest.raises(VolumeError, match=what) as caught:
        read_volume(patched(path, offset, code, *values))
    assert str(path) in str(caught.value)


def test_cut_short_and_corrupted_files_are_named_errors(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.arange(120, dtype=np.int16).reshape(SHAPE), np.eye(4))
    whole = path.read_bytes()
    packed = bytearray(gzip.compress(whole, mtime=0))
    for content, what in [
        (whole[:-1], "cut short"),
        (whole[:300], "content is none"),
        (packed[: len(packed) // 2], "end-of-stream"),
        (packed[:-30] + bytes([packed[-30] ^ 255]) + packed[-29:], "cannot be read"),
        (packed[:-8] + b"\0\0\0\0" + packed[-4:], "CRC"),
        (gzip.compress(whole[:-5]), "the voxels end after"),
    ]:
        (tmp_path / "b.nii").write_bytes(content)
        with pytest.raises(VolumeError, match=what):
            read_volume(tmp_path / "b.nii")


def test_a_damaged_stream_that_runs_on_past_the_voxels_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.eye(4))
    packed = gzip.compress(path.read_bytes() + b"more", mtime=0)
    (tmp_path / "b.nii").write_bytes(packed[:-8] + b"\0\0\0\0" + packed[-4:])
    with pytest.raises(VolumeError, match="CRC"):
        read_volume(tmp_path / "b.nii")


def test_a_compressed_promise_beyond_deflate_is_refused_at_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", marked(), np.eye(4))
    patched(path, 42, "3h", 30000, 30000, 30000)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(VolumeError, match="cut short"):
        read_volume(tmp_path / "b.nii.gz")


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "text.nii.gz").write_text("not a volume")
    (tmp_path / "notes.docx").write_text("not a volume")
    (tmp_path / "slice.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 500)
    (tmp_path / "nothing").mkdir()
    for name, what in [
        ("slice.dcm", "no DICOM image"),
        ("empty.nii.gz", "0 bytes"),
        ("text.nii.gz", "content is none"),
        ("notes.docx", r"NIfTI \(.nii"),
        ("none.nii", "does not exist"),
        ("nothing", "is a folder without DICOM images"),
        ("x" * 300 + ".nii", "cannot be opened"),
        ("nul\0.nii", "cannot be opened"),
    ]:
        with pytest.raises(VolumeError, match=what):
            read_volume(tmp_path / name)
    path = save(tmp_path / "a.nii", marked(), np.eye(4))
    with pytest.raises(VolumeError, match="axis4 is"):
        read_volume(path, axis4="depth")  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="leave out spacing"):
        read_volume(path, spacing=(1, 1, 1))
    with pytest.raises(VolumeError, match="no time axis"):
        read_volume(path, time=1)
    with pytest.raises(VolumeError, match="Analyze"):
        read_volume(Path(nibabel_data) / "analyze.hdr")


@pytest.mark.parametrize(
    "name", ["anatomical.nii", "reoriented_anat_moved.nii", "resampled_anat_moved.nii"]
)
def test_nibabels_own_volumes(name: str) -> None:
    path = Path(nibabel_data) / name
    volume, reference = read_volume(path), nib.load(path)
    stored = np.asanyarray(reference.dataobj)
    np.testing.assert_array_equal(volume.values, stored.transpose(volume.source.stored_axes))
    ijk = np.array([(0, 0, 0), (1, 2, 2), (16, 5, 2)])
    index = ijk[:, volume.source.stored_axes]
    world = nib.affines.apply_affine(reference.affine, ijk)
    np.testing.assert_allclose(volume.grid.world(index), world, atol=1e-9)


@pytest.mark.data
def test_pir_and_ras_copies_of_one_head_agree_voxel_by_voxel(shared_data: Path) -> None:
    folder = shared_data / "nifti_awkward"
    pir, ras = read_volume(folder / "PIR.nii.gz"), read_volume(folder / "RAS_reference.nii.gz")
    assert (pir.orientation, ras.orientation) == ("IPR", "SAR")
    index = np.indices(pir.shape).reshape(3, -1).T
    back = np.linalg.inv(ras.affine)
    place = pir.grid.world(index) @ back[:3, :3].T + back[:3, 3]
    z, y, x = np.rint(place).astype(int).T
    assert np.abs(place - np.rint(place)).max() < 1e-6
    np.testing.assert_array_equal(ras.values[z, y, x], pir.values.reshape(-1))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("PIR", None),
        ("RAS_reference", None),
        ("example4d", None),
        ("nan_inf", "25 voxels are not a number and 25 are infinite"),
        ("no_orientation_codes", "states no orientation"),
        ("oblique_17deg", None),
        ("qform_sform_conflict", "differ by up to 64 mm"),
        ("scaled_slope_inter", None),
        ("functional_4d", None),
    ],
)
def test_awkward_files_open_where_nibabel_puts_them(
    shared_data: Path, name: str, note: str | None
) -> None:
    folder = shared_data / "nifti_awkward"
    (path,) = (file for file in folder.iterdir() if file.name.split(".")[0] == name)
    volume, reference = read_volume(path, axis4="time"), nib.load(path)
    stored = np.asanyarray(reference.dataobj).reshape(*reference.shape[:3], -1)[..., 0]
    order = volume.source.stored_axes
    np.testing.assert_allclose(volume.values, stored.transpose(order), rtol=1e-6)
    index = RNG.integers(0, volume.shape, size=(20, 3))
    ijk = np.empty_like(index)
    ijk[:, order] = index
    world = nib.affines.apply_affine(reference.affine, ijk)
    np.testing.assert_allclose(volume.grid.world(index), world, atol=1e-9)
    assert [note in text for text in volume.notes] == [True] if note else volume.notes == ()


@pytest.mark.data
@pytest.mark.parametrize("name", ["truncated", "empty", "text_named_nii"])
def test_awkward_files_beyond_reading_are_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(VolumeError, match=name):
        read_volume(shared_data / "nifti_awkward" / f"{name}.nii.gz")
