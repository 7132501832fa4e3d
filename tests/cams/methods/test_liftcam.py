"""LIFT-CAM and the DeepLIFT rule below it: by hand, against captum, and adding up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.deeplift import contributions
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import MethodError
from napari_cam.models.architectures.building import build
from napari_cam.models.hooks import POOLING_INPUT, LayerRef
from tests.cams.networks import GapNet, MlpNet, SharedNet, SkipNet, image, seeded
from tests.cams.pixels import MeanOver, UNet, even_image


def rescorer_at(net, x, layer, target=None):
    reference = LayerRef.parse(layer)
    tapped = tap(net, x, [reference])
    scored = (target or ClassScore(1)).read(tapped.output)
    return Rescorer(net, x, reference, tapped.activations[reference].detach(), scored)


class Typed(nn.Module):
    """A layer that hands on its input, and a head written down in full."""

    def __init__(self, head):
        super().__init__()
        self.maps = nn.Identity()
        self.head = head

    def forward(self, x):
        return self.head(self.maps(x))


def test_relu_by_hand():
    # h = a1 + 2 a2 - 3: -3 at the reference, 5 at a = (2, 3); relu rises by 5 over a step of 8.
    # Contributions 5/8 (2, 6), though the gradient (1, 2) times A would give (2, 6) and miss y = 5.
    def head(a):
        h = a.flatten(2).sum(2) @ torch.tensor([[1.0], [2.0]]) - 3
        return torch.cat([torch.zeros_like(h), F.relu(h)], 1)

    x = torch.zeros(1, 2, 1, 2)
    x[0, 0, 0, 0], x[0, 1, 0, 1] = 2.0, 3.0
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    expected = torch.zeros_like(x)
    expected[0, 0, 0, 0], expected[0, 1, 0, 1] = 1.25, 3.75
    torch.testing.assert_close(found.values, expected)
    assert found.difference.item() == 5.0
    raw = raw_cams(Typed(head), x, "liftcam", 1, "maps")["liftcam"]
    torch.testing.assert_close(raw, torch.tensor([[[1.25 * 2, 3.75 * 3]]]))


def test_max_pooling_by_hand():
    # Windows (4, 1), (-5, -2), (-3, 0) over a reference of 0. The first maximum rose by 4 at its 4.
    # The second fell by 2 at its -2, where the reference had a maximum too. The third stayed 0.
    def head(a):
        pooled = F.max_pool2d(a, (1, 2)) * torch.tensor([1.0, 10.0, 100.0])
        return torch.cat([torch.zeros(len(a), 1), pooled.flatten(1).sum(1, keepdim=True)], 1)

    x = torch.tensor([[[[4.0, 1.0, -5.0, -2.0, -3.0, 0.0]]]])
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    torch.testing.assert_close(found.values, torch.tensor([[[[4.0, 0, 0, -20, 0, 0]]]]))
    assert found.difference.item() == -16.0


def test_a_maximum_that_fell_is_charged_to_where_it_was():
    # Reference (3, 0): it fell by 2 to the 1 at the second place. The first place fell by 4, from
    # 3 to -1, so half of each unit counts; the second place, though it holds the maximum, adds 0.
    def head(a):
        pooled = F.max_pool2d(a + torch.tensor([3.0, 0.0]), (1, 2))
        return torch.cat([torch.zeros(len(a), 1), pooled.flatten(1)], 1)

    x = torch.tensor([[[[-4.0, 1.0]]]])
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    torch.testing.assert_close(found.values, torch.tensor([[[[-2.0, 0.0]]]]))


def test_overlapping_max_pooling_by_hand():
    # Windows of 3 at every place: 7 is the maximum of all three and collects all of them.
    def head(a):
        pooled = F.max_pool2d(a, (1, 3), stride=1)
        return torch.cat([torch.zeros(len(a), 1), pooled.flatten(1).sum(1, keepdim=True)], 1)

    x = torch.tensor([[[[1.0, 2.0, 7.0, 3.0, 1.0]]]])
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    torch.testing.assert_close(found.values, torch.tensor([[[[0.0, 0, 21, 0, 0]]]]))


@pytest.mark.parametrize("ndim", [2, 3])
def test_float64_reference(ndim):
    # Pooling, a linear layer, tanh, a linear layer: multipliers as matrix products.
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))
        places = A[0, 0].numel()
        # Pooling as a matrix, from the pooled unit maps.
        units = torch.eye(places, dtype=A.dtype).reshape(places, 1, *A.shape[2:])
        pooling = net.pool(units).flatten(1).numpy()  # (places, cells)
        W, b = net.hidden.weight.numpy(), net.hidden.bias.numpy()
        w = net.head.weight[1].numpy()
    cells = pooling.shape[1]
    expected = np.zeros(tuple(A.shape))
    for n, a in enumerate(A.numpy()):
        pooled = (a.reshape(5, places) @ pooling).reshape(-1)
        h, h0 = W @ pooled + b, b
        slope = (np.tanh(h) - np.tanh(h0)) / (h - h0)
        multipliers = ((w * slope) @ W).reshape(5, cells) @ pooling.T
        expected[n] = multipliers.reshape(a.shape) * a
    found = contributions(rescorer_at(net, x, "relu2"))
    np.testing.assert_allclose(found.values.numpy(), expected, rtol=1e-9, atol=1e-12)
    weights = expected.reshape(*expected.shape[:2], -1).sum(2)
    map_ = np.einsum("nk,nk...->n...", weights, A.numpy())
    raw = raw_cams(net, x, "liftcam", 1, "relu2")["liftcam"].numpy()
    np.testing.assert_allclose(raw, map_, rtol=1e-9, atol=1e-12)
    single = raw_cams(net.float(), x.float(), "liftcam", 1, "relu2")["liftcam"].numpy()
    np.testing.assert_allclose(single, map_, atol=1e-5 * np.abs(map_).max())


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.filterwarnings("ignore:.*full backward hook is firing")
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.ELU, nn.LeakyReLU, nn.Softplus])
def test_equals_captum(ndim, activation):
    captum = pytest.importorskip("captum.attr")
    # Linear layers on both sides of the maximum pooling: captum 0.9.0 differs from the rule written
    # in loops (below) where a pooling touches an activation.
    conv, pool, mean = (
        (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        if ndim == 2
        else (nn.Conv3d, nn.MaxPool3d, nn.AvgPool3d)
    )
    head = nn.Sequential(
        conv(2, 4, 3, padding=1), activation(), mean(2), conv(4, 5, 3), activation(),
        nn.Flatten(), nn.LazyLinear(2 * 4**ndim), nn.Unflatten(1, (2, *(4,) * ndim)), pool(2),
        nn.Flatten(), nn.LazyLinear(6), activation(), nn.Linear(6, 3),
    )  # fmt: skip
    x = even_image(ndim)
    head(x)
    head = seeded(head.double()).eval()
    x = x.double()
    start = x.clone().requires_grad_()
    oracle = captum.DeepLift(head).attribute(start, torch.zeros_like(x), target=1)
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    torch.testing.assert_close(found.values, oracle.detach(), rtol=1e-6, atol=1e-8)
    assert found.complete


@pytest.mark.parametrize("seed", range(5))
def test_max_pooling_after_an_activation_in_loops(seed):
    x = torch.randn(1, 2, 1, 3, generator=torch.Generator().manual_seed(seed)).double()
    first, last = seeded(nn.Linear(6, 8), seed).double(), seeded(nn.Linear(2, 2), seed).double()

    def head(a):
        cells = torch.tanh(first(a.flatten(1))).reshape(-1, 1, 2, 4)
        return last(F.max_pool2d(cells, 2).flatten(1))

    with torch.no_grad():
        h, h0 = first(x.flatten(1))[0].numpy(), first.bias.numpy()
        weight, w = first.weight.numpy(), last.weight[1].numpy()
    a, b = np.tanh(h).reshape(2, 4), np.tanh(h0).reshape(2, 4)
    multipliers = np.zeros((2, 4))
    for j in range(2):
        now, then = a[:, 2 * j : 2 * j + 2], b[:, 2 * j : 2 * j + 2]
        risen = now.max() >= then.max()
        r, c = np.unravel_index((now if risen else then).argmax(), (2, 2))
        multipliers[r, 2 * j + c] = w[j] * (now.max() - then.max()) / (now[r, c] - then[r, c])
    through_tanh = (multipliers * (a - b)).ravel() / (h - h0)
    expected = (through_tanh @ weight) * x.numpy().ravel()
    found = contributions(rescorer_at(Typed(head), x, "maps"))
    np.testing.assert_allclose(found.values.numpy().ravel(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "function",
    [F.relu6, F.hardswish, F.hardsigmoid, F.silu, F.gelu, F.mish, F.hardtanh, F.celu, F.selu,
     F.softsign, F.logsigmoid, torch.sigmoid, torch.square, lambda x: x.clamp(-0.2, 0.3),
     lambda x: F.silu(x, inplace=True) + 1, lambda x: x.pow(3), lambda x: F.threshold(x, 0.1, -1.0),
     lambda x: F.prelu(x, torch.tensor([0.1]).to(x)), torch.relu_],
)  # fmt: skip
def test_every_elementwise_function_adds_up(function):
    net = seeded(GapNet()).double()
    net.relu2 = nn.Identity()
    net.pool = nn.Sequential()
    net.pool.forward = lambda x: function(x * 1.0).mean((2, 3))
    found = contributions(rescorer_at(net, image().double(), "relu1"))
    assert found.uncovered == ()
    assert found.error.max() < 1e-10


@pytest.mark.parametrize("ndim", [2, 3])
def test_linear_above_the_layer_gives_shap_values(ndim):
    # alpha_k = y(A) - y(A without channel k), whatever other channels are there.
    net, x = seeded(GapNet(ndim)).eval(), image(ndim)
    found = contributions(rescorer_at(net, x, "relu2"))
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))
        for k in range(5):
            without = A.clone()
            without[:, k] = 0
            y, y_k = (net.head(a.flatten(2).mean(2))[:, 1] for a in (A, without))
            torch.testing.assert_close(
                found.values[:, k].flatten(1).sum(1), y - y_k, rtol=1e-4, atol=1e-6
            )


def test_a_reused_relu_and_a_shared_convolution_add_up():
    net, x = seeded(SharedNet()), image()
    for layer in ("inlet", "relu#1", "relu#2"):
        found = contributions(rescorer_at(net, x, layer))
        assert found.uncovered == ()
        assert (found.error / found.difference.abs()).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet18", "layer2"), ("resnet18", "layer4"), ("vgg16", "features.22"),
     ("densenet121", "features.denseblock3")],
)  # fmt: skip
def test_adds_up_on_known_networks(name, layer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(name, 4).eval()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                nn.init.normal_(part.bias, 0, 0.3)
        x = torch.randn(2, 3, 64, 64)
    found = contributions(rescorer_at(net, x, layer))
    assert found.uncovered == ()
    assert found.complete
    assert (found.error <= 1e-3 * found.difference.abs() + 1e-6).all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("layer", ["relu#1", "relu#3", "ups.0"])
def test_adds_up_on_a_unet(ndim, layer):
    net, x = seeded(UNet(ndim)).eval(), even_image(ndim)
    found = contributions(rescorer_at(net, x, layer, MeanOver()))
    assert found.uncovered == ()
    assert (found.error <= 1e-4 * found.difference.abs() + 1e-5).all()


class Gated(GapNet):
    """A squeeze-and-excitation gate after the target."""

    def forward(self, x):
        x = self.relu2(self.second(self.relu1(self.first(x))))
        return self.head((x * torch.sigmoid(x.mean((2, 3), keepdim=True) * 3)).mean((2, 3)))


class Normed(GapNet):
    def forward(self, x):
        x = F.instance_norm(self.relu2(self.second(self.relu1(self.first(x)))))
        return self.head(x.square().mean((2, 3)))


class Attending(GapNet):
    def forward(self, x):
        x = self.relu2(self.second(self.relu1(self.first(x))))
        return self.head((x * F.softmax(x.flatten(2), 2).reshape(x.shape)).sum((2, 3)))


@pytest.mark.parametrize(
    ("module", "named"),
    [(Gated, "'mul'"), (Normed, "'instance_norm'"), (Attending, "'softmax', 'mul'")],
)
def test_what_no_rule_covers_is_refused_by_name(module, named):
    with pytest.raises(MethodError, match=f"miss the score .* it holds {named}"):
        raw_cams(seeded(module()), image(), "liftcam", 1, "relu2")


def test_a_gate_below_the_layer_is_no_obstacle():
    class Below(GapNet):
        def forward(self, x):
            x = self.relu1(self.first(x))
            x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
            return self.head(self.pool(self.relu2(self.second(x))).flatten(1))

    raw_cams(seeded(Below()), image(), "liftcam", 1, "relu2")


def test_probability_of_two_classes_or_more_is_refused_and_of_one_output_explained():
    net, x = seeded(MlpNet()), image()
    with pytest.raises(MethodError, match=r"'softmax'.*the logit as score"):
        raw_cams(net, x, "liftcam", ClassScore(1, "probability"), "relu2")

    class Binary(MlpNet):
        def forward(self, x):
            return super().forward(x)[:, :1]

    found = contributions(rescorer_at(seeded(Binary()), x, "relu2", ClassScore(1, "probability")))
    assert found.complete
    assert 0 < found.difference.abs().max() < 1


def test_costs_two_forwards_at_most():
    net, x = seeded(MlpNet()), image(n=3)
    seen = []
    handle = net.first.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    raw_cams(net, x, "liftcam", 1, "relu2")
    handle.remove()
    assert seen == [3, 6]  # the one every method shares, and the pair


@pytest.mark.parametrize("ndim", [2, 3])
def test_maps_add_up_over_disjoint_sets_of_pixels(ndim):
    # The rule's multipliers depend on the maps alone, so contributions are linear in the score:
    # the mean over the upper half and that over the lower one are twice the mean over all.
    class Halves(MeanOver):
        def read(self, output):
            upper = super().read(output)

            def again(changed, of):
                return changed[:, self.class_id].flatten(1).mean(1)

            return type(upper)(again(output, None), upper.class_index, again)

    class Lower(MeanOver):
        def read(self, output):
            upper = super().read(output)

            def again(changed, of):
                half = changed.shape[2] // 2
                return changed[:, self.class_id].narrow(1, half, half).flatten(1).mean(1)

            return type(upper)(again(output, None), upper.class_index, again)

    net, x = seeded(UNet(ndim)).eval(), even_image(ndim)
    upper, lower, whole = (
        contributions(rescorer_at(net, x, "relu#2", target)).values
        for target in (MeanOver(), Lower(), Halves())
    )
    assert (upper - lower).abs().amax() > 0.1 * upper.abs().amax()
    atol = 1e-5 * float(upper.abs().amax())
    torch.testing.assert_close(upper + lower, 2 * whole, rtol=1e-4, atol=atol)


def test_what_enters_pooling_though_no_module_returns_it():
    # Mean pooling and a linear layer: contributions w A / Z, whose sum is the score less the bias.
    net, x = seeded(SkipNet()).eval(), image()
    found = contributions(rescorer_at(net, x, POOLING_INPUT))
    with torch.no_grad():
        expected = net(x)[:, 1] - net.head.bias[1]
    torch.testing.assert_close(found.values.flatten(1).sum(1), expected)
    raw = raw_cams(net, x, "liftcam", 1)
    assert str(next(iter(raw)).layer) == POOLING_INPUT
