"""``napari-cam ensemble`` on maps and masks typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from tests.cli.conftest import NAME, Call
from tests.masks.maps import heatmap_of

# Two slices of 1 x 4 above 0.5: "##.." and ".###"; ".##." and "....".
A = np.array([[[0.9, 0.8, 0.1, 0.2]], [[0.0, 0.7, 0.6, 1.0]]], np.float32)
B = np.array([[[0.2, 0.8, 0.9, 0.1]], [[0.1, 0.2, 0.3, 0.4]]], np.float32)


@pytest.fixture
def source(tmp_path: Path) -> nc.Volume:
    affine = np.diag([4.0, 3.0, 5.0, 1])
    nib.save(nib.Nifti1Image(np.ones((4, 1, 2), np.uint8), affine), tmp_path / f"{NAME}.nii")
    return nc.read_volume(tmp_path / f"{NAME}.nii")


@pytest.fixture
def files(tmp_path: Path, source: nc.Volume) -> list[Path]:
    """Two heatmaps named after a person."""
    paths = []
    for number, (values, method) in enumerate([(A, "gradcam"), (B, "layercam")]):
        facts = {
            "kind": "heatmap",
            "method": {"name": method},
            "layer": f"layer{number}",
            "target": "damaged",
        }
        path = tmp_path / f"{NAME}_{number}.nii.gz"
        paths.append(nc.write_volume(path, heatmap_of(values, grid=source.grid), source, facts))
    return paths


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


def rows(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[2:]]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("or", [[[1, 1, 1, 0]], [[0, 1, 1, 1]]]),
        ("and", [[[0, 1, 0, 0]], [[0, 0, 0, 0]]]),
        ("smallest", [[[1, 1, 0, 0]], [[0, 0, 0, 0]]]),
        ("largest", [[[1, 1, 0, 0]], [[0, 1, 1, 1]]]),
        ("majority", [[[0, 1, 0, 0]], [[0, 0, 0, 0]]]),
    ],
)
def test_heatmaps_are_cut_and_combined(
    call: Call, files: list[Path], out: Path, operator: str, expected: list[object]
) -> None:
    ended = call("ensemble", *files, "-o", out, "--operator", operator, "--rule", "fixed:0.5")
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(stored(out / f"ensemble_{operator}.nii.gz"), expected)
    table = rows(ended.out)
    assert table[0] == ["1: gradcam layer0 damaged", "5"]
    assert table[-1] == [f"ensemble_{operator}.nii.gz", str(int(np.sum(expected)))]


def test_nobodys_name_is_written(call: Call, files: list[Path], out: Path) -> None:
    assert call("ensemble", *files, "-o", out, "--rule", "fixed:0.5", "--consensus").code == 0
    for path in out.iterdir():
        assert NAME not in path.name
        if path.suffix == ".json":
            assert NAME not in path.read_text()
    facts = json.loads((out / "ensemble_and.json").read_text())
    assert facts["ensemble"]["operator"] == "and"
    assert [member["rule"] for member in facts["members"]] == ["fixed(0.5)"] * 2
    assert facts["kind"] == "mask"


def test_headers_beside_a_mask_go_nowhere(
    call: Call, files: list[Path], out: Path, tmp_path: Path, source: nc.Volume
) -> None:
    drawn = tmp_path / "labels.nii.gz"
    nc.write_volume(drawn, np.ones((2, 1, 4), np.uint8), like=source)
    headers = {"PatientName": "Doe^Jane", "SeriesInstanceUID": "1.2.3.4"}
    drawn.with_name("labels.json").write_text(json.dumps(headers))
    ended = call("ensemble", files[0], drawn, "-o", out)
    assert ended.code == 0, ended.err
    facts = (out / "ensemble_and.json").read_text()
    assert "Doe" not in facts
    assert "1.2.3.4" not in facts


def test_options_reach_the_ensemble(call: Call, files: list[Path], out: Path) -> None:
    common = ("ensemble", *files, "-o", out, "--rule", "fixed:0.5", "--overwrite")
    call(*common, "--operator", "smallest", "--empty", "skip", "--ties", "last")
    np.testing.assert_array_equal(
        stored(out / "ensemble_smallest.nii.gz"), [[[0, 1, 1, 0]], [[0, 1, 1, 1]]]
    )
    call(*common, "--operator", "smallest", "--unit-axis", "none")
    np.testing.assert_array_equal(
        stored(out / "ensemble_smallest.nii.gz"), [[[0, 1, 1, 0]], [[0, 0, 0, 0]]]
    )
    call(*common, "--operator", "majority", "--tied-votes", "in")
    assert stored(out / "ensemble_majority.nii.gz").sum() == 6
    call(*common, "--operator", "or", "--box", "centred:-,-,8:mm")
    np.testing.assert_array_equal(
        stored(out / "ensemble_or.nii.gz"), [[[0, 1, 1, 0]], [[0, 1, 1, 0]]]
    )
    call(*common, "--operator", "or", "--box", "band:2:0:90:pixel", "--box", "centred:1,-,-:pixel")
    np.testing.assert_array_equal(
        stored(out / "ensemble_or.nii.gz"), [[[1, 0, 0, 0]], [[0, 0, 0, 0]]]
    )


def test_a_rule_for_each_heatmap(call: Call, files: list[Path], out: Path) -> None:
    rules = ("--rule", "fixed:0.85", "--rule", "fixed:0.15", "--at-least")
    ended = call("ensemble", *files, "-o", out, "--operator", "and", *rules)
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(
        stored(out / "ensemble_and.nii.gz"), [[[1, 0, 0, 0]], [[0, 0, 0, 1]]]
    )
    three = call("ensemble", *files, "-o", out, *rules, "--rule", "otsu", "--overwrite")
    assert three.code == 1
    assert "3 rules for 2 heatmaps" in three.err


def test_masks_and_heatmaps_together(
    call: Call, files: list[Path], out: Path, tmp_path: Path, source: nc.Volume
) -> None:
    drawn = np.array([[[0, 0, 2, 0]], [[0, 0, 3, 0]]], np.uint8)
    bare = tmp_path / "labels.nii.gz"
    nc.write_volume(bare, drawn, like=source)
    bare.with_name("labels.json").unlink()
    reference = nc.write_volume(tmp_path / "truth.nii.gz", drawn > 2, like=source)
    ended = call(
        "ensemble", files[0], bare, "-o", out, "--rule", "fixed:0.5", "--reference", reference
    )
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(
        stored(out / "ensemble_and.nii.gz"), [[[0, 0, 0, 0]], [[0, 0, 1, 0]]]
    )
    # IoU 1/5, 1/2 and 1/1; Dice 2/6, 2/3 and 1.
    assert [row[1:] for row in rows(ended.out)] == [
        ["5", "0.200", "0.333"],
        ["2", "0.500", "0.667"],
        ["1", "1.000", "1.000"],
    ]


def test_the_background_of_seeds_is_no_mask(
    call: Call, files: list[Path], out: Path, tmp_path: Path, source: nc.Volume
) -> None:
    drawn = np.array([[[0, 1, 2, 0]], [[1, 1, 3, 2]]], np.uint8)
    for name in ("one", "two"):
        record = {"kind": "seeds"}
        nc.write_volume(tmp_path / f"{name}.nii.gz", drawn, like=source, provenance=record)
    members = (tmp_path / "one.nii.gz", tmp_path / "two.nii.gz")
    ended = call("ensemble", *members, "-o", out, "--reference", members[0])
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(
        stored(out / "ensemble_and.nii.gz"), [[[0, 0, 1, 0]], [[0, 0, 1, 1]]]
    )
    assert rows(ended.out)[-1][-1] == "1.000"


def test_staple_and_consensus(call: Call, files: list[Path], out: Path) -> None:
    ended = call(
        "ensemble", *files, "-o", out, "--operator", "staple", "--rule", "fixed:0.5", "--consensus"
    )
    assert ended.code == 0, ended.err
    share = [[[0.5, 1, 0.5, 0]], [[0, 0.5, 0.5, 0.5]]]
    np.testing.assert_array_equal(stored(out / "consensus_share.nii.gz"), share)
    np.testing.assert_array_equal(
        stored(out / "consensus_spread.nii.gz"), [[[1, 0, 1, 0]], [[0, 1, 1, 1]]]
    )
    mask, probability = (
        stored(out / f"ensemble_{name}.nii.gz") for name in ("staple", "probability")
    )
    np.testing.assert_array_equal(mask, probability > 0.5 + 1e-6)
    facts = json.loads((out / "ensemble_staple.json").read_text())["ensemble"]
    assert np.shape(facts["sensitivity"]) == (1, 2)


def test_the_mean_of_heatmaps(call: Call, files: list[Path], out: Path) -> None:
    ended = call("ensemble", *files, "-o", out, "--operator", "mean", "--weights", "3,1")
    assert ended.code == 0, ended.err
    path = out / "heatmap_mean.nii.gz"
    np.testing.assert_allclose(stored(path), 0.75 * A + 0.25 * B, rtol=1e-6)
    heatmap, _ = nc.read_heatmap(path)
    assert heatmap.unit_axis == 0
    assert call("mask", path, "-o", out / "masks").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--operator", "xor"], "operator of an ensemble"),
        (["--unit-axis", "x"], "0, 1, 2 or none"),
        (["--weights", "1,2"], "masks have none"),
        (["--operator", "mean", "--weights", "a,b"], "Weights are numbers"),
        (["--box", "nowhere"], "'nowhere' names no box"),
        (["--box", "band:wide"], "'wide' is no number"),
        (["--box", "centred:1,2"], "three numbers"),
        (["--rule", "fixed:2"], "0 to 1"),
    ],
)
def test_errors_are_sentences(
    call: Call, files: list[Path], out: Path, arguments: list[str], said: str
) -> None:
    ended = call("ensemble", *files, "-o", out, *arguments)
    assert ended.code == 1
    assert said in ended.err
    assert not out.exists()


def test_one_file_is_no_ensemble(call: Call, files: list[Path], out: Path) -> None:
    ended = call("ensemble", files[0], "-o", out)
    assert ended.code == 1
    assert "at least two members" in ended.err


def test_files_that_exist_are_left_alone(call: Call, files: list[Path], out: Path) -> None:
    assert call("ensemble", *files, "-o", out).code == 0
    ended = call("ensemble", *files, "-o", out)
    assert ended.code == 1
    assert "exists already" in ended.err
