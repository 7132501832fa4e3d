"""``napari-cam seeds`` on maps typed by hand and on the sample."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from napari_cam.labels.classes import LabelClass, LabelClasses
from tests.cli.conftest import NAME, Call
from tests.masks.maps import heatmap

# Two slices of 2 x 3; in the second another class is predicted.
VALUES = [[[0.0, 0.5, 1.0], [0.7, 0.2, 0.1]], [[0.9, 0.9, 0.9], [0.1, 0.1, 0.1]]]
SPACING = (5.0, 4.0, 10.0)  # 200 cubic millimetres, 0.2 mL


@pytest.fixture
def source(tmp_path: Path) -> nc.Volume:
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0], 1])
    values = np.array([[[9, 9, 90], [90, 9, 9]]] * 2, np.uint8).T
    nib.save(nib.Nifti1Image(values, affine), tmp_path / f"{NAME}.nii")
    return nc.read_volume(tmp_path / f"{NAME}.nii")


def write(path: Path, source: nc.Volume, values: Any = VALUES, target: str = "gap") -> Path:
    made = heatmap(
        values,
        grid=source.grid,
        predicted_index=[1, 0],
        provenance={"kind": "heatmap", "target": target, "normalize": "volume"},
    )
    return nc.write_volume(path, made, like=source)


def labels(path: Path) -> list[Any]:
    stored: list[Any] = np.asarray(nib.load(path).dataobj).T.tolist()
    return stored


def rows(text: str) -> list[list[str]]:
    lines = text.split("\n\n")[0].splitlines()[2:]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_seeds_with_their_table_and_record(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    ended = call("seeds", write(tmp_path / "map.nii", source), "-o", out)
    assert ended.code == 0, ended.err
    assert labels(out / "seeds_gap.nii.gz") == [[[1, 0, 2], [2, 0, 1]], [[1, 1, 1], [1, 1, 1]]]
    assert rows(ended.out) == [
        ["1", "background", "8", "66.7%", "1.6 mL"],
        ["2", "gap", "2", "16.7%", "0.4 mL"],
        ["0", "unlabelled", "2", "16.7%", "0.4 mL"],
    ]
    assert "In 1 of 2 slices the network predicts another class" in ended.err
    table = LabelClasses.read_csv(out / "seeds_gap.csv")
    assert [(each.code, each.name) for each in table] == [(1, "background"), (2, "gap")]
    record = (out / "seeds_gap.json").read_text()
    assert json.loads(record)["classes"] == table.to_json()
    assert NAME not in record
    np.testing.assert_array_equal(
        nib.load(out / "seeds_gap.nii.gz").affine, nib.load(tmp_path / f"{NAME}.nii").affine
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--no-gate"], [[[1, 0, 2], [2, 0, 1]], [[2, 2, 2], [1, 1, 1]]]),
        (["--negatives", "unlabelled"], [[[1, 0, 2], [2, 0, 1]], [[0, 0, 0], [0, 0, 0]]]),
        (["--high", "0.8", "--low", "0.6"], [[[1, 1, 2], [0, 1, 1]], [[1] * 3] * 2]),
        (["--high", "0.5", "--at-least"], [[[1, 2, 2], [2, 1, 1]], [[1] * 3] * 2]),
        # Of 0 .1 .2 .5 .7 1 the median is .35.
        (["--high", "quantile:0.5", "--low", "0"], [[[0, 2, 2], [2, 0, 0]], [[1] * 3] * 2]),
        (["--normalize", "none"], [[[1, 0, 2], [2, 0, 1]], [[1] * 3] * 2]),
    ],
)
def test_options(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path, options: list[str], expected: Any
) -> None:
    ended = call("seeds", write(tmp_path / "map.nii", source), "-o", out, *options)
    assert ended.code == 0, ended.err
    assert labels(out / "seeds_gap.nii.gz") == expected


def test_several_classes_and_votes(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    gap = [
        write(tmp_path / "gap_1.nii", source, [[[0.9, 0.9, 0.1]] * 2] * 2),
        write(tmp_path / "gap_2.nii", source, [[[0.9, 0.3, 0.1]] * 2] * 2),
    ]
    line = write(tmp_path / "line.nii", source, [[[0.95, 0.1, 0.1]] * 2] * 2, target="x")
    given = (f"gap={tmp_path}/gap_*.nii", f"line={line}", "--no-gate")
    ended = call("seeds", *given, "-o", out)
    assert ended.code == 0, ended.err
    assert labels(out / "seeds_gap_line.nii.gz") == [[[0, 0, 1]] * 2] * 2
    ended = call("seeds", *given, "-o", out, "--votes", 0.5, "--conflict", "highest", "--overwrite")
    assert labels(out / "seeds_gap_line.nii.gz") == [[[3, 2, 1]] * 2] * 2
    assert len(gap) == 2


def test_codes_of_a_table(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    table = LabelClasses((LabelClass(1, "muscle", "#999999"), LabelClass(9, "gap", "#102030")))
    table.write_csv(tmp_path / "codes.csv")
    path = write(tmp_path / "map.nii", source)
    ended = call("seeds", path, "-o", out, "--classes", tmp_path / "codes.csv")
    assert labels(out / "seeds_gap.nii.gz")[0] == [[1, 0, 9], [9, 0, 1]]
    assert (out / "seeds_gap.csv").read_text() == (tmp_path / "codes.csv").read_text()
    assert rows(ended.out)[0][1] == "muscle"


def test_the_foreground(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    tissue = np.zeros((2, 2, 3), bool)
    tissue[:, 0] = True
    nc.write_volume(tmp_path / "tissue.nii", tissue, like=source)
    path = write(tmp_path / "map.nii", source)
    options = ("--foreground", tmp_path / "tissue.nii", "--outside", "unlabelled")
    call("seeds", path, "-o", out, *options)
    assert labels(out / "seeds_gap.nii.gz") == [[[1, 0, 2], [0, 0, 0]], [[1, 1, 1], [0, 0, 0]]]


def test_the_random_walker_follows_the_image(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    # Bright are the third voxel of the first row and the first of the second, which is not seeded.
    values = [[[0.0, 0.5, 1.0], [0.5, 0.5, 0.1]]] * 2
    path = write(tmp_path / "map.nii", source, values)
    options = ("--refine", "random-walker", "--image", tmp_path / f"{NAME}.nii", "--beta", 5)
    ended = call("seeds", path, "-o", out, *options)
    assert ended.code == 0, ended.err
    # The fourth, between dark neighbours alone, is reached by the background next to it.
    assert labels(out / "seeds_gap.nii.gz")[0] == [[1, 1, 2], [1, 1, 1]]
    record = json.loads((out / "seeds_gap.json").read_text())
    assert record["refined"]["beta"] == 5
    assert NAME not in json.dumps(record)


def test_python_and_the_command_line_agree(call: Call, tmp_path: Path, out: Path) -> None:
    model, volume = nc.load_sample_model(), nc.load_sample_volume()
    nc.write_volume(tmp_path / "scan.nii.gz", np.asarray(volume.values), like=volume)
    maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged", units=range(8, 13))
    for name in ("gradcam", "layercam"):
        nc.write_volume(tmp_path / f"{name}.nii.gz", maps[name], like=volume)
    files = [tmp_path / f"{name}.nii.gz" for name in ("gradcam", "layercam")]
    options = ("--refine", "guided", "--image", tmp_path / "scan.nii.gz", "--radius", 1)
    ended = call("seeds", *files, "-o", out, *options)
    assert ended.code == 0, ended.err
    smooth = nc.refine(volume, maps, "guided", radius=1)
    seeds = nc.make_seeds({"damaged": list(smooth.values())})
    agree = np.asarray(nc.read_volume(out / "seeds_damaged.nii.gz").values) == seeds.labels
    assert agree.mean() > 0.9999
    assert seeds.voxels["damaged"] > 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--high", "0.1"], "low <= high"),
        (["--conflict", "first"], "one of ignore, highest"),
        (["--refine", "crf", "--image", "x"], "one of random-walker, guided"),
        (["--refine", "guided"], "go together"),
        (["--image", "x"], "go together"),
        (["--votes", "2"], "votes"),
    ],
)
def test_wrong_options_are_told_and_nothing_is_written(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path, options: list[str], said: str
) -> None:
    ended = call("seeds", write(tmp_path / "map.nii", source), "-o", out, *options)
    assert ended.code == 1
    assert said in ended.err
    assert not out.exists()


def test_a_file_that_exists_stays(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    path = write(tmp_path / "map.nii", source)
    out.mkdir()
    (out / "seeds_gap.csv").write_text("mine")
    assert call("seeds", path, "-o", out).code == 1
    assert [each.name for each in out.iterdir()] == ["seeds_gap.csv"]
    assert (out / "seeds_gap.csv").read_text() == "mine"


def test_a_map_without_a_class_needs_one(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    nib.save(
        nib.Nifti1Image(np.array(VALUES, np.float32).T, np.diag([*SPACING[::-1], 1])),
        tmp_path / "bare.nii",
    )
    ended = call("seeds", tmp_path / "bare.nii", "-o", out)
    assert ended.code == 1
    assert "CLASS=bare.nii" in ended.err
    ended = call("seeds", f"gap={tmp_path / 'bare.nii'}", "-o", out)
    assert ended.code == 0, ended.err
    assert "does not say which class" in ended.err
    assert labels(out / "seeds_gap.nii.gz")[1] == [[2, 2, 2], [1, 1, 1]]


def test_maps_of_several_images_are_refused(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    nib.save(
        nib.Nifti1Image(np.ones((3, 2, 2), np.uint8), np.diag([9, 4, 5, 1])), tmp_path / "o.nii"
    )
    one = write(tmp_path / "one.nii", source)
    other = write(tmp_path / "other.nii", nc.read_volume(tmp_path / "o.nii"))
    ended = call("seeds", one, other, "-o", out)
    assert ended.code == 1
    assert "resample one of them first" in ended.err
