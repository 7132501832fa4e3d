"""Weights and networks: names matched, sizes found, misfits listed by name."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build
from napari_cam.models.architectures.table import ARCHITECTURES
from napari_cam.models.files.matching import fill, find_sizes, guess_architecture, match_names


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5))


def _prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in weights.items()}


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "net.", "backbone.", "module.model.", "a.b.c."],
)
def test_beginnings_are_taken_off_where_the_names_then_match(prefix: str) -> None:
    weights = dict(_net().state_dict())
    fit = match_names(_prefixed(weights, prefix), weights)
    assert fit.weights.keys() == weights.keys()
    assert fit.ignored == ()


def test_a_beginning_that_belongs_to_the_network_stays() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = _net()

    weights = dict(Wrapper().state_dict())
    assert match_names(weights, weights).weights.keys() == weights.keys()
    wrapped = _prefixed(weights, "module.")
    assert match_names(wrapped, weights).weights.keys() == weights.keys()


def test_wrappers_inside_names_are_taken_out() -> None:
    weights = {"features.module.0.weight": torch.ones(1), "head._orig_mod.bias": torch.ones(2)}
    fit = match_names(weights, ["features.0.weight", "head.bias"])
    assert list(fit.weights) == ["features.0.weight", "head.bias"]


def test_what_lies_beside_the_network_is_left_out_and_named() -> None:
    weights = dict(_net().state_dict())
    beside = {"criterion.weight": torch.ones(5)}
    fit = match_names(_prefixed(weights, "model.") | beside, weights)
    assert fit.weights.keys() == weights.keys()
    assert fit.ignored == ("criterion.weight",)


def test_a_file_with_the_network_twice_names_both_places() -> None:
    weights = dict(_net().state_dict())
    both = _prefixed(weights, "student.") | _prefixed(weights, "teacher.")
    assert match_names(both, weights).prefixes == ("student.", "teacher.")


def test_the_old_names_of_densenet_are_known() -> None:
    names = build("densenet121", 3).state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for key, tensor in names.items()
    }
    assert sum(key not in names for key in old) > 300
    assert match_names(old, names).weights.keys() == names.keys()


def test_all_or_nothing_is_poured() -> None:
    torch.manual_seed(0)
    network, source = _net(), dict(_net().state_dict())
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    wrong = {**source, "3.bias": torch.ones(6), "extra": torch.ones(1)}
    del wrong["0.weight"]
    with pytest.raises(ModelError) as caught:
        fill(network, wrong, "net.pth", "the network")
    text = str(caught.value)
    assert "1 unknown: extra" in text
    assert "1 missing: 0.weight" in text
    assert "1 different shape: 3.bias ((6,) in the file, (5,) in the network)" in text
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    fill(network, source, "net.pth", "the network")
    assert all(torch.equal(tensor, source[key]) for key, tensor in network.state_dict().items())


def test_long_lists_of_misfits_are_counted() -> None:
    with pytest.raises(ModelError, match=r"7 unknown: key0, key1, key2, \.\.\.; 12 missing"):
        fill(
            nn.Sequential(_net(), nn.Linear(2, 2), nn.Linear(2, 2)),
            {f"key{n}": torch.ones(1) for n in range(7)},
            "net.pth",
            "the network",
        )


def test_batches_need_not_be_counted() -> None:
    network = _net()
    weights = dict(_net().state_dict())
    del weights["1.num_batches_tracked"]
    fill(network, weights, "net.pth", "the network")
    assert torch.equal(network[0].weight, weights["0.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_the_networks(dtype: torch.dtype) -> None:
    network = _net()
    weights = {
        key: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for key, tensor in _net().state_dict().items()
    }
    fill(network, weights, "net.pth", "the network")
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert torch.equal(network[3].weight, weights["3.weight"].float())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(value: float) -> None:
    weights = {key: tensor.clone() for key, tensor in _net().state_dict().items()}
    weights["3.weight"][4, 7] = value
    with pytest.raises(ModelError, match=r"NaN or infinity.*3\.weight"):
        fill(_net(), weights, "net.pth", "the network")


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
def test_quantised_weights_are_refused() -> None:
    weights = dict(_net().state_dict())
    weights["3.bias"] = torch.quantize_per_tensor(weights["3.bias"], 0.1, 0, torch.qint8)
    with pytest.raises(ModelError, match=r"quantised \(3\.bias\)"):
        fill(_net(), weights, "net.pth", "the network")


@pytest.mark.parametrize(
    ("name", "n_classes", "channels", "ndim", "options"),
    [
        ("resnet18", 6, 3, 2, {}),
        ("resnet18", 1, 1, 2, {}),
        ("squeezenet1_0", 9, 4, 2, {}),
        ("densenet121", 2, 5, 2, {}),
        ("mnasnet0_5", 4, 2, 2, {}),
        ("googlenet", 11, 1, 2, {}),
        ("swin_t", 6, 2, 2, {}),
        ("inception_v4", 5, 1, 2, {}),
        ("vgg16-gap-modified", 3, 1, 2, {}),
        ("gap-cnn", 7, 2, 2, {}),
        ("gap-cnn", 5, 4, 3, {}),
        ("gap-cnn", 5, 4, 3, {"widths": [5, 6], "pools": [2, 1], "convs": 2}),
    ],
)
def test_sizes_are_read_from_the_weights(
    name: str, n_classes: int, channels: int, ndim: int, options: dict[str, object]
) -> None:
    row = ARCHITECTURES[name]
    with torch.device("meta"):
        weights = dict(build(name, n_classes, channels, ndim, **options).state_dict())
    sizes = find_sizes(row, _prefixed(weights, "module."), **options)
    assert (sizes.n_classes, sizes.in_channels, sizes.spatial_ndim) == (n_classes, channels, ndim)


def test_weights_without_a_head_say_nothing_about_classes() -> None:
    weights = dict(build("resnet18", 4).state_dict())
    headless = {key: tensor for key, tensor in weights.items() if not key.startswith("fc.")}
    assert find_sizes(ARCHITECTURES["resnet18"], headless).n_classes is None


@pytest.mark.parametrize(
    ("name", "classes"), [("squeezenet1_1", 5), ("resnet34", 2), ("vgg19-gap-modified", 4)]
)
def test_architectures_are_guessed_from_names_and_shapes(name: str, classes: int) -> None:
    with torch.device("meta"):
        weights = dict(build(name, classes, 1).state_dict())
    assert guess_architecture(_prefixed(weights, "module.")) == name
    weights["one.more"] = torch.ones(1)
    assert guess_architecture(weights) is None


def test_auxiliary_heads_are_left_out() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.inception_v3(init_weights=False, num_classes=6).state_dict()
    row = ARCHITECTURES["inception_v3"]
    ours = build("inception_v3", 6).state_dict()
    fit = match_names(dict(theirs), ours, row.training_only)
    assert fit.weights.keys() == ours.keys()
    assert all(key.startswith("AuxLogits.") for key in fit.ignored)
    assert fit.ignored
