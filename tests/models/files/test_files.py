"""Model files: what was saved comes back bit for bit, and everything else is said in a sentence."""

from __future__ import annotations

import errno
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_cam.errors import ModelError, NapariCamError, WriteError
from napari_cam.models.architectures.building import build
from napari_cam.models.card import ModelCard
from napari_cam.models.files.model_files import load_model, save_model
from napari_cam.models.loaded import LoadedModel, weights_sha256, wrap_model
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Resize
from tests.models.cifar_resnet import CifarResNet20

SQUEEZENET = Path("weights/squeezenet_imagenet/squeezenet1_0_imagenet_deepcompression.pth")
CIFAR = Path("weights/cifar_resnet20/resnet20-12fca82f.th")


def _trained(ndim: int) -> LoadedModel:
    """Return a small network whose weights and statistics are not those it is born with."""
    torch.manual_seed(ndim)
    options = {"widths": [5, 7], "pools": [2, 1] if ndim == 2 else [[1, 2, 2], 1]}
    network = build("gap-cnn", 3, 2, ndim, **options)
    shape = (4, 2, 12, 16) if ndim == 2 else (4, 2, 6, 12, 16)
    with torch.no_grad():
        network(torch.randn(shape) * 3 + 1)
    card = ModelCard(
        architecture="gap-cnn",
        task="classification",
        spatial_ndim=ndim,  # type: ignore[arg-type]
        class_names=("healthy", "leicht geschädigt", "damaged"),
        in_channels=2,
        preparation=Preparation.default(ndim, 2),
        default_layer="features.1",
        architecture_options=options,
        training={"seed": 3, "accuracy": 0.875},
    )
    return LoadedModel(network.eval(), card, weights_sha256(network))


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_saved_network_comes_back_bit_for_bit(tmp_path: Path, ndim: int) -> None:
    model = _trained(ndim)
    path = save_model(model, tmp_path / "net.safetensors")
    back = load_model(path)
    assert back.sha256 == model.sha256 == weights_sha256(back.module)
    assert back.card == model.card
    assert back.card.to_json() == model.card.to_json()
    assert not back.module.training
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(back.module.state_dict()[name], tensor)
    images = torch.randn(2, 2, 12, 16) if ndim == 2 else torch.randn(2, 2, 6, 12, 16)
    with torch.no_grad():
        assert torch.equal(back.module(images), model.module(images))


def test_a_network_of_ones_own_comes_back_into_its_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = wrap_model(CifarResNet20(), class_names=[f"class {n}" for n in range(10)])
    path = save_model(model, tmp_path / "own.safetensors")
    with pytest.raises(ModelError, match=r"'CifarResNet20'.*module="):
        load_model(path)
    module = CifarResNet20()
    back = load_model(path, module=module)
    assert back.module is module
    assert back.sha256 == model.sha256
    assert back.card == model.card


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(2):
        save_model(_trained(2), tmp_path / f"{number}.safetensors")
    first, second = ((tmp_path / f"{n}.safetensors").read_bytes() for n in range(2))
    assert first == second


def test_the_file_holds_the_card_under_one_key(tmp_path: Path) -> None:
    path = save_model(_trained(2), tmp_path / "net.safetensors")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["napari_cam"]
    card = json.loads(metadata["napari_cam"])
    assert card["format_version"] == 1
    assert card["class_names"][1] == "leicht geschädigt"


def test_shared_and_sliced_weights_are_saved_whole(tmp_path: Path) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 1)
            self.again = self.conv
            self.register_buffer("evens", torch.arange(10.0)[::2])

        def forward(self, images: Tensor) -> Tensor:
            return self.again(self.conv(images)).mean((2, 3))

    model = wrap_model(Shared())
    path = save_model(model, tmp_path / "shared.safetensors")
    back = load_model(path, module=Shared())
    assert back.sha256 == model.sha256
    assert back.module.get_buffer("evens").tolist() == [0, 2, 4, 6, 8]


