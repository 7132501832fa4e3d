"""Smooth Grad-CAM++ from its definition, in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cam.cams.methods.input_gradients import SmoothGradCAMPlusPlus
from napari_cam.cams.methods.noise import Draws
from napari_cam.cams.raw import raw_cams
from tests.cams.networks import MlpNet, image, seeded

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("ndim", [2, 3])
def test_float64_reference(ndim):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    method = SmoothGradCAMPlusPlus(samples=11, noise=0.25, seed=3)
    found = raw_cams(net, x, method, 2, "relu2")[method.label].numpy()
    single = raw_cams(seeded(MlpNet(ndim)), x.float(), method, 2, "relu2")[method.label].numpy()
    for n in range(3):
        with torch.no_grad():
            A = net.relu2(net.second(net.relu1(net.first(x[n : n + 1]))))[0].numpy()
        spread = 0.25 * float(x[n].max() - x[n].min())
        G = []
        for number in range(11):
            noise = Draws(3, x[n]).normal(number, tuple(x.shape[1:])).double()
            leaf = net.relu2(net.second(net.relu1(net.first((x[n] + spread * noise)[None]))))
            leaf = leaf.detach().requires_grad_()
            y = net.head(torch.tanh(net.hidden(net.pool(leaf).flatten(1))))[0, 2]
            G.append(torch.autograd.grad(y, leaf)[0][0].numpy())
        expected = np.zeros(A.shape[1:])
        for k in range(5):
            d1, d2, d3 = (np.mean([g[k] ** p for g in G], axis=0) for p in (1, 2, 3))
            denominator = 2 * d2 + A[k].sum() * d3
            alpha = np.where(denominator > 0, d2 / np.where(denominator > 0, denominator, 1), 0)
            expected += (alpha * np.maximum(d1, 0)).sum() * A[k]
        np.testing.assert_allclose(found[n], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(single[n], expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("ndim", [2, 3])
def test_without_noise_it_is_gradcam_plus_plus(ndim):
    net, x = seeded(MlpNet(ndim)), image(ndim)
    method = SmoothGradCAMPlusPlus(samples=2, noise=0.0)
    maps = raw_cams(net, x, [method, "gradcam++"], 1, "relu2")
    torch.testing.assert_close(maps[method.label], maps["gradcam++"], rtol=1e-5, atol=1e-6)


def test_cubes_of_small_gradients_do_not_vanish():
    # Gradients of order 1e-16: their cubes are below float32, and so is nothing of the map.
    net, x = seeded(MlpNet()), image()
    method = SmoothGradCAMPlusPlus(samples=2, noise=0.0)
    with torch.no_grad():
        net.head.weight *= 1e-15
        net.head.bias.zero_()
    maps = raw_cams(net, x, [method, "gradcam++"], 1, "relu2")
    assert maps["gradcam++"].abs().amax() > 0
    scale = 1e15
    torch.testing.assert_close(maps[method.label] * scale, maps["gradcam++"] * scale)


def test_another_seed_is_another_map_and_the_same_one_the_same():
    net, x = seeded(MlpNet()), image()
    maps = {
        seed: raw_cams(net, x, method, 1, "relu2")[method.label]
        for seed in (0, 1)
        for method in [SmoothGradCAMPlusPlus(samples=4, seed=seed)]
    }
    assert not torch.allclose(maps[0], maps[1])
    again = SmoothGradCAMPlusPlus(samples=4)
    torch.testing.assert_close(raw_cams(net, x, again, 1, "relu2")[again.label], maps[0])
