"""Ablation-CAM against captum, loops in float64 and cases by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from napari_cam.cams.methods.perturbation import AblationCAM
from napari_cam.cams.network import rescoring
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.scores import ClassScore
from tests.cams.networks import GapNet, MlpNet, image, seeded


def only(net, x, target=1, layer="relu2"):
    return raw_cams(net, x, AblationCAM(), target, layer)["ablationcam"]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("score", ["logit", "probability", "log_odds"])
@pytest.mark.parametrize("layer", ["relu1", "relu2"])
def test_is_its_definition(ndim, score, layer):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()

    def value(A):
        if layer == "relu1":
            A = net.relu2(net.second(A))
        logits = net.head(torch.tanh(net.hidden(net.pool(A).flatten(1))))[0]
        p = logits.softmax(0)[1]
        return {"logit": logits[1], "probability": p, "log_odds": (p / (1 - p)).log()}[score]

    found = only(net, x, ClassScore(1, score), layer)
    with torch.no_grad():
        A = net.relu1(net.first(x))
        A = net.relu2(net.second(A)) if layer == "relu2" else A
        for n in range(3):
            expected = 0
            for k in range(A.shape[1]):
                without = A[n : n + 1].clone()
                without[:, k] = 0
                expected = expected + (value(A[n : n + 1]) - value(without)) * A[n, k]
            torch.testing.assert_close(found[n], expected, rtol=1e-9, atol=1e-11)


def test_weights_equal_captum():
    captum = pytest.importorskip("captum.attr")
    net, x = seeded(MlpNet()).double().eval(), image().double()
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))

        def head(maps):
            return net.head(torch.tanh(net.hidden(net.pool(maps).flatten(1))))

        mask = torch.arange(5).reshape(1, 5, 1, 1)
        weights = captum.FeatureAblation(head).attribute(A, target=2, feature_mask=mask)
    expected = (weights.mean((2, 3), keepdim=True) * A).sum(1)
    torch.testing.assert_close(only(net, x, 2), expected)


def test_after_mean_pooling_the_weight_is_the_channels_share_of_the_score():
    net, x = seeded(GapNet()).eval(), image()
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))
        shares = net.head.weight[1] * A.mean((2, 3))
    expected = (shares[:, :, None, None] * A).sum(1)
    torch.testing.assert_close(only(net, x), expected, rtol=1e-4, atol=1e-6)


def test_a_negative_score_does_not_turn_the_map_over():
    net, x = seeded(GapNet()).eval(), image()
    before = only(net, x)
    with torch.no_grad():
        net.head.bias[1] -= 100
    torch.testing.assert_close(only(net, x), before, rtol=1e-3, atol=1e-4)


class Rows(TorchFunctionMode):
    """Notes how many rows each linear layer and convolution sees."""

    def __init__(self):
        super().__init__()
        self.linear, self.convolutions = [], 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is nn.functional.linear:
            self.linear.append(len(args[0]))
        self.convolutions += getattr(func, "__name__", "").startswith("conv")
        return func(*args, **(kwargs or {}))


def test_dead_channels_are_not_run_and_nothing_upstream_is():
    net, x = seeded(GapNet()).eval(), image()[:1]
    with torch.no_grad():
        net.second.weight[1:3] = 0
        net.second.bias[1:3] = -1
    only(net, x)  # what is downstream is proved once for a network and input size
    with Rows() as rows:
        found = only(net, x)
    # Forward pass, recording, its check on two variants, then unchanged and three live channels.
    assert rows.linear == [1, 1, 2, 4]
    assert rows.convolutions == 2 * 2
    assert found.abs().max() > 0


def test_all_dead_is_zero():
    net = seeded(GapNet()).eval()
    with torch.no_grad():
        net.second.weight.zero_()
        net.second.bias.fill_(-1)
    assert torch.equal(only(net, image()), torch.zeros(3, 5, 6))


@pytest.mark.parametrize("ndim", [2, 3])
def test_nothing_but_the_image_matters(ndim, monkeypatch):
    net, x = seeded(MlpNet(ndim)), image(ndim)
    whole = only(net, x)
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * float(whole.abs().max())}
    monkeypatch.setattr(rescoring, "_MOST_ROWS", 2)
    torch.testing.assert_close(only(net, x.flip(0)).flip(0), whole, **tolerance)
    torch.testing.assert_close(only(net, x[1:2])[0], whole[1], **tolerance)
    together = raw_cams(net, x, ["gradcam", AblationCAM()], [0, 1], ["relu1", "relu2"])
    torch.testing.assert_close(together["ablationcam / relu2 / class 1"], whole, **tolerance)


def test_a_network_that_cannot_be_replayed_gives_the_same():
    class Detached(MlpNet):
        def forward(self, x):
            maps = self.relu2(self.second(self.relu1(self.first(x))))
            gate = self.gate(maps.detach()).mean((2, 3)).sigmoid()
            return self.head(torch.tanh(self.hidden((self.pool(maps)).flatten(1)))) * gate

    net = Detached()
    net.gate = nn.Conv2d(5, 1, 1)
    net, x = seeded(net).double().eval(), image().double()
    found = only(net, x)
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))

        def value(maps):
            gate = net.gate(maps).mean((2, 3)).sigmoid()
            return (net.head(torch.tanh(net.hidden(net.pool(maps).flatten(1)))) * gate)[:, 1]

        expected = torch.zeros_like(found)
        for k in range(5):
            without = A.clone()
            without[:, k] = 0
            expected += (value(A) - value(without))[:, None, None] * A[:, k]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
