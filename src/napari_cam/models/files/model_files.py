"""Model files: reading networks of any origin safely, and writing our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.files import writing
from napari_cam.models.architectures.building import build, outline
from napari_cam.models.architectures.table import Architecture, architecture
from napari_cam.models.card import ModelCard
from napari_cam.models.files.checkpoints import (
    CARD_KEY,
    Weights,
    check_model_file,
    read_weights,
)
from napari_cam.models.files.exported import is_exported, read_exported
from napari_cam.models.files.load_options import LoadOptions, check_class_names, origin
from napari_cam.models.files.matching import (
    Matched,
    Sizes,
    check_numbers,
    fill,
    find_sizes,
    guess_architecture,
    match_names,
)
from napari_cam.models.files.pretrained import pretrained
from napari_cam.models.hooks import plain_module
from napari_cam.models.loaded import LoadedModel, weights_sha256, wrap_model
from napari_cam.models.preparation.preparation import Preparation

_IMAGENET = "imagenet:"


def load_model(
    path: str | Path,
    architecture: str | None = None,
    class_names: Sequence[str] | None = None,
    in_channels: int | None = None,
    spatial_ndim: Literal[2, 3] | None = None,
    module: nn.Module | None = None,
    preparation: Preparation | None = None,
    default_layer: str | None = None,
    architecture_options: Mapping[str, Any] | None = None,
    task: Literal["classification", "segmentation"] | None = None,
) -> LoadedModel:
    """Load a network from a file, or with ImageNet weights.

    No code in the file is run: weights are read as numbers. Files that contain more are refused,
    with a message that says what to do.

    Parameters
    ----------
    path
        ``.safetensors`` with our card: nothing else is needed. ``.safetensors`` without a card and
        ``.pt .pth .th .ckpt .bin``: weights only, so give `architecture` or `module` too; nested
        checkpoints and name prefixes such as ``module.`` are handled. ``.pt2``: a network exported
        with ``torch.export`` and a dynamic batch size. "imagenet:resnet50": that architecture with
        ImageNet weights, which are downloaded if needed.
    architecture
        Name in the table of architectures, or a timm name.
    class_names
        One name per output; two names if a single output decides between two classes.
    in_channels, spatial_ndim
        Inferred from the weights if not given.
    module
        The network to load the weights into. It is changed only if all weights fit.
    preparation
        The steps that its training images went through. None uses the card's steps, or ImageNet's
        if the network has ImageNet's classes, or else :meth:`Preparation.default`.
    default_layer
        Target layer to explain if none is given.
    architecture_options
        Arguments that the architecture was built with, for files without a card.
    task
        The network's task. Pass "segmentation" if a given `module` returns maps of scores. None
        uses the task of the card or the architecture.

    Returns
    -------
    LoadedModel
        In eval mode, on the CPU (a given `module` stays where it is), in float32.

    Raises
    ------
    ModelError
        If the file is not valid, or does not fit the network.

    Examples
    --------
    >>> import napari_cam as nc
    >>> path = nc.save_model(nc.load_sample_model(), "fillet.safetensors")
    >>> model = nc.load_model(path)  # the file holds the card, so nothing else is needed
    >>> model.card.class_names
    ('healthy', 'damaged')
    """
    given = LoadOptions(
        architecture=architecture,
        class_names=tuple(class_names or ()),
        in_channels=in_channels,
        spatial_ndim=spatial_ndim,
        module=module,
        preparation=preparation,
        default_layer=default_layer,
        options=architecture_options or {},
        task=task,
    )
    if isinstance(path, str) and path.startswith(_IMAGENET):
        return _load_imagenet(path.removeprefix(_IMAGENET), given)
    path = Path(path)
    check_model_file(path)
    if is_exported(path):
        return _load_exported(path, given)
    weights, card = read_weights(path)
    if module is not None:
        return _load_into(module, path, weights, card, given)
    return _load_by_name(path, weights, card, given)


def save_model(model: LoadedModel, path: str | Path, overwrite: bool = False) -> Path:
    """Save a network as ``.safetensors``: its weights, and its card in one metadata key.

    The same network gives the same bytes. The file is written completely or not at all.

    Parameters
    ----------
    model
        The network and its card.
    path
        File to write, ending in ``.safetensors``.
    overwrite
        Whether to replace an existing file.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    ModelError
        If the name does not end in ``.safetensors`` or the network holds more than tensors.
    WriteError
        If the file cannot be written, or exists already.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise ModelError(
            f"{path} must end in .safetensors, the one format that models are saved in."
        )
    tensors: dict[str, Tensor] = {}
    for name, value in plain_module(model.module).state_dict().items():
        if not isinstance(value, Tensor) or value.is_quantized or value.layout != torch.strided:
            raise ModelError(
                f"The network keeps '{name}', which is no plain tensor, in its state; "
                "save it with torch.export instead."
            )
        # Every name its own storage: the format does not know weights that are shared.
        tensors[name] = value.detach().cpu().contiguous().clone()
    card = json.dumps(model.card.to_json(), sort_keys=True, ensure_ascii=False, allow_nan=False)
    with writing(path, overwrite) as temporary:
        temporary.write_bytes(save(tensors, metadata={CARD_KEY: card}))
    return path


