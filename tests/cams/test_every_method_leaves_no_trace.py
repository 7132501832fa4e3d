"""No method changes the network or the surroundings it runs in, whatever happens meanwhile."""

from __future__ import annotations

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import napari_cam as nc
from napari_cam.cams.explain import explain_units
from napari_cam.errors import ModelError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Slices
from tests.cams.network.test_tap import Untouched
from tests.cams.pixels import even_image
from tests.cams.settings import SMALL
from tests.cams.test_every_method_alike import (
    both_sizes,
    every_method,
    layer_of,
    network,
    run,
    target_of,
)


class Tripwire(nn.Module):
    """Hands on what it gets, until it breaks; copies of it count together."""

    calls = 0
    last = None
    error: type[BaseException] = RuntimeError

    def forward(self, x):
        Tripwire.calls += 1
        if Tripwire.last is not None and Tripwire.calls >= Tripwire.last:
            raise Tripwire.error("the wire was tripped")
        return x


@pytest.fixture(autouse=True)
def _wire_is_whole():
    Tripwire.calls, Tripwire.last = 0, None
    yield
    Tripwire.calls, Tripwire.last = 0, None


class AsItWas(Untouched):
    """The network, and the state of everything around it."""

    def look(self):
        hooks = ("_backward_pre_hooks", "_forward_hooks_with_kwargs", "_state_dict_hooks")
        return super().look() | {
            "names": [name for name, _ in self.module.named_modules()],
            "attributes": [sorted(vars(part)) for part in self.module.modules()],
            "other hooks": [len(getattr(p, each)) for p in self.module.modules() for each in hooks],
            "modes": (torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
            "precision": (
                torch.backends.cudnn.allow_tf32,
                torch.get_float32_matmul_precision(),
                torch.get_default_dtype(),
            ),
            "numpy": str(np.random.get_state()),  # noqa: NPY002
            "python": random.getstate(),
            "functions": len(torch.overrides._get_current_function_mode_stack()),
        }

    def check(self):
        super().check()
        now = self.look()
        for name in ("names", "attributes", "other hooks", "modes", "precision"):
            assert now[name] == self.before[name], name
        assert now["numpy"] == self.before["numpy"]
        assert now["python"] == self.before["python"]
        assert now["functions"] == self.before["functions"]


def wired(task, ndim):
    net = network(task, ndim)
    net.head = nn.Sequential(Tripwire(), net.head)
    return net.eval()


def in_use(net):
    """Return a network as someone may have left it: half frozen, in training, with gradients."""
    net.train()
    net.head[1].eval()
    next(net.parameters()).requires_grad_(False)
    net.head[1].weight.grad = torch.ones_like(net.head[1].weight)
    return net


def hooked(net, met):
    net.head.register_forward_hook(lambda *_: met.append("after"))
    net.register_forward_pre_hook(lambda *_: met.append("before"))
    return net


@both_sizes
@every_method
def test_modes_flags_and_hooks_of_the_user(name, task, ndim):
    x, met = even_image(ndim, n=2), []
    expected, _ = run(wired(task, ndim), x, name, task)
    net = hooked(in_use(wired(task, ndim)), met)
    kept = AsItWas(net)
    for mode in (nullcontext, torch.no_grad, torch.inference_mode):
        with mode():
            found, _ = run(net, x.clone(), name, task, optimize=mode is nullcontext)
        assert torch.equal(found, expected)
        assert not found.requires_grad
        assert not found.is_inference()
        kept.check()
    assert met
    assert met.count("before") <= met.count("after")  # parts of the network run alone
    net.requires_grad_(False)
    kept = AsItWas(net)
    assert torch.equal(run(net, x, name, task)[0], expected)
    kept.check()


@pytest.mark.parametrize(
    ("optimize", "error"), [(False, RuntimeError), (True, RuntimeError), (False, KeyboardInterrupt)]
)
@both_sizes
@every_method
def test_after_an_error_in_the_middle(name, task, ndim, optimize, error):
    net, x = in_use(wired(task, ndim)), even_image(ndim, n=2)
    kept = AsItWas(net)
    expected, _ = run(net, x, name, task, optimize)  # the private copy is made here
    Tripwire.calls = 0
    assert torch.equal(run(net, x, name, task, optimize)[0], expected)
    assert Tripwire.calls >= 1
    for last in sorted({1, (Tripwire.calls + 1) // 2, Tripwire.calls}):
        Tripwire.calls, Tripwire.last, Tripwire.error = 0, last, error
        with pytest.raises(ModelError if error is RuntimeError else error, match="tripped"):
            run(net, x, name, task, optimize)
        kept.check()
    Tripwire.last = None
    assert torch.equal(run(net, x, name, task, optimize)[0], expected)
    kept.check()


@every_method
def test_after_a_cancel(name, task):
    net = in_use(wired(task, 2))
    names = ["ground", "disc", "ring"]
    steps = Preparation((Slices(), Channels("as_is", count=2)))
    layer = layer_of(name, task)
    model = nc.wrap_model(net, names, 2, 2, task, default_layer=layer, preparation=steps)
    x = even_image(n=4)
    target = target_of(task, x.shape[2:])
    if task == "segmentation":
        target = nc.RegionScore(1, np.broadcast_to(target.region.values, (4, *x.shape[2:])))
    volume = nc.Volume.from_array(x.numpy(), channel_axis=1)
    kept = AsItWas(net)
    parts = explain_units(model, volume, SMALL[name], target, units=[3, 0, 1], batch_size=1)
    first = next(parts)
    kept.check()
    parts.close()
    kept.check()
    assert first.units == (3,)
    whole = nc.explain(model, volume, SMALL[name], target, units=[3])
    assert whole.keys() == first.maps.keys()
    alone, _ = run(net, x[3:], name, task)
    (found,) = first.maps.values()
    tolerance = 1e-4 * float(alone.abs().max())
    torch.testing.assert_close(torch.from_numpy(found), alone, rtol=1e-4, atol=tolerance)
    kept.check()
