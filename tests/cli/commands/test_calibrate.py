"""``napari-cam calibrate`` on a table of three small cases."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from tests.cli.conftest import NAME, Call
from tests.masks.maps import heatmap_of

SHAPE = (3, 4, 6)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A table of three cases of two people, with paths relative to it."""
    rng = np.random.default_rng(2)
    lines = ["gradcam, layercam, mask, group"]
    for number, person in enumerate((NAME, "roe", NAME)):
        path = tmp_path / f"scan{number}.nii"
        nib.save(nib.Nifti1Image(np.ones(SHAPE[::-1], np.uint8), np.diag([2, 2, 3, 1.0])), path)
        volume = nc.read_volume(path)
        truth = rng.random(SHAPE) < 0.3
        nc.write_volume(tmp_path / f"mask{number}.nii.gz", truth, like=volume)
        for name in ("gradcam", "layercam"):
            values = np.clip(0.5 * truth + 0.6 * rng.random(SHAPE), 0, 1)
            heatmap = heatmap_of(values, grid=volume.grid)
            facts = {**heatmap.provenance, "kind": "heatmap"}
            nc.write_volume(tmp_path / f"{name}{number}.nii.gz", heatmap, volume, facts)
        lines.append(f"gradcam{number}.nii.gz,layercam{number}.nii.gz,mask{number}.nii.gz,{person}")
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def read(cases: Path) -> tuple[list[dict[str, nc.Heatmap]], list[np.ndarray]]:
    folder = cases.parent
    maps = [
        {name: nc.read_heatmap(folder / f"{name}{n}.nii.gz")[0] for name in ("gradcam", "layercam")}
        for n in range(3)
    ]
    masks = [np.asarray(nc.read_volume(folder / f"mask{n}.nii.gz").values) != 0 for n in range(3)]
    return maps, masks


def test_it_is_what_python_gives(call: Call, cases: Path, out: Path) -> None:
    ended = call("calibrate", cases, "-o", out, "--operator", "smallest", "--at-least")
    assert ended.code == 0, ended.err
    maps, masks = read(cases)
    expected = nc.calibrate(maps, masks, [0, 1, 0], "smallest", strict=False)
    facts = json.loads((out / "calibration.json").read_text())
    assert facts["out_of_fold"] == dict(expected.out_of_fold)
    assert facts["grid_in_sample"] == expected.grid.tolist()
    assert facts["oracle"]["thresholds"] == list(expected.oracle.thresholds)
    assert f"{expected.out_of_fold['iou_pooled_foreground']:.3f}" in ended.out
    assert ended.out.startswith("members: gradcam, layercam; 3 cases, 9 images")
    with (out / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows[:4]] == [
        "out of fold",
        "oracle (in-sample)",
        "empty",
        "full",
    ]
    assert (
        float(rows[0]["dice_pooled_foreground"]) == expected.out_of_fold["dice_pooled_foreground"]
    )
    assert (out / "calibration.png").read_bytes()[:4] == b"\x89PNG"


def test_no_name_of_a_group_is_written(call: Call, cases: Path, out: Path) -> None:
    assert call("calibrate", cases, "-o", out).code == 0
    for name in ("calibration.json", "calibration.csv"):
        text = (out / name).read_text()
        assert NAME not in text
        assert "roe" not in text


def test_options_reach_the_calibration(call: Call, cases: Path, out: Path) -> None:
    ended = call(
        "calibrate", cases, "-o", out, "--operator", "majority",
        "--metric", "dice_foreground_unit_mean",
        "--thresholds", "0.25,0.5,0.75", "--box", "centred:-,2,0.5:share", "--folds", 2,
        "--seed", 5, "--empty", "skip", "--tied-votes", "in", "--ties", "last", "--unit-axis", 1,
        "--both-empty", 1,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    maps, masks = read(cases)
    expected = nc.calibrate(
        maps,
        masks,
        [0, 1, 0],
        "majority",
        "dice_foreground_unit_mean",
        thresholds=(0.25, 0.5, 0.75),
        boxes=nc.CentredBox((None, 2, 0.5), "share"),
        folds=2,
        seed=5,
        empty="skip",
        tied_votes="in",
        ties="last",
        unit_axis=1,
        both_empty=1.0,
    )
    facts = json.loads((out / "calibration.json").read_text())
    assert facts["grid_in_sample"] == expected.grid.tolist()
    assert facts["out_of_fold"] == dict(expected.out_of_fold)
    assert facts["boxes"]["box"]["size"] == [None, 2.0, 0.5]
    assert "box only" in ended.out


def test_a_former_name_of_a_metric_is_translated_with_a_note(
    call: Call, cases: Path, out: Path
) -> None:
    ended = call("calibrate", cases, "-o", out, "--metric", "iou_pooled_bgfg_mean")
    assert ended.code == 0, ended.err
    new = "iou_pooled_background_foreground_mean"
    assert f"note: the metric iou_pooled_bgfg_mean is called {new} now." in ended.err
    facts = json.loads((out / "calibration.json").read_text())
    assert facts["metric"] == new
    assert new in facts["out_of_fold"]


def test_each_case_can_have_its_own_box(call: Call, cases: Path, out: Path) -> None:
    lines = cases.read_text().splitlines()
    boxed = [lines[0] + ",box", *(f"{line},mask{n}.nii.gz" for n, line in enumerate(lines[1:]))]
    cases.write_text("\n".join(boxed))
    ended = call("calibrate", cases, "-o", out)
    assert ended.code == 0, ended.err
    facts = json.loads((out / "calibration.json").read_text())
    assert (
        facts["baselines"]["box only"]["iou_pooled_foreground"] == 1
    )  # each box is the truth itself
    both = call("calibrate", cases, "-o", out, "--box", "centred:1,1,1", "--overwrite")
    assert both.code == 1
    assert "leave out --box" in both.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("group", "who"), "needs the columns mask and group"),
        (lambda text: text.replace("mask0.nii.gz", ""), "Row 2 of"),
        (lambda text: text.replace("mask0", "nothing"), "nothing.nii.gz"),
        (lambda text: text.replace(NAME, "roe"), "at least two"),
        (lambda _: "mask,group\n", "needs the columns"),
        (lambda _: "a,mask,group,a\n", "the column 'a' more than once"),
        (lambda _: "", "it has none"),
    ],
)
def test_tables_that_cannot_be_used(call: Call, cases: Path, out: Path, change, said: str) -> None:
    cases.write_text(change(cases.read_text()))
    ended = call("calibrate", cases, "-o", out)
    assert ended.code == 1
    assert said in ended.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metric", "miou"], "no metric 'miou'"),
        (["--thresholds", "low,high"], "numbers from 0 to 1"),
        (["--operator", "staple"], "STAPLE cannot"),
        (["--folds", "9"], "2 to 2 folds"),
        (["--both-empty", "0.5"], "nan, 0.0 or 1.0"),
        (["--box", "mask0.nii.gz"], "names no box"),
    ],
)
def test_errors_are_sentences(
    call: Call, cases: Path, out: Path, arguments: list[str], said: str
) -> None:
    ended = call("calibrate", cases, "-o", out, *arguments)
    assert ended.code == 1
    assert said in ended.err


def test_files_that_exist_are_left_alone(call: Call, cases: Path, out: Path) -> None:
    assert call("calibrate", cases, "-o", out).code == 0
    ended = call("calibrate", cases, "-o", out)
    assert ended.code == 1
    assert "exists already" in ended.err
