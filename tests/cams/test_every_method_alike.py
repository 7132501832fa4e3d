"""What must not change the map of any method, for both tasks, in 2D and 3D."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import napari_cam as nc
from napari_cam.cams.keys import MapKey
from napari_cam.cams.methods import full_gradients, input_gradients, perturbation
from napari_cam.cams.methods.table import METHODS
from napari_cam.cams.network import rescoring
from napari_cam.cams.network.replay import Replay
from napari_cam.cams.raw import compute
from napari_cam.cams.stitching import compute_in_windows
from napari_cam.cams.targets.region_score import bind_inputs
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.cams.windows import Windows
from napari_cam.models.hooks import LayerRef
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Slices
from tests.cams.networks import seeded
from tests.cams.pixels import UNet, even_image, normalisation
from tests.cams.settings import SMALL, TASKS, names_for

CASES = [(name, task) for task in TASKS for name in names_for(task)]

every_method = pytest.mark.parametrize(("name", "task"), CASES)
both_tasks = pytest.mark.parametrize("task", TASKS)
both_sizes = pytest.mark.parametrize("ndim", [2, 3])


class Classifier(nn.Module):
    """Two blocks with norms, global average pooling, one linear layer: (n, 2, *s) -> (n, 3)."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        self.first, self.second = conv(2, 4, 3, padding=1), conv(4, 6, 3, padding=1, stride=2)
        self.norm1, self.norm2 = (normalisation("batch", ndim, k) for k in (4, 6))
        self.pool = nn.MaxPool2d(2) if ndim == 2 else nn.MaxPool3d(2)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.pool(self.relu1(self.norm1(self.first(x))))
        x = self.relu2(self.norm2(self.second(x)))
        return self.head(x.flatten(2).mean(2))


def network(task, ndim):
    return seeded(Classifier(ndim) if task == "classification" else UNet(ndim)).eval()


def layer_of(name, task):
    """Return a layer with more than linear operations after it, but for CAM, which has none."""
    if task == "segmentation":
        return "bottleneck"
    return "relu2" if name == "cam" else "relu1"


def target_of(task, size):
    if task == "classification":
        return ClassScore(1)
    mask = np.zeros(size, bool)
    mask[..., 2:9, 3:12] = True
    return nc.RegionScore(1, mask)


def run(net, x, name, task, optimize=False):
    """Return the map (n, *f) of one method, and how the network ran."""
    target = target_of(task, x.shape[2:])
    layers = [LayerRef(layer_of(name, task))]
    bound = bind_inputs([target], x.shape)
    cams = compute(net, x, [SMALL[name]], [target], layers, None, optimize, bound)
    (found,) = cams.maps.values()
    return found, cams.path


def assert_same(found, expected, tolerance=1e-5):
    assert float(expected.std()) > 0
    peak = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * peak)


@both_sizes
@every_method
def test_batch_and_order_do_not_matter(name, task, ndim):
    net, x = network(task, ndim), even_image(ndim)
    whole, _ = run(net, x, name, task)
    assert_same(run(net, x.flip(0), name, task)[0].flip(0), whole)
    for i in range(len(x)):
        assert_same(run(net, x[i : i + 1], name, task)[0], whole[i : i + 1])


@both_sizes
@both_tasks
def test_company_and_its_order_do_not_matter(task, ndim):
    net, x = network(task, ndim), even_image(ndim, n=2)
    size = x.shape[2:]
    targets = [target_of(task, size), ClassScore(0)]
    if task == "segmentation":
        targets[1] = nc.RegionScore(0, "all")
    layers = [LayerRef("relu2"), LayerRef("relu1")]
    if task == "segmentation":
        layers = [LayerRef("bottleneck"), LayerRef("joined")]
    names = [name for name in names_for(task) if name != "cam"]
    methods = [SMALL[name] for name in names]
    bound = bind_inputs(targets, x.shape)
    one = compute(net, x, methods, targets, layers, bound=bound).maps
    backwards = (methods[::-1], targets[::-1], layers[::-1])
    other = compute(net, x, *backwards, bound=bound).maps
    for key, expected in one.items():
        assert_same(other[key], expected)
    for name in names:
        alone, _ = run(net, x, name, task)
        layer = LayerRef("input" if METHODS[name].space == "input" else layer_of(name, task))
        assert_same(alone, one[MapKey(SMALL[name], layer, targets[0].resolved(None))])


@pytest.mark.parametrize("rows", [1, 3])
@both_sizes
@every_method
def test_chunks_do_not_matter(name, task, ndim, rows, monkeypatch):
    net, x = network(task, ndim), even_image(ndim, n=2)
    expected, _ = run(net, x, name, task)
    monkeypatch.setattr(full_gradients, "_CHUNK", rows)
    monkeypatch.setattr(perturbation, "_MASKS_AT_ONCE", rows)
    for own in ("_CHUNK", "_NOISY_COPIES"):
        monkeypatch.setattr(input_gradients, own, rows)
    monkeypatch.setattr(rescoring, "_MOST_ROWS", rows)
    assert_same(run(net, x, name, task)[0], expected)


