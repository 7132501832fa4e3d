"""Saliency and SmoothGrad against finite differences and captum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_cam.cams.methods.input_gradients import SmoothGrad
from napari_cam.cams.methods.noise import Draws
from napari_cam.cams.raw import raw_cams
from napari_cam.errors import MethodError
from tests.cams.networks import MlpNet, image, seeded

pytestmark = pytest.mark.quick


class Squares(nn.Module):
    """y_1 = sum of x_0^2 + 3 x_1, so that |dy/dx| = (2 |x_0|, 3)."""

    def forward(self, x):
        y = (x[:, 0].square() + 3 * x[:, 1]).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(y), y], 1)


def test_saliency_by_hand():
    x = torch.zeros(1, 2, 1, 3)
    x[0, 0, 0] = torch.tensor([1.0, -2.0, 4.0])
    torch.testing.assert_close(
        raw_cams(Squares(), x, "saliency", 1)["saliency"], torch.tensor([[[3.0, 4.0, 8.0]]])
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_saliency_against_finite_differences(ndim):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    found = raw_cams(net, x, "saliency", 2)["saliency"]
    assert found.shape == (3, *x.shape[2:])
    rng = np.random.default_rng(0)
    for place in rng.integers(0, x.shape[2:], (6, ndim)):
        slopes = []
        for channel in range(2):
            step = torch.zeros_like(x)
            step[(slice(None), channel, *place)] = 1e-6
            with torch.no_grad():
                slopes.append((net(x + step)[:, 2] - net(x - step)[:, 2]) / 2e-6)
        expected = torch.stack(slopes).abs().amax(0)
        torch.testing.assert_close(found[(slice(None), *place)], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("ndim", [2, 3])
def test_saliency_equals_captum(ndim):
    captum = pytest.importorskip("captum.attr")
    net, x = seeded(MlpNet(ndim)).eval(), image(ndim)
    oracle = captum.Saliency(net).attribute(x.clone().requires_grad_(), target=1).amax(1)
    torch.testing.assert_close(raw_cams(net, x, "saliency", 1)["saliency"], oracle)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_smoothgrad_in_loops(ndim, signed):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    method = SmoothGrad(samples=7, noise=0.3, signed_mean=signed, seed=5)
    found = raw_cams(net, x, method, 1)[method.label]
    for n in range(3):
        spread = 0.3 * float(x[n].max() - x[n].min())
        total = np.zeros(tuple(x.shape[1:]))
        for number in range(7):
            noise = Draws(5, x[n]).normal(number, tuple(x.shape[1:])).double()
            leaf = (x[n] + spread * noise)[None].requires_grad_()
            (g,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
            total += g[0].numpy() if signed else np.abs(g[0].numpy())
        np.testing.assert_allclose(found[n], np.abs(total / 7).max(0), rtol=1e-9)


def test_without_noise_smoothgrad_is_saliency():
    net, x = seeded(MlpNet()), image()
    method = SmoothGrad(samples=3, noise=0.0)
    torch.testing.assert_close(
        raw_cams(net, x, method, 1)[method.label], raw_cams(net, x, "saliency", 1)["saliency"]
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"samples": 0}, "samples is a whole number from 1 on, not 0"),
        ({"samples": 2.5}, "samples is a whole number from 1 on, not 2.5"),
        ({"noise": -0.1}, "noise is a number from 0 on, not -0.1"),
        ({"noise": float("nan")}, "noise is a number from 0 on, not nan"),
        ({"seed": -1}, "seed is a whole number from 0 on, not -1"),
        ({"seed": True}, "seed is a whole number from 0 on, not True"),
    ],
)
def test_parameters_that_make_no_sense(options, sentence):
    with pytest.raises(MethodError, match=sentence):
        SmoothGrad(**options)
