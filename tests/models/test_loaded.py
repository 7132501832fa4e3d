"""Networks with their cards: classes by name, digests, modules of one's own."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from napari_cam.errors import ModelError, TargetError
from napari_cam.models.loaded import weights_sha256, wrap_model
from napari_cam.models.preparation.preparation import Preparation

pytestmark = pytest.mark.quick


def _net(channels: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 3, 3), nn.BatchNorm2d(3), nn.Flatten())


def test_the_digest_is_that_of_names_types_shapes_and_bytes() -> None:
    module = nn.Linear(2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, -2.0]]))
        module.bias.copy_(torch.tensor([0.5]))
    # 0.5, 1 and -2 in little-endian float32, typed by hand
    expected = hashlib.sha256(
        b"biastorch.float32(1,)\x00\x00\x00\x3f"
        b"weighttorch.float32(1, 2)\x00\x00\x80\x3f\x00\x00\x00\xc0"
    )
    assert weights_sha256(module) == expected.hexdigest()


def test_the_digest_knows_numbers_not_wrappers() -> None:
    torch.manual_seed(0)
    module = _net()
    digest = weights_sha256(module)
    assert weights_sha256(nn.DataParallel(module)) == digest
    assert weights_sha256(module.to(memory_format=torch.channels_last)) == digest
    module[1].num_batches_tracked += 5
    assert weights_sha256(module) == digest
    with torch.no_grad():
        module[0].bias[1] += 1e-6
    assert weights_sha256(module) != digest


def test_weights_without_numbers_have_no_digest() -> None:
    for module in (nn.LazyLinear(3), nn.Linear(2, 3, device="meta")):
        with pytest.raises(ModelError, match="holds no numbers yet"):
            weights_sha256(module)


def test_classes_are_found_by_name_and_index() -> None:
    model = wrap_model(_net(), class_names=["healthy", "damaged", "3"])
    assert model.class_index("damaged") == 1
    assert model.class_index(2) == 2
    assert model.class_index("0") == 0
    assert model.class_index("3") == 2  # a name comes before an index
    for wrong in ("hurt", 3, -1, "7"):
        with pytest.raises(TargetError, match=f"no class '{wrong}'; it has 3: healthy, damaged"):
            model.class_index(wrong)


def test_classes_without_names_are_found_by_index() -> None:
    model = wrap_model(_net())
    assert model.class_index(6) == 6
    with pytest.raises(TargetError, match="no names"):
        model.class_index("damaged")


def test_input_is_read_from_the_first_convolution() -> None:
    flat = wrap_model(_net(5)).card
    assert (flat.in_channels, flat.spatial_ndim) == (5, 2)
    assert flat.preparation == Preparation.default(2, 5)
    volume = wrap_model(nn.Sequential(nn.Conv3d(1, 2, 3))).card
    assert (volume.in_channels, volume.spatial_ndim) == (1, 3)
    unknown = wrap_model(nn.Linear(2, 2)).card
    assert (unknown.in_channels, unknown.spatial_ndim) == (3, 2)
    stated = wrap_model(_net(5), in_channels=4, spatial_ndim=3, architecture="mine").card
    assert (stated.in_channels, stated.spatial_ndim, stated.architecture) == (4, 3, "mine")


def test_wrapping_changes_nothing() -> None:
    module = _net().train()
    before = weights_sha256(module)
    model = wrap_model(nn.DataParallel(module))
    assert model.card.architecture == "Sequential"
    assert module.training
    assert weights_sha256(module) == before == model.sha256


def test_only_modules_are_wrapped() -> None:
    with pytest.raises(ModelError, match="load_model"):
        wrap_model("net.pth")  # type: ignore[arg-type]


def test_one_word_is_no_list_of_classes() -> None:
    with pytest.raises(ModelError, match="a list of names, not the word 'ab'"):
        wrap_model(_net(), class_names="ab")
