"""``napari-cam explain`` and ``layers`` of a segmentation network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.cams.targets.regions import Labelled
from napari_cam.models.architectures.building import build
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import wrap_model
from napari_cam.volumes.heatmap_files import read_heatmap
from tests.cli.conftest import NAME, Call

OPTIONS = {"base_channels": 4, "depth": 3}


@pytest.fixture
def segmenter(tmp_path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build("unet", 3, 1, 2, **OPTIONS).eval()
    names = ["background", "muscle", "gap"]
    model = wrap_model(network, names, 1, 2, "segmentation", architecture="unet")
    card = replace(model.card, architecture_options=OPTIONS)
    return save_model(replace(model, card=card), tmp_path / "unet.safetensors")


def test_regions_are_those_of_python(
    call: Call, image: Path, segmenter: Path, out: Path, tmp_path: Path
) -> None:
    volume = nc.read_volume(image)
    labels = np.zeros(volume.shape, np.uint8)
    labels[:2, 10:20, 30:50] = 2
    labels[1, 40:, :9] = 1
    source = nib.load(image)
    # The image's own axes and affine, whatever order its reader turned them to.
    turned = [0, 1, 2] if source.shape == volume.shape else [2, 1, 0]
    stored = nib.Nifti1Image(labels.transpose(turned), source.affine)
    nib.save(stored, tmp_path / f"{NAME}_labels.nii.gz")
    ended = call(
        *("explain", image, "-m", segmenter, "-o", out, "--target", "gap", "--slices", "0:2"),
        *("--method", "hirescam", "--region", "all", "--region", "point:1,12,40"),
        *("--region", f"{tmp_path / NAME}_labels.nii.gz:2", "--within", "1"),
    )
    assert ended.code == 0, ended.err
    regions = ["all", "point:1,12,40", Labelled(labels, 2)]
    targets = [nc.RegionScore("gap", region, within=1) for region in regions]
    maps = nc.explain(nc.load_model(segmenter), volume, "hirescam", targets, units=[0, 1])
    found = [read_heatmap(path)[0] for path in sorted(out.glob("*.nii.gz"))]
    assert len(found) == 3
    by_label = {heatmap.provenance["target"]: heatmap for heatmap in found}
    for key, expected in maps.items():
        heatmap = by_label[key.target.label]
        np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)
        assert heatmap.provenance["region"] == expected.provenance["region"]
        assert heatmap.provenance["region"]["pixels"][0] == 0
    assert "In 1 of 2 slices no pixel belongs to the explained region" in ended.err
    sidecars = "".join(path.read_text() for path in out.glob("*.json"))
    assert NAME not in sidecars + ended.out


def test_regions_of_a_classifier_are_refused(
    call: Call, image: Path, model: Path, out: Path
) -> None:
    ended = call("explain", image, "-m", model, "-o", out, "--region", "all")
    assert ended.code == 1
    assert "Regions are for segmentation networks" in ended.err


def test_what_names_no_region(call: Call, image: Path, segmenter: Path, out: Path) -> None:
    ended = call("explain", image, "-m", segmenter, "-o", out, "--region", "gone.nii.gz:2")
    assert ended.code == 1
    assert "names no region; write all, predicted" in ended.err


def test_layers_say_their_level(call: Call, segmenter: Path) -> None:
    ended = call("layers", segmenter, "--input-shape", "1,32,48")
    assert ended.code == 0
    (default,) = [line for line in ended.out.splitlines() if line.startswith("*")]
    assert default.split()[1] == "bottleneck"
    lines = ended.out.splitlines()
    assert any(line.endswith("encoder 0") for line in lines)
    assert any(line.endswith("decoder 1") for line in lines)
    assert "head" not in ended.out  # its maps are the classes