def test_wrappers_do_not_reach_the_file(tmp_path: Path) -> None:
    model = _trained(2)
    wrapped = replace(model, module=nn.DataParallel(model.module))
    path = save_model(wrapped, tmp_path / "net.safetensors")
    assert load_model(path).sha256 == model.sha256


def test_saving_never_harms_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(WriteError, match="exists"):
        save_model(_trained(2), path)
    assert path.read_bytes() == b"precious"
    save_model(_trained(2), path, overwrite=True)
    assert load_model(path).card.class_names[2] == "damaged"
    with pytest.raises(WriteError, match="folder"):
        save_model(_trained(2), tmp_path / "nowhere" / "net.safetensors")
    with pytest.raises(ModelError, match=r"must end in \.safetensors"):
        save_model(_trained(2), tmp_path / "net.pt")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["net.safetensors"]


def test_the_cards_classes_are_renamed_one_by_one(tmp_path: Path) -> None:
    path = save_model(_trained(2), tmp_path / "net.safetensors")
    for module in (None, build("gap-cnn", 3, 2, widths=[5, 7], pools=[2, 1])):
        with pytest.raises(ModelError, match="has 3 classes but class_names holds 2"):
            load_model(path, class_names=["a", "b"], module=module)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WriteError, match="No space left"):
        save_model(_trained(2), tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_arguments_win_over_the_card(tmp_path: Path) -> None:
    path = save_model(_trained(2), tmp_path / "net.safetensors")
    preparation = Preparation((*Preparation.default(2, 2).steps, Resize(64)))
    model = load_model(
        path, class_names=["a", "b", "c"], preparation=preparation, default_layer="features.0"
    )
    assert model.card.class_names == ("a", "b", "c")
    assert model.card.preparation == preparation
    assert model.card.default_layer == "features.0"
    assert model.card.training["seed"] == 3


def test_loading_leaves_random_numbers_and_defaults_alone(tmp_path: Path) -> None:
    path = save_model(_trained(2), tmp_path / "net.safetensors")
    foreign = tmp_path / "swin.pth"
    torch.save(build("swin_t", 3).state_dict(), foreign)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            models = load_model(path), load_model(foreign, architecture="swin_t")
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)
        for model in models:
            assert all(p.dtype == torch.float32 for p in model.module.parameters())
            assert all(p.device.type == "cpu" for p in model.module.parameters())
            assert all(p.requires_grad for p in model.module.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".ckpt", ".bin", ".PTH"])
