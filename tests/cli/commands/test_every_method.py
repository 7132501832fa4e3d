"""``napari-cam explain`` with every method, of a classifier and a U-Net, in 2D and 3D."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.cams.methods.table import METHODS
from napari_cam.models.architectures.building import build
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import LoadedModel, wrap_model
from napari_cam.volumes.heatmap_files import read_heatmap
from tests.cli.conftest import NAME, Call, tiny_model

OPTIONS = {"base_channels": 4, "depth": 3}
# One small volume: RISE asks 2000 times.
SHAPE = (8, 16, 20)
BOX = (slice(2, 6), slice(4, 10), slice(6, 16))


def tiny_unet(ndim: int) -> LoadedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build("unet", 3, 1, ndim, **OPTIONS).eval()
    names = ["background", "muscle", "gap"]
    model = wrap_model(network, names, 1, ndim, "segmentation", architecture="unet")
    return replace(model, card=replace(model.card, architecture_options=OPTIONS))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An image with a bright box and, beside it, the box as a mask."""
    random = np.random.default_rng(8)
    values = random.normal(100, 10, SHAPE)
    values[BOX] += 60
    mask = np.zeros(SHAPE, np.uint8)
    mask[BOX] = 1
    affine = np.diag([1.5, 1.5, 3.0, 1.0])
    for name, array in ((NAME, values.astype(np.float32)), (f"{NAME}_mask", mask)):
        nib.save(nib.Nifti1Image(array.T.copy(), affine), tmp_path / f"{name}.nii.gz")
    return tmp_path / f"{NAME}.nii.gz"


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_every_method_has_its_files(
    task: str, ndim: int, call: Call, small: Path, tmp_path: Path, out: Path
) -> None:
    segmentation = task == "segmentation"
    model = tiny_unet(ndim) if segmentation else tiny_model(1, ndim)
    path = save_model(model, tmp_path / "network.safetensors")
    layer, word = ("bottleneck", "gap") if segmentation else ("features", "damaged")
    names = [name for name in METHODS if not (segmentation and name == "cam")]
    units = [3] if ndim == 2 else None
    mask = small.with_name(f"{NAME}_mask.nii.gz")
    ended = call(
        *("explain", small, "-m", path, "-o", out, "--class", word),
        *(part for name in names for part in ("--method", name)),
        *(("--slices", "3") if units else ()),
        *(("--region", mask) if segmentation else ()),
    )
    assert ended.code == 0, ended.err
    files = sorted(out.glob("*.nii.gz"))
    assert len(files) == len(names) == len(list(out.glob("*.json")))
    found = {
        heatmap.provenance["method"]["name"]: heatmap for heatmap, _ in map(read_heatmap, files)
    }
    assert set(found) == set(names)

    region = nc.read_volume(mask).values != 0
    target = nc.RegionScore(word, region) if segmentation else word
    again = [name for name in names if name not in ("rise", "sscam")]  # not all of it twice
    maps = nc.explain(nc.load_model(path), nc.read_volume(small), again, target, units=units)
    for key, expected in maps.items():
        heatmap = found[key.method.name]
        np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-5)
        np.testing.assert_array_equal(heatmap.valid, expected.valid)
    assert sum(bool(heatmap.valid.any()) for heatmap in found.values()) > len(names) // 2
    shape = nc.read_volume(small).shape
    for name, heatmap in found.items():
        facts = heatmap.provenance
        assert heatmap.values.shape == shape
        assert facts["layer"] == ("input" if METHODS[name].space == "input" else layer)
        assert word in facts["target"]
        assert facts["reference"] == METHODS[name].reference
        assert ("region" in facts) == segmentation
        if segmentation:
            asked = region[3].sum() if ndim == 2 else region.sum()
            assert [pixels for pixels in facts["region"]["pixels"] if pixels] == [asked]
    text = "".join(one.read_text() for one in out.glob("*.json"))
    assert NAME not in text + "".join(one.name for one in out.iterdir()) + ended.out


@pytest.mark.parametrize("ndim", [2, 3])
def test_cam_of_a_unet_is_refused_and_writes_nothing(
    ndim: int, call: Call, small: Path, tmp_path: Path, out: Path
) -> None:
    path = save_model(tiny_unet(ndim), tmp_path / "network.safetensors")
    chosen = ("--method", "gradcam", "--method", "cam", "--class", "gap")
    ended = call("explain", small, "-m", path, "-o", out, *chosen)
    assert ended.code == 1
    assert ended.err.startswith("error: CAM is not defined for maps of scores")
    assert not out.exists()
