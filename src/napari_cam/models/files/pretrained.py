"""ImageNet weights, through torchvision's and timm's own loading, only when asked for."""

from __future__ import annotations

import contextlib
import http.client
import pickle
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build, outline
from napari_cam.models.architectures.input_channels import set_input_channels
from napari_cam.models.architectures.table import Architecture, architecture
from napari_cam.models.card import ModelCard
from napari_cam.models.loaded import LoadedModel, weights_sha256
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Resize, Standardize

IMAGENET_CLASSES = 1000
_DOWNLOAD_ERRORS: tuple[type[Exception], ...] = (
    *(OSError, EOFError, RuntimeError, http.client.HTTPException, pickle.UnpicklingError),
)


def pretrained(
    name: str, class_names: Sequence[str] | None = None, in_channels: int = 3
) -> LoadedModel:
    """Load a network with weights trained on ImageNet, downloading them where needed.

    Parameters
    ----------
    name
        An architecture (:func:`~napari_cam.models.architectures.table.architecture`).
    class_names
        None keeps the 1000 ImageNet classes. Names of your own replace the head by an untrained
        one of that size, drawn from torch's random numbers: the start for training.
    in_channels
        Other numbers than 3 spread the first convolution's kernels
        (:func:`~napari_cam.models.architectures.input_channels.set_input_channels`, as timm does).

    Raises
    ------
    ModelError
        Where there are no ImageNet weights for it, or they cannot be had: the sentence says where
        they are looked for and how to bring them there.
    """
    row = architecture(name)
    if row.task != "classification" or row.package:
        raise ModelError(
            f"There are no ImageNet weights for {row.name} as a whole; train it, or load a file of "
            "weights."
        )
    if row.source == "napari-cam":
        module = _from_features(row, class_names, in_channels)
        names: tuple[str, ...] = tuple(class_names or ())
    else:
        load = _from_torchvision if row.source == "torchvision" else _from_timm
        module, names = load(row, in_channels)
        if class_names:
            names = tuple(class_names)
            _replace_head(row, module, len(names))
    card = ModelCard(
        architecture=row.name,
        task="classification",
        spatial_ndim=2,
        class_names=names,
        in_channels=in_channels,
        preparation=_preparation(row, module, in_channels),
        architecture_options=_options(row, module),
        training={"weights": f"ImageNet, {'timm' if row.source == 'timm' else 'torchvision'}"},
    )
    return LoadedModel(module.eval(), card, weights_sha256(module))


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1000 ImageNet classes, in their usual order."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def imagenet_preparation(
    row: Architecture | None, size: int | tuple[int, int] | None = None
) -> Preparation:
    """Return the preparation for a network with ImageNet weights (three channels).

    Parameters
    ----------
    row
        Its architecture, where it is known. timm's networks bring their own mean and deviation.
    size
        Input size; None for the architecture's.
    """
    plain = Preparation.imagenet(size or (row.input_size if row else 224))
    if row is None or row.source != "timm":
        return plain
    import timm

    config = timm.get_pretrained_cfg(row.built_as or row.name, allow_unregistered=True)
    if config is None:
        return plain
    own = Standardize(tuple(config.mean), tuple(config.std))
    return Preparation(
        tuple(own if isinstance(step, Standardize) else step for step in plain.steps)
    )


def _preparation(row: Architecture, module: nn.Module, in_channels: int) -> Preparation:
    size = getattr(module, "image_size", None) if row.source == "torchvision" else None
    if in_channels == 3:
        return imagenet_preparation(row, size)
    steps = Preparation.default(2, in_channels).steps
    return Preparation((*steps, Resize(size or row.input_size)))


def _options(row: Architecture, module: nn.Module) -> dict[str, Any]:
    """Return what its weights need and the architecture is not built with by itself."""
    options: dict[str, Any] = {}
    if getattr(module, "transform_input", False):  # Inception and GoogLeNet shift RGB themselves
        options["transform_input"] = True
    size = getattr(module, "image_size", row.input_size)
    if row.source == "torchvision" and size != row.input_size:  # transformers are built for a size
        options["image_size"] = size
    return options


