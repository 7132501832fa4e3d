"""The first convolution of a network, made to take another number of channels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from napari_cam.errors import ModelError

Convolution = nn.Conv2d | nn.Conv3d


def first_convolution(module: nn.Module) -> tuple[str, Convolution] | None:
    """Return the name and the module of the first convolution, None where there is none."""
    for name, part in module.named_modules():
        if isinstance(part, (nn.Conv2d, nn.Conv3d)):
            return name, part
    return None


def infer_input(module: nn.Module) -> tuple[int, Literal[2, 3]] | None:
    """Return the channels and spatial dimensions that the first convolution takes, if any."""
    found = first_convolution(module)
    if found is None:
        return None
    return found[1].in_channels, 3 if isinstance(found[1], nn.Conv3d) else 2


def set_input_channels(module: nn.Module, in_channels: int, keep_weights: bool = False) -> None:
    """Replace the first convolution of `module` by one for `in_channels` channels.

    Parameters
    ----------
    module
        A network, changed in place.
    in_channels
        Channels of its input from now on.
    keep_weights
        False draws the kernels afresh (He et al. 2015, fan-out, as torchvision draws them). True
        keeps what was learned from RGB: for one channel the three kernels are added up (the answer
        to a grey image is that to the same image in R, G and B), for several they are repeated
        R, G, B, R, ... and scaled by 3 / `in_channels`, so that the response keeps its size.

    Raises
    ------
    ModelError
        Where the network does not begin with an ordinary convolution.
    """
    found = first_convolution(module)
    if found is None or found[1].groups != 1:
        raise ModelError(
            f"{type(module).__name__} does not begin with an ordinary convolution, so it cannot "
            f"be given {in_channels} input channels; use in_channels=3."
        )
    name, old = found
    if old.in_channels == in_channels:
        return
    new = type(old)(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
    )
    with torch.no_grad():
        if keep_weights:
            new.weight.copy_(_spread(old.weight, in_channels))
        else:
            nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    new.bias = old.bias
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, new)


def _spread(weight: Tensor, in_channels: int) -> Tensor:
    n = weight.shape[1]
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    order = torch.arange(in_channels, device=weight.device) % n
    return weight[:, order] * (n / in_channels)
