"""The commands that show what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.models.architectures.building import build
from napari_cam.models.architectures.table import ARCHITECTURES
from tests.cli.conftest import NAME, Call


def test_an_image_is_described_without_its_patient(call: Call, study: Path) -> None:
    ended = call("info", study / f"{NAME}.nii.gz")
    assert ended.code == 0
    lines = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert lines["shape"] == "9 x 48 x 60 (z, y, x)"
    assert "size     2.5 x 0.8 x 0.6 mm" in ended.out
    assert lines["orientation"] == "SPL"
    assert lines["type"] == "int16"
    values = nc.read_volume(study / f"{NAME}.nii.gz").values
    assert f"{values.min()} to {values.max()}" in lines["values"]
    assert NAME not in ended.out + ended.err


def test_values_that_are_no_numbers_are_counted(call: Call, tmp_path: Path) -> None:
    values = np.array([[1.5, np.nan, np.inf], [2, 3, -4]])
    np.save(tmp_path / "a.npy", values)
    ended = call("info", tmp_path / "a.npy")
    assert "-4 to 3, mean 0.625; 2 of 6 are not finite" in ended.out
    assert "none stated" in ended.out
    assert "(pixels)" in ended.out
    np.save(tmp_path / "b.npy", np.full((4, 5), np.nan))
    assert "none is a number" in call("info", tmp_path / "b.npy").out


def test_a_heatmap_tells_what_made_it(call: Call, image: Path, model: Path, out: Path) -> None:
    call("explain", image, "-m", model, "-o", out, "--class", "damaged")
    heatmap = out / "heatmap_gradcam_features_damaged.nii.gz"
    assert "heatmap, gradcam, features, damaged" in call("info", heatmap).out
    call("mask", heatmap, "-o", out)
    mask = out / "mask_otsu_gradcam_features_damaged.nii.gz"
    assert "mask, otsu, gradcam, features, damaged" in call("info", mask).out


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"versions": 1, "kind": 2, "method": 3}'])
def test_another_programs_json_is_no_sidecar(call: Call, image: Path, text: str) -> None:
    (image.parent / f"{NAME}.json").write_text(text)
    ended = call("info", image)
    assert ended.code == 0
    assert "made by" not in ended.out


def test_a_model_shows_its_card(call: Call, model: Path) -> None:
    ended = call("info", model)
    assert ended.code == 0
    assert "gap-cnn" in ended.out
    assert "healthy, damaged" in ended.out
    assert nc.load_model(model).sha256 in ended.out


def test_layers_mark_the_default(call: Call, model: Path) -> None:
    ended = call("layers", model, "--input-shape", "1,40,24")
    assert ended.code == 0
    marked = [line for line in ended.out.splitlines() if line.startswith("*")]
    assert len(marked) == 1
    name, kind, channels, *rest = marked[0].split()[1:]
    assert (name, kind, channels) == ("features", "Sequential", "8")
    assert rest[:6] == ["10", "x", "6", "4", "x", "4"]


def test_layers_of_weights_alone(call: Call, tmp_path: Path) -> None:
    torch.save(build("alexnet-gap", 2, 3).state_dict(), tmp_path / "w.pt")
    ended = call("layers", tmp_path / "w.pt", "--architecture", "alexnet-gap")
    assert ended.code == 0, ended.err
    assert ended.out.count("\n*") == 1


def test_methods_are_those_of_python(call: Call) -> None:
    ended = call("methods")
    assert ended.code == 0
    names = [line.split()[0] for line in ended.out.splitlines()[2 : 2 + len(nc.METHODS)]]
    assert names == list(nc.METHODS)
    for method in nc.METHODS.values():
        assert method.reference in ended.out
        assert method.summary in ended.out


def test_architectures_are_those_of_python(call: Call) -> None:
    ended = call("architectures")
    assert [line.split()[0] for line in ended.out.splitlines()[2:]] == list(ARCHITECTURES)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("ResNet1", ["resnet18", "resnet101", "resnet152"]),
        ("xception", ["xception"]),
        ("squeezenet", ["squeezenet1_0", "squeezenet1_1"]),
    ],
)
def test_architectures_by_a_part_of_their_name(call: Call, word: str, names: list[str]) -> None:
    ended = call("architectures", word)
    found = {line.split()[0] for line in ended.out.splitlines()[2:]}
    assert set(names) <= found
    assert all(word.lower() in name or word.lower() in ended.out.lower() for name in found)
    assert "alexnet" not in found


def test_architectures_of_timm(call: Call) -> None:
    ended = call("architectures", "ghostnet", "--timm")
    assert ended.code == 0
    assert "timm:ghostnet_100" in ended.out
    ended = call("architectures", "ghostnet")
    assert ended.code == 1
    assert "No architecture's name holds 'ghostnet'" in ended.err
