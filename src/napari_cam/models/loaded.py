"""A network together with what it expects."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from napari_cam.errors import ModelError, TargetError
from napari_cam.models.architectures.input_channels import infer_input
from napari_cam.models.card import ModelCard
from napari_cam.models.hooks import plain_module
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Slices
from napari_cam.volumes.volume import Volume


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
            Where the network has no such class, or several of that name (ImageNet has two cranes).
        """
        names = self.card.class_names
        if isinstance(name, str) and name in names:
            same = [str(index) for index, each in enumerate(names) if each == name]
            if len(same) > 1:
                raise TargetError(
                    f"The network has {len(same)} classes called '{name}'; say which by its index, "
                    f"{' or '.join(same)}."
                )
            return int(same[0])
        try:
            index = int(name)
        except ValueError:
            index = -1
        if 0 <= index < len(names) or (index >= 0 and not names):
            return index
        if not names:
            raise TargetError(
                f"The network's classes have no names, so '{name}' is unknown; give its index, or "
                "class_names when the network is loaded."
            )
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise TargetError(f"The network has no class '{name}'; it has {len(names)}: {shown}.")

    def sliced_along(self, axis: str | int | None) -> LoadedModel:
        """Return a 2D network with its slices across another axis, None for its card's own."""
        if axis is None or self.card.spatial_ndim == 3:
            return self
        chosen: Any = axis
        steps = self.card.preparation.steps
        steps = tuple(Slices(chosen) if isinstance(step, Slices) else step for step in steps)
        return replace(self, card=replace(self.card, preparation=Preparation(steps)))

    def unit_axis(self, volume: Volume) -> int | None:
        """Return the array axis across which the slices of `volume` lie, None for 3D.

        Raises
        ------
        PreparationError
            Where the volume has no such slices.
        """
        for step in self.card.preparation.steps:
            if isinstance(step, Slices):
                return step.stored_axis(volume.stack_axis, volume.orientation)
        return None


def weights_sha256(module: nn.Module) -> str:
    """Return a digest of a module's names, shapes and numbers.

    Wrappers (torch.compile, DataParallel) do not change it, nor does the count of training batches
    that batch norm keeps, as no output depends on it.

    Raises
    ------
    ModelError
        Where the module's parameters hold no numbers yet.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(plain_module(module).state_dict().items()):
        if not isinstance(tensor, torch.Tensor) or name.endswith("num_batches_tracked"):
            continue
        if is_lazy(tensor) or tensor.is_meta:
            raise ModelError(
                f"The network's '{name}' holds no numbers yet; run it on one batch or load its "
                "weights first."
            )
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{array.dtype}{tuple(array.shape)}".encode())
        digest.update(array.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def wrap_model(
    module: nn.Module,
    class_names: Sequence[str] | None = None,
    in_channels: int | None = None,
    spatial_ndim: Literal[2, 3] | None = None,
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
        One name per output (two for a network with one output, whose sign decides); None leaves
        the classes unnamed, to be called by index.
    in_channels
        Channels the network takes; None reads them from its first convolution.
    spatial_ndim
        2 for a network of slices or pictures, 3 for a network of whole volumes; None reads it from
        its first convolution.
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
        Where `module` is not a torch module, or TorchScript, or holds no numbers yet.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"wrap_model takes a torch.nn.Module, not {type(module).__name__}; "
            "read files with load_model."
        )
    if isinstance(class_names, str):
        raise ModelError(f"class_names is a list of names, not the word '{class_names}'.")
    inferred = infer_input(module) or (3, 2)
    in_channels = inferred[0] if in_channels is None else in_channels
    if spatial_ndim is None:
        spatial_ndim = inferred[1]
    card = ModelCard(
        architecture=architecture or type(plain_module(module)).__name__,
        task=task,
        spatial_ndim=spatial_ndim,
        class_names=tuple(class_names or ()),
        in_channels=in_channels,
        preparation=preparation or Preparation.default(spatial_ndim, in_channels),
        default_layer=default_layer,
    )
    return LoadedModel(module, card, weights_sha256(module))
