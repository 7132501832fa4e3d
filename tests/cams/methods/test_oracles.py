"""Raw maps against captum and pytorch-grad-cam, and against identities, in 2D and 3D."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import napari_cam as nc
from napari_cam.cams.keys import Fused, MapKey
from napari_cam.cams.methods.table import METHODS
from napari_cam.cams.raw import fuse, raw_cams
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import (
    LayerError,
    LookupFailed,
    MethodError,
    ModelError,
    PreparationError,
)
from napari_cam.models.hooks import POOLING_INPUT, LayerRef
from tests.cams.networks import GapNet, MlpNet, SharedNet, SkipNet, image, seeded

GRADIENT_FAMILY = [
    name for name, each in METHODS.items() if each.needs <= {"activations", "gradients"}
]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("layer", ["relu1", "second", "relu2"])
def test_gradcam_equals_captum(ndim, layer):
    captum = pytest.importorskip("captum.attr")
    net, x = seeded(MlpNet(ndim)).eval(), image(ndim)
    for index in range(3):
        oracle = captum.LayerGradCam(net, getattr(net, layer)).attribute(x, target=index)
        found = raw_cams(net, x, "gradcam", index, layer)["gradcam"]
        torch.testing.assert_close(found, oracle[:, 0].detach(), rtol=1e-5, atol=1e-6)


def pytorch_grad_cam(name, net, layer, x, index):
    """The map of pytorch-grad-cam before its ReLU, its resize and its two normalisations."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    method = getattr(pytorch_grad_cam, name)(net, [layer])
    maps = []
    original = method.get_cam_image
    method.get_cam_image = lambda *a, **k: maps.append(original(*a, **k)) or maps[-1]
    try:
        method(x, [ClassifierOutputTarget(index)] * len(x))
    finally:
        method.activations_and_grads.release()
    return maps[0]


@pytest.mark.parametrize("layer", ["relu1", "relu2"])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("gradcam", "GradCAM"),
        ("hirescam", "HiResCAM"),
        ("xgradcam", "XGradCAM"),
        ("layercam", "LayerCAM"),
    ],
)
def test_equals_pytorch_grad_cam_before_normalisation(name, theirs, layer):
    pytest.importorskip("pytorch_grad_cam")
    net, x = seeded(MlpNet()).eval(), image()
    for index in range(3):
        oracle = pytorch_grad_cam(theirs, net, getattr(net, layer), x, index)
        found = raw_cams(net, x, name, index, layer)[name].numpy()
        np.testing.assert_allclose(found, oracle, rtol=1e-5, atol=1e-5 * np.abs(oracle).max())


@pytest.mark.parametrize("ndim", [2, 3])
def test_after_mean_pooling_gradcam_hirescam_and_cam_coincide(ndim):
    net, x = seeded(GapNet(ndim)), image(ndim)
    maps = raw_cams(net, x, ["cam", "gradcam", "hirescam"], 2, "relu2")
    Z = maps["cam"][0].numel()
    torch.testing.assert_close(maps["gradcam"], maps["cam"] / Z)
    torch.testing.assert_close(maps["hirescam"], maps["gradcam"])
    # Completeness: the HiResCAM map and the bias are the whole score.
    with torch.no_grad():
        score = net.eval()(x)[:, 2]
    torch.testing.assert_close(maps["hirescam"].flatten(1).sum(1) + net.head.bias[2], score)


