"""Networks of segmentation-models-pytorch and MONAI by name; both packages are optional."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from torch import nn

from napari_cam.errors import ModelError

# What "NAME" of smp:NAME is called there.
SMP = {
    "unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    "manet": "MAnet",
    "linknet": "Linknet",
    "fpn": "FPN",
    "pspnet": "PSPNet",
    "deeplabv3": "DeepLabV3",
    "deeplabv3plus": "DeepLabV3Plus",
    "upernet": "UPerNet",
}
_EXTRAS = {
    "segmentation_models_pytorch": ("segmentation-models-pytorch", "segmentation"),
    "monai": ("monai", "monai"),
}


def available(package: str) -> bool:
    """Whether an optional package is installed."""
    return find_spec(package) is not None


def _package(package: str, name: str, module: str = "") -> Any:
    if not available(package):
        title, extra = _EXTRAS[package]
        raise ModelError(
            f"{name} is built by {title}, which is not installed; install napari-cam[{extra}]."
        )
    return importlib.import_module(module or package)


def build_smp(
    name: str, kind: str, n_classes: int, in_channels: int, options: Mapping[str, Any]
) -> nn.Module:
    """Build a network of segmentation-models-pytorch, without weights.

    Raises
    ------
    ModelError
        Where the package is not installed or has no such encoder.
    """
    package = _package("segmentation_models_pytorch", name)
    given = {"encoder_name": "resnet34", **options}
    try:
        network: nn.Module = getattr(package, SMP[kind])(
            encoder_weights=None, in_channels=in_channels, classes=n_classes, **given
        )
    except KeyError as error:
        raise ModelError(
            f"segmentation-models-pytorch has no encoder '{given['encoder_name']}'; "
            "its documentation lists them."
        ) from error
    return network


def build_monai(
    name: str,
    kind: str,
    n_classes: int,
    in_channels: int,
    spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    """Build a network of MONAI, without weights.

    Raises
    ------
    ModelError
        Where the package is not installed.
    """
    nets = _package("monai", name, "monai.networks.nets")
    defaults, channels, outputs = _MONAI[kind]
    sizes = {"spatial_dims": spatial_ndim, channels: in_channels, outputs: n_classes}
    given = {**sizes, **defaults, **options}
    network: nn.Module = getattr(nets, _MONAI_NAMES[kind])(**given)
    return network


_LEVELS = 5
_MONAI_NAMES = {
    "unet": "UNet",
    "dynunet": "DynUNet",
    "segresnet": "SegResNet",
    "densenet121": "DenseNet121",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "seresnet50": "SEResNet50",
}
_PLAIN: dict[str, Any] = {"pretrained": False}
# What the builder is given unless options say otherwise, and what it calls channels and classes.
_MONAI: dict[str, tuple[dict[str, Any], str, str]] = {
    "unet": (
        {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2), "num_res_units": 2},
        "in_channels",
        "out_channels",
    ),
    "dynunet": (
        {
            "kernel_size": [3] * _LEVELS,
            "strides": [1] + [2] * (_LEVELS - 1),
            "upsample_kernel_size": [2] * (_LEVELS - 1),
        },
        "in_channels",
        "out_channels",
    ),
    "segresnet": ({}, "in_channels", "out_channels"),
    "densenet121": (_PLAIN, "in_channels", "out_channels"),
    "resnet18": (_PLAIN, "n_input_channels", "num_classes"),
    "resnet50": (_PLAIN, "n_input_channels", "num_classes"),
    "seresnet50": (_PLAIN, "in_channels", "num_classes"),
}
MONAI_SEGMENTERS = ("unet", "dynunet", "segresnet")
MONAI_CLASSIFIERS = tuple(kind for kind in _MONAI if kind not in MONAI_SEGMENTERS)
