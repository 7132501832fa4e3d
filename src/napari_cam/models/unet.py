"""A plain U-Net for slices or volumes, as the code behind Rheude et al. 2024 builds it.

Encoder blocks of two convolutions, each followed by max-pooling; a bottleneck; decoder blocks on
what comes up and the encoder's map of the same size side by side (Ronneberger et al. 2015,
arXiv:1505.04597). Maps that a layer's name stands for: ``encoder.I`` before pooling,
``bottleneck``, ``decoder.I``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_cam.errors import ModelError


class UNet(nn.Module):
    """Encoder, bottleneck and decoder with skip connections; returns logits of the input's size.

    Parameters
    ----------
    n_classes
        Outputs; 1 for a single class against the rest.
    in_channels
        Channels of the input.
    spatial_ndim
        2 or 3.
    widths
        Channels of each level, the bottleneck last; the paper's are 64, 128, 256, 512.

    Raises
    ------
    ModelError
        Where `widths` names fewer than two levels.

    Notes
    -----
    As published, the first way up is a transposed convolution of 2x2 and the others of 4x4 with
    stride 2; inputs of odd size are padded with zeros to meet the skip connection. The sigmoid of
    a single output is left to whoever reads the logits.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        spatial_ndim: int = 2,
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ModelError(
                "unet needs the channels of two levels or more, each at least 1, not "
                f"{tuple(widths)}."
            )
        up = nn.ConvTranspose3d if spatial_ndim == 3 else nn.ConvTranspose2d
        levels = list(widths)
        sources = [in_channels, *levels]
        self.encoder = nn.ModuleList(
            _block(source, width, spatial_ndim)
            for source, width in zip(sources, levels[:-1], strict=False)
        )
        self.pool = nn.MaxPool3d(2) if spatial_ndim == 3 else nn.MaxPool2d(2)
        self.bottleneck = _block(levels[-2], levels[-1], spatial_ndim)
        rising = levels[::-1]
        self.ups = nn.ModuleList(
            up(low, high, 2, stride=2) if place == 0 else up(low, high, 4, stride=2, padding=1)
            for place, (low, high) in enumerate(pairwise(rising))
        )
        self.decoder = nn.ModuleList(_block(2 * width, width, spatial_ndim) for width in rising[1:])
        head = nn.Conv3d if spatial_ndim == 3 else nn.Conv2d
        self.head = head(levels[0], n_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes, *s) of images (n, c, *s)."""
        skips: list[Tensor] = []
        maps = images
        for block in self.encoder:
            maps = block(maps)
            skips.append(maps)
            maps = self.pool(maps)
        maps = self.bottleneck(maps)
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            maps = block(torch.cat([skip, _padded(up(maps), skip)], dim=1))
        logits: Tensor = self.head(maps)
        return logits


def _padded(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps with zeros at their ends, as large as `like`: pooling drops an odd last pixel."""
    missing = [n - m for n, m in zip(like.shape[2:], maps.shape[2:], strict=True)]
    if not any(missing):
        return maps
    pads = [pad for gap in reversed(missing) for pad in (gap // 2, gap - gap // 2)]
    return functional.pad(maps, pads)


def _block(channels: int, width: int, spatial_ndim: int) -> nn.Sequential:
    volumes = spatial_ndim == 3
    conv, norm = (nn.Conv3d, nn.BatchNorm3d) if volumes else (nn.Conv2d, nn.BatchNorm2d)
    layers: list[nn.Module] = []
    for source in (channels, width):
        layers += [conv(source, width, 3, padding=1), norm(width), nn.ReLU()]
    return nn.Sequential(*layers)