def test_foreign_weights_fill_a_named_architecture(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    network = build("resnet18", 4, 1).eval()
    state = {f"module.{key}": tensor.half() for key, tensor in network.state_dict().items()}
    path = tmp_path / f"net{suffix}"
    torch.save({"epoch": 7, "state_dict": state}, path)
    model = load_model(path, architecture="resnet18", class_names=["a", "b", "c", "d"])
    assert model.card.architecture == "resnet18"
    assert (model.card.in_channels, model.card.spatial_ndim) == (1, 2)
    assert model.card.class_names == ("a", "b", "c", "d")
    images = torch.randn(2, 1, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(model.module(images), network(images), rtol=0.02, atol=0.02)


def test_foreign_safetensors_fill_a_named_architecture(tmp_path: Path) -> None:
    network = build("timm:resnet10t", 3, 2)
    path = tmp_path / "net.safetensors"
    save_file(dict(network.state_dict()), path)
    model = load_model(path, architecture="timm:resnet10t")
    assert model.sha256 == weights_sha256(network)
    assert model.card.class_names == ()
    saved = save_model(model, tmp_path / "ours.safetensors")
    assert load_model(saved).sha256 == model.sha256


def test_tables_that_a_network_computes_for_itself_are_right(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("swin_tiny_patch4_window7_224", 3).eval()
    path = tmp_path / "net.pth"
    torch.save(network.state_dict(), path)
    model = load_model(path, architecture="swin_tiny_patch4_window7_224")
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.module(images), network(images))
    assert Resize((224, 224)) in model.card.preparation.steps


def test_volume_networks_are_known_by_their_weights(tmp_path: Path) -> None:
    network = build("gap-cnn", 2, 1, 3)
    path = tmp_path / "net.pth"
    torch.save(network.state_dict(), path)
    model = load_model(path, architecture="gap-cnn")
    assert (model.card.spatial_ndim, model.card.in_channels) == (3, 1)
    assert model.card.preparation == Preparation.default(3, 1)
    with pytest.raises(ModelError, match="do not fit gap-cnn"):
        load_model(path, architecture="gap-cnn", spatial_ndim=2)


def test_architecture_options_describe_foreign_weights(tmp_path: Path) -> None:
    options = {"widths": [4, 6, 8], "pools": [2, 2, 1], "convs": 2}
    path = tmp_path / "net.pth"
    torch.save(build("gap-cnn", 2, 1, **options).state_dict(), path)
    with pytest.raises(ModelError, match="with its options"):
        load_model(path, architecture="gap-cnn")
    model = load_model(path, architecture="gap-cnn", architecture_options=options)
    assert model.card.architecture_options == options


def test_parts_that_are_not_the_network_are_recorded(tmp_path: Path) -> None:
    state = {f"model.{key}": item for key, item in build("resnet18", 2).state_dict().items()}
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": state | {"criterion.weight": torch.ones(2)}}, path)
    model = load_model(path, architecture="resnet18")
    assert model.card.training["ignored_weights"] == ["criterion.weight"]


def test_a_network_held_twice_is_ambiguous(tmp_path: Path) -> None:
    state = build("gap-cnn", 2, 1).state_dict()
    both = {f"{who}.{key}": item for who in ("student", "teacher") for key, item in state.items()}
    path = tmp_path / "net.pth"
    torch.save(both, path)
    with pytest.raises(ModelError, match=r"more than once.*'student\.' and 'teacher\.'"):
        load_model(path, architecture="gap-cnn")


def test_a_thousand_unnamed_classes_are_imagenets(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build("squeezenet1_1", 1000).state_dict(), path)
    card = load_model(path, architecture="squeezenet1_1").card
    assert card.class_names[285] == "Egyptian cat"
    assert card.class_names[967] == "espresso"
    assert card.preparation == Preparation.imagenet(224)
    own = load_model(path, architecture="squeezenet1_1", preparation=Preparation.default(2, 3)).card
    assert own.preparation == Preparation.default(2, 3)
    assert own.class_names[0] == "tench"
    torch.save(build("squeezenet1_1", 1000, 1).state_dict(), path)
    assert load_model(path, architecture="squeezenet1_1").card.class_names == ()


@pytest.mark.parametrize(
    ("outputs", "names", "needed"), [(4, 3, 4), (4, 5, 4), (1, 1, 2), (1, 3, 2)]
)
def test_every_class_has_one_name(tmp_path: Path, outputs: int, names: int, needed: int) -> None:
    path = tmp_path / "net.pth"
    torch.save(build("gap-cnn", outputs, 1).state_dict(), path)
    with pytest.raises(ModelError, match=f"class_names holds {names}; give {needed}"):
        load_model(path, architecture="gap-cnn", class_names=[str(n) for n in range(names)])


def test_one_output_decides_between_two_classes(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build("gap-cnn", 1, 1).state_dict(), path)
    model = load_model(path, architecture="gap-cnn", class_names=["healthy", "damaged"])
    assert model.class_index("damaged") == 1


def test_weights_alone_ask_for_their_architecture(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build("resnet34", 2).state_dict(), path)
    with pytest.raises(ModelError, match=r"weights alone; .*architecture='resnet34'"):
        load_model(path)
    torch.save({"a.weight": torch.ones(2, 3)}, path)
    with pytest.raises(ModelError, match=r"weights alone; give the architecture .* module="):
        load_model(path)


def test_a_module_that_does_not_fit_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(CifarResNet20(7).state_dict(), path)
    module = CifarResNet20(10).train()
    before = weights_sha256(module)
    with pytest.raises(ModelError, match=r"linear\.weight \(\(7, 64\) in the file"):
        load_model(path, module=module)
    assert weights_sha256(module) == before
    assert module.training


def test_what_is_no_model_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    (tmp_path / "net.onnx").write_bytes(b"x")
    (tmp_path / "net.pt2").write_bytes(b"not an archive")
    (tmp_path / "folder.pth").mkdir()
    for name, word in {
        "missing.pth": "no model file",
        "empty.pth": "is empty",
        "net.onnx": r"no model file that can be read; there are \.safetensors",
        "net.pt2": "torch.export.save",
        "folder.pth": "is a folder",
        "": "is a folder",
        "long" * 90 + ".pth": "cannot be read",
    }.items():
        with pytest.raises(ModelError, match=word):
            load_model(tmp_path / name)


def test_files_without_read_permission_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(_trained(2), tmp_path / "net.safetensors")

    # The tests may run as root, whom no permission stops, so the refusal itself is played.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "{",
        lambda _: "[]",
        lambda card: json.dumps({**card, "format_version": 2}),
        lambda card: json.dumps({**card, "colour": "red"}),
        lambda card: json.dumps({**card, "architecture": "resnet18"}),
        lambda card: json.dumps({**card, "architecture_options": {"widths": [5, 8]}}),
        lambda card: json.dumps({**card, "architecture_options": {"colour": 1}}),
        lambda card: json.dumps({**card, "class_names": ["only one"]}),
        lambda card: json.dumps({**card, "in_channels": 1}),
        lambda card: json.dumps({**card, "preparation": [{"step": "colour"}]}),
        lambda card: json.dumps({key: card[key] for key in card if key != "task"}),
    ],
)
def test_cards_that_do_not_fit_are_refused(tmp_path: Path, damage: object) -> None:
    model = _trained(2)
    path = tmp_path / "net.safetensors"
    card = damage(model.card.to_json())  # type: ignore[operator]
    save_file(dict(model.module.state_dict()), path, metadata={"napari_cam": card})
    with pytest.raises(NapariCamError) as caught:
        load_model(path)
    assert any(word in str(caught.value) for word in (str(path), "gap-cnn", "resnet18"))


