"""GAP networks: the identity that CAM stands on, map sizes of the papers, torchvision's weights."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build, outline
from napari_cam.models.architectures.gap_networks import GapCNN, alexnet_gap, vgg_gap
from napari_cam.models.architectures.table import ARCHITECTURES


def _settle(network: nn.Module, images: torch.Tensor) -> None:
    """Give batch norm statistics that are not the trivial ones."""
    network.train()
    with torch.no_grad():
        network(images)
    network.eval()


@pytest.mark.parametrize(
    ("ndim", "shape", "pools", "map_shape"),
    [
        (2, (3, 2, 40, 56), (2, 2, 2, 1), (5, 7)),
        (2, (3, 2, 40, 56), (1, (2, 4), 2, 1), (10, 7)),
        (3, (3, 2, 8, 24, 40), ((1, 2, 2), 2, 2, 1), (2, 3, 5)),
    ],
)
def test_the_logits_are_the_means_of_the_maps_times_the_heads_weights(
    ndim: int, shape: tuple[int, ...], pools: tuple[int, ...], map_shape: tuple[int, ...]
) -> None:
    torch.manual_seed(3)
    network = GapCNN(5, 2, ndim, widths=(6, 8, 9, 11), pools=pools)
    images = torch.randn(shape)
    _settle(network, images)
    with torch.no_grad():
        maps = network.features(images).double()
        logits = network(images).double()
        weight, bias = network.head.weight.double(), network.head.bias.double()
    assert maps.shape == (3, 11, *map_shape)
    # The class activation map averages to the score without its bias (Zhou et al. 2016, eq. 2).
    cam = torch.einsum("ck,nk...->nc...", weight, maps)
    torch.testing.assert_close(cam.flatten(2).mean(2) + bias, logits, rtol=1e-5, atol=1e-6)


def test_map_sizes_are_those_of_the_papers() -> None:
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert alexnet_gap(4).features(images).shape == (2, 256, 6, 6)
        assert alexnet_gap(4, modified=True).features(images).shape == (2, 1024, 13, 13)
    for name, plain, modified in (("vgg16", 7, 14), ("vgg19", 7, 14)):
        small = torch.randn(1, 3, 32, 32)  # a seventh of 224: 7 -> 1 and 14 -> 2
        with torch.no_grad():
            assert vgg_gap(name, 4).features(small).shape == (1, 512, plain // 7, plain // 7)
            maps = vgg_gap(name, 4, modified=True).features(small)
        assert maps.shape == (1, 1024, modified // 7, modified // 7)


def test_modified_networks_hold_the_extra_convolutions_of_zhou() -> None:
    def convolutions(name: str) -> list[tuple[int, int, tuple[int, ...]]]:
        network = outline(ARCHITECTURES[name], 4, 3, 2)
        return [
            (part.in_channels, part.out_channels, part.kernel_size)
            for part in network.modules()
            if isinstance(part, nn.Conv2d)
        ]

    assert convolutions("alexnet-gap-modified")[-3:] == [
        (256, 256, (3, 3)),
        (256, 1024, (3, 3)),
        (1024, 1024, (3, 3)),
    ]
    assert len(convolutions("vgg16-gap-modified")) == 13 + 1
    assert len(convolutions("vgg19-gap-modified")) == 16 + 1
    assert convolutions("vgg19-gap-modified")[-1] == (512, 1024, (3, 3))


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg19"])
def test_features_are_torchvisions_under_the_same_names(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name).features.state_dict()
        plain = build(f"{name}-gap", 4).get_submodule("features").state_dict()
        modified = build(f"{name}-gap-modified", 4).get_submodule("features").state_dict()
    shapes = {key: tensor.shape for key, tensor in theirs.items()}
    assert {key: tensor.shape for key, tensor in plain.items()} == shapes
    assert shapes.items() <= {key: tensor.shape for key, tensor in modified.items()}.items()


def test_alexnets_features_answer_as_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.AlexNet().features.eval()
    ours = alexnet_gap(4).features.eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 95, 127)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_the_small_network_stays_small() -> None:
    sizes = {
        ndim: sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
        for ndim, net in ((2, GapCNN(2)), (3, GapCNN(2, spatial_ndim=3)))
    }
    # By hand: 9 (1*16 + 16*32 + 32*64 + 64*64) kernel weights in 2D and 3 times as many in 3D.
    assert sizes[2] == pytest.approx(4 * 9 * 6672, rel=0.02)
    assert sizes[3] == pytest.approx(4 * 27 * 6672, rel=0.01)
    assert sizes[3] < 1e6


@pytest.mark.parametrize(
    "options",
    [
        {"widths": ()},
        {"widths": (8, 8), "pools": (2,)},
        {"widths": (8,), "pools": (0,)},
        {"widths": (8,), "pools": ((2, 2, 2),)},
        {"widths": (0,), "pools": (1,)},
        {"widths": (8,), "pools": (1,), "convs": 0},
    ],
)
def test_settings_that_make_no_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        GapCNN(2, 1, 2, **options)  # type: ignore[arg-type]
