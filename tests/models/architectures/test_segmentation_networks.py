"""Segmentation networks by name: the plain U-Net, files, packages that are not there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import napari_cam as nc
from napari_cam.errors import ModelError
from napari_cam.models.architectures import table
from napari_cam.models.architectures.building import build, outline
from napari_cam.models.architectures.input_channels import set_input_channels
from napari_cam.models.architectures.table import ARCHITECTURES
from napari_cam.models.architectures.unet import UNet
from napari_cam.models.preparation.steps import Pad


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_plain_unet_is_that_of_the_paper() -> None:
    network = outline(ARCHITECTURES["unet"], 34, 3, 2)

    def block(source: int, width: int) -> int:
        # Two 3x3 convolutions with bias, each with a batch norm of two numbers per channel.
        return 9 * source * width + 9 * width * width + 2 * width + 4 * width

    def up(width: int, size: int) -> int:
        return width * (width // 2) * size**2 + width // 2

    expected = block(3, 64) + block(64, 128) + block(128, 256) + block(256, 512)
    expected += up(512, 2) + block(512, 256) + up(256, 4) + block(256, 128) + up(128, 4)
    expected += block(128, 64) + 64 * 34 + 34
    assert count(network) == expected


@pytest.mark.parametrize(("ndim", "size"), [(2, (37, 50)), (3, (11, 14, 20))])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_sizes_that_do_not_halve_come_back(ndim: int, size: tuple[int, ...], norm: str) -> None:
    network = build("unet", 3, 2, ndim, base_channels=4, depth=3, norm=norm).eval()
    with torch.no_grad():
        maps = network(torch.randn(2, 2, *size))
    assert maps.shape == (2, 3, *size)
    assert bool(torch.isfinite(maps).all())


def test_padding_puts_maps_where_they_were() -> None:
    # A flat image gives a flat answer but at its borders, so nothing moved in the middle.
    torch.manual_seed(0)
    network = UNet(1, 1, base_channels=4, depth=2, sigmoid=True).eval()
    with torch.no_grad():
        even = network(torch.ones(1, 1, 40, 40))
        odd = network(torch.ones(1, 1, 41, 41))
    assert 0 < float(even.min()) < float(even.max()) < 1
    torch.testing.assert_close(odd[0, 0, 12:20, 12:20], even[0, 0, 12:20, 12:20])


@pytest.mark.parametrize("options", [{"depth": 1}, {"base_channels": 0}, {"norm": "layer"}])
def test_unets_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="A unet has a depth"):
        build("unet", 2, 1, 2, **options)


SMALL = {
    "unet": {"base_channels": 4},
    "unet-resnet18": {},
    "smp:fpn": {"encoder_name": "resnet18"},
    "lraspp_mobilenet_v3_large": {},
    "monai:unet": {"channels": [4, 8, 16], "strides": [2, 2]},
    "monai:dynunet": {"filters": [4, 8, 16, 32, 64]},
    "monai:segresnet": {"init_filters": 8},
    "monai:resnet18": {"conv1_t_stride": 2},
}


@pytest.mark.parametrize("name", SMALL)
def test_files_of_them(name: str, tmp_path) -> None:
    row, options = ARCHITECTURES[name], SMALL[name]
    ndim = row.spatial_ndims[-1]
    network = build(name, 3, 2, ndim, **options)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    model = nc.load_model(
        tmp_path / "weights.pth", name, ["a", "b", "c"], architecture_options=options
    )
    card = model.card
    assert (card.task, card.spatial_ndim, card.in_channels) == (row.task, ndim, 2)
    pads = [step for step in card.preparation.steps if isinstance(step, Pad)]
    assert [pad.multiple_of for pad in pads] == ([row.multiple_of] if row.multiple_of > 1 else [])
    nc.save_model(model, tmp_path / "model.safetensors")
    again = nc.load_model(tmp_path / "model.safetensors")
    assert (again.card, again.sha256) == (card, model.sha256)


def test_a_module_of_ones_own_is_said_to_segment(tmp_path) -> None:
    network = UNet(2, 1, base_channels=4)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model = nc.load_model(tmp_path / "weights.pth", module=network, task="segmentation")
    assert model.card.task == "segmentation"


def test_packages_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "find_spec", lambda _package: None)
    with pytest.raises(ModelError, match=r"not installed; install napari-cam\[segmentation\]"):
        build("unet-vgg16", 2)
    with pytest.raises(ModelError, match=r"not installed; install napari-cam\[monai\]"):
        build("monai:unet", 2)


def test_what_they_do_not_have() -> None:
    with pytest.raises(ModelError, match="no encoder 'resnet51'"):
        build("smp:unet", 2, encoder_name="resnet51")
    with pytest.raises(ModelError, match="built without weights"):
        build("unet-vgg16", 2, encoder_weights="imagenet")
    with pytest.raises(ModelError, match="no ImageNet weights for fcn_resnet50"):
        nc.load_model("imagenet:fcn_resnet50")


# Millions of numbers in the networks of the cod study, whose framework counts the running
# statistics of batch norm too; grey images, two classes.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("densenet121", 7.03),
        ("resnet50", 23.6),
        ("inception_v3", 21.8),
        ("inception_resnet_v2", 54.3),
        ("xception", 20.9),
    ],
)
def test_backbones_have_the_papers_sizes(name: str, millions: float) -> None:
    network = outline(ARCHITECTURES[name], 2, 1, 2)
    found = sum(tensor.numel() for tensor in network.state_dict().values()) / 1e6
    assert found == pytest.approx(millions, abs=0.08)


_SIZES = {"inception_v3": 80, "inception_resnet_v2": 96, "xception": 72, "alexnet-gap": 72}
_PAPERS = (
    *("densenet121", "resnet50", "inception_v3", "inception_resnet_v2", "vgg16", "xception"),
    *("alexnet-gap", "alexnet-gap-modified", "vgg16-gap", "vgg16-gap-modified", "vgg19-gap"),
    *("vgg19-gap-modified", "resnet18", "resnet34", "resnet101", "vgg19"),
)


@pytest.mark.parametrize("name", _PAPERS)
def test_every_backbone_of_the_papers_is_explained(name: str) -> None:
    methods = [key for key, each in nc.METHODS.items() if "gradients" in each.needs]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(name, 2, 3).eval()
        size = _SIZES.get(name.removesuffix("-modified"), 64)
        batch = torch.randn(1, 3, size, size)
        for channels in (3, 1):
            set_input_channels(network, channels)
            maps = nc.raw_cams(network, batch[:, :channels], methods, 1)
            assert {key.method.name for key in maps} == set(methods)
            for key, found in maps.items():
                assert bool(torch.isfinite(found).all()), key
                assert bool(found.any()), key