def test_cam_reads_the_weights_typed_into_the_head():
    net, x = seeded(GapNet()).eval(), image()
    with torch.no_grad():
        net.head.weight[1] = torch.tensor([1.0, -2.0, 0.0, 3.0, 0.5])
        activations = net.relu2(net.second(net.relu1(net.first(x))))
    a = activations.numpy()
    expected = a[:, 0] - 2 * a[:, 1] + 3 * a[:, 3] + 0.5 * a[:, 4]
    found = raw_cams(net, x, "cam", 1, "relu2")["cam"]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_cam_of_a_network_whose_maps_are_its_class_scores():
    class ClassMaps(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Conv2d(2, 5, 3)

        def forward(self, x):
            return self.score(x).mean((2, 3))

    net, x = seeded(ClassMaps()), image()
    with torch.no_grad():
        expected = net.score(x)[:, 3]
    torch.testing.assert_close(raw_cams(net, x, "cam", 3, "score")["cam"], expected)


@pytest.mark.parametrize(("module", "layer"), [(MlpNet, "relu2"), (GapNet, "relu1")])
def test_cam_is_refused_where_it_does_not_exist(module, layer):
    with pytest.raises(MethodError, match="needs global average pooling and one linear layer"):
        raw_cams(seeded(module()), image(), "cam", 0, layer)


@pytest.mark.parametrize("factor", [1.0, 1e-4])
def test_cam_is_refused_where_only_the_bias_agrees(factor):
    # Both convolutions have as many channels as the head, and its biases outweigh everything.
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.far = nn.Conv2d(2, 5, 3, padding=1)
            self.near = nn.Conv2d(5, 5, 3, padding=1)
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(torch.relu(self.near(torch.relu(self.far(x)))).mean((2, 3)))

    net, x = seeded(Twins()), image()
    with torch.no_grad():
        net.head.weight.mul_(factor)
        net.head.bias.copy_(torch.tensor([90.0, -70.0, 80.0]))
    with pytest.raises(MethodError, match="right after 'far'"):
        raw_cams(net, x, "cam", 1, "far")
    maps = raw_cams(net, x, ["cam", "gradcam"], 1, POOLING_INPUT)
    torch.testing.assert_close(maps["cam"] / 120, maps["gradcam"], rtol=1e-4, atol=0)


def test_cam_after_sum_pooling_and_of_one_output():
    class Summed(GapNet):
        def forward(self, x):
            maps = self.relu2(self.second(self.relu1(self.first(x))))
            return maps.sum((2, 3)) @ self.head.weight[:1].T

    net, x = seeded(Summed()), image()
    net.single = nn.Linear(5, 1, bias=False)
    net.single.weight = nn.Parameter(net.head.weight[:1].detach().clone())
    maps = raw_cams(net, x, ["cam", "hirescam"], [0, 1], "relu2")
    for name in ("class 0", "class 1"):  # sum pooling: all three coincide
        torch.testing.assert_close(maps[f"cam / {name}"], maps[f"hirescam / {name}"])
    torch.testing.assert_close(maps["cam / class 0"], -maps["cam / class 1"])


@pytest.mark.parametrize("ndim", [2, 3])
def test_layercam_equals_hirescam_for_gradients_of_one_sign(ndim):
    net = seeded(MlpNet(ndim))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    maps = raw_cams(net, image(ndim).abs(), ["layercam", "hirescam"], 0, "relu1")
    torch.testing.assert_close(maps["layercam"], maps["hirescam"].clamp(min=0))


@pytest.mark.parametrize("ndim", [2, 3])
def test_one_pass_serves_everything(ndim):
    net, x = seeded(MlpNet(ndim)), image(ndim)
    calls = []
    handle = net.first.register_forward_hook(lambda *_: calls.append(1))
    layers, targets = ["relu1", "relu2"], [0, 2, None]
    together = raw_cams(net, x, GRADIENT_FAMILY, targets, layers)
    assert len(calls) == 1
    handle.remove()
    assert len(together) == len(GRADIENT_FAMILY) * 3 * 2
    for key, value in together.items():
        alone = raw_cams(net, x, key.method, key.target, key.layer)[key]
        torch.testing.assert_close(value, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
def test_independent_of_batch_size_composition_and_order(ndim):
    net, x = seeded(MlpNet(ndim)), image(ndim, n=5)
    whole = raw_cams(net, x, GRADIENT_FAMILY, 1, ["relu1", "relu2"])
    reverse = raw_cams(net, x.flip(0), GRADIENT_FAMILY[::-1], 1, ["relu2", "relu1"])
    for key, value in whole.items():
        torch.testing.assert_close(reverse[key].flip(0), value, rtol=1e-5, atol=1e-6)
        single = torch.cat(
            [raw_cams(net, x[i : i + 1], key.method, 1, key.layer)[key] for i in range(5)]
        )
        torch.testing.assert_close(single, value, rtol=1e-5, atol=1e-6)


def test_predicted_class_is_each_images_own():
    net, x = seeded(MlpNet()).eval(), image(n=7)
    with torch.no_grad():
        predicted = net(x).argmax(1)
    assert len(predicted.unique()) > 1
    maps = raw_cams(net, x, "hirescam", None, "relu2")["hirescam"]
    for i, index in enumerate(predicted.tolist()):
        own = raw_cams(net, x[i : i + 1], "hirescam", index, "relu2")["hirescam"]
        torch.testing.assert_close(maps[i : i + 1], own)


@pytest.mark.parametrize("score", ["logit", "probability", "log_odds"])
def test_scores_against_float64_finite_differences(score):
    # Sum of HiResCAM of a linear-in-A network along A: d score / dt at A (1 + t).
    net, x = seeded(SharedNet()).double().eval(), image().double()
    found = raw_cams(net, x, "hirescam", ClassScore(1, score), "relu#2")["hirescam"]

    def value(t):
        with torch.no_grad():
            a = net.relu(net.shared(net.relu(net.shared(net.inlet(x))))) * (1 + t)
            y = net.head(torch.tanh(a).mean((2, 3)))
            p = y.softmax(1)[:, 1]
        return {"logit": y[:, 1], "probability": p, "log_odds": torch.log(p / (1 - p))}[score]

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close(found.flatten(1).sum(1), slope, rtol=1e-6, atol=1e-9)


def test_single_output_is_binary():
    class Binary(GapNet):
        def forward(self, x):
            return super().forward(x)[:, :1]

    net, x = seeded(Binary()), image()
    maps = raw_cams(net, x, ["gradcam", "hirescam"], [0, 1], "relu2")
    torch.testing.assert_close(maps["gradcam / class 0"], -maps["gradcam / class 1"])
    probability = raw_cams(net, x, "gradcam", ClassScore(1, "probability"), "relu2")["gradcam"]
    with torch.no_grad():
        p = net.eval()(x)[:, 0].sigmoid().reshape(-1, 1, 1)
    torch.testing.assert_close(probability, p * (1 - p) * maps["gradcam / class 1"])


# --------------------------------------------------------------------------- fusion, layers, keys


def test_fused_layercam_by_hand():
    net, x = seeded(MlpNet()), image()
    maps = raw_cams(net, x, "layercam", 0, ["relu1", "relu2", Fused(["relu1", "relu2"], gamma=3)])
    fine, coarse = maps["relu1"].clamp(min=0).numpy(), maps["relu2"].clamp(min=0).numpy()
    fused = maps["relu1+relu2"].numpy()
    assert fused.shape == (3, 10, 12)
    for n in range(3):
        a = np.tanh(3 * fine[n] / fine[n].max())
        b = np.tanh(3 * coarse[n] / coarse[n].max())

        # Half-pixel linear enlargement by two: each fine centre lies a quarter cell off.
        def double(values):
            padded = np.pad(values, 1, mode="edge")
            out = np.empty((2 * values.shape[0], values.shape[1]))
            out[0::2] = 0.75 * padded[1:-1, 1:-1] + 0.25 * padded[:-2, 1:-1]
            out[1::2] = 0.75 * padded[1:-1, 1:-1] + 0.25 * padded[2:, 1:-1]
            return out

        enlarged = double(double(b).T).T
        np.testing.assert_allclose(fused[n], np.maximum(a, enlarged), atol=1e-6)


def test_fused_options():
    net, x = seeded(MlpNet()), image()
    mean = raw_cams(net, x, "gradcam", 0, Fused(["relu1", "second"], reduce="mean"))["gradcam"]
    assert mean.max() <= np.tanh(2) + 1e-6
    plain = raw_cams(net, x, "gradcam", 0, Fused(["relu1", "second"], unscaled=["relu1"]))
    assert plain["gradcam"].amax() == 1.0


def test_fused_does_not_stretch_a_layers_rounding():
    one, two = LayerRef("one"), LayerRef("two")
    negative = -torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(0))
    negative[0, 1, 2] = 1e-8
    clear = torch.zeros(1, 4, 6)
    clear[0, 3, 5] = 2.0
    fused = fuse({one: negative, two: clear}, Fused([one, two]))
    assert fused[0, 3, 5] == pytest.approx(np.tanh(2))
    assert fused.sum() == pytest.approx(np.tanh(2))


@pytest.mark.parametrize(
    ("layers", "options"),
    [
        (["a"], {}),
        (["a", "a"], {}),
        (["a", "b"], {"gamma": 0}),
        (["a", "b"], {"reduce": "sum"}),
        (["a", "b"], {"unscaled": ["c"]}),
    ],
)
def test_fused_that_makes_no_sense(layers, options):
    with pytest.raises(LayerError, match="Fused"):
        Fused(layers, **options)


def test_default_layer_enters_pooling():
    net, x = seeded(SkipNet()), image()
    maps = raw_cams(net, x, "gradcam", 0)
    assert str(next(iter(maps)).layer) == "pooling-input"
    with torch.no_grad():
        skip = torch.relu(net.eval().encoder(x))
        up = net.up(torch.relu(net.bottleneck(skip)))
        a = torch.relu(net.norm(torch.cat([skip, up], dim=1)))
    expected = torch.einsum("k,nkhw->nhw", net.head.weight[0].detach(), a) / 120
    torch.testing.assert_close(maps["gradcam"], expected)


def test_the_last_convolution_as_a_layer():
    net, x = seeded(SkipNet()), image()
    maps = raw_cams(net, x, "gradcam", 0, "legacy-last-conv")
    named = raw_cams(net, x, "gradcam", 0, "bottleneck")
    assert str(next(iter(maps)).layer) == "up"
    assert "up" not in named
    torch.testing.assert_close(maps["gradcam"], raw_cams(net, x, "gradcam", 0, "up")["gradcam"])


def test_lookup_by_string():
    maps = raw_cams(seeded(MlpNet()), image(), ["gradcam", "layercam"], [0, 1], ["relu1", "relu2"])
    key = next(iter(maps))
    assert isinstance(key, MapKey)
    assert maps[str(key)] is maps[key]
    assert maps["relu2 / class 1 / layercam"].shape == (3, 5, 6)
    with pytest.raises(LookupFailed, match="names 4 maps"):
        maps["gradcam"]
    with pytest.raises(LookupFailed, match="'scorecam' names no map; there are 'gradcam / relu1"):
        maps["scorecam"]
    assert "scorecam" not in maps
    with pytest.raises(LookupFailed, match="'7' names no map"):
        maps[7]


def test_names_with_slashes_are_found():
    net = nc.wrap_model(seeded(MlpNet()), ["in/out", "in", "b"], in_channels=2)
    maps = raw_cams(net, image(), "gradcam", ["in/out", "in"], "relu2")
    for key, value in maps.items():
        assert maps[str(key)] is value
        assert maps[key.target.label] is value
    assert ["gradcam"] not in maps


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_in_its_own_precision(dtype):
    net, x = seeded(MlpNet()).to(dtype), image()
    maps = raw_cams(net, x, "hirescam", 1)
    exact = raw_cams(seeded(MlpNet()).double(), x.double(), "hirescam", 1)["hirescam"]
    tolerance = 1e-10 if dtype == torch.float64 else 0.05 * float(exact.abs().max())
    torch.testing.assert_close(maps["hirescam"].double(), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("model", "batch", "layers", "error", "sentence"),
    [
        ("net", image(), None, ModelError, "A str is no network"),
        (MlpNet(), None, None, PreparationError, "not a NoneType"),
        (MlpNet(), image().numpy(), None, PreparationError, "A batch is a torch tensor"),
        (MlpNet(), image()[0], None, PreparationError, r"Tensor of shape \(2, 10, 12\)"),
        (MlpNet(), image()[:0], None, PreparationError, r"shape \(0, 2, 10, 12\)"),
        (MlpNet(), image(), 3, LayerError, "'3' does not name a layer"),
        (MlpNet(), image(), ["relu1", None], LayerError, "'None' does not name a layer"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(model, batch, layers, error, sentence):
    with pytest.raises(error, match=sentence):
        raw_cams(model, batch, "gradcam", 0, layers)


@pytest.mark.parametrize("methods", [None, 3, MlpNet])
def test_what_is_no_method_is_a_sentence(methods):
    with pytest.raises(MethodError, match="There is no method"):
        raw_cams(MlpNet(), image(), methods, 0)
