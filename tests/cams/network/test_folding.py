"""Batch norms go into convolutions where nobody else sees what lies between."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_cam.cams.network.folding import find_pairs, fold
from napari_cam.models.hooks import LayerRef


def trained(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every norm statistics and weights that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.copy_(uniform(part.running_mean, -1, 1))
                part.running_var.copy_(uniform(part.running_var, 0.5, 2))
                if part.affine:
                    part.weight.copy_(uniform(part.weight, -1.5, 1.5))
                    part.bias.copy_(uniform(part.bias, -1, 1))
    return module.eval()


class Block(nn.Module):
    """What may lie between a convolution and its norm."""

    def __init__(self, kind="plain", convolution=None, norm=None):
        super().__init__()
        self.kind = kind
        self.conv = convolution or nn.Conv2d(2, 6, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        y = self.conv(x)
        if self.kind == "skip":
            return self.last(self.norm(y) + y)
        if self.kind == "in place":
            y.relu_()
        if self.kind == "item":
            y[:, 0] = 0
        if self.kind == "twice":
            return self.last(self.norm(self.norm(y)))
        if self.kind == "by weight":
            y = torch.conv2d(x, self.conv.weight, self.conv.bias, padding=1)
        if self.kind == "returned":
            return self.last(self.norm(y)), y
        if self.kind == "first twice":
            return self.last(self.norm(y)) + self.last(self.conv(x))
        return self.last(self.norm(y))


IMAGE = torch.randn((1, 2, 10, 12), generator=torch.Generator().manual_seed(1))


def test_one_channel_by_hand():
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)).eval()
    with torch.no_grad():
        net[0].weight.fill_(3.0)
        net[1].running_mean.fill_(1.0)
        net[1].running_var.fill_(4.0)
        net[1].weight.fill_(5.0)
        net[1].bias.fill_(7.0)
    fold(net, find_pairs(net, torch.ones(1, 1, 4, 5)))
    # ((3 x - 1) / 2) * 5 + 7 = 7.5 x + 4.5
    assert net[0].weight.item() == 7.5
    assert net[0].bias.item() == 4.5
    assert type(net[1]) is nn.Identity


@pytest.mark.parametrize(
    ("convolution", "norm", "shape"),
    [
        (nn.Conv2d(2, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), (10, 12)),
        (nn.Conv2d(2, 6, 3, groups=2, dilation=2), nn.BatchNorm2d(6, affine=False), (10, 12)),
        (
            nn.Conv2d(2, 6, 3, padding=1, padding_mode="reflect"),
            nn.BatchNorm2d(6, eps=0.1),
            (10, 12),
        ),
    ],
)
def test_folded_equals_one_after_the_other(convolution, norm, shape):
    net = trained(Block(convolution=convolution, norm=norm))
    x = torch.randn((3, 2, *shape), generator=torch.Generator().manual_seed(2))
    expected = norm.double()(convolution.double()(x.double())).detach()
    net.float()
    pairs = find_pairs(net, x[:1])
    assert [(pair.convolution, pair.norm) for pair in pairs] == [("conv", "norm")]
    fold(net, pairs)
    torch.testing.assert_close(net.conv(x), expected.float(), rtol=1e-5, atol=1e-5)


def test_folds_in_three_dimensions():
    net = trained(nn.Sequential(nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.ReLU(inplace=True)))
    x = torch.randn((3, 2, 7, 8, 9), generator=torch.Generator().manual_seed(2))
    expected = net(x).detach()
    fold(net, find_pairs(net, x[:1]))
    assert type(net[1]) is nn.Identity
    torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("plain", 1),
        ("skip", 0),
        ("in place", 0),
        ("item", 0),
        ("twice", 0),
        ("by weight", 0),
        ("returned", 0),
        ("first twice", 0),
    ],
)
def test_only_what_nobody_else_takes(kind, count):
    assert len(find_pairs(trained(Block(kind)), IMAGE)) == count


def test_norm_before_convolution_does_not_fold():
    net = trained(nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 6, 3)))
    assert find_pairs(net, IMAGE) == []


def test_a_norm_without_statistics_does_not_fold():
    norm = nn.BatchNorm2d(6, track_running_stats=False)
    assert find_pairs(Block(norm=norm).eval(), IMAGE) == []


def test_a_subclass_may_do_anything():
    class Louder(nn.BatchNorm2d):
        def forward(self, x):
            return 2 * super().forward(x)

    assert find_pairs(trained(Block(norm=Louder(6))), IMAGE) == []


def test_modules_with_two_names_and_shared_weights_stay():
    shared = Block()
    shared.again = shared.conv
    assert find_pairs(trained(shared), IMAGE) == []
    tied = Block()
    tied.other = nn.Conv2d(2, 6, 3, padding=1)
    tied.other.weight = tied.conv.weight
    assert find_pairs(trained(tied), IMAGE) == []


def test_a_pair_knows_which_layers_it_hides():
    net = trained(nn.Sequential(nn.Sequential(nn.Conv2d(2, 6, 3)), nn.BatchNorm2d(6)))
    (pair,) = find_pairs(net, IMAGE)
    assert pair.hides([LayerRef("0")])
    assert pair.hides([LayerRef("0.0")])
    assert not pair.hides([LayerRef("1")])
