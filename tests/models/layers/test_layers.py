"""The table of candidate layers and its default, on networks as the field builds them."""

from __future__ import annotations

import threading
import time

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.errors import LayerError, ModelError
from napari_cam.models.hooks import POOLING_INPUT
from napari_cam.models.layers.candidates import candidate_layers, legacy_last_conv
from napari_cam.models.layers.pooling import find_pooling
from napari_cam.models.layers.trace import logits_of
from napari_cam.models.loaded import wrap_model
from tests.cams.networks import GapNet, SharedNet, SkipNet, TupleNet

# What enters global pooling: after the norm, the ReLU and the concatenation, not the last
# convolution. Known from the networks' definitions.
DEFAULTS = {
    "resnet18": "layer4",
    "densenet121": POOLING_INPUT,  # a functional ReLU follows features.norm5
    "vgg16": "features",
    "alexnet": "features",
    "squeezenet1_0": "classifier.2",  # the class scores themselves are pooled
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "mobilenet_v3_small": "features",  # squeeze-and-excitation pools many times before
    "mnasnet0_5": "layers",  # a mean, no pooling layer
    "convnext_tiny": "features",  # a channels-last norm after pooling
    "swin_t": "permute",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_of_torchvision_networks(name):
    options = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    if options:
        options["init_weights"] = False
    with torch.device("meta"):
        net = torchvision.models.get_model(name, weights=None, **options)
        image = (
            torch.zeros(1, 3, 299, 299) if name == "inception_v3" else torch.zeros(1, 3, 224, 224)
        )
    assert find_pooling(net, image).name == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "layer"),
    [("inception_v4", "features"), ("inception_resnet_v2", "conv2d_7b"), ("xception", "act4")],
)
@pytest.mark.filterwarnings("ignore")
def test_default_of_timm_networks(name, layer):
    with torch.device("meta"):
        net = timm.create_model(name, pretrained=False)
        assert find_pooling(net, torch.zeros(1, 3, 224, 224)).name == layer


def test_tokens_have_no_default():
    with torch.device("meta"):
        net = torchvision.models.vit_b_16(weights=None)
        with pytest.raises(LayerError, match="name the layer to explain"):
            find_pooling(net, torch.zeros(1, 3, 224, 224))


def test_global_pooling_by_a_kernel_as_large_as_the_map():
    class Cifar(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer3 = nn.Conv2d(3, 5, 3)
            self.linear = nn.Linear(5, 10)

        def forward(self, x):
            x = F.relu(self.layer3(x))
            return self.linear(F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1))

    # The ReLU is functional and not in place: no module returns what enters pooling.
    assert find_pooling(Cifar(), torch.zeros(1, 3, 9, 11)).name == POOLING_INPUT


def test_pooling_spelled_as_a_mean_over_flattened_places():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 5, 3)
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.conv(x).flatten(2).mean(2))

    assert find_pooling(Flat(), torch.zeros(1, 2, 9, 11)).name == "conv"


def test_table_of_a_small_network():
    rows = {row.name: row for row in candidate_layers(GapNet(inplace=True), (2, 20, 24))}
    assert list(rows) == ["first", "relu1", "second", "relu2"]
    relu2 = rows["relu2"]
    assert (relu2.kind, relu2.channels, relu2.shape, relu2.stride) == ("ReLU", 5, (10, 12), (2, 2))
    assert [name for name, row in rows.items() if row.default] == ["relu2"]
    assert relu2.note == "enters global pooling"


def test_table_of_a_3d_network():
    rows = candidate_layers(wrap_model(GapNet(3), in_channels=2, spatial_ndim=3), (2, 8, 10, 12))
    assert [(row.name, row.shape) for row in rows if row.default] == [("relu2", (4, 5, 6))]


def test_table_names_calls_and_entries():
    shared = [row.name for row in candidate_layers(SharedNet(), (2, 10, 12))]
    # The tanh in front of the mean belongs to no module.
    assert shared == ["inlet", "shared#1", "relu#1", "shared#2", "relu#2", POOLING_INPUT]
    entries = [row.name for row in candidate_layers(TupleNet(), (2, 10, 12))]
    assert "backbone[0]" in entries
    assert "backbone[1]" in entries


def test_tensor_before_pooling_has_a_row_of_its_own():
    rows = candidate_layers(SkipNet(), (2, 10, 12))
    (default,) = [row for row in rows if row.default]
    assert (default.name, default.channels, default.shape) == (POOLING_INPUT, 8, (10, 12))


def test_pooled_class_scores_are_said_to_be_that():
    net = torchvision.models.squeezenet1_0(weights=None)
    (default,) = [row for row in candidate_layers(net) if row.default]
    assert (default.name, default.channels) == ("classifier.2", 1000)
    assert default.note.endswith("one map per class, so all gradient methods coincide here")


def test_a_block_and_its_last_layer_are_one_row():
    net = torchvision.models.resnet18(weights=None)
    rows = {row.name: row for row in candidate_layers(net)}
    assert rows["layer4"].default
    assert rows["layer4"].shape == (7, 7)
    assert "layer4.1" not in rows
    assert rows["layer4.1.bn2"].channels == 512


