"""The table of architectures: which networks can be built by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Literal

from napari_cam.errors import ModelError


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

    @property
    def available(self) -> bool:
        """Whether the package that builds it is installed."""
        return not self.package or find_spec(self.package) is not None


_GAP = "Zhou et al. 2016, arXiv:1512.04150; Kang et al. 2021"
_OURS = (
    Architecture("gap-cnn", "GAP", "napari-cam", "Zhou et al. 2016, arXiv:1512.04150", 128, (2, 3)),
    *(
        Architecture(f"{base}-gap{end}", "GAP", "napari-cam", _GAP, built_as=base)
        for base in ("alexnet", "vgg16", "vgg19")
        for end in ("", "-modified")
    ),
    Architecture(
        *("unet", "U-Net", "napari-cam"),
        *("Rheude et al. 2024; Ronneberger et al. 2015, arXiv:1505.04597", 256, (2, 3)),
        task="segmentation",
    ),
)

# A family and its paper, and below it the names, each with its input size where that is not 224.
# Torchvision knows names and sizes too, but importing it to read them takes a second.
_CLASSIFIERS = """
AlexNet | Krizhevsky 2014, arXiv:1404.5997
    alexnet
VGG | Simonyan and Zisserman 2015, arXiv:1409.1556
    vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn
Inception | Szegedy et al. 2015, arXiv:1409.4842
    googlenet
Inception | Szegedy et al. 2016, arXiv:1512.00567
    inception_v3@299
ResNet | He et al. 2016, arXiv:1512.03385
    resnet18 resnet34 resnet50 resnet101 resnet152
Wide ResNet | Zagoruyko and Komodakis 2016, arXiv:1605.07146
    wide_resnet50_2 wide_resnet101_2
ResNeXt | Xie et al. 2017, arXiv:1611.05431
    resnext50_32x4d resnext101_32x8d resnext101_64x4d
DenseNet | Huang et al. 2017, arXiv:1608.06993
    densenet121 densenet161 densenet169 densenet201
SqueezeNet | Iandola et al. 2016, arXiv:1602.07360
    squeezenet1_0 squeezenet1_1
MobileNet | Sandler et al. 2018, arXiv:1801.04381
    mobilenet_v2
MobileNet | Howard et al. 2019, arXiv:1905.02244
    mobilenet_v3_small mobilenet_v3_large
ShuffleNet | Ma et al. 2018, arXiv:1807.11164
    shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0
MNASNet | Tan et al. 2019, arXiv:1807.11626
    mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
EfficientNet | Tan and Le 2019, arXiv:1905.11946
    efficientnet_b0 efficientnet_b1@240 efficientnet_b2@288 efficientnet_b3@300
    efficientnet_b4@380 efficientnet_b5@456 efficientnet_b6@528 efficientnet_b7@600
EfficientNetV2 | Tan and Le 2021, arXiv:2104.00298
    efficientnet_v2_s@384 efficientnet_v2_m@480 efficientnet_v2_l@480
RegNet | Radosavovic et al. 2020, arXiv:2003.13678
    regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf
    regnet_x_32gf regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf
    regnet_y_16gf regnet_y_32gf regnet_y_128gf
ConvNeXt | Liu et al. 2022, arXiv:2201.03545
    convnext_tiny convnext_small convnext_base convnext_large
Vision Transformer | Dosovitskiy et al. 2021, arXiv:2010.11929
    vit_b_16 vit_b_32 vit_l_16 vit_l_32 vit_h_14
Swin Transformer | Liu et al. 2021, arXiv:2103.14030
    swin_t swin_s swin_b
Swin Transformer V2 | Liu et al. 2022, arXiv:2111.09883
    swin_v2_t@256 swin_v2_s@256 swin_v2_b@256
MaxViT | Tu et al. 2022, arXiv:2204.01697
    maxvit_t
"""
_SEGMENTERS = """
FCN | Long et al. 2015, arXiv:1411.4038
    fcn_resnet50 fcn_resnet101
DeepLabV3 | Chen et al. 2017, arXiv:1706.05587
    deeplabv3_resnet50 deeplabv3_resnet101 deeplabv3_mobilenet_v3_large
LR-ASPP | Howard et al. 2019, arXiv:1905.02244
    lraspp_mobilenet_v3_large
