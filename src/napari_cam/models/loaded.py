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
        The network. It always runs in eval mode; its own flags are restored afterwards.
    card
        What the network expects and what its outputs mean.
    sha256
        Digest of the weights. The same numbers give the same digest, whatever file they came from.
    """

    module: nn.Module = field(repr=False)
    card: ModelCard
    sha256: str

    def class_index(self, name: int | str) -> int:
        """Return the output index of a class given by name or index.

        Raises
        ------
        TargetError
            If the network has no such class, or several of this name (ImageNet has two cranes).
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
        """Return this 2D network with slices across another axis; None for its card's own."""
        if axis is None or self.card.spatial_ndim == 3:
            return self
        chosen: Any = axis
        steps = self.card.preparation.steps
        steps = tuple(Slices(chosen) if isinstance(step, Slices) else step for step in steps)
        return replace(self, card=replace(self.card, preparation=Preparation(steps)))

    def unit_axis(self, volume: Volume) -> int | None:
        """Return the array axis across which the slices of `volume` lie; None for a 3D network.

        Raises
        ------
        PreparationError
            If the volume has no such slices.
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
    """Give your own module a card, so that it can be explained.

    Parameters
    ----------
    module
        Any network with an input of shape (n, c, *spatial). It is not copied and not changed.
    class_names
        One name per output (two names for a network with one output, whose sign decides). None
        leaves the classes unnamed; refer to them by index.
    in_channels
        Number of input channels; None takes it from the first convolution.
    spatial_ndim
        2 for a network of slices or pictures, 3 for a network of whole volumes; None takes it from
        the first convolution.
    task
        "classification" or "segmentation".
    default_layer
        Target layer to explain if none is given; None for the tensor that enters global pooling.
    preparation
        The steps that its training images went through; None for :meth:`Preparation.default`.
    architecture
        Name for reports; None for the name of the module's class.

    Raises
    ------
    ModelError
        If `module` is not a torch module, is TorchScript, or has uninitialised weights.

    Examples
    --------
    >>> import napari_cam as nc
    >>> from torch import nn
    >>> features = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU())
    >>> network = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    >>> model = nc.wrap_model(network, class_names=["healthy", "damaged"])
    >>> heatmap = nc.explain_one(model, nc.load_sample_volume(), "gradcam", "damaged")
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
