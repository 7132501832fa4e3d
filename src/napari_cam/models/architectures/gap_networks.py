"""Networks that end in global average pooling and ONE linear layer, as CAM was defined for.

For such a network the class score is y_c = b_c + sum_k w_ck mean_ij A_k(ij), so the class
activation map sum_k w_ck A_k averages to y_c - b_c (Zhou et al. 2016, arXiv:1512.04150,
equations 1 and 2, with the mean in the place of the sum).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from napari_cam.errors import ModelError

# Channels of a 3x3 convolution with its ReLU; "M" halves the map (Simonyan and Zisserman 2015,
# configurations D and E).
_VGG: dict[str, tuple[int | str, ...]] = {
    "vgg16": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512),
    "vgg19": (
        *(64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M"),
        *(512, 512, 512, 512, "M", 512, 512, 512, 512),
    ),
}
# Zhou et al. 2016, section 3.1: the convolution that takes the place of the last max-pool has
# 3x3 kernels, stride 1, padding 1 and 1024 units.
_EXTRA_WIDTH = 1024


class GapNetwork(nn.Module):
    """Feature maps, global average pooling, one linear layer.

    Parameters
    ----------
    features
        (n, c, *s) -> (n, `width`, *f).
    width
        Channels of the last feature map.
    n_classes
        Outputs.
    spatial_ndim
        2 or 3.
    """

    def __init__(
        self, features: nn.Module, width: int, n_classes: int, spatial_ndim: int = 2
    ) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1) if spatial_ndim == 2 else nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(width, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images (n, c, *s)."""
        pooled: Tensor = self.pool(self.features(images))
        logits: Tensor = self.head(pooled.flatten(1))
        return logits


class GapCNN(GapNetwork):
    """A small network of convolution, batch norm and ReLU, for slices or volumes.

    Parameters
    ----------
    n_classes
        Outputs.
    in_channels
        Channels of the input.
    spatial_ndim
        2 or 3.
    widths
        Channels of each block.
    pools
        By how much max-pooling after each block shrinks the map: one whole number per block, or
        one per axis where voxels are anisotropic, such as (1, 2, 2); 1 pools nothing. Their
        product is the number of input pixels per map pixel.
    convs
        Convolutions per block.

    Raises
    ------
    ModelError
        Where `pools` and `widths` do not go together.

    Notes
    -----
    With the default widths the file is 0.25 MB in 2D and 0.73 MB in 3D. The last block is not
    pooled, so that the map that is explained is the one the last convolution made.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        spatial_ndim: int = 2,
        widths: Sequence[int] = (16, 32, 64, 64),
        pools: Sequence[int | Sequence[int]] = (2, 2, 2, 1),
        convs: int = 1,
    ) -> None:
        shapes = [_per_axis(pool, spatial_ndim) for pool in pools]
        if len(shapes) != len(widths) or not widths or min(widths) < 1 or convs < 1:
            raise ModelError(
                f"gap-cnn needs at least one block, a positive width and one pooling factor for "
                f"each, and at least one convolution in it, not widths {tuple(widths)}, "
                f"pools {tuple(pools)} and convs {convs}."
            )
        blocks = []
        channels = in_channels
        for width, pool in zip(widths, shapes, strict=True):
            blocks.append(_block(channels, width, pool, convs))
            channels = width
        super().__init__(nn.Sequential(*blocks), channels, n_classes, spatial_ndim)


def _per_axis(pool: int | Sequence[int], spatial_ndim: int) -> tuple[int, ...]:
    factors = (pool,) * spatial_ndim if isinstance(pool, int) else tuple(pool)
    if len(factors) != spatial_ndim or min(factors) < 1:
        raise ModelError(
            f"A pooling factor is a positive whole number or {spatial_ndim} of them, not {pool}."
        )
    return factors


def _block(channels: int, width: int, pool: tuple[int, ...], convs: int) -> nn.Sequential:
    volumes = len(pool) == 3
    conv, norm = (nn.Conv3d, nn.BatchNorm3d) if volumes else (nn.Conv2d, nn.BatchNorm2d)
    layers: list[nn.Module] = []
    for index in range(convs):
        source = width if index else channels
        layers += [conv(source, width, 3, padding=1, bias=False), norm(width), nn.ReLU()]
    if max(pool) > 1:
        layers.append(nn.MaxPool3d(pool) if volumes else nn.MaxPool2d(pool))
    return nn.Sequential(*layers)


def alexnet_gap(n_classes: int, in_channels: int = 3, modified: bool = False) -> GapNetwork:
    """AlexNet's convolutions with GAP (Kang et al. 2021, section 3.2.1).

    `modified` puts two 3x3 convolutions of 1024 units where the last max-pool was, as AlexNet*-GAP
    of Zhou et al. 2016: the map is 13x13 at an input of 224, without it 6x6. Layer names up to
    there are those of torchvision's AlexNet.
    """
    layers: list[nn.Module] = [
        *(nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
    if modified:
        return _gap([*layers, *_extra(256), *_extra(_EXTRA_WIDTH)], _EXTRA_WIDTH, n_classes)
    return _gap([*layers, nn.MaxPool2d(3, 2)], 256, n_classes)


def vgg_gap(name: str, n_classes: int, in_channels: int = 3, modified: bool = False) -> GapNetwork:
    """VGG-16's or VGG-19's convolutions with GAP (Kang et al. 2021, section 3.2.1).

    `modified` puts one 3x3 convolution of 1024 units where the last max-pool was, as VGGnet-GAP of
    Zhou et al. 2016: the map is 14x14 at an input of 224, without it 7x7. Layer names up to there
    are those of torchvision's VGG.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for step in _VGG[name]:
        if isinstance(step, int):
            layers += [nn.Conv2d(channels, step, 3, padding=1), nn.ReLU()]
            channels = step
        else:
            layers.append(nn.MaxPool2d(2))
    if modified:
        return _gap([*layers, *_extra(channels)], _EXTRA_WIDTH, n_classes)
    return _gap([*layers, nn.MaxPool2d(2)], channels, n_classes)


def _extra(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, _EXTRA_WIDTH, 3, padding=1), nn.ReLU()


def _gap(layers: list[nn.Module], width: int, n_classes: int) -> GapNetwork:
    network = GapNetwork(nn.Sequential(*layers), width, n_classes)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            # Without batch norm a deep stack needs the variance-preserving start (He et al. 2015),
            # or its maps vanish before training begins.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