@both_sizes
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["ablationcam"])
def test_the_part_above_the_layer_is_as_good_as_all(name, task, ndim, monkeypatch):
    net, x = network(task, ndim), even_image(ndim, n=2)
    runs = []
    replayed = Replay.run
    monkeypatch.setattr(Replay, "run", lambda self, maps: runs.append(1) or replayed(self, maps))
    part, _ = run(net, x, name, task)
    assert runs, "nothing was replayed"
    monkeypatch.setattr(rescoring, "find_replay", lambda *_: None)
    runs.clear()
    whole, _ = run(net, x, name, task)
    assert not runs
    assert_same(part, whole)


DEEP = {
    nn.Conv2d: nn.Conv3d,
    nn.ConvTranspose2d: nn.ConvTranspose3d,
    nn.BatchNorm2d: nn.BatchNorm3d,
    nn.MaxPool2d: nn.MaxPool3d,
}


def lifted(net):
    """Return a 2D network as a 3D one for volumes of one slice."""
    deep = copy.deepcopy(net)
    for name, part in list(deep.named_modules()):
        if type(part) not in DEEP:
            continue
        if isinstance(part, nn.MaxPool2d):
            made = nn.MaxPool3d((1, part.kernel_size, part.kernel_size))
        elif isinstance(part, nn.BatchNorm2d):
            made = nn.BatchNorm3d(part.num_features).eval()
            made.load_state_dict(part.state_dict())
        else:
            sizes = (1, *part.kernel_size), (1, *part.stride), (0, *part.padding)
            made = DEEP[type(part)](part.in_channels, part.out_channels, *sizes)
            made.weight = nn.Parameter(part.weight.detach()[:, :, None].clone())
            made.bias = nn.Parameter(part.bias.detach().clone())
        owner, _, last = name.rpartition(".")
        setattr(deep.get_submodule(owner), last, made)
    return deep.eval()


@every_method
def test_a_2d_network_lifted_to_volumes_of_one_slice_gives_the_same(name, task):
    flat, x = network(task, 2), even_image(2)
    expected, _ = run(flat, x, name, task)
    found, _ = run(lifted(flat), x[:, :, None], name, task)
    assert found.shape == (3, 1, *expected.shape[1:])
    assert_same(found[:, 0], expected, 2e-5)


@both_sizes
@every_method
def test_the_folded_copy_gives_the_same(name, task, ndim):
    net, x = network(task, ndim), even_image(ndim)
    plain, path = run(net, x, name, task)
    assert path == "plain"
    fast, path = run(net, x, name, task, optimize=True)
    # CAM reads what leaves the last norm, and that norm folds as well.
    assert path.startswith(("optimized: 2", "optimized: 3", "optimized: 4"))
    assert_same(fast, plain, 1e-4)


@both_sizes
@every_method
def test_one_window_over_everything_changes_nothing(name, task, ndim):
    net, x = network(task, ndim), even_image(ndim)
    size = tuple(x.shape[2:])
    target = target_of(task, size)
    asked = ([SMALL[name]], [target], [LayerRef(layer_of(name, task))])
    bound = bind_inputs([target], x.shape)
    found = compute_in_windows(net, x, Windows(size), *asked, bound=bound)
    plain, _ = run(net, x, name, task)
    mode = "bilinear" if ndim == 2 else "trilinear"
    expected = F.interpolate(plain[:, None], size=size, mode=mode)[:, 0]
    (maps,) = found.maps.values()
    assert_same(maps, expected, 2e-5)


@both_sizes
@every_method
def test_explaining_through_one_window_gives_the_same_heatmap(name, task, ndim):
    # With their signs: a map is enlarged before its windows are added up, and rectified after.
    x = even_image(ndim, n=1)[0]
    size = tuple(x.shape[1:])
    names = ["ground", "disc", "ring"]
    steps = (Channels("as_is", count=2),)
    preparation = Preparation((Slices(), *steps) if ndim == 2 else steps)
    layer = layer_of(name, task)
    net = network(task, ndim)
    model = nc.wrap_model(net, names, 2, ndim, task, default_layer=layer, preparation=preparation)
    target = target_of(task, size if ndim == 3 else (1, *size))
    volume = nc.Volume.from_array(x.numpy(), channel_axis=0)
    method = replace(SMALL[name], relu="none")
    plain, window = (
        nc.explain_one(model, volume, method, target, normalize="none", windows=each)
        for each in (None, size)
    )
    assert plain.provenance["windows"] is None
    assert window.provenance["windows"]["size"] == list(size)
    peak = np.abs(plain.values).max()
    assert (peak > 0) == plain.valid.all()
    np.testing.assert_allclose(window.values, plain.values, rtol=1e-4, atol=1e-4 * peak)
    np.testing.assert_array_equal(window.valid, plain.valid)
