"""A network together with what it expects."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from napari_cam.errors import ModelError, TargetError
from napari_cam.models.card import ModelCard
from napari_cam.models.preparation import Preparation


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network and its card.

    Attributes
    ----------
    module
        The network. It is evaluated in eval mode whatever its flags say, and handed back as found.
    card
        What it expects and what its outputs mean.
    sha256
        Digest of the weights, the same for the same numbers whichever file they came from.
    """

    module: nn.Module = field(repr=False)
    card: ModelCard
    sha256: str

    def class_index(self, name: int | str) -> int:
        """Return the output index of a class given by name or index.

        Raises
        ------
        TargetError
            Where the network has no such class.
        """
        names = self.card.class_names
        if isinstance(name, str) and name in names:
            return names.index(name)
        try:
            index = int(name)
        except ValueError:
            index = -1
        if 0 <= index < len(names):
            return index
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise TargetError(f"The network has no class '{name}'; it has {len(names)}: {shown}.")


def weights_sha256(module: nn.Module) -> str:
    """Return a digest of a module's names, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{array.dtype}{tuple(array.shape)}".encode())
        digest.update(array.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def wrap_model(
    module: nn.Module,
    class_names: Sequence[str] | None = None,
    in_channels: int = 3,
    spatial_ndim: Literal[2, 3] = 2,
    task: Literal["classification", "segmentation"] = "classification",
    default_layer: str | None = None,
    preparation: Preparation | None = None,
    architecture: str | None = None,
) -> LoadedModel:
    """Give a module of your own a card, so that it can be explained.

    Parameters
    ----------
    module
        Any network whose input is (n, c, *spatial). It is neither copied nor changed.
    class_names
        One name per output; None leaves the outputs unnamed ("0", "1", ...), found out at the
        first forward pass.
    in_channels
        Channels the network takes.
    spatial_ndim
        2 for a network of slices or pictures, 3 for a network of whole volumes.
    task
        What its output is.
    default_layer
        Target layer to explain where none is named; None for the tensor that enters global pooling.
    preparation
        The steps its training images went through; None for
        :meth:`Preparation.default`.
    architecture
        Name for reports; None for the class name.

    Raises
    ------
    ModelError
        Where `module` is not a torch module.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"wrap_model takes a torch.nn.Module, not {type(module).__name__}; "
            "read files with load_model."
        )
    card = ModelCard(
        architecture=architecture or type(module).__name__,
        task=task,
        spatial_ndim=spatial_ndim,
        class_names=tuple(class_names or ()),
        in_channels=in_channels,
        preparation=preparation or Preparation.default(spatial_ndim, in_channels),
        default_layer=default_layer,
    )
    return LoadedModel(module, card, weights_sha256(module))
