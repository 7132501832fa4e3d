"""A target and networks for tests on pixels: the mean of a class over a set of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_cam.cams.targets.scores import Scored


@dataclass(frozen=True)
class MeanOver:
    """The mean of one class's logits over the upper half of the image."""

    class_id: int = 1
    label: str = "upper half"

    def resolved(self, _model) -> MeanOver:
        return self

    def read(self, output: Tensor) -> Scored:
        def again(changed: Tensor, of: Tensor) -> Tensor:
            rows = changed[:, self.class_id].narrow(1, 0, changed.shape[2] // 2)
            return rows.flatten(1).mean(1)

        index = torch.full((len(output),), self.class_id)
        return Scored(again(output, torch.arange(len(output))), index, again)


class UNet(nn.Module):
    """Two levels, skips, transposed convolutions, one ReLU module reused: (n, 2) -> (n, 3) maps."""

    def __init__(self, ndim: int = 2, norm: str = "batch") -> None:
        super().__init__()
        conv, up, pool = (
            (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)
            if ndim == 2
            else (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d)
        )
        self.down = nn.ModuleList([conv(2, 4, 3, padding=1), conv(4, 6, 3, padding=1)])
        self.norms = nn.ModuleList([normalisation(norm, ndim, k) for k in (4, 6, 7, 4)])
        self.bottleneck = conv(6, 7, 3, padding=1)
        self.ups = nn.ModuleList([up(7, 6, 2, stride=2), up(6, 4, 2, stride=2)])
        self.joined = conv(12, 6, 3, padding=1)
        self.last = conv(8, 4, 3, padding=1)
        self.head = conv(4, 3, 1)
        self.pool = pool(2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        one = self.relu(self.norms[0](self.down[0](x)))
        two = self.relu(self.norms[1](self.down[1](self.pool(one))))
        deep = self.relu(self.norms[2](self.bottleneck(self.pool(two))))
        x = self.relu(self.joined(torch.cat([two, self.ups[0](deep)], 1)))
        x = self.relu(self.norms[3](self.last(torch.cat([one, self.ups[1](x)], 1))))
        return self.head(x)


def normalisation(kind: str, ndim: int, channels: int) -> nn.Module:
    """Return a norm with weights, and running statistics that are not those of a new layer."""
    if kind == "group":
        return nn.GroupNorm(channels // 2 if channels % 2 == 0 else 1, channels)
    name = {"batch": "BatchNorm", "instance": "InstanceNorm"}[kind]
    norm = getattr(nn, f"{name}{ndim}d")(channels, affine=True)
    if kind == "batch":
        generator = torch.Generator().manual_seed(channels)
        norm.running_mean.copy_(torch.randn(channels, generator=generator) * 0.3)
        norm.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm


def even_image(ndim: int = 2, n: int = 3, seed: int = 1) -> Tensor:
    """Return (n, 2, 12, 16) or (n, 2, 8, 12, 16) normal noise, which halves twice."""
    shape = (12, 16) if ndim == 2 else (8, 12, 16)
    return torch.randn((n, 2, *shape), generator=torch.Generator().manual_seed(seed))