def _from_torchvision(row: Architecture, in_channels: int) -> tuple[nn.Module, tuple[str, ...]]:
    import torchvision

    weights = torchvision.models.get_model_weights(row.name).DEFAULT
    with _reporting(row, weights.url), torch.random.fork_rng(devices=[]):
        # The builders set what the weights need themselves, and refuse to be told otherwise.
        module: nn.Module = torchvision.models.get_model(row.name, weights=weights)
    for beginning in row.training_only:
        setattr(module, beginning.rstrip("."), None)
        setattr(module, "aux_logits", False)  # noqa: B010
    if in_channels != 3:
        if getattr(module, "transform_input", False):
            setattr(module, "transform_input", False)  # noqa: B010
        set_input_channels(module, in_channels, keep_weights=True)
    return module, tuple(weights.meta["categories"])


def _from_timm(row: Architecture, in_channels: int) -> tuple[nn.Module, tuple[str, ...]]:
    import timm

    config = timm.get_pretrained_cfg(row.built_as or row.name, allow_unregistered=True)
    if config is None or not config.has_weights:
        raise ModelError(
            f"timm has no pretrained weights for '{row.name}'; choose another architecture or load "
            "weights of your own."
        )
    with (
        _reporting(row, str(config.url) if config.url else None),
        torch.random.fork_rng(devices=[]),
    ):
        module: nn.Module = timm.create_model(
            row.built_as or row.name, pretrained=True, in_chans=in_channels, **row.options
        )
    known = config.num_classes == IMAGENET_CLASSES
    return module, imagenet_classes() if known else ()


def _from_features(
    row: Architecture, class_names: Sequence[str] | None, in_channels: int
) -> nn.Module:
    """Build a GAP network on the convolutions of torchvision's trained AlexNet or VGG."""
    if not row.built_as:
        raise ModelError(
            f"There are no ImageNet weights for '{row.name}'; train it, or choose a network of "
            "torchvision or timm."
        )
    if not class_names:
        raise ModelError(
            f"Only the convolutions of '{row.name}' come from ImageNet, its head is to be trained; "
            "give class_names."
        )
    module = build(row, len(class_names), 3)
    trained = _from_torchvision(architecture(row.built_as), 3)[0].state_dict()
    features = {key: value for key, value in trained.items() if key.startswith("features.")}
    module.load_state_dict(features, strict=False)
    if in_channels != 3:
        set_input_channels(module, in_channels, keep_weights=True)
    return module


def _replace_head(row: Architecture, module: nn.Module, n_classes: int) -> None:
    """Put an untrained classification head of another size in place of the trained one."""
    options = _options(row, module)
    fresh = outline(row, n_classes, 3, 2, **options).state_dict()
    other = outline(row, n_classes + 1, 3, 2, **options).state_dict()
    heads = {key.rpartition(".")[0] for key in fresh if fresh[key].shape != other[key].shape}
    for head in heads:
        old = module.get_submodule(head)
        new: nn.Module
        if isinstance(old, nn.Linear):
            new = nn.Linear(old.in_features, n_classes, bias=old.bias is not None)
        elif isinstance(old, nn.Conv2d) and old.kernel_size == (1, 1):
            new = nn.Conv2d(old.in_channels, n_classes, 1, bias=old.bias is not None)
        else:
            raise ModelError(
                f"The head of {row.name} is a {type(old).__name__}, which cannot be resized to "
                f"{n_classes} classes; build the network untrained instead."
            )
        parent, _, leaf = head.rpartition(".")
        setattr(module.get_submodule(parent), leaf, new)
    if hasattr(module, "num_classes"):
        setattr(module, "num_classes", n_classes)  # noqa: B010


@contextlib.contextmanager
def _reporting(row: Architecture, url: str | None) -> Iterator[None]:
    """Turn failed downloads into a sentence, and their progress to the standard error stream."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except _DOWNLOAD_ERRORS + _hub_errors() as error:
        if url is not None:
            file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
            place = f"download {url} elsewhere and put it at {file}"
        else:
            from huggingface_hub.constants import HF_HUB_CACHE

            place = f"fill the cache of the Hugging Face hub ({HF_HUB_CACHE}) elsewhere"
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"The ImageNet weights of {row.name} could not be had ({lines[0][:120]}); {place}, or "
            f"load a file with load_model(path, architecture='{row.name}')."
        ) from error


def _hub_errors() -> tuple[type[Exception], ...]:
    # What timm downloads with raises errors of its own HTTP client, which differs by version.
    found: list[type[Exception]] = []
    for client in ("httpx", "requests"):
        module = sys.modules.get(client)
        error = getattr(module, "HTTPError", None)
        if isinstance(error, type) and issubclass(error, Exception):
            found.append(error)
    return tuple(found)
