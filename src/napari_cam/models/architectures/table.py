"""The table of architectures: which networks can be built by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from napari_cam.errors import ModelError
from napari_cam.models.architectures.gap_networks import GapCNN, alexnet_gap, vgg_gap
from napari_cam.models.architectures.segmentation_networks import (
    MONAI_SEGMENTERS,
    SMP,
    build_monai,
    build_smp,
)
from napari_cam.models.architectures.stems import set_input_channels
from napari_cam.models.architectures.unet import UNet


@dataclass(frozen=True)
class Architecture:
    """One network that can be built by name.

    Attributes
    ----------
    name
        What it is called here; "timm:NAME" where it is looked up in timm.
    family
        Networks of one design.
    source
        Whose code builds it.
    reference
        The paper that describes it.
    input_size
        Height and width its authors used.
    spatial_ndims
        (2,), or (2, 3) where it can be built for volumes too.
    built_as
        Its name in the source, where that differs.
    options
        What the source's builder is always given.
    training_only
        Beginnings of the names of weights that only training uses (auxiliary heads); they are not
        built, and left out when a file holds them.
    fixed_size
        Whether it takes no other size than `input_size` (transformers with learned positions).
    task
        What it is built for.
    multiple_of
        What the input's lengths must be multiples of.
    """

    name: str
    family: str
    source: Literal["napari-cam", "torchvision", "timm", "smp", "monai"]
    reference: str
    input_size: int = 224
    spatial_ndims: tuple[int, ...] = (2,)
    built_as: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    training_only: tuple[str, ...] = ()
    fixed_size: bool = False
    task: Literal["classification", "segmentation"] = "classification"
    multiple_of: int = 1

    @property
    def package(self) -> str:
        """The optional package that builds it, empty where none is needed."""
        return {"smp": "segmentation_models_pytorch", "monai": "monai"}.get(self.source, "")


_GAP = "Zhou et al. 2016, arXiv:1512.04150; Kang et al. 2021"
_OURS = (
    Architecture("gap-cnn", "GAP", "napari-cam", "Zhou et al. 2016, arXiv:1512.04150", 128, (2, 3)),
    Architecture("alexnet-gap", "GAP", "napari-cam", _GAP, built_as="alexnet"),
    Architecture("alexnet-gap-modified", "GAP", "napari-cam", _GAP, built_as="alexnet"),
    Architecture("vgg16-gap", "GAP", "napari-cam", _GAP, built_as="vgg16"),
    Architecture("vgg16-gap-modified", "GAP", "napari-cam", _GAP, built_as="vgg16"),
    Architecture("vgg19-gap", "GAP", "napari-cam", _GAP, built_as="vgg19"),
    Architecture("vgg19-gap-modified", "GAP", "napari-cam", _GAP, built_as="vgg19"),
    Architecture("unet", "U-Net", "napari-cam", "Rheude et al. 2024", 256, (2, 3)),
)

# family, reference, names
_TORCHVISION = (
    ("AlexNet", "Krizhevsky 2014, arXiv:1404.5997", "alexnet"),
    (
        "VGG",
        "Simonyan and Zisserman 2015, arXiv:1409.1556",
        "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
    ),
    ("Inception", "Szegedy et al. 2015, arXiv:1409.4842", "googlenet"),
    ("Inception", "Szegedy et al. 2016, arXiv:1512.00567", "inception_v3"),
    (
        "ResNet",
        "He et al. 2016, arXiv:1512.03385",
        "resnet18 resnet34 resnet50 resnet101 resnet152",
    ),
    (
        "Wide ResNet",
        "Zagoruyko and Komodakis 2016, arXiv:1605.07146",
        "wide_resnet50_2 wide_resnet101_2",
    ),
    (
        "ResNeXt",
        "Xie et al. 2017, arXiv:1611.05431",
        "resnext50_32x4d resnext101_32x8d resnext101_64x4d",
    ),
    (
        "DenseNet",
        "Huang et al. 2017, arXiv:1608.06993",
        "densenet121 densenet161 densenet169 densenet201",
    ),
    ("SqueezeNet", "Iandola et al. 2016, arXiv:1602.07360", "squeezenet1_0 squeezenet1_1"),
    ("MobileNet", "Sandler et al. 2018, arXiv:1801.04381", "mobilenet_v2"),
    ("MobileNet", "Howard et al. 2019, arXiv:1905.02244", "mobilenet_v3_small mobilenet_v3_large"),
    (
        "ShuffleNet",
        "Ma et al. 2018, arXiv:1807.11164",
        "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    ),
    (
        "MNASNet",
        "Tan et al. 2019, arXiv:1807.11626",
        "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3",
    ),
    (
        "EfficientNet",
        "Tan and Le 2019, arXiv:1905.11946",
        (
            "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 "
            "efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7"
        ),
    ),
    (
        "EfficientNetV2",
        "Tan and Le 2021, arXiv:2104.00298",
        "efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l",
    ),
    (
        "RegNet",
        "Radosavovic et al. 2020, arXiv:2003.13678",
        (
            "regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf "
            "regnet_x_16gf regnet_x_32gf regnet_y_400mf regnet_y_800mf regnet_y_1_6gf "
            "regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf regnet_y_128gf"
        ),
    ),
    (
        "ConvNeXt",
        "Liu et al. 2022, arXiv:2201.03545",
        "convnext_tiny convnext_small convnext_base convnext_large",
    ),
    (
        "Vision Transformer",
        "Dosovitskiy et al. 2021, arXiv:2010.11929",
        "vit_b_16 vit_b_32 vit_l_16 vit_l_32 vit_h_14",
    ),
    ("Swin Transformer", "Liu et al. 2021, arXiv:2103.14030", "swin_t swin_s swin_b"),
    ("Swin Transformer V2", "Liu et al. 2022, arXiv:2111.09883", "swin_v2_t swin_v2_s swin_v2_b"),
    ("MaxViT", "Tu et al. 2022, arXiv:2204.01697", "maxvit_t"),
)
_INPUT_SIZES = {
    "inception_v3": 299,
    "efficientnet_b1": 240,
    "efficientnet_b2": 288,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
    "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480,
    "efficientnet_v2_l": 480,
    "swin_v2_t": 256,
    "swin_v2_s": 256,
    "swin_v2_b": 256,
}
_FIXED_SIZE = ("Vision Transformer", "MaxViT")
# The auxiliary heads serve training alone. init_weights is what is done today when it is not said,
# with a warning that this will change.
_WITH_AUXILIARY_HEADS = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
_NO_AUXILIARY_HEADS = MappingProxyType({"aux_logits": False, "init_weights": True})

# What some papers call "Inception V4" is inception_resnet_v2: here each name is what it says.
_TIMM = (
    Architecture("inception_v4", "Inception", "timm", "Szegedy et al. 2017, arXiv:1602.07261", 299),
    Architecture(
        "inception_resnet_v2", "Inception", "timm", "Szegedy et al. 2017, arXiv:1602.07261", 299
    ),
    Architecture(
        *("xception", "Xception", "timm", "Chollet 2017, arXiv:1610.02357", 299),
        built_as="legacy_xception",
    ),
)


_RHEUDE = "Rheude et al. 2024; Ronneberger et al. 2015, arXiv:1505.04597"
_SMP_REFERENCES = {
    "unet": "Ronneberger et al. 2015, arXiv:1505.04597",
    "unetplusplus": "Zhou et al. 2018, arXiv:1807.10165",
    "manet": "Fan et al. 2020",
    "linknet": "Chaurasia and Culurciello 2017, arXiv:1707.03718",
    "fpn": "Kirillov et al. 2019",
    "pspnet": "Zhao et al. 2017, arXiv:1612.01105",
    "deeplabv3": "Chen et al. 2017, arXiv:1706.05587",
    "deeplabv3plus": "Chen et al. 2018, arXiv:1802.02611",
    "upernet": "Xiao et al. 2018, arXiv:1807.10221",
}
_UNET_ENCODERS = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
# name, reference
_TORCHVISION_SEGMENTERS = (
    ("FCN", "Long et al. 2015, arXiv:1411.4038", "fcn_resnet50 fcn_resnet101"),
    (
        "DeepLabV3",
        "Chen et al. 2017, arXiv:1706.05587",
        "deeplabv3_resnet50 deeplabv3_resnet101 deeplabv3_mobilenet_v3_large",
    ),
    ("LR-ASPP", "Howard et al. 2019, arXiv:1905.02244", "lraspp_mobilenet_v3_large"),
)
_MONAI_REFERENCES = {
    "unet": ("U-Net", "Kerfoot et al. 2019"),
    "dynunet": ("U-Net", "Isensee et al. 2021, arXiv:1904.08128"),
    "segresnet": ("SegResNet", "Myronenko 2018, arXiv:1810.11654"),
    "densenet121": ("DenseNet", "Huang et al. 2017, arXiv:1608.06993"),
    "resnet18": ("ResNet", "Hara et al. 2018, arXiv:1711.09577"),
    "resnet50": ("ResNet", "Hara et al. 2018, arXiv:1711.09577"),
    "seresnet50": ("SE-ResNet", "Hu et al. 2018, arXiv:1709.01507"),
}


def _segmenters() -> list[Architecture]:
    rows = [Architecture("unet", "U-Net", "napari-cam", _RHEUDE, 256, (2, 3), task="segmentation")]
    rows += [
        Architecture(
            *(f"unet-{encoder}", "U-Net", "smp", _SMP_REFERENCES["unet"], 256),
            built_as="unet",
            options={"encoder_name": encoder},
            task="segmentation",
            multiple_of=32,
        )
        for encoder in _UNET_ENCODERS
    ]
    rows += [
        Architecture(
            *(f"smp:{kind}", SMP[kind], "smp", reference, 256),
            built_as=kind,
            task="segmentation",
            multiple_of=32,
        )
        for kind, reference in _SMP_REFERENCES.items()
    ]
    for family, reference, names in _TORCHVISION_SEGMENTERS:
        rows += [
            Architecture(
                *(name, family, "torchvision", reference, 520),
                options={"weights_backbone": None},
                training_only=("aux_classifier.",),
                task="segmentation",
            )
            for name in names.split()
        ]
    return rows


def _of_monai() -> list[Architecture]:
    return [
        Architecture(
            *(f"monai:{kind}", family, "monai", reference, 96, (2, 3)),
            built_as=kind,
            task="segmentation" if kind in MONAI_SEGMENTERS else "classification",
            multiple_of=16 if kind in MONAI_SEGMENTERS else 1,
        )
        for kind, (family, reference) in _MONAI_REFERENCES.items()
    ]


def _torchvision_row(name: str, family: str, reference: str) -> Architecture:
    heads = _WITH_AUXILIARY_HEADS.get(name, ())
    return Architecture(
        *(name, family, "torchvision", reference, _INPUT_SIZES.get(name, 224)),
        options=_NO_AUXILIARY_HEADS if heads else {},
        training_only=heads,
        fixed_size=family in _FIXED_SIZE,
    )


def _table() -> dict[str, Architecture]:
    rows = [
        _torchvision_row(name, family, reference)
        for family, reference, names in _TORCHVISION
        for name in names.split()
    ]
    return {row.name: row for row in (*_OURS, *rows, *_TIMM, *_segmenters(), *_of_monai())}


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(_table())


def architecture(name: str) -> Architecture:
    """Return the architecture called `name`: of the table, or else any of timm's.

    Parameters
    ----------
    name
        A name of :data:`ARCHITECTURES`, a name of ``timm.list_models()``, or "timm:NAME" where a
        name exists in both.

    Raises
    ------
    ModelError
        Where nothing is called so; the names that come close are listed.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    timm_name = name.removeprefix("timm:")
    # timm takes over a second to import: only a name that is not in the table asks for it.
    import timm

    if timm.is_model(timm_name):
        return _timm_architecture(timm_name)
    known = [*ARCHITECTURES, *timm.list_models()]
    close = difflib.get_close_matches(timm_name, dict.fromkeys(known), n=4, cutoff=0.6)
    hint = f"did you mean {', '.join(close)}?" if close else "napari-cam architectures lists them."
    raise ModelError(f"There is no architecture '{name}'; {hint}")


