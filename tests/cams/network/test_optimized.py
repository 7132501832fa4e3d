"""The folded copy gives the same maps, and leaves the user's network as it was."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from napari_cam.cams import plan
from napari_cam.cams.explain import explain, explain_units
from napari_cam.cams.keys import MapKey, as_layers
from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.methods.table import as_methods
from napari_cam.cams.network import optimized
from napari_cam.cams.network.optimized import Runner, choose_runner, forget_runner
from napari_cam.cams.raw import compute
from napari_cam.cams.targets.arguments import as_targets
from napari_cam.models.architectures.building import build
from napari_cam.models.hooks import LayerRef
from napari_cam.models.loaded import wrap_model
from tests.cams.network.test_folding import trained
from tests.cams.networks import SharedNet, SkipNet, seeded

SIX = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigengradcam")


class Small(nn.Module):
    """Three convolutions with norms; the middle one lies beside a skip connection."""

    def __init__(self, ndim=2):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if ndim == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv1, self.norm1 = conv(2, 6, 3, padding=1), norm(6)
        self.conv2, self.norm2 = conv(6, 6, 3, padding=1), norm(6)
        self.conv3, self.norm3 = conv(6, 7, 3, stride=2), norm(7)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(7, 4)

    def forward(self, x):
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(x + self.norm2(self.conv2(x)))
        x = self.relu(self.norm3(self.conv3(x)))
        return self.head(torch.tanh(x.flatten(2).mean(2)))


def small(ndim=2):
    return trained(seeded(Small(ndim)))


def noise(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cams(net, x, methods=SIX, layers=None, optimize=True, autocast=None):
    wanted = as_methods(methods)
    places = as_layers(layers, None, net, x, wanted)
    return compute(net, x, wanted, as_targets(1, None), places, autocast, optimize)


def assert_same_maps(net, x, layers=None, tolerance=1e-4):
    fast, plain = (cams(net, x, layers=layers, optimize=flag) for flag in (True, False))
    assert plain.path == "plain"
    torch.testing.assert_close(fast.output, plain.output, rtol=0, atol=2e-5 * peak(plain.output))
    for key, expected in plain.maps.items():
        found = fast.maps[key]
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * peak(expected))
    return fast.path


def peak(tensor):
    return float(tensor.abs().max())


def test_two_and_three_dimensions_fold_every_norm():
    folded = "optimized: 3 batch norms folded, channels last"
    assert assert_same_maps(small(), noise(3, 2, 20, 24)) == folded
    assert assert_same_maps(small(3), noise(3, 2, 9, 10, 12)) == folded


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 64),
        ("densenet121", 64),
        ("vgg16-gap", 64),
        ("googlenet", 64),
        ("mobilenet_v3_small", 64),
        ("shufflenet_v2_x1_0", 64),
        ("squeezenet1_1", 64),
        ("efficientnet_b0", 64),
        ("regnet_y_400mf", 64),
        ("convnext_tiny", 64),
        ("inception_v3", 96),
    ],
)
def test_every_family_gives_the_same_maps(name, size):
    torch.manual_seed(0)
    net = build(name, 5).eval()
    assert assert_same_maps(net, noise(2, 3, size, size + 16)).startswith("optimized")


@pytest.mark.parametrize(
    ("name", "folded"), [("resnet18", 20), ("densenet121", 59), ("vgg16_bn", 13)]
)
def test_how_many_norms_fold(name, folded):
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None, num_classes=5).eval()
    # 2 norms a dense layer: the first lies before its convolution, as do those of transitions.
    path = choose_runner(net, noise(1, 3, 64, 64)).path
    assert path == f"optimized: {folded} batch norms folded, channels last"


@pytest.mark.parametrize("layer", ["conv1", "norm1", "conv2", "norm2", "conv3", "relu#1"])
def test_a_target_layer_means_the_same_tensor(layer):
    net, x = small(), noise(3, 2, 20, 24)
    path = assert_same_maps(net, x, [layer])
    assert path.startswith(f"optimized: {2 if layer.startswith('conv') else 3} ")
    # All at once leave no pair; and what was asked before leaves no trace.
    assert assert_same_maps(net, x, ["conv1", "conv2", "conv3", "norm3"]).startswith("optimized: 0")
    assert assert_same_maps(net, x, ["norm3"]).startswith("optimized: 3")


def test_a_wrapper_around_the_convolution_is_the_same_target():
    net = trained(
        nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 6, 3)),
            nn.BatchNorm2d(6),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 4),
        )
    )
    assert assert_same_maps(net, noise(3, 2, 20, 24), ["0"]).startswith("optimized: 0")
    assert assert_same_maps(net, noise(3, 2, 20, 24), ["1"]).startswith("optimized: 1")


def test_skips_and_shared_convolutions_stay_right():
    assert_same_maps(trained(seeded(SkipNet())), noise(3, 2, 20, 24))
    assert_same_maps(seeded(SharedNet()).eval(), noise(3, 2, 20, 24), ["relu#2"])


def test_the_users_network_is_untouched():
    net, x = small().train(), noise(3, 2, 20, 24)
    net.norm2.eval()
    net.conv2.weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    strides = {name: tensor.stride() for name, tensor in net.state_dict().items()}
    attributes = {name: set(vars(part)) for name, part in net.named_modules()}
    flags = [part.training for part in net.modules()]
    wanting = [parameter.requires_grad for parameter in net.parameters()]
    assert cams(net, x).path.startswith("optimized: 3")
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.stride() == strides[name]
    assert {name: set(vars(part)) for name, part in net.named_modules()} == attributes
    assert [part.training for part in net.modules()] == flags
    assert [parameter.requires_grad for parameter in net.parameters()] == wanting
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(part._forward_hooks for part in net.modules())


def test_only_convolutions_are_held_twice():
    net, x = small(), noise(1, 2, 20, 24)
    runner = choose_runner(net, x)
    assert runner.module.head.weight.data_ptr() == net.head.weight.data_ptr()
    assert runner.module.conv1.weight.data_ptr() != net.conv1.weight.data_ptr()


def test_the_copy_is_kept_until_a_weight_changes():
    net, x = small(), noise(3, 2, 20, 24)
    first = choose_runner(net, x).module
    assert choose_runner(net, x).module is first
    assert choose_runner(net, noise(2, 2, 30, 28)).module is first
    with torch.no_grad():
        net.norm1.running_mean += 1
    assert choose_runner(net, x).module is not first
    assert_same_maps(net, x)
    net.relu = nn.Tanh()
    assert_same_maps(net, x)


def test_the_copy_goes_with_the_network():
    net, x = small(), noise(3, 2, 20, 24)
    gone = weakref.ref(choose_runner(net, x).module)
    del net
    gc.collect()
    assert gone() is None


def hooked(net):
    net.relu.register_forward_hook(lambda *_: None)
    return net


def normed(net):
    weight_norm(net.conv2)
    return net


class Viewing(Small):
    """Asks for a view that exists in one memory layout alone."""

    def forward(self, x):
        y = self.norm1(self.conv1(x))
        return self.head(y.view(len(x), -1)[:, :7]) + y.mean((2, 3))[:, :4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (hooked, "plain: hooks"),
        (normed, "plain: parametrized weights"),
        (lambda net: net.double(), "plain: weights that are not float32"),
    ],
)
def test_unusual_networks_run_as_they_are(change, reason):
    net = change(small())
    x = noise(3, 2, 20, 24).to(net.head.weight.dtype)
    runner = choose_runner(net, x)
    assert runner.module is net
    assert runner.path == reason
    assert_same_maps(net, x)


def test_a_network_that_needs_its_layout_keeps_it():
    net = trained(seeded(Viewing()))
    assert assert_same_maps(net, noise(3, 2, 20, 24), ["norm1"]) == (
        "optimized: 1 batch norms folded"
    )


def test_a_copy_that_differs_is_not_used():
    class Sly(Small):
        def forward(self, x):
            return super().forward(x) * self.norm1.scale

    net = trained(seeded(Sly()))
    net.norm1.scale = 3.0  # read beside the norm itself, which the copy lacks
    runner = choose_runner(net, noise(3, 2, 20, 24))
    assert runner.module is net
    assert runner.path == "plain: ModelError in the copy"


def test_a_network_that_cannot_be_copied():
    net = small()
    net.lock = threading.Lock()
    runner = choose_runner(net, noise(3, 2, 20, 24))
    assert runner.module is net
    assert runner.path == "plain: TypeError in the copy"


def test_a_forward_that_belongs_to_another_network():
    net = small()
    inner = net.norm1.forward
    # Bound to the user's norm, which then runs after a convolution that holds it already.
    net.relu.forward = lambda x: torch.relu(x if x.shape[1] == 7 else inner(x))
    net.norm1.forward = lambda x: x
    assert_same_maps(net, noise(3, 2, 20, 24))


def test_a_blank_image_proves_nothing_and_is_not_asked():
    net = small()
    assert choose_runner(net, torch.zeros(1, 2, 20, 24)).path.startswith("optimized: 3")
    assert choose_runner(small(), torch.full((1, 2, 20, 24), torch.nan)).path.startswith("optim")


def test_a_layer_that_does_not_exist_is_not_held_against_the_network():
    net, x = small(), noise(1, 2, 20, 24)
    assert choose_runner(net, x, [LayerRef("nowhere")]).module is net
    assert choose_runner(net, x).path.startswith("optimized")


@pytest.mark.parametrize("size", [(20, 24), (200, 150)])
def test_networks_that_want_one_size_are_looked_at_in_it(size):
    class Sized(Small):
        def forward(self, x):
            if tuple(x.shape[2:]) != size:
                raise ValueError("wrong size")
            return super().forward(x)

    net = trained(seeded(Sized()))
    assert assert_same_maps(net, noise(2, 2, *size)).startswith("optimized: 3")


def test_mixed_precision_is_as_good_as_without_the_copy():
    net, x = small(), noise(3, 2, 20, 24)
    exact = cams(net, x, "gradcam", optimize=False).maps["gradcam"]
    errors = []
    for flag in (True, False):
        found = cams(net, x, "gradcam", optimize=flag, autocast=torch.bfloat16).maps["gradcam"]
        errors.append(peak(found - exact) / peak(exact))
    assert max(errors) < 0.1, errors


def test_many_threads_share_one_copy():
    net, x = small(), noise(3, 2, 20, 24)
    expected = cams(net, x, optimize=False).maps
    found = []

    def work(flag):
        found.append(cams(net, x, optimize=flag).maps)

    threads = [threading.Thread(target=work, args=(index % 3 != 0,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for maps in found:
        for key in expected:
            torch.testing.assert_close(
                maps[key], expected[key], rtol=0, atol=1e-4 * peak(expected[key])
            )
    assert not any(part._forward_hooks for part in net.modules())


def test_methods_that_read_modules_get_the_users_own():
    given = []

    class Reader(CamMethod):
        name, title, reference, summary = "reader", "Reader", "", ""
        needs = frozenset({"activations", "rescoring"})
        reads_modules = True

        def raw(self, evidence):
            given.append(evidence.rescorer.module)
            return evidence.activations.sum(1)

    class Asker(Reader):
        name = "asker"
        reads_modules = False

    net, x = small(), noise(3, 2, 20, 24)
    cams(net, x, [Reader(), Asker()])
    assert given[0] is net
    assert given[1] is choose_runner(net, x).module


def test_the_switch_and_the_record():
    volume = noise(5, 16, 18).numpy()
    net = wrap_model(nn.Sequential(nn.Conv2d(1, 2, 1), small()), default_layer="1.norm3")
    fast, plain = (
        explain(net, volume, ["gradcam", "hirescam"], 1, optimize=flag) for flag in (True, False)
    )
    for key, heatmap in plain.items():
        assert isinstance(key, MapKey)
        np.testing.assert_allclose(fast[key].values, heatmap.values, rtol=0, atol=1e-4)
        assert heatmap.provenance["optimize"] is False
        assert heatmap.provenance["network_run"] == ["plain"]
        assert fast[key].provenance["optimize"] is True
        assert fast[key].provenance["network_run"] == [
            "optimized: 3 batch norms folded, channels last"
        ]


def test_without_memory_for_the_copy_the_network_itself_runs(monkeypatch):
    def no_room(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(optimized, "_copy", no_room)
    net, x = small(), noise(3, 2, 20, 24)
    assert cams(net, x).path == "plain: RuntimeError in the copy"


def test_memory_that_runs_out_beside_the_copy_lets_go_of_it(monkeypatch):
    net = wrap_model(nn.Sequential(nn.Conv2d(1, 2, 1), small()), default_layer="1.norm3")
    real, runs = plan.compute, []

    def scarce(*arguments):
        runs.append((len(arguments[1]), arguments[-2]))
        if arguments[-2]:
            choose_runner(arguments[0], arguments[1])
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(plan, "compute", scarce)
    parts = list(explain_units(net, noise(3, 16, 18).numpy(), targets=1, batch_size=2))
    assert [part.units for part in parts] == [(0,), (1,), (2,)]
    assert runs == [(1, True), (1, False), (1, False), (1, False)]
    assert {part.path for part in parts} == {"plain"}
    assert choose_runner(net.module, noise(1, 1, 16, 18)).path == "plain: no memory for a copy"


def test_a_runner_lays_batches_out():
    x = noise(3, 2, 20, 24)
    net = small()
    assert Runner(net).lay_out(x) is x
    assert Runner(net, "", True).lay_out(x).is_contiguous(memory_format=torch.channels_last)
    assert Runner(net, "", True).lay_out(noise(3, 2, 5, 6, 7)).stride(1) == 1


@pytest.mark.parametrize("look", [choose_runner, lambda net, _: forget_runner(net)])
def test_a_network_that_runs_as_it_is_is_let_go(look):
    class Itself(Small):
        def __init__(self):
            super().__init__()
            self.made = id(self)

        def forward(self, x):
            return super().forward(x) * (1 if self.made == id(self) else 2)

    net = trained(seeded(Itself()))
    look(net, noise(3, 2, 20, 24))
    assert choose_runner(net, noise(3, 2, 20, 24)).module is net
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