def _load_imagenet(name: str, given: LoadOptions) -> LoadedModel:
    if given.architecture is not None or given.module is not None:
        raise ModelError(
            f"'{_IMAGENET}{name}' names its architecture; leave out architecture and module."
        )
    model = pretrained(name, given.class_names, given.in_channels or 3)
    return replace(model, card=given.amend(model.card))


def _load_exported(path: Path, given: LoadOptions) -> LoadedModel:
    network = read_exported(path)
    check_numbers(network.module.state_dict(), path)
    for key in ("in_channels", "spatial_ndim"):
        if getattr(given, key) not in (None, getattr(network, key)):
            raise ModelError(
                f"{path} holds a network with {key}={getattr(network, key)}, not "
                f"{getattr(given, key)}; leave {key} out."
            )
    check_class_names(path, given.class_names, network.n_classes)
    sizes = Sizes(network.n_classes, network.in_channels, network.spatial_ndim)
    card = given.card_for(given.architecture or "exported", sizes, size=network.size)
    card = replace(card, task=network.task)
    return LoadedModel(network.module, card, weights_sha256(network.module))


def _load_into(
    module: nn.Module, path: Path, weights: Weights, card: ModelCard | None, given: LoadOptions
) -> LoadedModel:
    inner = plain_module(module)
    matched = _match(path, weights, inner)
    fill(inner, matched.weights, path, f"the given {type(inner).__name__}")
    module.eval()
    if card is not None:
        return LoadedModel(module, given.amend(card), weights_sha256(module))
    model = wrap_model(
        module,
        class_names=given.class_names,
        in_channels=given.in_channels,
        spatial_ndim=given.spatial_ndim,
        task=given.task or "classification",
        default_layer=given.default_layer,
        preparation=given.preparation,
        architecture=given.architecture,
    )
    return replace(model, card=replace(model.card, training=origin(matched.ignored)))


def _load_by_name(
    path: Path, weights: Weights, card: ModelCard | None, given: LoadOptions
) -> LoadedModel:
    row = _architecture_of(path, weights, card, given)
    options = dict(given.options)
    if card is not None and not options and card.architecture == row.name:
        options = dict(card.architecture_options)
    ndim = given.spatial_ndim or (card.spatial_ndim if card else None)
    found = find_sizes(row, weights, ndim, **options)
    channels = given.in_channels or (card.in_channels if card else found.in_channels)
    sizes = replace(found, in_channels=channels)
    module, ignored = _build_with(row, weights, path, sizes, options)
    if card is not None:
        card = given.amend(replace(card, architecture=row.name, architecture_options=options))
    else:
        size = options.get("image_size", row.input_size)
        fixed = (size, size) if row.fixed_size else None
        card = given.card_for(row.name, sizes, row, options, fixed)
        card = replace(card, training=origin(ignored))
    check_class_names(path, card.class_names, sizes.n_classes)
    return LoadedModel(module, card, weights_sha256(module))


def _architecture_of(
    path: Path, weights: Weights, card: ModelCard | None, given: LoadOptions
) -> Architecture:
    if given.architecture is not None:
        return architecture(given.architecture)
    if card is not None:
        try:
            return architecture(card.architecture)
        except ModelError as error:
            raise ModelError(
                f"The network in {path} is a '{card.architecture}', which is not in the table of "
                "architectures; build it in Python and give it as module=."
            ) from error
    guess = guess_architecture(weights)
    hint = f", such as architecture='{guess}', whose weights bear these names" if guess else ""
    raise ModelError(
        f"{path} holds weights alone; give the architecture they belong to{hint}, or the network "
        "itself as module=."
    )


def _build_with(
    row: Architecture, weights: Weights, path: Path, sizes: Sizes, options: Mapping[str, Any]
) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the architecture with these weights in it, and the names of those left out."""
    shape = (sizes.n_classes or 1, sizes.in_channels, sizes.spatial_ndim)
    module = outline(row, *shape, **options)
    matched = _match(path, weights, module, row.training_only)
    fill(module, matched.weights, path, row.name)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        # What the network computes for itself, and no file holds, an outline may lack.
        with torch.random.fork_rng(devices=[]):
            module = build(row, *shape, **options)
        fill(module, matched.weights, path, row.name)
    return module.float().eval(), matched.ignored


def _match(
    path: Path, weights: Weights, module: nn.Module, training_only: tuple[str, ...] = ()
) -> Matched:
    matched = match_names(weights, module.state_dict(), training_only)
    if len(matched.prefixes) > 1:
        places = " and ".join(f"'{prefix}'" for prefix in matched.prefixes)
        raise ModelError(
            f"{path} holds the network more than once, under {places}; save the one to explain "
            "alone."
        )
    return matched
