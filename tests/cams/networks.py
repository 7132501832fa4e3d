"""Small networks with the habits of real ones; every size differs from every other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter from its own generator, so that no global state is touched."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return module


class GapNet(nn.Module):
    """Two convolutions, global average pooling, one linear layer: (n, 2, ...) -> (n, 3)."""

    def __init__(self, ndim: int = 2, inplace: bool = False) -> None:
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        self.first = conv(2, 4, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=inplace)
        self.second = conv(4, 5, 3, padding=1, stride=2)
        self.relu2 = nn.ReLU(inplace=inplace)
        self.pool = nn.AdaptiveAvgPool2d(1) if ndim == 2 else nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.first(x))
        x = self.relu2(self.second(x))
        return self.head(self.pool(x).flatten(1))


class MlpNet(GapNet):
    """As GapNet, with a hidden layer and spatial weights, so that no two methods coincide."""

    def __init__(self, ndim: int = 2, inplace: bool = False) -> None:
        super().__init__(ndim, inplace)
        self.hidden = nn.Linear(5 * 2**ndim, 7)
        self.pool = nn.AdaptiveAvgPool2d(2) if ndim == 2 else nn.AdaptiveAvgPool3d(2)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.first(x))
        x = self.relu2(self.second(x))
        return self.head(torch.tanh(self.hidden(self.pool(x).flatten(1))))


class SharedNet(nn.Module):
    """One convolution and one ReLU used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(2, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.shared(self.inlet(x)))
        x = self.relu(self.shared(x))
        return self.head(torch.tanh(x).mean((2, 3)))


class TupleNet(nn.Module):
    """A backbone that returns a tuple and a network that returns a dict."""

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Conv2d(2, 4, 3, padding=1)
            self.coarse = nn.Conv2d(4, 5, 3, stride=2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            fine = torch.tanh(self.fine(x))
            return fine, torch.tanh(self.coarse(fine))

    def __init__(self) -> None:
        super().__init__()
        self.backbone = self.Backbone()
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine, coarse = self.backbone(x)
        pooled = torch.cat([fine.mean((2, 3)), coarse.amax((2, 3))], dim=1)
        return {"logits": self.head(pooled)}


class SkipNet(nn.Module):
    """A bottleneck beside a skip connection, and an in-place functional ReLU before pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(2, 4, 3, padding=1)
        self.bottleneck = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        skip = torch.relu(self.encoder(x))
        up = self.up(torch.relu(self.bottleneck(skip)))
        joined = F.relu(self.norm(torch.cat([skip, up], dim=1)), inplace=True)
        return self.head(F.adaptive_avg_pool2d(joined, 1).flatten(1))


def image(ndim: int = 2, n: int = 3, seed: int = 1) -> Tensor:
    """Return (n, 2, 10, 12) or (n, 2, 8, 10, 12) normal noise."""
    shape = (10, 12) if ndim == 2 else (8, 10, 12)
    return torch.randn((n, 2, *shape), generator=torch.Generator().manual_seed(seed))
