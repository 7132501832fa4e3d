"""``napari-cam report association`` and ``faithfulness``: files in, the numbers of Python out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import napari_cam as nc
from napari_cam.sample import load_sample_phantom
from tests.cli.conftest import Call
from tests.reports.heatmaps import SHAPE, heatmap


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Eight fillets of four fish: a table, what their heatmaps claim, and what they lose."""
    rng = np.random.default_rng(0)
    blank = tmp_path / "blank.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1], np.uint8), np.diag([0.8, 0.5, 3, 1])), blank)
    like = nc.read_volume(blank)
    shares, rows = [], []
    for place in range(8):
        values = rng.random(SHAPE, dtype=np.float32) * (0.5 + 0.08 * place)
        item = heatmap(values, kind="unit", method={"name": "gradcam"})
        facts = {**item.provenance, "kind": "heatmap"}
        nc.write_volume(
            tmp_path / f"map-{place}.nii.gz",
            replace(item, grid=like.grid, provenance=facts),
            like=like,
        )
        shares.append((values > 0.5).mean(axis=(1, 2)).mean())
        rows.append(
            {"heatmap": f"map-{place}.nii.gz", "subject": f"fillet {place}"}
            | {"group": f"fish {place // 2}", "protocol": "ab"[place % 2]}
            | {"loss": f"{place + 3 * rng.random():.3f}"}
        )
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    return tmp_path / "cohort.csv", np.array(shares), np.array([float(r["loss"]) for r in rows])


def test_association_of_a_cohort(
    cohort: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, call: Call
) -> None:
    table, shares, losses = cohort
    options = ("--measurement", "loss", "--unit", "%", "--within", "protocol", "--resamples", 200)
    ended = call("report", "association", "--cohort", table, "-o", tmp_path / "out", *options)
    assert ended.code == 0, ended.err
    assert "rho of the mask share and loss" in ended.out
    assert "4 for 8 subjects" in ended.out
    found = pd.read_csv(tmp_path / "out" / "table.csv", keep_default_na=False)
    row = found[found["metric"] == "spearman"].iloc[0]
    expected = stats.spearmanr(shares, losses)
    assert float(row["value"]) == pytest.approx(expected.statistic)
    assert float(row["p"]) == pytest.approx(expected.pvalue)
    assert (tmp_path / "out" / "report.html").is_file()


def test_association_says_what_is_missing(
    cohort: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, call: Call
) -> None:
    table, *_ = cohort
    ended = call(
        "report", "association", "--cohort", table, "-o", tmp_path / "out", "--measurement", "mass"
    )
    assert ended.code == 1
    assert "has no column 'mass'" in ended.err
    ended = call(
        "report", "association", "--cohort", table, "-o", tmp_path / "o", "--measurement", "group"
    )
    assert ended.code == 1
    assert "is no number: 'fish 0'" in ended.err
    assert not (tmp_path / "o").exists()


def test_faithfulness_of_the_sample(tmp_path: Path, call: Call) -> None:
    truth = load_sample_phantom()
    image = nc.write_volume(
        tmp_path / "scan.nii.gz", np.asarray(truth.volume.values), like=truth.volume
    )
    for name, mask in (("tissue", truth.tissue), ("damage", truth.damage > 0.5)):
        nc.write_volume(tmp_path / f"{name}.nii.gz", mask, like=truth.volume)
    ended = call(
        *("explain", image, "-m", "sample", "-o", tmp_path / "maps", "--class", "damaged"),
        *("--slices", "8:14"),
    )
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "maps").glob("*.nii.gz")
    ended = call(
        *("report", "faithfulness", path, "-m", "sample", "-o", tmp_path / "out"),
        *("--image", image, "--reference", tmp_path / "damage.nii.gz"),
        *("--foreground", tmp_path / "tissue.nii.gz"),
        *("--most-units", 2, "--resamples", 100, "--accuracy", "90/100", "--device", "cpu"),
    )
    assert ended.code == 0, ended.err
    assert "90 of 100 (given)" in ended.out
    assert "energy in reference" in ended.out
    found = pd.read_csv(tmp_path / "out" / "table.csv", keep_default_na=False)
    # The same energy as from the array itself.
    row = found[(found["metric"] == "energy_reference") & (found["level"] == "unit")].iloc[0]
    heat = np.asarray(nc.read_volume(path).values)[int(row["unit"])]
    inside = (truth.damage > 0.5)[int(row["unit"])]
    assert float(row["value"]) == pytest.approx(heat[inside].sum() / heat.sum(), rel=1e-4)


def test_faithfulness_takes_one_case_of_a_subject(
    cohort: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, call: Call
) -> None:
    table, *_ = cohort
    rows = pd.read_csv(table).iloc[:2].assign(subject="one", image="blank.nii.gz")
    rows.assign(**{"class": ["a", "b"]}).to_csv(table.parent / "twice.csv", index=False)
    options = ("-m", "sample", "-o", tmp_path / "out")
    ended = call("report", "faithfulness", "--cohort", table.parent / "twice.csv", *options)
    assert ended.code == 1
    assert "rows of several classes" in ended.err


def test_faithfulness_needs_the_image(
    cohort: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, call: Call
) -> None:
    table, *_ = cohort
    options = ("-m", "sample", "-o", tmp_path / "out")
    ended = call("report", "faithfulness", "--cohort", table, *options)
    assert ended.code == 1
    assert "--image, or a column 'image'" in ended.err
    ended = call(
        *("report", "faithfulness", table.parent / "map-0.nii.gz", *options),
        *("--image", table.parent / "blank.nii.gz", "--accuracy", "90%"),
    )
    assert ended.code == 1
    assert "57/64" in ended.err
