"""What all methods that ask the network again have in common, in 2D and 3D, for both tasks."""

from __future__ import annotations

import pytest
import torch

from napari_cam.cams.methods.base import Evidence
from napari_cam.cams.methods.control import RandomMap
from napari_cam.cams.methods.deeplift import LiftCAM
from napari_cam.cams.methods.full_gradients import FullGrad
from napari_cam.cams.methods.gradient import XResCAM
from napari_cam.cams.methods.input_gradients import Saliency, SmoothGrad, SmoothGradCAMPlusPlus
from napari_cam.cams.methods.perturbation import RISE, Occlusion
from napari_cam.cams.raw import compute, raw_cams
from napari_cam.errors import MethodError
from napari_cam.models.hooks import LayerRef
from tests.cams.networks import MlpNet, image, seeded
from tests.cams.pixels import MeanOver, UNet, even_image

METHODS = [
    SmoothGradCAMPlusPlus(samples=9),
    LiftCAM(),
    FullGrad(),
    Saliency(),
    SmoothGrad(samples=5),
    Occlusion(window=6, stride=4),
    RISE(masks=20, cells=3),
    RandomMap(),
    XResCAM(window=3),
]


@pytest.mark.parametrize("ndim", [2, 3])
def test_independent_of_batch_size_composition_and_order(ndim):
    net, x = seeded(MlpNet(ndim)), image(ndim, n=5)
    whole = raw_cams(net, x, METHODS, 1, "relu1")
    reverse = raw_cams(net, x.flip(0), METHODS[::-1], 1, "relu1")
    for key, value in whole.items():
        assert value.std() > 0
        atol = 1e-5 * float(value.abs().amax())
        torch.testing.assert_close(reverse[key].flip(0), value, rtol=1e-5, atol=atol)
        single = torch.cat(
            [raw_cams(net, x[i : i + 1], key.method, 1, "relu1")[key] for i in range(5)]
        )
        torch.testing.assert_close(single, value, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_score_over_pixels_of_a_segmentation_network(ndim, norm):
    net, x = seeded(UNet(ndim, norm)), even_image(ndim)
    methods = [m for m in METHODS if norm == "batch" or not isinstance(m, LiftCAM)]
    layer = LayerRef.parse("relu#2")
    maps = compute(net, x, methods, [MeanOver()], [layer]).maps
    for key, value in maps.items():
        space = x.shape[2:] if key.method.space == "input" else [n // 2 for n in x.shape[2:]]
        assert value.shape == (3, *space)
        assert value.isfinite().all()
        assert value.std() > 0


@pytest.mark.parametrize("ndim", [2, 3])
def test_methods_of_the_input_need_no_layer(ndim):
    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3] * torch.tensor([1.0, 2.0, 3.0])

    maps = raw_cams(Flat(), image(ndim), ["saliency", "fullgrad"], 1)
    for value in maps.values():
        assert value.flatten(1)[:, 1].min() > 0


@pytest.mark.parametrize("method", METHODS[:-1], ids=lambda m: m.name)
def test_without_a_network_to_ask_it_is_a_sentence(method):
    with pytest.raises(MethodError, match="asks the network again, and was not given it"):
        method.raw(Evidence(image()))


class Lifted(torch.nn.Module):
    """A 2D network as a 3D one with kernels of depth 1."""

    def __init__(self, flat):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for conv in (flat.first, flat.second):
            deep = torch.nn.Conv3d(
                conv.in_channels, conv.out_channels, (1, 3, 3), (1, *conv.stride), (0, 1, 1)
            )
            deep.weight = torch.nn.Parameter(conv.weight.detach()[:, :, None])
            deep.bias = torch.nn.Parameter(conv.bias.detach())
            self.layers.append(deep)
        self.relu1, self.relu2 = torch.nn.ReLU(), torch.nn.ReLU()
        self.pool = torch.nn.AdaptiveAvgPool3d((1, 2, 2))
        self.hidden, self.head = flat.hidden, flat.head

    def forward(self, x):
        x = self.relu2(self.layers[1](self.relu1(self.layers[0](x))))
        return self.head(torch.tanh(self.hidden(self.pool(x).flatten(1))))


@pytest.mark.parametrize(
    "method", [m for m in METHODS if not isinstance(m, RISE)], ids=lambda m: m.name
)
def test_a_2d_network_lifted_to_3d_with_depth_1_gives_the_same(method):
    flat, x = seeded(MlpNet()), image()
    one = raw_cams(flat, x, method, 1, "relu1")
    other = raw_cams(Lifted(flat), x[:, :, None], method, 1, "relu1")
    (found,), (expected,) = other.values(), one.values()
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)