def test_the_cards_default_stands():
    model = wrap_model(GapNet(), in_channels=2, default_layer="first")
    assert [row.name for row in candidate_layers(model, (2, 10, 12)) if row.default] == ["first"]


def test_the_network_is_left_as_found():
    net = GapNet()
    net.train()
    candidate_layers(net, (2, 10, 12))
    assert all(part.training for part in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(part._forward_hooks for part in net.modules())


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(ModelError, match=r"does not run on an input of shape \(4, 10, 12\)"):
        candidate_layers(GapNet(), (4, 10, 12))


def test_output_without_scores():
    with pytest.raises(ModelError, match="returns str, which holds no tensor of scores"):
        logits_of("text")


def test_the_default_depends_on_the_size_of_the_image():
    net = torchvision.models.resnet18(weights=None)
    # At 32 pixels the last block has one place: what enters it is the last map, never a weight.
    assert find_pooling(net, torch.zeros(1, 3, 32, 32)).name == "layer3"
    assert find_pooling(net, torch.zeros(1, 3, 224, 224)).name == "layer4"
    with pytest.raises(LayerError, match="the image too small"):
        find_pooling(net, torch.zeros(1, 3, 1, 1))


def test_the_default_depends_on_the_parts_of_the_network():
    class Extensible(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(2, 5, 3)
            self.extension = nn.Identity()

        def forward(self, x):
            return self.extension(self.body(x)).mean((2, 3))

    net, image = Extensible(), torch.zeros(1, 2, 10, 12)
    assert find_pooling(net, image).name == "body"
    net.extension = nn.Conv2d(5, 3, 3)
    assert find_pooling(net, image).name == "extension"


def test_a_corner_that_shrinks_to_one_place_is_not_enough():
    class Coarse(nn.Module):
        def __init__(self):
            super().__init__()
            halvings = [nn.Conv3d(1, 1, 3, stride=2, padding=1) for _ in range(6)]
            self.halvings = nn.Sequential(*halvings)
            self.last = nn.Conv3d(1, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.last(self.halvings(x)).mean((2, 3, 4)))

    with torch.device("meta"):
        assert find_pooling(Coarse(), torch.zeros(1, 1, 128, 192, 128)).name == "last"


def test_channels_last_are_refused():
    with torch.device("meta"):
        net = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False)
        with pytest.raises(LayerError, match="channels come last"):
            find_pooling(net, torch.zeros(1, 3, 224, 224))


class Noisy(GapNet):
    """Draws numbers even in eval mode, and takes its time."""

    def forward(self, x):
        time.sleep(0.02)
        return super().forward(x + torch.randn_like(x))


def test_the_random_state_is_left_as_found():
    net, state = Noisy(), torch.get_rng_state()
    find_pooling(net, torch.zeros(1, 2, 10, 12))
    candidate_layers(net, (2, 10, 12))
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_take_turns_to_look():
    net, names = Noisy(), []
    net.train()

    def look(width):
        names.append(find_pooling(net, torch.zeros(1, 2, 10, width)).name)

    threads = [threading.Thread(target=look, args=(width,)) for width in range(12, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["relu2"] * 6  # not "relu2#3", as the hooks of another thread would count
    assert all(part.training for part in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("shape", [5, "abc", (3,), (2, -1, 4), (2, 10.5, 12), (2, 0, 0), ()])
def test_what_is_no_input_shape_is_a_sentence(shape):
    with pytest.raises(ModelError, match="input_shape is"):
        candidate_layers(GapNet(), shape)


def test_what_is_no_network_is_a_sentence():
    with pytest.raises(ModelError, match="A str is no network"):
        candidate_layers("resnet18")


@pytest.mark.parametrize(
    ("name", "layer", "channels"),
    [
        ("densenet121", "features.denseblock4.denselayer16.conv2", 32),  # of 1024
        ("resnet18", "layer4.1.conv2", 512),  # before its norm and the residual
        ("googlenet", "inception5b.branch4.1.conv", 128),  # one branch of four
        ("vgg16", "features.28", 512),
    ],
)
def test_the_convolution_that_runs_last(name, layer, channels):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.random.fork_rng(devices=[]):
        net = getattr(torchvision.models, name)(weights=None, **options)
    assert legacy_last_conv(net, torch.zeros(1, 3, 96, 96)) == layer
    assert net.get_submodule(layer).out_channels == channels


def test_the_last_convolution_by_its_order_not_its_name():
    class Swapped(GapNet):
        def forward(self, x):
            return self.second(x).mean((2, 3))

        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Conv2d(2, 3, 3), nn.Conv2d(7, 7, 1)

    assert legacy_last_conv(Swapped(), torch.zeros(2, 2, 8, 9)) == "second"
    shared = legacy_last_conv(SharedNet(), torch.zeros(1, 2, 8, 9))
    assert shared == "shared#2"
    with pytest.raises(LayerError, match="No convolution of this network gives maps"):
        legacy_last_conv(nn.Linear(4, 3), torch.zeros(1, 2, 5, 4))
