"""DICOM folders on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_cam as nc
from tests.cli.conftest import Call
from tests.volumes.dicom.dicoms import PATIENT, PREFIX, SERIES, write, write_stack

SECRETS = (PATIENT, "Doe", "4711", SERIES, PREFIX)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder named like a patient, with two series in it."""
    folder = tmp_path / "roe_richard"
    mr = {"SeriesInstanceUID": PREFIX + "8", "Modality": "MR", "SeriesNumber": 5}
    write_stack(folder / "ct", n_slices=3, shape=(24, 32), SeriesDescription="Thorax 2.5")
    write_stack(folder / "mr", n_slices=4, shape=(28, 40), orientation=(0, 1, 0, 0, 0, -1), **mr)
    return folder


def test_the_series_of_a_folder_are_listed(call: Call, scans: Path) -> None:
    ended = call("info", scans)
    assert ended.code == 0
    header, _, *rows = ended.out.splitlines()
    assert header.split() == [
        "series", "kind", "plane", "slices", "size", "voxel", "(mm)", "description", "readable",
    ]  # fmt: skip
    assert rows[0].split() == [
        *("0", "CT", "axial", "3", "24", "x", "32", "2.5", "x", "0.5", "x", "0.75"),
        *("Thorax", "2.5", "yes"),
    ]
    assert rows[1].split()[:4] == ["1", "MR", "sagittal", "4"]
    assert not any(secret in ended.out + ended.err for secret in SECRETS)


def test_one_series_is_described(call: Call, scans: Path) -> None:
    ended = call("info", scans, "--series", 1)
    assert ended.code == 0
    assert "28 x 40 x 4 (z, y, x)" in ended.out
    assert "slices along   x" in ended.out
    assert call("info", scans, "--series", PREFIX + "8").out == ended.out
    alone = call("info", scans / "mr")
    assert alone.out == ended.out
    wrong = call("info", scans, "--series", 7)
    assert (wrong.code, "no series 7" in wrong.err) == (1, True)


def test_what_cannot_be_read_is_explained(call: Call, scans: Path) -> None:
    for height in (0, 1, 2, 9):
        write(scans / f"z{height}", np.zeros((5, 7), np.uint16), (0, 0, height), SeriesNumber=9)
    ended = call("info", scans)
    assert ended.code == 0
    assert ended.out.rstrip().endswith("no")
    assert "missing between z2 and z9" in ended.err


def test_a_heatmap_of_a_dicom_series(call: Call, scans: Path, model: Path, out: Path) -> None:
    refused = call("explain", scans, "-m", model, "-o", out)
    assert refused.code == 1
    assert "2 stacks of images; choose one with series=NUMBER" in refused.err
    assert not any(secret in refused.out + refused.err for secret in SECRETS)
    ended = call("explain", scans, "--series", "1", "-m", model, "-o", out, "--class", "damaged")
    assert ended.code == 0, ended.err
    (file,) = out.glob("*.nii.gz")
    scan = nc.read_volume(scans, series=1)
    heatmap, written = nc.read_heatmap(file)
    assert written.grid.same_as(scan.grid, within=1e-4)
    assert heatmap.values.shape == (28, 40, 4)
    record = (out / f"{file.name.removesuffix('.nii.gz')}.json").read_text()
    assert json.loads(record)["image"]["sha256"] == scan.sha256()
    for secret in (*SECRETS, "roe_richard", "Thorax"):
        assert secret not in record
        assert secret not in file.name
