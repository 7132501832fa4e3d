"""A plain U-Net as Rheude et al. 2024 trained it, for slices or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.errors import ModelError

Norm = Literal["batch", "instance", "group", "none"]
NORMS: tuple[Norm, ...] = ("batch", "instance", "group", "none")
# Channels per group of group norm, where the width allows it (Wu and He 2018, section 4.1).
_GROUP = 16


class UNet(nn.Module):
    """Encoder, bottleneck and decoder with skip connections; returns logits, one map per class.

    As the code that goes with Rheude et al. 2024 builds it: blocks of two 3x3 convolutions, each
    with norm and ReLU; max-pooling between encoder blocks; a first transposed convolution of size
    2, later ones of size 4, stride 2; a 1x1 convolution to the classes. A map that comes up smaller
    than its skip connection is padded with zeros.

    Parameters
    ----------
    n_classes
        Output maps; one is binary.
    in_channels
        Channels of the input.
    spatial_ndim
        2 or 3.
    base_channels
        Channels of the first block; each deeper one has twice as many.
    depth
        Blocks on the way down, the bottleneck among them: 4 halves the image three times.
    norm
        "batch", "instance", "group" or "none".
    sigmoid
        Whether a single output map ends in a sigmoid, as in that code.
    widths
        Channels of each block on the way down in place of `base_channels` and `depth`.

    Raises
    ------
    ModelError
        Where a number or a norm does not exist.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        spatial_ndim: int = 2,
        base_channels: int = 64,
        depth: int = 4,
        norm: Norm = "batch",
        sigmoid: bool = False,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if widths is not None:
            depth, base_channels = len(widths), min(widths, default=0)
        if depth < 2 or base_channels < 1 or norm not in NORMS:
            raise ModelError(
                f"A unet has a depth of at least 2, base_channels of at least 1 and a norm among "
                f"{', '.join(NORMS)}, not {depth}, {base_channels} and '{norm}'."
            )
        widths = list(widths or (base_channels * 2**level for level in range(depth)))
        sources = [in_channels, *widths]
        self.sigmoid = sigmoid and n_classes == 1
        self.encoder = nn.ModuleList(
            _block(source, width, spatial_ndim, norm)
            for source, width in zip(sources[:-2], widths[:-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2) if spatial_ndim == 2 else nn.MaxPool3d(2)
        self.bottleneck = _block(widths[-2], widths[-1], spatial_ndim, norm)
        self.ups = nn.ModuleList(
            _up(low, high, 4 if place else 2, spatial_ndim)
            for place, (low, high) in enumerate(pairwise(widths[::-1]))
        )
        self.decoder = nn.ModuleList(
            _block(2 * width, width, spatial_ndim, norm) for width in widths[-2::-1]
        )
        convolution = nn.Conv2d if spatial_ndim == 2 else nn.Conv3d
        self.head = convolution(widths[0], n_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (n, classes, *s) of images (n, c, *s)."""
        skips = []
        maps = images
        for block in self.encoder:
            maps = block(maps)
            skips.append(maps)
            maps = self.pool(maps)
        maps = self.bottleneck(maps)
        for up, block in zip(self.ups, self.decoder, strict=True):
            skip = skips.pop()
            maps = block(torch.cat([skip, _padded(up(maps), skip)], dim=1))
        logits: Tensor = self.head(maps)
        return logits.sigmoid() if self.sigmoid else logits


def _block(source: int, width: int, spatial_ndim: int, norm: Norm) -> nn.Sequential:
    convolution = nn.Conv2d if spatial_ndim == 2 else nn.Conv3d
    layers: list[nn.Module] = []
    for channels in (source, width):
        layers.append(convolution(channels, width, 3, padding=1))
        layers += [*_norm(norm, width, spatial_ndim), nn.ReLU()]
    return nn.Sequential(*layers)


def _norm(norm: Norm, width: int, spatial_ndim: int) -> list[nn.Module]:
    if norm == "batch":
        return [nn.BatchNorm2d(width) if spatial_ndim == 2 else nn.BatchNorm3d(width)]
    if norm == "instance":
        instance = nn.InstanceNorm2d if spatial_ndim == 2 else nn.InstanceNorm3d
        return [instance(width, affine=True)]
    if norm == "group":
        return [nn.GroupNorm(max(1, width // _GROUP) if width % _GROUP == 0 else 1, width)]
    return []


def _up(low: int, high: int, size: int, spatial_ndim: int) -> nn.Module:
    transposed = nn.ConvTranspose2d if spatial_ndim == 2 else nn.ConvTranspose3d
    return transposed(low, high, size, stride=2, padding=(size - 2) // 2)


def _padded(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps with zeros around them, as large as the skip connection's."""
    if maps.shape[2:] == like.shape[2:]:
        return maps
    sides: list[int] = []
    for have, want in zip(reversed(maps.shape[2:]), reversed(like.shape[2:]), strict=True):
        before = (want - have) // 2
        sides += [before, want - have - before]
    return F.pad(maps, sides)
