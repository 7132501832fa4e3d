"""Reading pictures and NumPy files, judged by what Pillow and NumPy were told to write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume

RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 256, (5, 7)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_pictures_keep_their_depth(tmp_path: Path, dtype: type) -> None:
    values = (GREY.astype(dtype) + 1) * (1 if dtype is np.uint8 else 255)
    Image.fromarray(values).save(tmp_path / "a.png")
    volume = read_volume(tmp_path / "a.png")
    assert volume.values.dtype == dtype
    np.testing.assert_array_equal(volume.values, values[None])
    assert (volume.grid.units, volume.channel_names, volume.notes) == ("pixel", (), ())
    assert read_volume(tmp_path / "a.png", spacing=(0.5, 0.25)).spacing == (1, 0.5, 0.25)


def test_colour_pictures(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    volume = read_volume(tmp_path / "a.png")
    assert volume.channel_names == ("red", "green", "blue")
    assert volume.values.shape == (3, 1, 5, 7)
    np.testing.assert_array_equal(volume.values[:, 0], COLOUR.transpose(2, 0, 1))


def test_jpeg_by_content_and_its_orientation_note(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    volume = read_volume(tmp_path / "a.png")
    reference = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(volume.values[:, 0], reference.transpose(2, 0, 1))
    assert [("EXIF orientation 6" in note) for note in volume.notes] == [True]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_left_out_not_composited(tmp_path: Path, mode: str) -> None:
    pixels = GREY if mode == "LA" else COLOUR
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / "a.png")
    volume = read_volume(tmp_path / "a.png")
    expected = pixels[None] if mode == "LA" else pixels.transpose(2, 0, 1)[:, None]
    np.testing.assert_array_equal(volume.values, expected)
    assert volume.notes == ("The alpha channel is left out.",)


def test_palettes_are_expanded_and_bits_become_grey(tmp_path: Path) -> None:
    table = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    image = Image.fromarray(GREY)
    image.putpalette(table.ravel().tolist())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_volume(tmp_path / "a.png").values[:, 0], table[GREY].transpose(2, 0, 1)
    )
    Image.fromarray(GREY > 99).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.png").values[0], (GREY > 99) * 255)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def test_lost_bits_of_16_bit_colour_are_noted(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 7, 5, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    volume = read_volume(tmp_path / "a.png")
    np.testing.assert_array_equal(volume.values[:, 0], (values >> 8).transpose(2, 0, 1))
    assert volume.notes == ("Of 16 bits per channel the upper 8 are read.",)


def test_printing_colours_and_several_pictures_are_noted(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg")
    assert any("CMYK" in note for note in read_volume(tmp_path / "a.jpg").notes)
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    volume = read_volume(tmp_path / "b.png")
    assert any("2 pictures" in note for note in volume.notes)
    np.testing.assert_array_equal(volume.values[0], GREY)


def test_a_picture_that_unfolds_too_far_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    assert read_volume(tmp_path / "a.png").shape == (1, 5, 7)  # up to twice the limit is usual
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)
    with pytest.raises(VolumeError, match="decompression bomb"):
        read_volume(tmp_path / "a.png")


def test_a_picture_cut_short_is_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[:60])
    (tmp_path / "c.png").write_text("no picture")
    for name, what in [("b.png", "cannot be read"), ("c.png", "content is none")]:
        with pytest.raises(VolumeError, match=what):
            read_volume(tmp_path / name)
    with pytest.raises(VolumeError, match="no time axis"):
        read_volume(tmp_path / "a.png", time=1)


@pytest.mark.parametrize("dtype", ["<f4", ">i2"])
def test_numpy_files(tmp_path: Path, dtype: str) -> None:
    values = RNG.normal(size=(3, 4, 5)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    volume = read_volume(tmp_path / "a.npy", spacing=(3, 2, 1))
    np.testing.assert_array_equal(volume.values, values)
    assert volume.values.dtype.isnative
    assert volume.spacing == (3, 2, 1)
    np.save(tmp_path / "b.npy", values[0])
    assert read_volume(tmp_path / "b.npy").shape == (1, 4, 5)


def test_numpy_files_that_are_no_volume(tmp_path: Path) -> None:
    cases = [
        (np.zeros((2, 3, 4, 5)), "from_array"),
        (np.array([[{}, {}]]), "cannot be read"),
        (np.array([["a"]]), "not real numbers"),
        (np.zeros((0, 3)), "cannot be read|empty"),
    ]
    for index, (values, what) in enumerate(cases):
        np.save(tmp_path / f"{index}.npy", values)
        with pytest.raises(VolumeError, match=what):
            read_volume(tmp_path / f"{index}.npy")


@pytest.mark.data
def test_a_blood_smear_photograph(shared_data: Path) -> None:
    path = min((shared_data / "bccd" / "JPEGImages").iterdir())
    volume = read_volume(path)
    assert volume.values.shape == (3, 1, 480, 640)
    reference = np.asarray(Image.open(path))
    np.testing.assert_array_equal(volume.values[:, 0], reference.transpose(2, 0, 1))
