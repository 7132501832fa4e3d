"""Files that others made, damaged folders, and what pydicom would like to print."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom import config

import napari_cam as nc
from napari_cam.errors import VolumeError
from napari_cam.volumes.dicom.files import quiet
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume
from tests.volumes.dicom.dicoms import PATIENT, write, write_stack

SHIPPED = Path(pydicom.data.__file__).parent / "test_files"
THEIRS = sorted(
    path
    for folder in (SHIPPED, SHIPPED.with_name("charset_files"), SHIPPED.with_name("palettes"))
    for path in folder.rglob("*")
    if path.is_file()
)
# Objects without an image, files of other kinds, and damage that their authors put in.
REFUSED = {
    "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "rtplan.dcm", "rtplan_truncated.dcm",
    "rtstruct.dcm", "reportsi.dcm", "reportsi_with_empty_number_tags.dcm", "test-SR.dcm",
    "waveform_ecg.dcm", "liver_1frame.dcm", "liver_expb_1frame.dcm", "UN_sequence.dcm",
    "empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm",
    "no_meta.dcm", "no_meta_group_length.dcm", "badVR.dcm", "MR_truncated.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm", "chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm",
    "chrKoreanMulti.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm",
}  # fmt: skip


def refused(path: Path) -> bool:
    inside = {"TINY_ALPHA", "palettes"}  # headers without pixels
    if inside & set(path.parts) or "DICOMDIR" in path.name:
        return True
    return path.name in REFUSED or path.suffix not in (".dcm", "")


def opened_or_refused(path: Path) -> Volume | str:
    try:
        return read_volume(path, axis4="time")
    except VolumeError as error:
        return str(error)


@pytest.mark.parametrize(
    "path", THEIRS, ids=lambda path: path.relative_to(SHIPPED.parent).as_posix()
)
def test_pydicoms_own_files_open_or_are_refused_by_name(path: Path) -> None:
    result = opened_or_refused(path)
    if refused(path):
        assert isinstance(result, str)
        assert str(path) in result
        assert "\n" not in result
    else:
        assert isinstance(result, Volume), result
        assert np.asarray(result.values).size > 0
        assert np.isfinite(result.affine).all()


def test_enough_of_them_open() -> None:
    assert sum(not refused(path) for path in THEIRS) > 80


def test_the_same_picture_in_many_encodings() -> None:
    reference = read_volume(SHIPPED / "MR_small.dcm")
    stored = pydicom.dcmread(SHIPPED / "MR_small.dcm").pixel_array
    np.testing.assert_array_equal(reference.values[0], stored)
    for name in ("RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless"):
        other = read_volume(SHIPPED / f"MR_small_{name}.dcm")
        np.testing.assert_array_equal(other.values, reference.values)
        assert other.values.dtype == np.int16
        assert other.grid.same_as(reference.grid, within=1e-4)


@pytest.mark.parametrize("name", ["rle", "gdcm_KY", "jpeg_gdcm", "dcmtk_+eb+cr", "dcmtk_+eb+cy+n1"])
def test_the_same_colours_in_many_encodings(name: str) -> None:
    # Stripes that their authors list: red, pink, green, light green, blue, lavender, greys.
    values = read_volume(SHIPPED / f"SC_rgb_{name}.dcm").values[:, 0]
    listed = {5: (255, 0, 0), 15: (255, 128, 128), 25: (0, 255, 0), 45: (0, 0, 255), 95: (255,) * 3}
    for row, colour in listed.items():
        np.testing.assert_allclose(values[:, row, 50].astype(int), colour, atol=6)


def test_a_folder_of_all_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    found = nc.dicom_series(SHIPPED)
    assert len(found) > 60
    assert sum(each.problem is None for each in found) > 60
    assert capfd.readouterr() == ("", "")


def test_pydicom_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((5, 7), np.uint16))
    content = path.read_bytes()
    # A date that is none, beside a name: pydicom would warn and cite.
    path.write_bytes(content.replace(b"CS\x02\x00CT", b"DA\x02\x00CT"))
    with caplog.at_level(logging.DEBUG):
        for file in (path, SHIPPED / "badVR.dcm", SHIPPED / "JPEG-lossy.dcm"):
            assert PATIENT not in str(opened_or_refused(file))
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_pydicoms_settings_are_put_back(tmp_path: Path) -> None:
    logger = logging.getLogger("pydicom")
    before = (logger.propagate, config.settings.reading_validation_mode)
    inner_ended = threading.Event()
    inner_started = threading.Event()

    def reader() -> None:
        with quiet():
            inner_started.set()
            inner_ended.wait(5)

    thread = threading.Thread(target=reader)
    with quiet():
        thread.start()
        assert inner_started.wait(5)
        assert logger.propagate is False
    assert config.settings.reading_validation_mode == config.IGNORE  # one still reads
    inner_ended.set()
    thread.join(5)
    assert (logger.propagate, config.settings.reading_validation_mode) == before
    with pytest.raises(VolumeError):
        read_volume(tmp_path)
    assert (logger.propagate, config.settings.reading_validation_mode) == before


def test_a_damaged_slice_within_a_stack_is_named(tmp_path: Path) -> None:
    paths = write_stack(tmp_path, n_slices=5)
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[:-20])
    with pytest.raises(VolumeError, match=f"{paths[2].name}.*(cut short|less than expected)"):
        read_volume(tmp_path)
    paths[2].write_bytes(content[:300])  # the header ends early: no place, no series
    between = r"missing between \d+\.dcm and \d+\.dcm"
    with pytest.raises(VolumeError, match=between) as caught:
        read_volume(tmp_path)
    for neighbour in (paths[1], paths[3]):
        assert neighbour.name in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_stacks_open_or_are_refused_by_name(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = write_stack(tmp_path, n_slices=3)
    contents = [path.read_bytes() for path in paths]
    n_opened = n_refused = 0
    for _ in range(60):
        damaged = bytearray(contents[1])
        for place in rng.integers(132, len(damaged), 3):
            damaged[place] = rng.integers(256)
        paths[1].write_bytes(damaged)
        result = opened_or_refused(tmp_path)
        if isinstance(result, Volume):
            assert np.isfinite(result.affine).all()
            n_opened += 1
        else:
            assert str(tmp_path) in result
            n_refused += 1
    assert n_opened > 5
    assert n_refused > 5
