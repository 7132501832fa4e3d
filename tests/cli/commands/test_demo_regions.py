"""``napari-cam demo --segmentation``: what a U-Net looked at, by class, pixel set and level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_cam.cli.main import main
from tests.cli.conftest import Call

FIGURES = ("classes", "levels", "pixel_sets")
LEVELS = (
    *("encoder.0", "encoder.1", "encoder.2", "bottleneck"),
    *("decoder.0", "decoder.1", "decoder.2"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("demo") / "regions"
    assert main(["demo", "--segmentation", "--out", str(out)]) == 0
    return out


def voxels(path: Path) -> Any:
    return np.asarray(nib.load(path).dataobj)


def heatmap(folder: Path, method: str, target: str, layer: str = "encoder.1") -> Any:
    (path,) = (folder / "heatmaps").glob(f"heatmap_{method}_{layer}_{target}.nii.gz")
    return voxels(path)


def test_every_file_is_there_with_its_record(folder: Path) -> None:
    images = ("prediction", "truth", "volume")
    expected = [f"{name}.{end}" for name in FIGURES for end in ("json", "png")]
    expected += [f"{name}.{end}" for name in images for end in ("json", "nii.gz")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*expected, "demo.json", "heatmaps"]
    )
    maps = list((folder / "heatmaps").glob("*.nii.gz"))
    # Two methods: three classes, three more sets of pixels, six more layers.
    assert len(maps) == len(list((folder / "heatmaps").glob("*.json"))) == 2 * (3 + 3 + 6)
    for method in ("gradcam", "hirescam"):
        for layer in LEVELS:
            assert heatmap(folder, method, "damaged", layer).max() == 1


def test_dice_is_as_stated_and_high(folder: Path) -> None:
    truth, predicted = voxels(folder / "truth.nii.gz"), voxels(folder / "prediction.nii.gz")
    stated = json.loads((folder / "demo.json").read_text())["dice"]
    for number, name in enumerate(("background", "tissue", "damaged")):
        a, b = truth == number, predicted == number
        assert stated[name] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert stated[name] > 0.8


def test_seg_hirescam_points_at_the_damage(folder: Path) -> None:
    """Its energy in the predicted damage is several times that region's share of the slice."""
    region = voxels(folder / "prediction.nii.gz") == 2
    hires = heatmap(folder, "hirescam", "damaged")
    stated = json.loads((folder / "demo.json").read_text())["energy_in_predicted_region"]["damaged"]
    slices = [z for z in range(region.shape[2]) if region[..., z].any()]
    assert stated["Seg-HiRes-Grad CAM"] > stated["Seg-Grad-CAM"] + 0.3
    shares = [
        hires[..., z][region[..., z]].sum() / hires[..., z].sum() if hires[..., z].any() else 0
        for z in slices
    ]
    areas = [region[..., z].mean() for z in slices]
    assert stated["Seg-HiRes-Grad CAM"] == pytest.approx(np.mean(shares), rel=1e-4)
    assert stated["flat map"] == pytest.approx(np.mean(areas), rel=1e-4)
    assert np.mean(shares) > 8 * np.mean(areas)


def test_a_component_and_a_pixel_draw_the_map_to_them(folder: Path) -> None:
    facts = json.loads((folder / "demo.json").read_text())
    z = facts["slice"]
    region = voxels(folder / "prediction.nii.gz")[..., z] == 2
    parts, count = ndimage.label(region)
    assert count >= 2
    (path,) = (folder / "heatmaps").glob("heatmap_hirescam_encoder.1_damaged-at-*.json")
    place = json.loads(path.read_text())["target"].rpartition(" ")[2]
    number, y, x = (int(text) for text in place.split(","))
    part = parts == parts[x, y]  # the file's axes are x, y, z
    assert (number, region[x, y]) == (z, True)
    energies = {
        (method, target): plane[part].sum() / plane.sum()
        for method in ("gradcam", "hirescam")
        for target in ("damaged", "damaged-component-at-*", "damaged-at-*")
        for plane in [heatmap(folder, method, target)[..., z]]
    }
    # Seg-HiRes-Grad CAM follows the set of pixels; Seg-Grad-CAM lights up the other component too.
    for target in ("damaged-component-at-*", "damaged-at-*"):
        assert energies["hirescam", target] > 0.8
        assert energies["hirescam", target] > energies["hirescam", "damaged"] + 0.2
        assert energies["gradcam", target] < 0.5


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_pictures_with_colours(folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    assert path.stat().st_size < 400_000
    with Image.open(path) as figure:
        assert 700 < figure.width < 1500
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    assert (np.ptp(pixels, axis=2) > 60).mean() > 0.004


def test_records_name_nobody_and_no_place(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        text = path.read_text()
        facts = json.loads(text)
        assert facts["versions"]["napari-cam"]
        assert str(folder.parent) not in text
        assert "subject" not in text
        assert "patient" not in text.casefold()


def test_again_over_its_own_folder_and_not_over_the_others(
    folder: Path, call: Call, tmp_path: Path
) -> None:
    (folder / "levels.png").write_bytes(b"spoilt")
    ended = call("demo", "--segmentation", "--out", folder)
    assert (ended.code, ended.err) == (0, "")
    assert (folder / "levels.png").read_bytes().startswith(b"\x89PNG")
    assert "Seg-HiRes-Grad CAM" in ended.out
    for name in FIGURES:
        assert str(folder / f"{name}.png") in ended.out
    (tmp_path / "demo.json").write_text('{"kind": "demo"}')
    ended = call("demo", "--segmentation", "--out", tmp_path)
    assert ended.code == 1
    assert "exists already" in ended.err
