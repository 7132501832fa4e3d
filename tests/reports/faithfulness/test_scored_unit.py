"""Scoring a unit leaves no trace, survives a lack of memory, and notices what draws lots."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import napari_cam as nc
from napari_cam.models.architectures.building import build
from napari_cam.reports.faithfulness.network.curves import curves_of
from napari_cam.reports.faithfulness.network.randomisation import (
    FLOORS,
    cascade,
    floor_maps,
    random_network,
)
from napari_cam.reports.faithfulness.network.scored_unit import unstable
from napari_cam.reports.faithfulness.settings import CurveSettings
from tests.reports.faithfulness.linear import Weighted, model_of, unit_of

CPU = torch.device("cpu")


def small_network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build("gap-cnn", 2, 1, 2, widths=(4, 6), pools=(2, 1))


def test_a_lack_of_memory_changes_nothing():
    rng = np.random.default_rng(0)
    image, heat = rng.random((12, 15)), rng.random((12, 15), dtype=np.float32)
    weights = rng.normal(size=(12, 15))
    plenty, little = (
        curves_of(unit_of(Weighted(weights, most), image), heat, CurveSettings())
        for most in (10_000, 2)
    )
    for name in ("deletion", "insertion", "morf", "lerf"):
        assert getattr(plenty, name) == pytest.approx(getattr(little, name), abs=1e-4)


def test_a_unit_that_does_not_fit_at_all_says_so():
    with pytest.raises(torch.OutOfMemoryError):
        unit_of(Weighted(np.ones((4, 5)), 0), np.ones((4, 5)))


def test_the_network_is_left_as_it_was():
    module = small_network()
    module.train()
    module.features[0].eval() if hasattr(module, "features") else None
    flags = [part.training for part in module.modules()]
    before = copy.deepcopy(module.state_dict())
    random_state = torch.get_rng_state()
    volume = nc.Volume.from_array(np.random.default_rng(0).random((3, 16, 20), np.float32))
    model = model_of(module)
    maps = nc.explain(model, volume, ["gradcam"], ["yes"])
    nc.faithfulness_report(
        *(maps, model),
        image=volume,
        curves=CurveSettings(steps=3, removed=(0.5,)),
        stages=1,
        random_networks=1,
        resamples=50,
        units=[1],
    )
    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())


class DrawsLots(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=True).flatten(1)[:, :2]


def test_a_network_that_draws_random_numbers_is_noticed():
    batch = np.random.default_rng(0).random((2, 1, 6, 7), dtype=np.float32)
    state = torch.get_rng_state()
    assert unstable(model_of(DrawsLots()), batch, CPU) > 0.1
    assert unstable(model_of(small_network()), batch, CPU) == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_the_cascade_begins_at_the_output_and_ends_with_all():
    model = model_of(small_network())
    own = {name: value.clone() for name, value in model.module.state_dict().items()}
    changed = []
    for _, other in cascade(model, 3, seed=0):
        now = other.module.state_dict()
        changed.append({n for n, v in now.items() if v.ndim > 1 and not torch.equal(v, own[n])})
    weights = [name for name, value in own.items() if value.ndim > 1]
    assert changed[0] < changed[1] < changed[2] == set(weights)
    assert weights[-1] in changed[0]
    assert weights[0] not in changed[1]
    assert all(torch.equal(value, own[name]) for name, value in model.module.state_dict().items())


def test_random_weights_keep_the_size_of_the_signal_and_follow_the_seed():
    model = model_of(small_network())
    a, b, c = (random_network(model, seed).module.state_dict() for seed in (1, 1, 2))
    name = [key for key, value in a.items() if value.ndim == 4][-1]
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])
    fan_in = a[name][0].numel()
    assert float(a[name].std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.15)


def test_floors_know_the_foreground_and_nothing_of_the_network():
    image = np.random.default_rng(0).random((2, 21, 30)).astype(np.float32)
    foreground = np.zeros((21, 30), bool)
    foreground[4:9, 10:19] = True
    maps = floor_maps(image, foreground, seed=5)
    assert tuple(maps) == FLOORS
    assert np.unravel_index(maps["centred Gaussian"].argmax(), (21, 30)) == (6, 14)
    assert maps["image intensity"][~foreground].max() == 0
    inside = image.mean(axis=0)[foreground]
    assert maps["image intensity"][foreground] == pytest.approx(inside - inside.min())
    assert np.array_equal(maps["random"], floor_maps(image, None, seed=5)["random"])
    # A smooth map resembles its neighbours, a random one does not.
    assert np.corrcoef(maps["random"][:, 1:].ravel(), maps["random"][:, :-1].ravel())[0, 1] < 0.2
    smooth = maps["smooth random"]
    assert np.corrcoef(smooth[:, 1:].ravel(), smooth[:, :-1].ravel())[0, 1] > 0.7