def timm_names(word: str = "") -> list[str]:
    """Return timm's architectures that hold `word`, under the names that find them here."""
    import timm

    return [f"timm:{name}" for name in timm.list_models(f"*{word}*")]


def _timm_architecture(name: str) -> Architecture:
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    size = int(config.input_size[-1]) if config is not None else 224
    fixed = config is not None and bool(config.fixed_input_size)
    return Architecture(
        *(f"timm:{name}", "timm", "timm", "see timm's documentation", size),
        built_as=name,
        fixed_size=fixed,
    )


# Options come out of model files too, which must not make timm read another file or the internet.
_LOADING_OPTIONS = (
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("weights", "weights_backbone", "encoder_weights"),
)


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
        (:func:`~napari_cam.models.architectures.stems.set_input_channels`).
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
            row, n_classes, in_channels, spatial_ndim, {**row.options, **options}
        )
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{row.name} cannot be built with the options {dict(options)} ({reason})."
        ) from error


def _build_ours(
    row: Architecture,
    n_classes: int,
    in_channels: int,
    spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    if row.name == "gap-cnn":
        return GapCNN(n_classes, in_channels, spatial_ndim, **options)
    if row.name == "unet":
        return UNet(n_classes, in_channels, spatial_ndim, **options)
    if row.name == "unet":
        return UNet(n_classes, in_channels, spatial_ndim, **options)
    modified = row.name.endswith("-modified")
    if row.built_as == "alexnet":
        return alexnet_gap(n_classes, in_channels, modified, **options)
    return vgg_gap(row.built_as, n_classes, in_channels, modified, **options)


def _build_torchvision(
    row: Architecture,
    n_classes: int,
    in_channels: int,
    _spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    import torchvision

    module: nn.Module = torchvision.models.get_model(
        row.built_as or row.name, weights=None, num_classes=n_classes, **options
    )
    if in_channels != 3:
        set_input_channels(module, in_channels)
    return module


def _build_timm(
    row: Architecture,
    n_classes: int,
    in_channels: int,
    _spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    import timm

    module: nn.Module = timm.create_model(
        row.built_as or row.name,
        pretrained=False,
        num_classes=n_classes,
        in_chans=in_channels,
        **options,
    )
    return module


def _build_smp(
    row: Architecture,
    n_classes: int,
    in_channels: int,
    _spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    return build_smp(row.name, row.built_as, n_classes, in_channels, options)


def _build_monai(
    row: Architecture,
    n_classes: int,
    in_channels: int,
    spatial_ndim: int,
    options: Mapping[str, Any],
) -> nn.Module:
    return build_monai(row.name, row.built_as, n_classes, in_channels, spatial_ndim, options)


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
