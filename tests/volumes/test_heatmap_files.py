"""A heatmap comes back from its file as it was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_cam.errors import VolumeError, WriteError
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import binarize
from napari_cam.volumes.heatmap_files import read_heatmap
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume
from napari_cam.volumes.writing import write_volume

SHAPE = (4, 6, 5)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    affine = np.array(
        [[-0.8, 0.1, 0.0, 7.0], [0.1, 0.9, -0.3, -4.0], [0.0, 0.2, 2.5, 3.0], [0, 0, 0, 1.0]]
    )
    values = np.arange(120, dtype=np.int16).reshape(SHAPE[::-1])
    path = tmp_path / "doe_jane.nii.gz"
    nib.save(nib.Nifti1Image(values, affine), path)
    return read_volume(path)


def heatmap_on(volume: Volume, unit_axis: int | None = 1, **changes: Any) -> Heatmap:
    n = 1 if unit_axis is None else volume.shape[unit_axis]
    rng = np.random.default_rng(3)
    inside = np.zeros(volume.shape, bool)
    inside[:, [0, 1, 4], 1:4] = True
    values = np.where(inside, rng.uniform(size=volume.shape), 0).astype(np.float32)
    valid = np.arange(n) % 3 == 0
    heatmap = Heatmap(
        values=values,
        kind="unit",
        raw_min=np.linspace(-1, 0, n, dtype=np.float32),
        raw_max=np.linspace(1, 3, n, dtype=np.float32),
        valid=valid,
        class_index=np.full(n, 2),
        predicted_index=np.arange(n),
        score=np.where(valid, 0.25, np.nan).astype(np.float32),
        inside=inside,
        unit_axis=unit_axis,
        grid=volume.grid,
        provenance={"kind": "heatmap", "method": {"name": "gradcam"}},
    )
    return replace(heatmap, **changes)


@pytest.mark.parametrize("unit_axis", [0, 1, 2, None])
@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz", "map.tif"])
def test_a_heatmap_comes_back(tmp_path: Path, volume: Volume, name: str, unit_axis: Any) -> None:
    before = heatmap_on(volume, unit_axis)
    write_volume(tmp_path / name, before, like=volume)
    after, file = read_heatmap(tmp_path / name)
    assert after.unit_axis == unit_axis
    assert after.kind == "unit"
    for field in ("values", "raw_min", "raw_max", "valid", "class_index", "predicted_index"):
        one, two = getattr(before, field), getattr(after, field)
        np.testing.assert_array_equal(one, two, err_msg=field)
        assert one.dtype == two.dtype, field
    np.testing.assert_array_equal(before.score, after.score)  # NaN included
    np.testing.assert_array_equal(before.inside, after.inside)
    assert after.provenance == before.provenance
    assert file.notes == ()
    if name != "map.tif":
        assert after.grid.same_as(volume.grid, within=1e-4)
    for rule in ("otsu", "fixed:0.5", "quantile:0.5:volume"):
        np.testing.assert_array_equal(binarize(before, rule)["mask"], binarize(after, rule)["mask"])


def test_a_file_alone_is_one_whole_map(tmp_path: Path, volume: Volume) -> None:
    values = np.linspace(0, 1, 120, dtype=np.float32).reshape(SHAPE)
    values[0, 0, :2] = np.nan
    write_volume(tmp_path / "map.nii", values, like=volume)
    (tmp_path / "map.json").unlink()
    heatmap, file = read_heatmap(tmp_path / "map.nii")
    assert heatmap.unit_axis is None
    assert heatmap.kind == "unit"
    assert heatmap.inside.sum() == 118
    assert "one whole map" in file.notes[-1]
    assert binarize(heatmap, "fixed:0.5")["mask"].sum() == 60


@pytest.mark.parametrize(("low", "high", "kind"), [(0, 7, "raw"), (-1, 1, "signed")])
def test_the_kind_of_a_file_alone_is_judged_by_its_values(
    tmp_path: Path, volume: Volume, low: float, high: float, kind: str
) -> None:
    write_volume(tmp_path / "m.nii", np.linspace(low, high, 120).reshape(SHAPE), like=volume)
    (tmp_path / "m.json").unlink()
    assert read_heatmap(tmp_path / "m.nii")[0].kind == kind


def test_a_mask_is_no_heatmap(tmp_path: Path, volume: Volume) -> None:
    write_volume(tmp_path / "mask.nii", np.ones(SHAPE, bool), like=volume)
    with pytest.raises(VolumeError, match="no heatmap but a mask, as"):
        read_heatmap(tmp_path / "mask.nii")


def test_several_channels_are_no_heatmap(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((5, 4, 3, 2), np.float32), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(VolumeError):
        read_heatmap(tmp_path / "c.nii")


def test_a_file_without_positive_numbers_is_no_heatmap(tmp_path: Path, volume: Volume) -> None:
    write_volume(tmp_path / "m.nii", np.zeros(SHAPE, np.float32), like=volume)
    (tmp_path / "m.json").unlink()
    with pytest.raises(VolumeError, match="no positive number"):
        read_heatmap(tmp_path / "m.nii")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["map", "unit_axis"], 3),
        (["map", "unit_axis"], 0),
        (["map", "kind"], "loud"),
        (["map", "inside"], [[[0, 99]], [[0, 1]], [[0, 1]]]),
        (["map", "inside"], [[[0, 1]], [[0, 1]]]),
        (["map", "inside"], 7),
        (["map", "units"], {}),
        (["map", "units", "valid"], [True]),
        (["map", "units", "raw_max"], "many"),
        (["map"], None),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(
    tmp_path: Path, volume: Volume, place: list[str], value: Any
) -> None:
    write_volume(tmp_path / "map.nii", heatmap_on(volume), like=volume)
    facts = json.loads((tmp_path / "map.json").read_text())
    inner = facts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "map.json").write_text(json.dumps(facts))
    with pytest.raises(VolumeError, match=r"map\.json"):
        read_heatmap(tmp_path / "map.nii")


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_a_damaged_sidecar_is_refused(tmp_path: Path, volume: Volume, text: str) -> None:
    write_volume(tmp_path / "map.nii", heatmap_on(volume), like=volume)
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(VolumeError, match="cannot be read as JSON"):
        read_heatmap(tmp_path / "map.nii")


def test_what_is_no_box_cannot_be_written(tmp_path: Path, volume: Volume) -> None:
    inside = np.ones(SHAPE, bool)
    inside[2, 3, 4] = False
    with pytest.raises(WriteError, match="no box"):
        write_volume(tmp_path / "map.nii", heatmap_on(volume, inside=inside), like=volume)
    assert not list(tmp_path.glob("map*"))
