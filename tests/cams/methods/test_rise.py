"""RISE: the masks' distribution, the sum in loops, and what a known network must show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import nn

from napari_cam.cams.methods.noise import Draws
from napari_cam.cams.methods.perturbation import RISE
from napari_cam.cams.raw import raw_cams
from napari_cam.errors import MethodError
from tests.cams.networks import MlpNet, image, seeded

pytestmark = pytest.mark.quick


def mask_in_loops(method, number, shape):
    """A mask from its definition, the enlargement by SciPy in float64."""
    grid = Draws(method.seed).uniform(2 * number, (method.cells,) * len(shape)).numpy()
    kept = (grid < method.keep).astype(float)
    cells = [int(np.ceil(length / method.cells)) for length in shape]
    shares = Draws(method.seed).uniform(2 * number + 1, (len(shape),)).tolist()[::-1]
    axes = []
    for length, cell, share in zip(shape, cells, shares, strict=True):
        large = (method.cells + 1) * cell
        centres = (np.arange(large) + 0.5) * method.cells / large - 0.5
        axes.append(centres[int(share * cell) :][:length].clip(0, method.cells - 1))
    return map_coordinates(kept, np.meshgrid(*axes, indexing="ij"), order=1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_float64_reference(ndim):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    method = RISE(masks=21, cells=3, keep=0.4, seed=2)
    found = raw_cams(net, x, method, 1)[method.label].numpy()
    for n in range(3):
        expected = np.zeros(x.shape[2:])
        for number in range(21):
            mask = mask_in_loops(method, number, x.shape[2:])
            with torch.no_grad():
                y = net(x[n : n + 1] * torch.from_numpy(mask))[0, 1]
            expected += float(y) * mask
        np.testing.assert_allclose(
            found[n], expected / (21 * 0.4), rtol=1e-5, atol=1e-6 * np.abs(expected).max()
        )


class Constant(nn.Module):
    def forward(self, x):
        return torch.tensor([[0.0, 2.0]]).expand(len(x), 2)


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_every_pixel_is_kept_as_often_as_was_asked_for(keep):
    # A network that always answers 2 shows 2 everywhere: the masks' mean is p, not another number.
    method = RISE(masks=1500, cells=3, keep=keep)
    found = raw_cams(Constant(), torch.zeros(1, 1, 9, 12), method, 1)[method.label]
    assert found.mean().item() == pytest.approx(2.0, rel=0.05)
    assert found.amin() > 2 * 0.75
    assert found.amax() < 2 * 1.25


class OnePixel(nn.Module):
    def forward(self, x):
        y = x[:, 0, 3, 9]
        return torch.stack([torch.zeros_like(y), y], 1)


def test_the_pixel_that_matters_stands_out():
    # Correlation with the mask at (3, 9): E[m^2]/p there, less everywhere else.
    x = torch.ones(1, 1, 10, 12)
    method = RISE(masks=800, cells=4)
    found = raw_cams(OnePixel(), x, method, 1)[method.label][0].numpy()
    r, c = np.unravel_index(found.argmax(), found.shape)
    assert abs(r - 3) <= 1
    assert abs(c - 9) <= 1
    assert found[3, 9] > 0.6 > found[8, 2]


def test_all_kept_is_the_plain_score():
    net, x = seeded(MlpNet()).eval(), image()
    method = RISE(masks=3, keep=1.0)
    found = raw_cams(net, x, method, 1)[method.label]
    with torch.no_grad():
        expected = net(x)[:, 1].reshape(3, 1, 1).expand_as(found)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep": 0.0}, "keep is above 0"),
        ({"keep": 1.5}, "keep is a number from 0 to 1, not 1.5"),
        ({"masks": 0}, "masks is a whole number from 1 on"),
        ({"cells": 0}, "cells is a whole number from 1 on"),
    ],
)
def test_parameters_that_make_no_sense(options, sentence):
    with pytest.raises(MethodError, match=sentence):
        RISE(**options)
