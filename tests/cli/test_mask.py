"""``napari-cam mask`` on a map typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from napari_cam.heatmap import Heatmap
from tests.cli.conftest import NAME, Call

# Two slices of 2 x 3; the second holds no evidence.
VALUES = np.array([[[0.0, 0.5, 1.0], [0.6, 0.2, 0.4]], [[0, 0, 0], [0, 0, 0]]], np.float32)
SPACING = (5.0, 4.0, 10.0)  # 200 cubic millimetres, 0.2 mL


@pytest.fixture
def source(tmp_path: Path) -> nc.Volume:
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0], 1])
    nib.save(nib.Nifti1Image(np.ones((3, 2, 2), np.uint8), affine), tmp_path / f"{NAME}.nii")
    return nc.read_volume(tmp_path / f"{NAME}.nii")


def write(path: Path, source: nc.Volume, values: np.ndarray = VALUES, **facts: str) -> Path:
    inside = np.ones(values.shape, bool)
    inside[:, 1, 1] = inside[:, :, 1].all() and inside[:, 1, 1]
    heatmap = Heatmap(
        values=values,
        kind="unit",
        raw_min=np.zeros(2, np.float32),
        raw_max=np.array([7, 0], np.float32),
        valid=np.array([True, False]),
        class_index=np.array([1, 1]),
        predicted_index=np.array([1, 0]),
        score=np.array([2, -2], np.float32),
        inside=inside,
        unit_axis=0,
        grid=source.grid,
        provenance={"kind": "heatmap", "method": {"name": "gradcam"}, **facts},
    )
    return nc.write_volume(path, heatmap, like=source)


def rows(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()[2:]]


def test_fixed_cuts_are_strict_unless_asked(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    path = write(tmp_path / "map.nii.gz", source, layer="layer4", target="damaged")
    ended = call("mask", path, "-o", out, "--rule", "fixed:0.5")
    assert ended.code == 0, ended.err
    name = "mask_fixed-0.5_gradcam_layer4_damaged.nii.gz"
    # Two of twelve voxels of 0.2 mL each exceed the cut.
    assert rows(ended.out) == [[name, "fixed(0.5)", "16.7%", "0.4 mL"]]
    stored = nib.load(out / name)
    np.testing.assert_array_equal(
        np.asarray(stored.dataobj).T, [[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(stored.affine, nib.load(tmp_path / f"{NAME}.nii").affine)
    ended = call("mask", path, "-o", out, "--rule", "fixed:0.5", "--at-least", "--overwrite")
    assert rows(ended.out)[0][2:] == ["25.0%", "0.6 mL"]


def test_slices_without_evidence_are_empty_and_told(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    path = write(tmp_path / "map.nii.gz", source)
    ended = call("mask", path, "-o", out, "--rule", "fixed:0", "--at-least")
    assert rows(ended.out)[0][2] == "50.0%"  # all of the first slice, none of the second
    assert ended.err.startswith("note: 1 of 2 slices hold no evidence")


def test_several_rules(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    path = write(tmp_path / "map.tif", source)
    ended = call("mask", path, "-o", out, "--rule", "255:200", "--rule", "quantile:0.5")
    assert ended.code == 0, ended.err
    # 200/255 = 0.784: one voxel. The median of 0, .2, .4, .5, .6, 1 is 0.45: three voxels.
    assert rows(ended.out) == [
        ["mask_out-of-255-200_gradcam.tif", "out-of-255(200)", "8.3%", "0.2 mL"],
        ["mask_quantile-0.5_gradcam.tif", "quantile(0.5)", "25.0%", "0.6 mL"],
    ]


def test_otsu_if_none_is_named(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    ended = call("mask", write(tmp_path / "map.nii", source), "-o", out)
    assert rows(ended.out)[0][:2] == ["mask_otsu_gradcam.nii.gz", "otsu"]


def test_overlap_with_a_reference(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    reference = np.zeros(VALUES.shape, np.uint8)
    reference[0, 0, 1:] = 3  # any label counts
    reference[1, 0, 0] = 1
    nc.write_volume(tmp_path / "reference.nii", reference, like=source)
    path = write(tmp_path / "map.nii.gz", source)
    ended = call(
        *("mask", path, "-o", out, "--rule", "fixed:0.5"),
        *("--reference", tmp_path / "reference.nii"),
    )
    assert ended.code == 0, ended.err
    # One voxel in both, one in the mask alone, two in the reference alone.
    assert rows(ended.out)[0][4:] == ["0.250", "0.400"]
    assert ended.out.splitlines()[0].split()[-2:] == ["IoU", "Dice"]


def test_a_foreground_limits_masks(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    foreground = np.zeros(VALUES.shape, bool)
    foreground[:, 0] = True
    nc.write_volume(tmp_path / "tissue.nii", foreground, like=source)
    path = write(tmp_path / "map.nii.gz", source)
    ended = call(
        *("mask", path, "-o", out, "--rule", "fixed:0.5", "--foreground", tmp_path / "tissue.nii")
    )
    assert rows(ended.out)[0][3] == "0.2 mL"


def test_masks_of_several_heatmaps_have_names_of_their_own(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    paths = [write(tmp_path / f"{name}.nii", source) for name in ("one", "two")]
    ended = call("mask", *paths, "-o", out)
    assert [row[0] for row in rows(ended.out)] == [
        "mask_otsu_gradcam.nii.gz",
        "mask_otsu_gradcam-2.nii.gz",
    ]


def test_a_pattern_that_the_shell_left_alone(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    for name in ("map_b", "map_a", "map[1]"):
        write(tmp_path / f"{name}.nii", source, layer=name)
    ended = call("mask", tmp_path / "map_*.nii", tmp_path / "map[1].nii", "-o", out)
    assert [row[0] for row in rows(ended.out)] == [
        f"mask_otsu_gradcam_{layer}.nii.gz" for layer in ("map_a", "map_b", "map-1")
    ]
    ended = call("mask", tmp_path / "no*.nii", "-o", out)
    assert (ended.code, "no*.nii does not exist" in ended.err) == (1, True)


def test_some_failed_is_3(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    good = write(tmp_path / "map.nii.gz", source)
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    ended = call("mask", tmp_path / "bad.nii.gz", good, tmp_path / "missing.nii", "-o", out)
    assert ended.code == 3
    assert ended.err.count("error: ") == 2
    assert len(rows(ended.out)) == 1
    ended = call("mask", tmp_path / "bad.nii.gz", tmp_path / "missing.nii", "-o", tmp_path / "n")
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "error: None of the 2 heatmaps could be cut."
    assert not (tmp_path / "n").exists()


def test_the_sidecar_holds_the_cuts_and_no_name(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    path = write(folder / f"{NAME}.nii.gz", source)
    call("mask", path, "-o", out, "--rule", "fixed:0.25")
    text = (out / "mask_fixed-0.25_gradcam.json").read_text()
    facts = json.loads(text)
    assert facts["kind"] == "mask"
    assert facts["strict"] is True
    assert facts["cuts"] == [0.25, None]
    assert facts["heatmap"]["method"] == {"name": "gradcam"}
    for file in out.iterdir():
        assert NAME not in file.name
        assert NAME.encode() not in file.read_bytes()


def test_explained_slices_are_what_counts(
    call: Call, study: Path, image: Path, model: Path, tmp_path: Path, out: Path
) -> None:
    call("explain", image, "-m", model, "-o", tmp_path / "maps", "--slices", "3")
    heatmap = tmp_path / "maps" / "heatmap_gradcam_features_predicted.nii.gz"
    ended = call(
        "mask", heatmap, "-o", out, "--rule", "fixed:0", "--reference", study / "truth.nii.gz"
    )
    assert ended.code == 0, ended.err
    truth = nc.read_volume(study / "truth.nii.gz").values != 0
    outside = int(truth.sum() - truth[3].sum())
    assert f"note: {outside} of {truth.sum()} voxels of the reference lie where" in ended.err
    values = nc.read_volume(heatmap).values[3]
    both, either = ((values > 0) & truth[3]).sum(), ((values > 0) | truth[3]).sum()
    assert rows(ended.out)[0][4] == f"{both / either:.3f}"


def test_the_gate_empties_slices_predicted_otherwise(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    both = np.array([VALUES[0], VALUES[0]])
    path = write(tmp_path / "map.nii.gz", source, both)
    # By the file class 1 is explained and predicted in slice 0; slice 1 has no evidence anyway.
    facts = json.loads((tmp_path / "map.json").read_text())
    facts["map"]["units"]["valid"] = [True, True]
    (tmp_path / "map.json").write_text(json.dumps(facts))
    counts = {}
    for options in ((), ("--gate",)):
        ended = call("mask", path, "-o", out, "--rule", "fixed:0.5", "--overwrite", *options)
        assert ended.code == 0, ended.err
        (file,) = out.glob("*.nii.gz")
        counts[options] = nc.read_volume(file).values.astype(bool).sum(axis=(1, 2)).tolist()
        record = json.loads((out / file.name.replace(".nii.gz", ".json")).read_text())
        assert record["gate"] is bool(options)
    assert counts == {(): [2, 2], ("--gate",): [2, 0]}
