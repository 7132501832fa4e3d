"""Whatever happens to a file, it opens as a volume or is refused by a named error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import imagecodecs
import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom import uid

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume
from tests.volumes.dicom import dicoms

ARRAY = np.random.default_rng(1).integers(0, 255, (3, 6, 5)).astype(np.uint8)


def nifti(path: Path) -> None:
    nib.save(nib.Nifti1Image(ARRAY, np.diag([2.0, -3, 4, 1])), path)


def nifti2(path: Path) -> None:
    nib.save(nib.Nifti2Image(ARRAY.astype(">f4"), np.diag([2.0, -3, 4, 1])), path)


def ome(path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tifffile.imwrite(path, ARRAY, ome=True, compression="zlib", metadata={"axes": "ZYX", **sizes})


def imagej(path: Path) -> None:
    tifffile.imwrite(
        path, ARRAY, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "unit": "um"}
    )


def picture(path: Path) -> None:
    Image.fromarray(ARRAY.transpose(1, 2, 0).copy()).save(path)


def numpy_file(path: Path) -> None:
    np.save(path, ARRAY)


def dicom(path: Path) -> None:
    dicoms.write(path, ARRAY[0].astype("i2"), RescaleSlope=2, WindowCenter=9, WindowWidth=4)


def compressed_dicom(syntax: str, encode: Callable[..., bytes]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        image = np.ascontiguousarray(np.kron(ARRAY[0], np.ones((3, 4), np.uint8)))
        dicoms.write(path, image, frames=[encode(image)], transfer_syntax=syntax)

    return make


def enhanced_dicom(path: Path) -> None:
    own = [{"FrameContentSequence": {"TemporalPositionIndex": n // 2}} for n in range(4)]
    places = [(0, 0, 2 * (n % 2)) for n in range(4)]
    pixels = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype("u2")
    dicoms.save(path, dicoms.enhanced(pixels, places, own=own))


def run_length_dicom(path: Path) -> None:
    dicom(path)
    dataset = pydicom.dcmread(path)
    dataset.compress(uid.RLELossless)
    dicoms.save(path, dataset)


FILES: dict[str, Callable[[Path], object]] = {
    "a.nii": nifti,
    "a.nii.gz": nifti,
    "b.nii": nifti2,
    "a.ome.tif": ome,
    "a.tif": imagej,
    "a.png": picture,
    "a.jpg": picture,
    "a.npy": numpy_file,
    "a.dcm": dicom,
    "enhanced.dcm": enhanced_dicom,
    "rle.dcm": run_length_dicom,
    "jpeg.dcm": compressed_dicom(uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode),
    "lossless.dcm": compressed_dicom(
        uid.JPEGLosslessSV1, partial(imagecodecs.jpeg8_encode, lossless=True)
    ),
    "jpeg-ls.dcm": compressed_dicom(uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "jpeg-2000.dcm": compressed_dicom(
        uid.JPEG2000, partial(imagecodecs.jpeg2k_encode, codecformat="jp2", level=0)
    ),
    "deflated.dcm": partial(
        dicoms.write, pixels=ARRAY[0], transfer_syntax=uid.DeflatedExplicitVRLittleEndian
    ),
}


def damaged(content: bytes, rng: np.random.Generator, n: int) -> Iterator[bytes]:
    """Yield `n` copies with a few bytes changed, mostly in the header, or with the end cut off."""
    for index in range(n):
        if index % 4 == 3:
            yield content[: rng.integers(1, len(content))]
            continue
        copy = bytearray(content)
        reach = len(copy) if index % 4 == 2 else min(400, len(copy))
        for place in rng.integers(0, reach, rng.integers(1, 5)):
            copy[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        yield bytes(copy)


def opened_or_refused(path: Path) -> Volume | str:
    try:
        return read_volume(path, axis4="time")
    except NapariCamError as error:
        return str(error)


@pytest.mark.parametrize("name", list(FILES))
def test_damaged_copies_open_or_are_refused_by_name(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(list(FILES).index(name))
    path = tmp_path / f"damaged.{name.split('.', 1)[1]}"
    opened = refused = 0
    for copy in damaged(content, rng, n=120):
        path.write_bytes(copy)
        result = opened_or_refused(path)
        if isinstance(result, Volume):
            np.asarray(result.values).tobytes()  # every byte can be read
            assert np.isfinite(result.affine).all()
            opened += 1
        else:
            assert str(path) in result
            assert "\n" not in result
            refused += 1
        path.unlink()
    assert opened > 0
    assert refused > 25


@pytest.mark.parametrize(
    ("raised", "what"),
    [
        (MemoryError(), "does not fit into memory"),
        (PermissionError(13, "Permission denied"), "may not be opened"),
        (KeyError("b\n  c"), r"\('b\\n c'\); it may be damaged"),
        (AssertionError(), r"\(AssertionError\)"),
        (VolumeError("The image is empty."), r"a\.tif: The image is empty"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_sentence(raised: Exception, what: str) -> None:
    with pytest.raises(VolumeError, match=what) as caught, decoding(Path("a.tif"), "TIFF"):
        raise raised
    assert caught.value.__cause__ is raised


def test_an_interruption_passes() -> None:
    with pytest.raises(KeyboardInterrupt), decoding(Path("a.tif"), "TIFF"):
        raise KeyboardInterrupt
