"""``napari-cam demo``: everything at once, and again over its own folder."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import napari_cam as nc
from napari_cam.cli.main import main
from napari_cam.sample.phantom import MAX_SHARE
from tests.cli.conftest import Call

FOLDER = "demo"
# Written out: a method that takes minutes must not join the demo by being added to the table.
METHODS = (
    *("cam", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam"),
    *("eigencam", "eigengradcam"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("demo") / FOLDER
    assert main(["demo", "--out", str(out)]) == 0
    return out


def test_every_method_has_its_files(folder: Path) -> None:
    for kind in ("heatmap", "mask"):
        files = sorted(path.name for path in (folder / f"{kind}s").glob("*.nii.gz"))
        assert files == sorted(f"{kind}_{name}_features_damaged.nii.gz" for name in METHODS)
        assert len(list((folder / f"{kind}s").glob("*.json"))) == len(files)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("contact_sheet.json", "contact_sheet.png", "demo.json", "heatmaps", "masks"),
        *("truth.json", "truth.nii.gz", "volume.json", "volume.nii.gz"),
    ]


def test_masks_overlap_the_truth_as_stated(folder: Path) -> None:
    truth = np.asarray(nib.load(folder / "truth.nii.gz").dataobj) > 0
    stated = json.loads((folder / "demo.json").read_text())["results"]
    assert len(stated) == len(METHODS)
    for name in METHODS:
        mask = np.asarray(
            nib.load(folder / "masks" / f"mask_{name}_features_damaged.nii.gz").dataobj
        )
        both, sizes = (truth & (mask > 0)).sum(), truth.sum() + (mask > 0).sum()
        assert stated[f"{name} / features / damaged"]["Dice"] == pytest.approx(2 * both / sizes)


def test_the_network_points_at_the_damage_and_guesses_do_not(folder: Path) -> None:
    facts = json.loads((folder / "demo.json").read_text())
    gradcam = facts["results"]["gradcam / features / damaged"]
    assert gradcam["peak"] >= 0.9
    for guess in facts["guesses"].values():
        assert gradcam["energy"] > guess["energy"] + 0.2
    assert facts["guesses"]["guess: all of the tissue"]["energy"] < MAX_SHARE


def test_everything_lies_on_one_grid(folder: Path) -> None:
    volume = nib.load(folder / "volume.nii.gz")
    for path in folder.rglob("*.nii.gz"):
        image = nib.load(path)
        assert image.shape == volume.shape
        np.testing.assert_array_equal(image.affine, volume.affine)


def test_the_contact_sheet_is_a_small_picture(folder: Path) -> None:
    path = folder / "contact_sheet.png"
    assert path.stat().st_size < 300_000
    with Image.open(path) as sheet:
        assert 700 < sheet.width < 1400
        assert len(sheet.convert("RGB").getcolors(1000) or ()) > 50


def test_again_over_its_own_folder(folder: Path, tmp_path: Path, call: Call) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.nii.gz")}
    (folder / "contact_sheet.png").write_bytes(b"spoilt")
    (folder / "mine.txt").write_text("my notes")
    ended = call("demo", "--out", folder)
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert {path: path.read_bytes() for path in folder.rglob("*.nii.gz")} == before
    assert (folder / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "mine.txt").read_text() == "my notes"
    (folder / "mine.txt").unlink()
    for method in (nc.METHODS[name] for name in METHODS):
        assert re.search(
            rf"^{re.escape(method.title)}  +0\.\d\d  0\.\d\d ", ended.out, re.MULTILINE
        )
    assert f"Look at   {folder / 'contact_sheet.png'}" in ended.out
    assert "napari-cam explain IMAGE --model MODEL" in ended.out
    (judge,) = re.findall(r"^Judge     napari-cam (.*) --out report$", ended.out, re.MULTILINE)
    judged = call(*shlex.split(judge), "--resamples", 0, "--out", tmp_path / "report")
    assert judged.code == 0, judged.err
    assert (tmp_path / "report" / "report.html").is_file()


def test_its_heatmaps_can_be_cut_again(folder: Path, call: Call, out: Path) -> None:
    ended = call(
        *("mask", folder / "heatmaps" / "heatmap_gradcam_features_damaged.nii.gz", "--out", out),
        *("--rule", "otsu:volume", "--reference", folder / "truth.nii.gz"),
    )
    assert ended.code == 0, ended.err
    stated = json.loads((folder / "demo.json").read_text())["results"]
    dice = stated["gradcam / features / damaged"]["Dice"]
    assert ended.out.splitlines()[-1].endswith(f"{dice:.3f}")
