"""FullGrad: its terms by hand and from the definition, and what they add up to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.full_gradients import full_gradients, psi
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import MethodError
from napari_cam.models.architectures.building import build
from napari_cam.models.hooks import INPUT, LayerRef
from tests.cams.networks import GapNet, MlpNet, SharedNet, SkipNet, image, seeded
from tests.cams.pixels import MeanOver, UNet, even_image


def decompose(net, x, target=None):
    net.eval()
    with torch.no_grad():
        scored = (target or ClassScore(1)).read(net(x))
    rescorer = Rescorer(net, x, LayerRef(INPUT), x, scored)
    return full_gradients(rescorer, torch.arange(len(x)))


class TwoPixels(nn.Module):
    """y = 5 + 2 relu(3 x1 - 1) + 2 relu(3 x2 - 1), class 1."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.conv.weight.fill_(3)
            self.conv.bias.fill_(-1)
            self.head.weight.copy_(torch.tensor([[0.0], [2.0]]))
            self.head.bias.copy_(torch.tensor([0.0, 5.0]))

    def forward(self, x):
        return self.head(F.relu(self.conv(x)).sum((2, 3)))


def test_by_hand():
    # At x = (1, 0) only the first ReLU is open: dy/dx = (6, 0), dy/db = (2, 0) times b = -1.
    # Terms: input 6, bias -2, the head's bias 5: y = 9. Map: psi(6, 0) + psi(-2, 0) = (2, 0).
    x = torch.tensor([[[[1.0, 0.0]]]])
    found = decompose(TwoPixels(), x)
    assert found.score.item() == 9.0
    assert found.total.item() == pytest.approx(9.0)
    assert found.magnitude.item() == pytest.approx(13.0)
    torch.testing.assert_close(found.map, torch.tensor([[[2.0, 0.0]]]))


def test_psi_by_hand():
    # Magnitudes 1 to 5 over both channels stretch to 0 to 1 together; then the channels add up.
    term = torch.tensor([[[[-1.0, 5.0]], [[2.0, -3.0]]]])
    torch.testing.assert_close(psi(term, torch.Size((1, 2))), torch.tensor([[[0.25, 1.5]]]))
    wide = psi(term, torch.Size((1, 4)))
    torch.testing.assert_close(wide, torch.tensor([[[0.25, 0.5625, 1.1875, 1.5]]]))
    assert psi(torch.full((1, 2, 3, 4), -7.0), torch.Size((6, 8))).abs().max() == 0


class Explicit(nn.Module):
    """Convolution, BatchNorm, ReLU, convolution, SiLU, pooling, linear layer."""

    def __init__(self, ndim):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if ndim == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.first, self.norm = conv(2, 4, 3, padding=1), norm(4)
        self.second, self.head = conv(4, 5, 3, stride=2), nn.Linear(5, 3)
        self.norm.running_mean.copy_(torch.tensor([0.3, -0.2, 0.1, 0.0]))
        self.norm.running_var.copy_(torch.tensor([0.5, 2.0, 1.0, 1.5]))

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)), inplace=True)
        return self.head(F.silu(self.second(x)).flatten(2).mean(2))


