"""Seeded noise: reproducible, each image's own, of the right size; and the negative control."""

from __future__ import annotations

import pytest
import torch

from napari_cam.cams.methods.control import RandomMap
from napari_cam.cams.methods.noise import Draws, noisy
from napari_cam.cams.raw import raw_cams
from tests.cams.networks import MlpNet, image, seeded


def test_a_draw_depends_on_seed_number_and_image_alone():
    one, two = image(n=2)
    first = Draws(3, one).normal(5, (4, 6))
    assert torch.equal(Draws(3, one.clone()).normal(5, (4, 6)), first)
    assert torch.equal(Draws(3, one.double()).normal(5, (4, 6)), first)
    draws = Draws(3, one)
    draws.uniform(0, (9,))
    assert torch.equal(draws.normal(5, (4, 6)), first)
    for other in (Draws(4, one), Draws(3, two), Draws(3)):
        assert not torch.equal(other.normal(5, (4, 6)), first)
    assert not torch.equal(draws.normal(6, (4, 6)), first)


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    Draws(0).normal(0, (3,))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_a_share_of_the_range():
    picture = torch.full((1, 60, 70), -2.0)
    picture[0, 0, 0] = 8.0  # range 10
    copies = noisy(picture, Draws(0, picture), torch.arange(5), 0.2)
    assert copies.shape == (5, 1, 60, 70)
    difference = copies - picture
    assert difference.std().item() == pytest.approx(2.0, rel=0.02)
    assert abs(difference.mean().item()) < 0.05
    assert not torch.allclose(copies[0], copies[1])


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_control_is_uniform_and_knows_no_class(ndim):
    net, x = seeded(MlpNet(ndim)), image(ndim)
    maps = raw_cams(net, x, "random", [0, 1], "relu1")
    found = maps["class 0"]
    assert torch.equal(found, maps["class 1"])
    assert found.shape == (3, *x.shape[2:])
    assert found.amin() >= 0
    assert found.amax() < 1
    assert found.mean().item() == pytest.approx(0.5, abs=0.05)
    assert found.var().item() == pytest.approx(1 / 12, abs=0.01)
    correlation = torch.corrcoef(found.flatten(1))
    assert correlation.fill_diagonal_(0).abs().amax() < 0.25
    other = RandomMap(seed=1)
    assert not torch.equal(raw_cams(net, x, other, 0, "relu1")[other.label], found)
