"""Running only what is downstream of a layer gives the numbers of the whole network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from napari_cam.cams.network.replay import find_replay
from napari_cam.cams.network.tap import run_again, tap
from napari_cam.models.hooks import LayerRef
from tests.cams.networks import GapNet, MlpNet, SharedNet, SkipNet, TupleNet, image, seeded


class Convolutions(TorchFunctionMode):
    """Counts the convolutions that run."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "").startswith("conv")
        return func(*args, **(kwargs or {}))


def variants(activations: Tensor, count: int = 5) -> Tensor:
    drawn = torch.randn((count, *activations.shape[1:]), generator=torch.Generator().manual_seed(3))
    return activations * drawn


def compare(net: nn.Module, x: Tensor, layer: str, dtype=None, tolerance: float = 1e-5):
    """Return the replay and how many convolutions it and the whole network run."""
    reference = LayerRef.parse(layer)
    one = x[:1]
    activations = tap(net, one, [reference], dtype).activations[reference].detach()
    changed = variants(activations.float())
    replay = find_replay(net, one, reference, dtype)
    assert replay is not None
    with Convolutions() as whole:
        expected = run_again(net, one.expand(5, *one.shape[1:]), reference, changed, dtype)
    with Convolutions() as part:
        found = replay.run(changed)
    difference = (found - expected).abs().max()
    assert difference <= tolerance * expected.abs().max()
    assert expected.std(0).max() > 0
    assert not any("forward" in vars(part) for part in net.modules())
    return part.count, whole.count