@pytest.mark.parametrize("ndim", [2, 3])
def test_float64_reference_from_the_definition(ndim):
    net, x = seeded(Explicit(ndim)).double().eval(), image(ndim).double()
    found = decompose(net, x)
    per_channel = (1, -1, *(1,) * ndim)
    mode = "bilinear" if ndim == 2 else "trilinear"
    for n in range(len(x)):
        leaf = x[n : n + 1].clone().requires_grad_()
        z1 = net.first(leaf)
        z2 = net.norm(z1)
        z3 = net.second(torch.relu(z2))
        z4 = z3 * torch.sigmoid(z3)
        y = net.head(z4.flatten(2).mean(2))[0, 1]
        g0, g1, g2, g3, g4 = torch.autograd.grad(y, [leaf, z1, z2, z3, z4])
        with torch.no_grad():
            sigma = (net.norm.running_var + net.norm.eps).sqrt()
            implicit = net.norm.bias - net.norm.weight * net.norm.running_mean / sigma
            s = torch.sigmoid(z3)
            slope = s + z3 * s * (1 - s)
            terms = [
                leaf * g0,
                net.first.bias.reshape(per_channel) * g1,
                implicit.reshape(per_channel) * g2,
                net.second.bias.reshape(per_channel) * g3,
                (z4 - slope * z3) * g4,
            ]
        total = float(sum(term.sum() for term in terms) + net.head.bias.detach()[1])
        assert total == pytest.approx(y.item(), rel=1e-12)
        assert found.total[n].item() == pytest.approx(total, rel=1e-10)
        expected = np.zeros(x.shape[2:])
        for term in terms:
            size = term.detach().abs()
            unit = (size - size.min()) / (size.max() - size.min())
            for k in range(unit.shape[1]):
                wide = F.interpolate(unit[:, k : k + 1], size=x.shape[2:], mode=mode)
                expected += wide[0, 0].numpy()
        np.testing.assert_allclose(found.map[n].numpy(), expected, rtol=1e-9)
    raw = raw_cams(net, x, "fullgrad", 1)["fullgrad"]
    torch.testing.assert_close(raw, found.map)
    single = raw_cams(net.float(), x.float(), "fullgrad", 1)["fullgrad"]
    torch.testing.assert_close(single, found.map.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_complete_on_a_unet(ndim, norm):
    found = decompose(seeded(UNet(ndim, norm)).double(), even_image(ndim).double(), MeanOver())
    assert found.uncovered == ()
    torch.testing.assert_close(found.total, found.score, rtol=1e-9, atol=1e-11)
    assert found.complete


@pytest.mark.parametrize("kind", ["instance", "group", "layer"])
def test_statistics_of_the_input_are_no_constants(kind):
    # b = f(x) - J x with the full Jacobian of the norm, epsilon made large enough to matter.
    x = image().double()
    weight, bias = torch.tensor([2.0, -0.5]).double(), torch.tensor([0.3, 0.7]).double()
    wide = (weight.reshape(2, 1, 1) + torch.arange(12)) / 5
    norms = {
        "instance": lambda t: F.instance_norm(t, weight=weight, bias=bias, eps=0.5),
        "group": lambda t: F.group_norm(t, 1, weight, bias, 0.5),
        "layer": lambda t: F.layer_norm(t, (2, 10, 12), wide.expand(2, 10, 12), eps=0.5),
    }

    class Normed(nn.Module):
        def forward(self, t):
            z = norms[kind](t)
            return torch.stack([z[:, 0, 0, 0], z[:, 1, 2, 3]], 1)

    found = decompose(Normed(), x)
    jacobian = torch.autograd.functional.jvp(norms[kind], x, x)[1]
    along = jacobian[:, 1, 2, 3]
    value = norms[kind](x)[:, 1, 2, 3]
    torch.testing.assert_close(found.total, value, rtol=1e-10, atol=1e-12)
    # Of the two terms the input's is J x, so the norm's is the rest.
    magnitude = found.magnitude - (value - along).abs()
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(norms[kind](leaf)[:, 1, 2, 3].sum(), leaf)
    torch.testing.assert_close(magnitude, (leaf * g).abs().flatten(1).sum(1).detach())


@pytest.mark.parametrize("module", [GapNet, MlpNet, SharedNet, SkipNet])
@pytest.mark.parametrize("score", ["logit", "probability", "log_odds"])
def test_complete_on_small_networks(module, score):
    found = decompose(seeded(module()).double(), image().double(), ClassScore(1, score))
    assert found.uncovered == ()
    torch.testing.assert_close(found.total, found.score, rtol=1e-9, atol=1e-11)


def test_constants_in_the_network_are_biases():
    class Constants(GapNet):
        def forward(self, x):
            x = (1 - x) * 2 + torch.linspace(0, 1, 12)
            x += 0.5
            x = F.pad(x, (1, 1, 1, 1), value=0.7)
            x = torch.cat([x[:, :1], torch.full_like(x[:, :1], 0.2).detach()], 1)
            x = F.relu(self.second(torch.where(torch.ones(14) > 0, self.first(x), 3.0)))
            return self.head(x.sub(0.1).mean((2, 3)))

    found = decompose(seeded(Constants()).double(), image().double())
    torch.testing.assert_close(found.total, found.score, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "densenet121"])
def test_complete_on_known_networks(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(name, 4).eval()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                nn.init.normal_(part.bias, 0, 0.3)
        x = torch.randn(2, 3, 64, 64)
    found = decompose(net, x)
    assert found.uncovered == ()
    assert (found.error <= 1e-3 * found.score.abs()).all()


def test_what_has_no_known_bias_is_refused_by_name():
    class Gated(GapNet):
        def forward(self, x):
            x = self.relu1(self.first(x))
            x = x * torch.sigmoid(x.mean((2, 3), keepdim=True) + 1)
            return self.head(self.relu2(self.second(x)).mean((2, 3)))

    with pytest.raises(MethodError, match=r"terms miss the score .* it holds 'mul'"):
        raw_cams(seeded(Gated()), image(), "fullgrad", 1)


def test_the_network_is_as_it_was():
    net, x = seeded(MlpNet(inplace=True)).train(), image()
    raw_cams(net, x, ["fullgrad", "saliency", "smoothgrad"], 1)
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not x.requires_grad
