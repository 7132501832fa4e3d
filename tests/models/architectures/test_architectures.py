"""The table of architectures: complete, buildable, and telling about mistakes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build, outline
from napari_cam.models.architectures.input_channels import first_convolution, set_input_channels
from napari_cam.models.architectures.table import ARCHITECTURES, architecture, timm_names

TIMM = ("inception_v4", "inception_resnet_v2", "xception")
# (height, width) at which a forward pass is cheap and every stage still has pixels
SMALL = {
    "gap-cnn": (24, 40),
    "alexnet-gap": (72, 96),
    "alexnet-gap-modified": (72, 96),
    "squeezenet1_1": (40, 56),
    "resnet18": (40, 72),
    "densenet121": (40, 72),
    "mobilenet_v2": (40, 72),
    "mobilenet_v3_small": (40, 72),
    "shufflenet_v2_x0_5": (40, 72),
    "mnasnet0_5": (40, 72),
    "efficientnet_b0": (40, 72),
    "regnet_x_400mf": (40, 72),
    "googlenet": (40, 72),
    "inception_v3": (80, 96),
    "timm:resnet10t": (40, 72),
}


def test_the_table_holds_all_of_torchvisions_classifiers() -> None:
    theirs = set(torchvision.models.list_models(module=torchvision.models))
    ours = {name for name, row in ARCHITECTURES.items() if row.source == "torchvision"}
    segmenters = {name for name in ours if ARCHITECTURES[name].task == "segmentation"}
    assert ours - segmenters == theirs
    assert segmenters == set(torchvision.models.list_models(module=torchvision.models.segmentation))
    assert set(TIMM) <= ARCHITECTURES.keys()


def test_input_sizes_are_those_of_torchvisions_weights() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        weights = torchvision.models.get_model_weights(name)
        # Some were trained on larger images as well.
        assert ARCHITECTURES[name].input_size == min(w.transforms().crop_size[0] for w in weights)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_architecture_builds_for_any_channels_and_classes(name: str) -> None:
    row = ARCHITECTURES[name]
    for ndim in row.spatial_ndims:
        for n_classes, channels in ((2, 1), (7, 3), (5, 4)):
            network = outline(row, n_classes, channels, ndim)
            found = first_convolution(network)
            assert found is not None
            assert found[1].in_channels == channels
            heads = [tensor.shape[0] for tensor in network.state_dict().values() if tensor.ndim]
            # MONAI's DynUNet names its output before the rest.
            assert n_classes in (heads if name == "monai:dynunet" else heads[-3:])


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_small_inputs_run_forward(name: str, channels: int) -> None:
    network = build(name, 7, channels).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, channels, *SMALL[name]))
    assert logits.shape == (2, 7)
    assert bool(torch.isfinite(logits).all())


def test_a_volume_network_runs_on_volumes() -> None:
    network = build("gap-cnn", 3, 2, 3, widths=[4, 6], pools=[[1, 2, 2], 1]).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 2, 5, 8, 12)).shape == (2, 3)


def test_names_are_those_of_what_is_built() -> None:
    # Some papers say "Inception V4" for Inception-ResNet-v2 (55.8 against 42.7 million weights).
    def size(name: str) -> float:
        network = outline(ARCHITECTURES[name], 1000, 3, 2)
        return sum(parameter.numel() for parameter in network.parameters()) / 1e6

    assert size("inception_v4") == pytest.approx(42.68, abs=0.01)
    assert size("inception_resnet_v2") == pytest.approx(55.84, abs=0.01)
    assert size("xception") == pytest.approx(22.86, abs=0.01)


def test_timms_networks_are_found_by_name() -> None:
    assert "timm:resnet50" in timm_names("resnet50")
    assert architecture("resnet50").source == "torchvision"
    assert architecture("timm:resnet50").name == "timm:resnet50"
    assert architecture("efficientnet_lite0").name == "timm:efficientnet_lite0"
    fixed = architecture("vit_small_patch16_224")
    assert fixed.fixed_size
    assert fixed.input_size == 224


@pytest.mark.parametrize(
    ("name", "close"),
    [("resnet", "resnet"), ("resnet51", "resnet50"), ("gapcnn", "gap-cnn"), ("vgg_16", "vgg16")],
)
def test_unknown_names_are_answered_with_close_ones(name: str, close: str) -> None:
    with pytest.raises(ModelError, match=rf"no architecture '{name}'; did you mean .*{close}"):
        build(name, 2)


def test_a_name_like_no_other_is_answered_with_the_command_that_lists_them() -> None:
    with pytest.raises(ModelError, match="napari-cam architectures"):
        architecture("qqqqqqqq")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("resnet18", 0), {}),
        (("resnet18", 2, 0), {}),
        (("resnet18", 2, 1, 3), {}),
        (("resnet18", 2), {"colour": 3}),
        (("gap-cnn", 2, 1, 4), {}),
        (("gap-cnn", 2), {"depth": 3}),
        (("vgg16-gap", 2), {"widths": 3}),
        (("inception_v4", 2), {"colour": 3}),
        (("inception_v4", 2), {"checkpoint_path": "evil.pth"}),
        (("inception_v4", 2), {"pretrained": True}),
        (("resnet18", 2), {"weights": "DEFAULT"}),
    ],
)
def test_numbers_and_options_that_do_not_fit_are_refused(
    arguments: tuple[object, ...], options: dict[str, object]
) -> None:
    with pytest.raises(ModelError):
        build(*arguments, **options)  # type: ignore[arg-type]


def test_a_summed_stem_answers_grey_as_the_old_one_answers_rgb() -> None:
    torch.manual_seed(1)
    network = build("resnet18", 6).eval()
    grey = torch.randn(2, 1, 33, 47)
    with torch.no_grad():
        before = network(grey.expand(-1, 3, -1, -1))
        set_input_channels(network, 1, keep_weights=True)
        after = network(grey)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_a_spread_stem_keeps_the_size_of_the_response() -> None:
    network = build("squeezenet1_1", 6)
    old = network.get_submodule("features.0").weight.detach().clone()
    bias = network.get_submodule("features.0").bias
    set_input_channels(network, 5, keep_weights=True)
    new = network.get_submodule("features.0")
    # R G B R G, each 3/5 of what it was.
    expected = torch.stack([old[:, index] for index in (0, 1, 2, 0, 1)], dim=1) * 0.6
    torch.testing.assert_close(new.weight.detach(), expected)
    assert new.bias is bias
    assert new.stride == (2, 2)


def test_networks_without_a_convolution_in_front_keep_their_channels() -> None:
    with pytest.raises(ModelError, match="in_channels=3"):
        set_input_channels(nn.Sequential(nn.Linear(3, 4)), 2)


def test_outlines_leave_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    outline(ARCHITECTURES["swin_t"], 3, 3, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_table_is_read_without_torch_torchvision_and_timm() -> None:
    code = (
        "import sys; "
        "from napari_cam.models.architectures.table import ARCHITECTURES, architecture; "
        "architecture('resnet50'); "
        "print(sorted({'timm', 'torch', 'torchvision'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
