"""The one resize of maps: linear with half-pixel centres."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def enlarge(maps: Tensor, shape: torch.Size) -> Tensor:
    """Resize maps (n, *f) to `shape`, linear with half-pixel centres like every resize here."""
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    return F.interpolate(maps[:, None], size=tuple(shape), mode=mode, align_corners=False)[:, 0]
