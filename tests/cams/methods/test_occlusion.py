"""Occlusion by hand, in loops and against captum."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from napari_cam.cams.methods.perturbation import Occlusion
from napari_cam.cams.raw import raw_cams
from napari_cam.errors import MethodError
from tests.cams.networks import MlpNet, image, seeded

pytestmark = pytest.mark.quick


class Sum(nn.Module):
    """y_1 = sum of x."""

    def forward(self, x):
        y = x.flatten(1).sum(1)
        return torch.stack([torch.zeros_like(y), y], 1)


def test_by_hand():
    # Windows of 2 at 0, 1, 2 over (1, 10, 100, 1000) drop 11, 110, 1100; the pixels' means follow.
    x = torch.tensor([[[[1.0, 10.0, 100.0, 1000.0]]]])
    found = raw_cams(Sum(), x, Occlusion(window=2, stride=1), 1)
    torch.testing.assert_close(
        next(iter(found.values())), torch.tensor([[[11.0, 60.5, 605.0, 1100.0]]])
    )


def test_the_last_window_ends_where_the_input_does():
    # Length 5, windows of 2 at 0, 2 and 3; a value of 1 takes away sum - 2.
    x = torch.tensor([[[[2.0, 4.0, 6.0, 8.0, 10.0]]]])
    found = raw_cams(Sum(), x, Occlusion(window=2, stride=2, value=1.0), 1)
    torch.testing.assert_close(
        next(iter(found.values())), torch.tensor([[[4.0, 4.0, 12.0, 14.0, 16.0]]])
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_float64_reference(ndim):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    method = Occlusion(window=9, stride=4, value=-0.3)
    found = raw_cams(net, x, method, 1)[method.label].numpy()
    starts = [{8: [0], 10: [0, 1], 12: [0, 3]}[length] for length in x.shape[2:]]
    for n in range(3):
        total, times = np.zeros(x.shape[2:]), np.zeros(x.shape[2:])
        for corner in product(*starts):
            box = tuple(slice(c, c + 9) for c in corner)
            covered = x[n].clone()
            covered[(slice(None), *box)] = -0.3
            with torch.no_grad():
                drop = net(x[n : n + 1])[0, 1] - net(covered[None])[0, 1]
            total[box] += float(drop)
            times[box] += 1
        np.testing.assert_allclose(found[n], total / times, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ndim", [2, 3])
def test_equals_captum_where_windows_fit(ndim):
    captum = pytest.importorskip("captum.attr")
    net, x = seeded(MlpNet(ndim)).eval(), image(ndim)
    window = (2, *(4,) * ndim)
    oracle = captum.Occlusion(net).attribute(x, window, (2, *(2,) * ndim), target=1)
    method = Occlusion(window=4, stride=2)
    torch.testing.assert_close(
        raw_cams(net, x, method, 1)[method.label], oracle[:, 0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 0}, "window is a whole number from 1 on"),
        ({"window": 4, "stride": 5}, "a stride of 5 leaves pixels between windows of 4"),
        ({"value": float("inf")}, "value is a number, not inf"),
    ],
)
def test_parameters_that_make_no_sense(options, sentence):
    with pytest.raises(MethodError, match=sentence):
        Occlusion(**options)
