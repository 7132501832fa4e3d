"""Networks built by name, with untrained weights; segmentation and MONAI packages are optional."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from napari_cam.errors import ModelError
from napari_cam.models.architectures.gap_networks import GapCNN, alexnet_gap, vgg_gap
from napari_cam.models.architectures.input_channels import set_input_channels
from napari_cam.models.architectures.table import ARCHITECTURES, Architecture, architecture
from napari_cam.models.architectures.unet import UNet

# Options come out of model files too, which must not make timm read another file or the internet.
_LOADING_OPTIONS = (
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("weights", "weights_backbone", "encoder_weights"),
)

# How an optional package is called, and the extra that installs it.
_EXTRAS = {
    "segmentation_models_pytorch": ("segmentation-models-pytorch", "segmentation"),
    "monai": ("monai", "monai"),
}


def build(
    name: str | Architecture,
    n_classes: int,
    in_channels: int = 3,
    spatial_ndim: int = 2,
    **options: Any,
) -> nn.Module:
    """Build a network with untrained weights.

    Parameters
    ----------
    name
        See :func:`architecture`.
    n_classes
        Outputs; the classification head has this size.
    in_channels
        Channels of the input. Where torchvision's networks are to take another number than 3,
        their first convolution is replaced
        (:func:`~napari_cam.models.architectures.input_channels.set_input_channels`).
    spatial_ndim
        2, or 3 where the architecture can be built for volumes.
    **options
        Passed on to the builder: those of
        :class:`~napari_cam.models.architectures.gap_networks.GapCNN`, of
        :class:`~napari_cam.models.architectures.unet.UNet`, of torchvision's, timm's,
        segmentation-models-pytorch's (``encoder_name``) or MONAI's model.

    Raises
    ------
    ModelError
        Where the name, a number or an option does not fit.
    """
    row = architecture(name) if isinstance(name, str) else name
    if spatial_ndim not in row.spatial_ndims:
        volumes = ", ".join(key for key, other in ARCHITECTURES.items() if 3 in other.spatial_ndims)
        raise ModelError(
            f"{row.name} takes images with {row.spatial_ndims[0]} spatial dimensions, not "
            f"{spatial_ndim}; for volumes there is {volumes}."
        )
    if n_classes < 1 or in_channels < 1:
        raise ModelError(
            f"{row.name} needs at least one class and one channel, not {n_classes} classes and "
            f"{in_channels} channels."
        )
    loading = [key for key in options if key in _LOADING_OPTIONS]
    if loading:
        raise ModelError(
            f"{row.name} is built without weights, so it takes no option '{loading[0]}'; load a "
            "model file, or 'imagenet:' and the architecture's name."
        )
    builder = {
        "napari-cam": _build_ours,
        "torchvision": _build_torchvision,
        "timm": _build_timm,
        "smp": _build_smp,
        "monai": _build_monai,
    }
    try:
        return builder[row.source](
            _Spec(row, n_classes, in_channels, spatial_ndim, {**row.options, **options})
        )
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{row.name} cannot be built with the options {dict(options)} ({reason})."
        ) from error


class _Spec(NamedTuple):
    """What to build: an architecture, its sizes, and all options of its builder."""

    row: Architecture
    n_classes: int
    in_channels: int
    spatial_ndim: int
    options: Mapping[str, Any]


def _build_ours(spec: _Spec) -> nn.Module:
    if spec.row.name == "gap-cnn":
        return GapCNN(spec.n_classes, spec.in_channels, spec.spatial_ndim, **spec.options)
    if spec.row.name == "unet":
        return UNet(spec.n_classes, spec.in_channels, spec.spatial_ndim, **spec.options)
    modified = spec.row.name.endswith("-modified")
    if spec.row.built_as == "alexnet":
        return alexnet_gap(spec.n_classes, spec.in_channels, modified, **spec.options)
    return vgg_gap(spec.row.built_as, spec.n_classes, spec.in_channels, modified, **spec.options)


def _build_torchvision(spec: _Spec) -> nn.Module:
    import torchvision

    module: nn.Module = torchvision.models.get_model(
        spec.row.built_as or spec.row.name, weights=None, num_classes=spec.n_classes, **spec.options
    )
    if spec.in_channels != 3:
        set_input_channels(module, spec.in_channels)
    return module


def _build_timm(spec: _Spec) -> nn.Module:
    import timm

    module: nn.Module = timm.create_model(
        spec.row.built_as or spec.row.name,
        pretrained=False,
        num_classes=spec.n_classes,
        in_chans=spec.in_channels,
        **spec.options,
    )
    return module


def _build_smp(spec: _Spec) -> nn.Module:
    package = _package(spec.row)
    given = {"encoder_name": "resnet34", **spec.options}
    try:
        network: nn.Module = getattr(package, spec.row.built_as)(
            encoder_weights=None, in_channels=spec.in_channels, classes=spec.n_classes, **given
        )
    except KeyError as error:
        raise ModelError(
            f"segmentation-models-pytorch has no encoder '{given['encoder_name']}'; "
            "its documentation lists them."
        ) from error
    return network


# What MONAI's networks call the channels and the classes, where not in_channels and out_channels.
_MONAI_SIZES = {
    "resnet18": ("n_input_channels", "num_classes"),
    "resnet50": ("n_input_channels", "num_classes"),
    "SEResNet50": ("in_channels", "num_classes"),
}


def _build_monai(spec: _Spec) -> nn.Module:
    nets = _package(spec.row, "monai.networks.nets")
    channels, outputs = _MONAI_SIZES.get(spec.row.built_as, ("in_channels", "out_channels"))
    sizes = {"spatial_dims": spec.spatial_ndim, channels: spec.in_channels, outputs: spec.n_classes}
    network: nn.Module = getattr(nets, spec.row.built_as)(**{**sizes, **spec.options})
    return network


def _package(row: Architecture, module: str = "") -> Any:
    if not row.available:
        title, extra = _EXTRAS[row.package]
        raise ModelError(
            f"{row.name} is built by {title}, which is not installed; install napari-cam[{extra}]."
        )
    return importlib.import_module(module or row.package)


class _EmptyOnMeta(TorchFunctionMode):
    """Makes ``torch.empty`` give tensors without storage: names and shapes, no numbers.

    Layers make their parameters with it, while what a network computes from its settings (position
    tables, block widths) is made otherwise and stays real; ``torch.device("meta")`` would take
    that away too, and some networks cannot be built without it.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.empty:
            kwargs = {**(kwargs or {}), "device": "meta"}
        return func(*args, **(kwargs or {}))


def outline(
    row: Architecture, n_classes: int, in_channels: int, spatial_ndim: int, **options: Any
) -> nn.Module:
    """Build a network whose parameters have names and shapes but take neither time nor memory.

    The state of torch's random numbers stays as it was.
    """
    with torch.random.fork_rng(devices=[]), _EmptyOnMeta():
        return build(row, n_classes, in_channels, spatial_ndim, **options)
