"""Values of DICOM images: scaling, signs, white bones, colours, and every compression."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Window
from tests.volumes.dicom.dicoms import SECONDARY, add_pixels, enhanced, header, save, write

RNG = np.random.default_rng(5)


def noise(low: int, high: int, dtype: str, shape: tuple[int, ...] = (9, 11)) -> NDArray[Any]:
    values = RNG.integers(low, high, shape).astype(dtype)
    values.flat[0], values.flat[1] = low, high - 1
    return values


def stack(folder: Path, pixels: list[NDArray[Any]], *attributes: dict[str, Any]) -> Path:
    """Write slices from foot to head, `attributes` for each."""
    for n, (each, own) in enumerate(zip(pixels, attributes, strict=True)):
        write(folder / f"{n}.dcm", each, (0, 0, 2.0 * n), **own)
    return folder


def test_hounsfield_units_stay_exact_integers(tmp_path: Path) -> None:
    stored = noise(0, 4096, "u2")
    path = write(tmp_path / "a.dcm", stored, BitsStored=12, RescaleSlope=1, RescaleIntercept=-1024)
    values = read_volume(path).values
    assert values.dtype == np.int16
    np.testing.assert_array_equal(values[0], stored.astype(int) - 1024)


def test_values_beyond_16_bits_widen_the_type(tmp_path: Path) -> None:
    ct = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    low, high = noise(0, 4096, "u2"), noise(0, 65536, "u2")
    volume = read_volume(stack(tmp_path, [low, high], ct, ct))
    assert volume.values.dtype == np.int32
    np.testing.assert_array_equal(volume.values, np.stack([low, high]).astype(int) - 1024)


def test_slopes_may_differ_between_slices(tmp_path: Path) -> None:
    stored = [noise(-900, 900, "i2") for _ in range(3)]
    slopes, intercepts = (0.25, 1.5, 0.01), (0.0, -7.0, 100.0)
    own = [
        {"RescaleSlope": slope, "RescaleIntercept": intercept}
        for slope, intercept in zip(slopes, intercepts, strict=True)
    ]
    volume = read_volume(stack(tmp_path, stored, *own))
    assert volume.values.dtype == np.float32
    for n in range(3):
        np.testing.assert_allclose(
            volume.values[n], stored[n] * slopes[n] + intercepts[n], rtol=1e-6, atol=1e-6
        )
    assert "Slices are scaled by different slopes." in volume.notes


def test_a_slope_of_zero_means_none(tmp_path: Path) -> None:
    stored = noise(0, 99, "u2")
    path = write(tmp_path / "a.dcm", stored, RescaleSlope=0, RescaleIntercept=0)
    np.testing.assert_array_equal(read_volume(path).values[0], stored)


def test_frames_have_slopes_and_windows_of_their_own(tmp_path: Path) -> None:
    stored = noise(0, 4096, "u2", (2, 9, 11))
    own = [
        {
            "PixelValueTransformationSequence": {"RescaleSlope": slope, "RescaleIntercept": -3},
            "FrameVOILUTSequence": {"WindowCenter": 40 + slope, "WindowWidth": 400},
        }
        for slope in (2, 4)
    ]
    path = save(tmp_path / "e.dcm", enhanced(stored, [(0, 0, 1), (0, 0, 0)], own=own))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values[0], stored[1] * 4.0 - 3)
    np.testing.assert_array_equal(volume.values[1], stored[0] * 2.0 - 3)
    assert volume.windows == (Window(44, 400),)


@pytest.mark.parametrize(
    ("bits", "dtype", "low", "high"),
    [(12, "u2", 0, 4096), (12, "i2", -2048, 2048), (8, "u1", 0, 256), (16, "i2", -32768, 32768)],
)
def test_bright_bones(tmp_path: Path, bits: int, dtype: str, low: int, high: int) -> None:
    stored = noise(low, high, dtype)
    path = write(
        tmp_path / "a.dcm", stored, BitsStored=bits, PhotometricInterpretation="MONOCHROME1",
        WindowCenter=[100, 20], WindowWidth=[50, 10], WindowCenterWidthExplanation=["BONE", "SOFT"],
    )  # fmt: skip
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values[0], low + high - 1 - stored.astype(int))
    assert any("MONOCHROME1" in note for note in volume.notes)
    assert volume.windows == (
        Window(low + high - 1 - 100, 50, "BONE"),
        Window(low + high - 1 - 20, 10, "SOFT"),
    )
    # What the window showed white is shown white still.
    black, white = volume.windows[0].limits
    np.testing.assert_array_equal(volume.values[0] >= white, stored.astype(int) <= 75)
    np.testing.assert_array_equal(volume.values[0] <= black, stored.astype(int) >= 125)


def test_bright_bones_with_a_slope(tmp_path: Path) -> None:
    stored = noise(0, 4096, "u2")
    path = write(
        tmp_path / "a.dcm", stored, BitsStored=12, PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=0.5, RescaleIntercept=10, WindowCenter=1000, WindowWidth=100,
    )  # fmt: skip
    volume = read_volume(path)
    np.testing.assert_allclose(volume.values[0], (4095 - stored.astype(int)) * 0.5 + 10)
    assert volume.windows == (Window(4095 * 0.5 + 20 - 1000, 100),)


def test_windows(tmp_path: Path) -> None:
    stated = {"WindowCenter": [40, 40, 300, 5], "WindowWidth": [400, 400, 1500, 0]}
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2"), **stated)
    assert read_volume(path).windows == (Window(40, 400), Window(300, 1500))
    assert read_volume(path).windows[0].limits == (-160, 240)
    path = write(tmp_path / "b.dcm", noise(0, 9, "u2"))
    assert read_volume(path).windows == ()


def test_unused_bits_are_ignored(tmp_path: Path) -> None:
    values = noise(-2048, 2048, "i2")
    stored = (values.astype("u2") & 0x0FFF) | 0x5000
    path = write(tmp_path / "a.dcm", stored, BitsStored=12, PixelRepresentation=1)
    np.testing.assert_array_equal(read_volume(path).values[0], values)
    path = write(tmp_path / "b.dcm", stored, BitsStored=12)
    np.testing.assert_array_equal(read_volume(path).values[0], stored & 0x0FFF)


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_is_kept_and_noted(tmp_path: Path, padding: int) -> None:
    stored = noise(-500, 900, "i2")
    stored[2:4] = -2000
    dataset = header(RescaleSlope=1, RescaleIntercept=-24)
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1, 2]
    dataset.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
    add_pixels(dataset, stored)
    volume = read_volume(save(tmp_path / "a.dcm", dataset))
    assert (volume.values[0, 2:4] == -2024).all()
    assert "Voxels of value -2024 lie outside what was scanned (padding)." in volume.notes
    dataset.PixelData = noise(0, 900, "i2").tobytes()
    unpadded = read_volume(save(tmp_path / "b.dcm", dataset))
    assert not any("padding" in note for note in unpadded.notes)


def test_a_table_in_place_of_a_slope(tmp_path: Path) -> None:
    table = RNG.integers(0, 60000, 256).astype("u2")
    item = pydicom.Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [256, 0, 16], "US"
    item.add_new("LUTData", "OW", table.tobytes())
    dataset = header(ModalityLUTSequence=pydicom.Sequence([item]))
    stored = noise(0, 256, "u1")
    add_pixels(dataset, stored)
    volume = read_volume(save(tmp_path / "a.dcm", dataset))
    np.testing.assert_array_equal(volume.values[0], table[stored])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floating_point_pixels(tmp_path: Path, dtype: str) -> None:
    values = RNG.normal(size=(9, 11)).astype(dtype)
    dataset = header()
    dataset.Rows, dataset.Columns, dataset.BitsAllocated = 9, 11, 8 * values.dtype.itemsize
    keyword = {"f4": "FloatPixelData", "f8": "DoubleFloatPixelData"}[dtype]
    setattr(dataset, keyword, values.tobytes())
    volume = read_volume(save(tmp_path / "a.dcm", dataset))
    assert volume.values.dtype == dtype
    np.testing.assert_array_equal(volume.values[0], values)


def test_single_bits(tmp_path: Path) -> None:
    bits = RNG.integers(0, 2, (8, 16)).astype("u1")
    dataset = header(BitsAllocated=1, BitsStored=1)
    dataset.Rows, dataset.Columns, dataset.PixelRepresentation = 8, 16, 0
    dataset.PixelData = np.packbits(bits, axis=None, bitorder="little").tobytes()
    dataset["PixelData"].VR = "OB"
    np.testing.assert_array_equal(read_volume(save(tmp_path / "a.dcm", dataset)).values[0], bits)


def colour(**attributes: Any) -> dict[str, Any]:
    return {
        "SOPClassUID": SECONDARY, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB",
        "position": None, "orientation": None, "pixel_spacing": None, **attributes,
    }  # fmt: skip


@pytest.mark.parametrize("planar", [0, 1])
def test_colours(tmp_path: Path, planar: int) -> None:
    stored = noise(0, 256, "u1", (9, 11, 3))
    path = write(tmp_path / "a.dcm", stored, **colour())
    if planar:
        dataset = pydicom.dcmread(path)
        dataset.PlanarConfiguration = 1
        dataset.PixelData = stored.transpose(2, 0, 1).tobytes() + b"\0"
        save(path, dataset)
    volume = read_volume(path)
    assert volume.channel_names == ("red", "green", "blue")
    np.testing.assert_array_equal(volume.values[:, 0], stored.transpose(2, 0, 1))
    assert volume.windows == ()


def test_luminance_and_chroma_become_rgb(tmp_path: Path) -> None:
    # PS3.3 C.7.6.3.1.2: Y = .299 R + .587 G + .114 B, Cb and Cr around 128.
    rgb = noise(0, 256, "u1", (9, 11, 3))
    r, g, b = (rgb[..., n].astype(float) for n in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    ybr = np.stack([y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128], axis=-1)
    stored = np.rint(np.clip(ybr, 0, 255)).astype("u1")
    path = write(tmp_path / "a.dcm", stored, **colour(PhotometricInterpretation="YBR_FULL"))
    values = read_volume(path).values[:, 0].transpose(1, 2, 0)
    assert np.abs(values.astype(int) - rgb).max() <= 3


def test_palettes(tmp_path: Path) -> None:
    table = RNG.integers(0, 65536, (3, 256)).astype("u2")
    dataset = header(PhotometricInterpretation="PALETTE COLOR")
    for name, entries in zip(("Red", "Green", "Blue"), table, strict=True):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", entries.tobytes())
    stored = noise(0, 256, "u1")
    add_pixels(dataset, stored)
    volume = read_volume(save(tmp_path / "a.dcm", dataset))
    np.testing.assert_array_equal(volume.values[:, 0], table[:, stored])


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PhotometricInterpretation": "CMYK"}, "colours are stored as 'CMYK'"),
        ({"PhotometricInterpretation": "RGB"}, "be damaged|parts|shape"),
        ({"BitsStored": 33}, "33 bits in a pixel of 16"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
    ],
)
def test_pixels_that_would_be_misread_are_refused(
    tmp_path: Path, attributes: dict[str, Any], words: str
) -> None:
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2"), **attributes)
    with pytest.raises(VolumeError, match=words):
        read_volume(path)


def test_an_unusual_high_bit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2"), BitsStored=12)
    dataset = pydicom.dcmread(path)
    dataset.HighBit = 15
    with pytest.raises(VolumeError, match="high bit 15 of 12"):
        read_volume(save(path, dataset))


def lossless_jpeg(values: NDArray[Any], bits: int) -> bytes:
    unsigned = values.view(values.dtype.str.replace("i", "u")) & ((1 << bits) - 1)
    space = "RGB" if values.ndim == 3 else None
    return imagecodecs.jpeg8_encode(
        unsigned, lossless=True, bitspersample=bits, colorspace=space, outcolorspace=space
    )


def jpeg_ls(values: NDArray[Any], bits: int) -> bytes:
    unsigned = values.view(values.dtype.str.replace("i", "u")) & ((1 << bits) - 1)
    return imagecodecs.jpegls_encode(unsigned)


def jpeg_2000(values: NDArray[Any], bits: int) -> bytes:
    return imagecodecs.jpeg2k_encode(
        values, codecformat="j2k", level=0, bitspersample=bits, reversible=True, mct=False
    )


def high_throughput(values: NDArray[Any], bits: int) -> bytes:
    return imagecodecs.htj2k_encode(values, reversible=True)


LOSSLESS = {
    uid.JPEGLossless: lossless_jpeg,
    uid.JPEGLosslessSV1: lossless_jpeg,
    uid.JPEGLSLossless: jpeg_ls,
    uid.JPEG2000Lossless: jpeg_2000,
    uid.JPEG2000: jpeg_2000,
}
if hasattr(imagecodecs, "htj2k_encode"):  # since 2026; older ones decode it too
    LOSSLESS[uid.HTJ2KLossless] = high_throughput


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: uid.UID(syntax).name)
@pytest.mark.parametrize(
    ("dtype", "bits", "low", "high"),
    [
        ("u1", 8, 0, 256),
        ("u2", 10, 0, 1024),
        ("u2", 12, 0, 4096),
        ("u2", 16, 0, 65536),
        ("i2", 12, -2048, 2048),
        ("i2", 16, -32768, 32768),
    ],
)
def test_lossless_compression_is_exact(
    tmp_path: Path, syntax: str, dtype: str, bits: int, low: int, high: int
) -> None:
    values = noise(low, high, dtype, (13, 17))
    frame = LOSSLESS[syntax](values, bits)
    path = write(
        tmp_path / "a.dcm", values, frames=[frame], transfer_syntax=syntax, BitsStored=bits
    )
    read = read_volume(path).values
    assert read.dtype == dtype
    np.testing.assert_array_equal(read[0], values)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: uid.UID(syntax).name)
def test_lossless_colours_are_exact(tmp_path: Path, syntax: str) -> None:
    values = noise(0, 256, "u1", (13, 17, 3))
    frame = LOSSLESS[syntax](values, 8)
    path = write(tmp_path / "a.dcm", values, frames=[frame], **colour(transfer_syntax=syntax))
    np.testing.assert_array_equal(read_volume(path).values[:, 0], values.transpose(2, 0, 1))


def test_run_lengths(tmp_path: Path) -> None:
    values = noise(-900, 900, "i2", (3, 13, 17))
    dataset = enhanced(values, [(0, 0, n) for n in range(3)])
    dataset.compress(uid.RLELossless)
    np.testing.assert_array_equal(read_volume(save(tmp_path / "a.dcm", dataset)).values, values)


def test_jpeg_of_12_bits(tmp_path: Path) -> None:
    y, x = np.mgrid[:24, :32]
    smooth = (2000 + 60 * x + 3 * y).astype("u2")
    frame = imagecodecs.jpeg8_encode(smooth, level=98, bitspersample=12)
    path = write(
        tmp_path / "a.dcm", smooth, frames=[frame], transfer_syntax=uid.JPEGExtended12Bit,
        BitsStored=12,
    )  # fmt: skip
    values = read_volume(path).values
    assert values.dtype == np.uint16
    assert np.abs(values[0].astype(int) - smooth).max() <= 12


@pytest.mark.parametrize("stated", ["YBR_FULL_422", "RGB"])
def test_jpeg_colours_are_those_that_every_viewer_shows(tmp_path: Path, stated: str) -> None:
    y, x = np.mgrid[:24, :32]
    smooth = np.stack([8 * x, 10 * y, 255 - 4 * x - 4 * y], axis=-1).astype("u1")
    packed = io.BytesIO()
    Image.fromarray(smooth).save(packed, "JPEG", quality=95)
    path = write(
        tmp_path / "a.dcm", smooth, frames=[packed.getvalue()],
        **colour(transfer_syntax=uid.JPEGBaseline8Bit, PhotometricInterpretation=stated),
    )  # fmt: skip
    shown = np.asarray(Image.open(packed)).astype(int)
    values = read_volume(path).values[:, 0].transpose(1, 2, 0)
    assert np.abs(values - shown).max() <= 2
    assert np.abs(values.astype(int) - smooth).mean() < 5


def test_only_the_wanted_frames_are_needed(tmp_path: Path) -> None:
    values = noise(0, 4096, "u2", (4, 13, 17))
    own = [{"FrameContentSequence": {"TemporalPositionIndex": n // 2 + 1}} for n in range(4)]
    dataset = enhanced(values, [(0, 0, n % 2) for n in range(4)], own=own)
    frames = [jpeg_2000(frame, 16) for frame in values]
    dataset.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    dataset.PixelData = encapsulate([*frames[:2], b"damaged!", frames[3]])
    dataset["PixelData"].is_undefined_length = True
    path = save(tmp_path / "a.dcm", dataset)
    np.testing.assert_array_equal(read_volume(path, axis4="time").values, values[:2])
    with pytest.raises(VolumeError, match="JPEG 2000 header"):
        read_volume(path, axis4="time", time=1)


@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian],
)
def test_other_encodings(tmp_path: Path, syntax: str) -> None:
    values = noise(-900, 900, "i2")
    stored = values.astype(">i2") if syntax == uid.ExplicitVRBigEndian else values
    path = write(tmp_path / "a.dcm", stored, transfer_syntax=syntax)
    read = read_volume(path).values
    assert read.dtype == np.dtype("=i2")
    np.testing.assert_array_equal(read[0], values)


@pytest.mark.parametrize("name", ["old", "old.dcm", "old.ima"])
def test_files_without_a_signature(tmp_path: Path, name: str) -> None:
    values = noise(-900, 900, "i2")
    path = write(tmp_path / "a" / "a.dcm", values)
    dataset = pydicom.dcmread(path)
    del dataset.file_meta
    bare = pydicom.Dataset(dataset)
    old = tmp_path / "b" / name
    old.parent.mkdir()
    bare.save_as(old, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert old.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_volume(old).values[0], values)
    np.testing.assert_array_equal(read_volume(old.parent).values[0], values)


def test_a_deflated_file_that_unfolds_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2"))
    content = path.read_bytes().replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99"
    )
    end = 144 + int.from_bytes(content[140:144], "little") + 2
    content = content[:140] + (end - 144).to_bytes(4, "little") + content[144:end]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(content + packer.compress(bytes(1 << 22)) + packer.flush())
    monkeypatch.setattr("napari_cam.volumes.dicom.files._MOST_INFLATED", 1 << 21)
    with pytest.raises(VolumeError, match="unfolds into more than"):
        read_volume(path)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"Rows": 40000, "Columns": 40000}, "cut short: its header promises 3200000000 bytes"),
        ({"NumberOfFrames": 90000}, "promises 90000 images"),
        ({"NumberOfFrames": 200}, "cut short: its header promises"),
    ],
)
def test_promises_are_checked_before_memory_is_asked_for(
    tmp_path: Path, attributes: dict[str, Any], words: str
) -> None:
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2"), **attributes)
    with pytest.raises(VolumeError, match=words):
        read_volume(path)


def test_there_is_a_limit_to_the_frames_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.dcm", enhanced(noise(0, 9, "u2", (4, 9, 11)), [(0, 0, 1)] * 4))
    monkeypatch.setattr("napari_cam.volumes.dicom.headers._MOST_FRAMES", 3)
    with pytest.raises(VolumeError, match="promises 4 images"):
        read_volume(path)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: uid.UID(syntax).name)
def test_compressed_promises_are_checked_too(tmp_path: Path, syntax: str) -> None:
    values = noise(0, 4096, "u2", (13, 17))
    frame = LOSSLESS[syntax](values, 16)
    huge = {"Rows": 60000, "Columns": 60000, "transfer_syntax": syntax}
    path = write(tmp_path / "a.dcm", values, frames=[frame], **huge)
    with pytest.raises(VolumeError, match="cut short"):
        read_volume(path)
    path = write(tmp_path / "b.dcm", values, frames=[frame], Rows=99, transfer_syntax=syntax)
    with pytest.raises(VolumeError, match="a frame of 13 x 17 pixels in an image of 99 x 17"):
        read_volume(path)


def test_a_file_that_ends_before_its_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", noise(0, 9, "u2", (90, 80)))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\xe0\x7f\x10\0")])
    with pytest.raises(VolumeError, match="cut short"):
        read_volume(path)
    path.write_bytes(content[:-7])
    with pytest.raises(VolumeError, match="less than expected"):
        read_volume(path)


def test_videos_are_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm", noise(0, 9, "u2"), frames=[b"video"], transfer_syntax=uid.MPEG2MPML
    )
    with pytest.raises(VolumeError, match="encoded in a way that cannot be read here"):
        read_volume(path)
