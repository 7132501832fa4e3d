"""ImageNet weights: through torchvision's and timm's own loading, or a sentence on how to get them.

No network is needed: what these libraries would download is put in the place of their download.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build
from napari_cam.models.files.model_files import load_model, save_model
from napari_cam.models.files.pretrained import imagenet_classes, pretrained
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Resize, Standardize


def _random_weights(module: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(7)
    return {
        key: torch.rand_like(tensor) * 0.1 if tensor.is_floating_point() else tensor
        for key, tensor in module.state_dict().items()
    }


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What torchvision "downloads"; to be filled by the test."""
    content: dict[str, Tensor] = {}

    def load(*_: Any, **__: Any) -> dict[str, Tensor]:
        return dict(content)

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    return content


def test_the_classes_are_imagenets() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[285], names[967], names[999]) == (
        *("tench", "Egyptian cat", "espresso", "toilet tissue"),
    )


def test_torchvisions_weights_come_with_names_and_preparation(
    downloads: dict[str, Tensor], tmp_path: Path
) -> None:
    downloads |= _random_weights(torchvision.models.squeezenet1_1())
    before = torch.get_rng_state()
    model = load_model("imagenet:squeezenet1_1")
    assert torch.equal(torch.get_rng_state(), before)
    for key, tensor in downloads.items():
        assert torch.equal(model.module.state_dict()[key], tensor)
    assert model.card.architecture == "squeezenet1_1"
    assert model.card.class_names == imagenet_classes()
    assert model.card.preparation == Preparation.imagenet(224)
    assert not model.module.training
    back = load_model(save_model(model, tmp_path / "net.safetensors"))
    assert back.sha256 == model.sha256
    assert back.card == model.card


def test_what_is_stated_wins(downloads: dict[str, Tensor]) -> None:
    downloads |= _random_weights(torchvision.models.squeezenet1_1())
    preparation = Preparation.imagenet(96, divide_by=255)
    model = load_model("imagenet:squeezenet1_1", preparation=preparation, default_layer="features")
    assert model.card.preparation == preparation
    assert model.card.default_layer == "features"
    with pytest.raises(ModelError, match="leave out architecture"):
        load_model("imagenet:squeezenet1_1", architecture="resnet18")


def test_inception_is_rebuilt_with_the_shift_its_weights_need(
    downloads: dict[str, Tensor], tmp_path: Path
) -> None:
    theirs = torchvision.models.inception_v3(init_weights=False, transform_input=True).eval()
    downloads |= _random_weights(theirs)
    theirs.load_state_dict(downloads)
    model = pretrained("inception_v3")
    assert model.card.architecture_options == {"transform_input": True}
    assert Resize(299) in model.card.preparation.steps
    assert not any("AuxLogits" in key for key in model.module.state_dict())
    back = load_model(save_model(model, tmp_path / "net.safetensors"))
    images = torch.randn(2, 3, 96, 112)
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(model.module(images), expected)
        torch.testing.assert_close(back.module(images), expected)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("squeezenet1_1", torchvision.models.squeezenet1_1),
        ("resnet18", torchvision.models.resnet18),
        ("mobilenet_v3_small", torchvision.models.mobilenet_v3_small),
    ],
)
def test_a_head_for_classes_of_ones_own_starts_untrained(
    downloads: dict[str, Tensor], name: str, theirs: Any
) -> None:
    downloads |= _random_weights(theirs())
    model = pretrained(name, class_names=["a", "b", "c"])
    state = model.module.state_dict()
    fresh = [key for key in downloads if state[key].shape != downloads[key].shape]
    assert len(fresh) == 2
    assert all(state[key].shape[0] == 3 for key in fresh)
    assert all(torch.equal(state[key], downloads[key]) for key in downloads if key not in fresh)
    with torch.no_grad():
        assert model.module(torch.randn(2, 3, 40, 56)).shape == (2, 3)


def test_grey_input_adds_up_the_kernels(downloads: dict[str, Tensor]) -> None:
    downloads |= _random_weights(torchvision.models.resnet18())
    model = pretrained("resnet18", in_channels=1)
    kernel = model.module.get_submodule("conv1").weight.detach()
    torch.testing.assert_close(kernel, downloads["conv1.weight"].sum(1, keepdim=True))
    assert model.card.in_channels == 1
    assert model.card.preparation.fixed_channels == 1


def test_gap_networks_start_from_trained_convolutions(downloads: dict[str, Tensor]) -> None:
    downloads |= _random_weights(torchvision.models.alexnet())
    for name in ("alexnet-gap", "alexnet-gap-modified"):
        model = pretrained(name, class_names=["meningioma", "glioma", "pituitary"])
        state = model.module.state_dict()
        features = [key for key in downloads if key.startswith("features.")]
        assert len(features) == 10
        assert all(torch.equal(state[key], downloads[key]) for key in features)
        assert state["head.weight"].shape[0] == 3
        assert model.card.architecture == name
    with pytest.raises(ModelError, match="give class_names"):
        pretrained("vgg16-gap")
    with pytest.raises(ModelError, match="no ImageNet weights for 'gap-cnn'"):
        pretrained("gap-cnn", class_names=["a", "b"])


def test_timms_weights_come_with_their_own_normalisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = _random_weights(build("xception", 1000))

    def load(model: nn.Module, **_: Any) -> None:
        model.load_state_dict(weights)

    monkeypatch.setattr("timm.models._builder.load_pretrained", load)
    model = pretrained("xception")
    assert torch.equal(model.module.state_dict()["conv1.weight"], weights["conv1.weight"])
    assert model.card.class_names[967] == "espresso"
    steps = model.card.preparation.steps
    assert steps[-1] == Standardize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert Resize(299) in steps


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
        socket.gaierror(-2, "Name or service not known"),
        RuntimeError("invalid hash value"),
    ],
)
def test_without_a_network_a_sentence_says_where_the_file_belongs(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_model("imagenet:resnet18")
    text = str(caught.value)
    assert str(tmp_path / "hub" / "checkpoints" / "resnet18-") in text
    assert torchvision.models.ResNet18_Weights.DEFAULT.url in text
    assert "load_model(path, architecture='resnet18')" in text
    assert capsys.readouterr().out == ""


def test_a_damaged_download_is_said_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = Path(torchvision.models.ResNet18_Weights.DEFAULT.url).name
    file = tmp_path / "hub" / "checkpoints" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>")
    with pytest.raises(ModelError, match=name):
        load_model("imagenet:resnet18")


def test_without_a_network_the_hubs_cache_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class ConnectError(OSError):
        pass

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectError("no route to host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ModelError, match=r"Hugging Face hub \(.*\).*architecture='inception_v4'"):
        load_model("imagenet:inception_v4")


def test_unknown_names_are_answered_before_anything_is_downloaded() -> None:
    with pytest.raises(ModelError, match="no architecture 'resnet17'; did you mean"):
        load_model("imagenet:resnet17")


def test_timms_networks_without_weights_are_named() -> None:
    name = next(
        name
        for name in timm.list_models()
        if (config := timm.get_pretrained_cfg(name)) is None or not config.has_weights
    )
    with pytest.raises(ModelError, match=f"no pretrained weights for 'timm:{name}'"):
        pretrained(f"timm:{name}")