class Branches(nn.Module):
    """A U-Net: skips at two levels, one joined before and one after the other."""

    def __init__(self, ndim: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        up = nn.ConvTranspose2d if ndim == 2 else nn.ConvTranspose3d
        norm = nn.InstanceNorm2d if ndim == 2 else nn.InstanceNorm3d
        self.pool = nn.MaxPool2d(2) if ndim == 2 else nn.MaxPool3d(2)

        def block(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(conv(before, after, 3, padding=1), norm(after), nn.ReLU(True))

        self.down1, self.down2 = block(2, 4), block(4, 6)
        self.bottom = block(6, 9)
        self.up2, self.up1 = up(9, 6, 2, stride=2), up(6, 4, 2, stride=2)
        self.join2, self.join1 = block(12, 6), block(8, 4)
        self.head = conv(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down1(x)
        middle = self.down2(self.pool(fine))
        deep = self.bottom(self.pool(middle))
        middle = self.join2(torch.cat([middle, self.up2(deep)], dim=1))
        return self.head(self.join1(torch.cat([fine, self.up1(middle)], dim=1)))


def images(ndim: int) -> Tensor:
    shape = (8, 12) if ndim == 2 else (4, 8, 12)
    return torch.randn((2, 2, *shape), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    ("layer", "part", "whole"),
    [("bottom", 5, 8), ("down2", 6, 8), ("bottom.0", 5, 8), ("join1", 1, 8), ("up2", 4, 8)],
)
def test_unet_runs_its_decoder_alone(ndim, layer, part, whole):
    assert compare(seeded(Branches(ndim)).eval(), images(ndim), layer) == (part, whole)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("layer", "part"), [("first", 1), ("relu1", 1), ("second", 0), ("relu2", 0)]
)
def test_no_convolution_upstream_runs(ndim, inplace, layer, part):
    assert compare(seeded(MlpNet(ndim, inplace)), image(ndim), layer) == (part, 2)


def test_pooling_input_of_a_functional_relu():
    assert compare(seeded(SkipNet()).eval(), image(), "pooling-input") == (0, 3)
    assert compare(seeded(SkipNet()).eval(), image(), "bottleneck") == (1, 3)


def test_pooling_is_found_though_fixed_modules_pool_too():
    class Pools(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = GapNet()
            self.conv = nn.Conv2d(2, 4, 3)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            gate = self.inner(x).sigmoid()
            return self.head(F.adaptive_avg_pool2d(torch.relu(self.conv(x)), 1).flatten(1)) * gate

    assert compare(seeded(Pools()), image(), "pooling-input") == (0, 3)


@pytest.mark.parametrize(("layer", "part"), [("shared#1", 1), ("shared#2", 0), ("relu#1", 1)])
def test_module_that_runs_twice(layer, part):
    assert compare(seeded(SharedNet()), image(), layer) == (part, 3)


def test_calls_are_counted_anew_where_a_fixed_module_hides_some():
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()
            self.first = nn.Sequential(nn.Conv2d(2, 4, 3), self.relu, nn.Conv2d(4, 4, 3), self.relu)
            self.second = nn.Conv2d(4, 5, 3)
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.relu(self.second(self.first(x))).mean((2, 3)))

    assert compare(seeded(Hides()), image(), "relu#3") == (0, 3)


@pytest.mark.parametrize(("layer", "part"), [("backbone[0]", 1), ("backbone[1]", 0)])
def test_tuples_and_dictionaries(layer, part):
    net = seeded(TupleNet())
    if layer == "backbone[0]":
        # The backbone itself is the layer: its other output stays what it was.
        part = 0
    assert compare(net, image(), layer) == (part, 2)


def test_a_skip_that_is_written_into_is_copied():
    class Writes(SkipNet):
        def forward(self, x):
            skip = self.encoder(x)
            deep = self.up(torch.relu(self.bottleneck(skip)))
            F.relu(skip, inplace=True)
            skip += 1
            return self.head(self.norm(torch.cat([skip, deep], 1)).mean((2, 3)))

    assert compare(seeded(Writes()).eval(), image(), "bottleneck") == (1, 3)


@pytest.mark.parametrize("how", ["view", "detached", "number", "no_grad"])
def test_what_cannot_be_proved_runs_whole(how):
    class Sly(SkipNet):
        def forward(self, x):
            skip = self.encoder(x)
            bottom = self.bottleneck(skip)
            if how == "view":
                skip[:, 0].clamp_(min=0)  # writes through a view of the recorded tensor
            if how == "detached":
                skip = self.norm_of(skip, bottom.detach())
            if how == "number":
                skip = skip * float(bottom.mean())
            if how == "no_grad":
                with torch.no_grad():
                    skip = self.gate(bottom).mean() * skip
            deep = self.up(torch.relu(bottom))
            return self.head(self.norm(torch.cat([skip, deep], 1)).mean((2, 3)))

        def norm_of(self, skip, bottom):
            return skip * self.gate(bottom).mean()

    net = Sly()
    net.gate = nn.Conv2d(6, 1, 1)
    assert find_replay(seeded(net).eval(), image()[:1], LayerRef("bottleneck")) is None


def test_hooks_of_the_network_run_once_for_each_pass():
    net = seeded(MlpNet()).eval()
    net.first.register_forward_hook(lambda _m, _i, output: output * 2 + 1)
    net.relu1.register_forward_pre_hook(lambda _m, args: (args[0] - 0.5,))
    assert compare(net, image(), "second") == (0, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype):
    compare(seeded(MlpNet()), image(), "relu2", dtype, tolerance=2e-2)


def test_nothing_stays_patched_after_a_cancel():
    net, x = seeded(Branches()).eval(), images(2)[:1]
    replay = find_replay(net, x, LayerRef("bottom"))
    maps = tap(net, x, [LayerRef("bottom")]).activations[LayerRef("bottom")].detach()

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = net.head.register_forward_hook(interrupt)
    net.down2.forward = net.down2.forward  # the network's own choice stays
    own = vars(net.down2)["forward"]
    with pytest.raises(KeyboardInterrupt):
        replay.run(maps)
    handle.remove()
    assert vars(net.down2)["forward"] == own
    assert [name for name, part in net.named_modules() if "forward" in vars(part)] == ["down2"]
    assert not any(p._forward_hooks or p._forward_pre_hooks for p in net.modules())


def test_recording_keeps_only_what_the_rest_reads():
    net, x = seeded(Branches()).eval(), images(2)[:1]
    replay = find_replay(net, x, LayerRef("bottom"))
    kept = {}
    for part, calls in replay.sequences.items():
        name = next(name for name, each in net.named_modules() if each is part)
        kept[name] = [slot is not None and slot.tensor is not None for slot in calls]
    # Pooled maps only feed what does not run; both skips are concatenated.
    assert kept["pool"] == [False, False]
    assert kept["down1"] == kept["down2"] == [True]


BACKBONES = [
    ("resnet18", "layer4", 64, 0),
    ("resnet18", "layer4.1.relu#1", 64, 1),
    ("resnet18", "layer3.0.conv2", 64, 7),
    ("vgg11", "features.19", 64, 0),
    ("densenet121", "pooling-input", 64, 0),
    ("densenet121", "features.denseblock4.denselayer15.conv1", 64, 3),
    ("googlenet", "inception5b", 64, 0),
    ("googlenet", "inception5b.branch2.0", 64, 1),
    ("inception_v3", "Mixed_7c", 107, 0),
    ("mobilenet_v3_small", "features.12", 64, 0),
    ("mobilenet_v3_small", "features.11", 64, 1),
    ("shufflenet_v2_x0_5", "conv5", 64, 0),
]


@pytest.mark.parametrize(("name", "layer", "size", "part"), BACKBONES)
def test_backbones(name, layer, size, part):
    torchvision = pytest.importorskip("torchvision")
    more = (
        {"init_weights": False, "aux_logits": False}
        if name in ("googlenet", "inception_v3")
        else {}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None, **more).eval()
        x = torch.randn(1, 3, size, size + 16)
    assert compare(net, x, layer)[0] == part


class Unseen(nn.Module):
    """Depends on its first maps in a way that autograd does not see."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3)
        self.gate = Detached()
        self.tail = nn.Conv2d(5, 4, 3)

    def forward(self, x):
        maps = self.stem(x)
        return (self.tail(maps) * self.gate(maps)).mean((2, 3))


class Detached(nn.Module):
    def forward(self, maps):
        return 1 + maps.detach().mean((1, 2, 3), keepdim=True).square()


def test_an_image_without_numbers_proves_nothing_for_the_next():
    net, x = seeded(Unseen()).eval(), image()[:, :2]
    empty = torch.full_like(x, torch.nan)
    find_replay(net, empty[:1], LayerRef("stem"))
    assert find_replay(net, x[:1], LayerRef("stem")) is None