"""
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


_UNET_ENCODERS = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
# What segmentation-models-pytorch calls them; here in small letters, after "smp:".
_SMP = {
    "Unet": "Ronneberger et al. 2015, arXiv:1505.04597",
    "UnetPlusPlus": "Zhou et al. 2018, arXiv:1807.10165",
    "MAnet": "Fan et al. 2020",
    "Linknet": "Chaurasia and Culurciello 2017, arXiv:1707.03718",
    "FPN": "Kirillov et al. 2019",
    "PSPNet": "Zhao et al. 2017, arXiv:1612.01105",
    "DeepLabV3": "Chen et al. 2017, arXiv:1706.05587",
    "DeepLabV3Plus": "Chen et al. 2018, arXiv:1802.02611",
    "UPerNet": "Xiao et al. 2018, arXiv:1807.10221",
}


_DYNUNET_LEVELS = 5
# What MONAI calls them, here in small letters after "monai:"; their options unless told otherwise.
_MONAI_SEGMENTERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "UNet": (
        *("U-Net", "Kerfoot et al. 2019"),
        {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2), "num_res_units": 2},
    ),
    "DynUNet": (
        *("U-Net", "Isensee et al. 2021, arXiv:1904.08128"),
        {
            "kernel_size": [3] * _DYNUNET_LEVELS,
            "strides": [1] + [2] * (_DYNUNET_LEVELS - 1),
            "upsample_kernel_size": [2] * (_DYNUNET_LEVELS - 1),
        },
    ),
    "SegResNet": ("SegResNet", "Myronenko 2018, arXiv:1810.11654", {}),
}
_MONAI_CLASSIFIERS = {
    "DenseNet121": ("DenseNet", "Huang et al. 2017, arXiv:1608.06993"),
    "resnet18": ("ResNet", "Hara et al. 2018, arXiv:1711.09577"),
    "resnet50": ("ResNet", "Hara et al. 2018, arXiv:1711.09577"),
    "SEResNet50": ("SE-ResNet", "Hu et al. 2018, arXiv:1709.01507"),
}


def _listed(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield the family, paper, name and input size of every name in one of the lists above."""
    family = paper = ""
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            family, _, paper = line.partition(" | ")
            continue
        for word in line.split():
            name, _, size = word.partition("@")
            yield family, paper, name, int(size or 224)


def _of_torchvision() -> Iterator[Architecture]:
    for family, paper, name, size in _listed(_CLASSIFIERS):
        heads = _WITH_AUXILIARY_HEADS.get(name, ())
        yield Architecture(
            *(name, family, "torchvision", paper, size),
            options=_NO_AUXILIARY_HEADS if heads else {},
            training_only=heads,
            fixed_size=family in _FIXED_SIZE,
        )


def _segmenters() -> Iterator[Architecture]:
    for encoder in _UNET_ENCODERS:
        yield Architecture(
            *(f"unet-{encoder}", "U-Net", "smp", _SMP["Unet"], 256),
            built_as="Unet",
            options={"encoder_name": encoder},
            task="segmentation",
            multiple_of=32,
        )
    for title, paper in _SMP.items():
        yield Architecture(
            *(f"smp:{title.lower()}", title, "smp", paper, 256),
            built_as=title,
            task="segmentation",
            multiple_of=32,
        )
    for family, paper, name, _ in _listed(_SEGMENTERS):
        yield Architecture(
            *(name, family, "torchvision", paper, 520),
            options={"weights_backbone": None},
            training_only=("aux_classifier.",),
            task="segmentation",
        )


def _of_monai() -> Iterator[Architecture]:
    for title, (family, paper, options) in _MONAI_SEGMENTERS.items():
        yield Architecture(
            *(f"monai:{title.lower()}", family, "monai", paper, 96, (2, 3)),
            built_as=title,
            options=options,
            task="segmentation",
            multiple_of=16,
        )
    for title, (family, paper) in _MONAI_CLASSIFIERS.items():
        yield Architecture(
            *(f"monai:{title.lower()}", family, "monai", paper, 96, (2, 3)),
            built_as=title,
            options={"pretrained": False},
        )


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {row.name: row for row in (*_OURS, *_of_torchvision(), *_TIMM, *_segmenters(), *_of_monai())}
)
"""Every network that can be built by name, but for those that only timm knows."""


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
