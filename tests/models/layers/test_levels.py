"""Levels of segmentation networks: the bottleneck is the default, class maps are not offered."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from monai.networks.nets import DynUNet, SegResNet
from torch import nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.models.architectures.unet import UNet
from napari_cam.models.layers.candidates import candidate_layers, find_default
from napari_cam.models.loaded import wrap_model

# What the networks' definitions say: name, channels and stride of the deepest maps.
DEEPEST = {
    "unet": (lambda: UNet(3, 2, base_channels=4), 2, "bottleneck", 32, 8),
    "unet 3d": (lambda: UNet(3, 2, 3, base_channels=4, depth=3), 2, "bottleneck", 16, 4),
    "smp resnet": (
        lambda: smp.Unet("resnet18", encoder_weights=None),
        3,
        "encoder.layer4",
        512,
        32,
    ),
    "smp deeplab": (
        lambda: smp.DeepLabV3Plus("resnet18", encoder_weights=None),
        3,
        "encoder.layer4",
        512,
        16,
    ),
    "smp vgg": (lambda: smp.Unet("vgg16", encoder_weights=None), 3, "decoder.center", 512, 32),
    "fcn": (
        lambda: torchvision.models.segmentation.fcn_resnet50(
            weights=None, weights_backbone=None, num_classes=5
        ),
        *(3, "backbone.layer4", 2048, 8),
    ),
    "dynunet": (
        lambda: DynUNet(*(3, 1, 4, [3, 3, 3, 3], [1, 2, 2, 2], [2, 2, 2]), filters=[6, 8, 16, 32]),
        *(1, "bottleneck", 32, 8),
    ),
    "segresnet": (lambda: SegResNet(3, 8, 1, 4), 1, "down_layers.3", 64, 8),
}


@pytest.mark.parametrize("name", DEEPEST)
def test_the_bottleneck_is_the_default(name):
    make, channels, layer, width, stride = DEEPEST[name]
    net = make().eval()
    volumes = any(parameter.ndim == 5 for parameter in net.parameters())
    size = (32, 40, 48) if volumes else (64, 96)
    classes = {"unet": 3, "unet 3d": 3, "fcn": 5, "dynunet": 4, "segresnet": 4}.get(name, 1)
    rows = candidate_layers(net, (channels, *size))
    (default,) = [row for row in rows if row.default]
    assert (default.name, default.channels, default.level) == (layer, width, "bottleneck")
    assert set(default.stride) == {stride}
    assert default.note.split(";")[0] == "bottleneck"
    assert find_default(net, torch.zeros(1, channels, *size)) == layer
    # No row holds the classes, and every side of the network is there.
    assert not [row for row in rows if row.channels == classes and row.shape == size]
    levels = [row.level.split()[0] for row in rows]
    assert set(levels) == {"encoder", "bottleneck", "decoder"}
    assert levels == sorted(levels, key=["encoder", "bottleneck", "decoder"].index)


def test_class_maps_are_not_offered_however_they_are_finished():
    class Finished(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
            self.head = nn.Conv2d(6, 4, 1)
            self.enlarge = nn.Upsample(scale_factor=2)
            self.ending = nn.Softmax(1)

        def forward(self, x):
            return {"out": self.ending(self.enlarge(self.head(torch.relu(self.conv(x)))))}

    rows = candidate_layers(Finished(), (2, 20, 24))
    assert [(row.name, row.level) for row in rows] == [("conv", "bottleneck")]
    card = wrap_model(Finished(), in_channels=2, task="segmentation", default_layer="head")
    rows = candidate_layers(card, (2, 20, 24))
    assert [row.name for row in rows if row.default] == ["head"]
    assert "its maps are the classes" in rows[-1].note


def test_tiny_maps_are_said_to_be_that():
    rows = {row.name: row for row in candidate_layers(UNet(2, base_channels=4), (1, 24, 48))}
    assert rows["bottleneck"].note == (
        "bottleneck; only 3 x 6 places, too few to say where; choose a finer layer, or give the "
        "network larger images"
    )
    assert rows["encoder.2"].note == "encoder 2"
    assert rows["decoder.0"].note == "decoder 2"


def test_pooled_context_beside_the_encoder_is_no_bottleneck():
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
            self.context = nn.Conv2d(6, 6, 1)
            self.head = nn.Conv2d(12, 3, 1)

        def forward(self, x):
            maps = torch.relu(self.conv(x))
            pooled = self.context(F.adaptive_avg_pool2d(maps, 3))
            back = F.interpolate(pooled, size=maps.shape[2:])
            return F.interpolate(self.head(torch.cat([maps, back], 1)), size=x.shape[2:])

    rows = candidate_layers(Pyramid(), (2, 20, 24))
    assert [row.name for row in rows] == ["conv"]


def test_maps_of_an_odd_size_make_no_level_of_their_own():
    # 37 x 50 pools to 18 x 25, 9 x 12, 4 x 6, and comes back as 8 x 12, 18 x 24, 36 x 50.
    rows = {row.name: row for row in candidate_layers(UNet(3, 1, base_channels=4), (1, 37, 50))}
    assert rows["ups.0"].shape == (8, 12)
    assert [rows[f"encoder.{n}"].level for n in range(3)] == ["encoder 0", "encoder 1", "encoder 2"]
    assert [rows[f"ups.{n}"].level for n in range(3)] == ["decoder 2", "decoder 1", "decoder 0"]
    assert [rows[f"decoder.{n}"].level for n in range(3)] == ["decoder 2", "decoder 1", "decoder 0"]