@pytest.mark.data
def test_squeezenet_sees_the_cat_and_the_espresso(shared_data: Path) -> None:
    import skimage.data
    from torchvision.models import SqueezeNet1_0_Weights

    model = load_model(shared_data / SQUEEZENET, architecture="squeezenet1_0")
    assert model.card.preparation == Preparation.imagenet(224)
    prepare = SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()
    for picture, name in (
        (skimage.data.chelsea(), "Egyptian cat"),
        (skimage.data.coffee(), "espresso"),
    ):
        image = prepare(torch.from_numpy(picture).permute(2, 0, 1))
        with torch.no_grad():
            scores = model.module(image[None]).softmax(dim=1)[0]
        assert model.card.class_names[int(scores.argmax())] == name
        assert float(scores.max()) > 0.5


@pytest.mark.data
def test_a_researchers_own_checkpoint_loads_into_a_module(shared_data: Path) -> None:
    content = torch.load(shared_data / CIFAR, map_location="cpu", weights_only=True)
    state = content["state_dict"]
    with pytest.raises(ModelError, match="module="):
        load_model(shared_data / CIFAR)
    module = CifarResNet20().train()
    model = load_model(shared_data / CIFAR, module=module)
    assert model.module is module
    assert not module.training
    assert model.card.architecture == "CifarResNet20"
    assert (model.card.in_channels, model.card.spatial_ndim) == (3, 2)
    assert set(state) == {f"module.{key}" for key in module.state_dict() if "num_b" not in key}
    for key, tensor in state.items():
        assert torch.equal(module.state_dict()[key.removeprefix("module.")], tensor)
