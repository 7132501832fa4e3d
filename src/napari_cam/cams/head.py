"""The linear layer after global average pooling, whose weights classic CAM needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_cam.cams.tap import Tapped, widen
from napari_cam.errors import MethodError
from napari_cam.models.hooks import LayerRef, plain_module

# Agreement between the network's scores and W pool(A) + b that proves W to be its head; mixed
# precision rounds the scores to about three digits.
_AGREEMENT = 2e-2


def weights_of_classes(
    module: nn.Module, tapped: Tapped, layer: LayerRef, class_index: Tensor
) -> Tensor:
    """Return for each image the head's weights (n, k) of its class.

    A single-output head z is binary: class 1 has weights w and class 0 has -w.

    Raises
    ------
    MethodError
        Where the scores are not W pool(A) + b for any linear layer of the network, pool being the
        mean (or sum) over places.
    """
    activations = widen(tapped.activations[layer].detach())
    output = tapped.output.detach()
    weights = _head_weights(plain_module(module), activations, output)
    if weights is None:
        raise MethodError(
            f"CAM needs global average pooling and one linear layer right after '{layer}', which "
            "this network has not; choose Grad-CAM, which equals CAM where CAM exists."
        )
    if output.shape[1] == 1:
        weights = torch.cat([-weights, weights])
    return weights[class_index]


def _head_weights(module: nn.Module, activations: Tensor, output: Tensor) -> Tensor | None:
    """Return W (classes, k) of the layer that turns pooled activations into the scores."""
    pooled = [activations.flatten(2).mean(2), activations.flatten(2).sum(2)]
    for part in module.modules():
        linear = _as_matrix(part, activations.shape[1], output.shape[1])
        if linear is None:
            continue
        weight, bias = linear
        for features in pooled:
            if _agree(features @ weight.T + bias, output):
                return weight
    if activations.shape[1] == output.shape[1] and _agree(pooled[0], output):
        # The maps are the class scores before averaging: each class weighs its own channel.
        return torch.eye(output.shape[1], device=output.device, dtype=activations.dtype)
    return None


def _as_matrix(part: nn.Module, channels: int, classes: int) -> tuple[Tensor, Tensor] | None:
    """Return (W, b) of a linear layer or 1x1 convolution from `channels` to `classes`."""
    if not isinstance(part, (nn.Linear, nn.Conv2d, nn.Conv3d)):
        return None
    weight = widen(part.weight.detach())
    if weight.shape[:2] != (classes, channels) or weight[0, 0].numel() != 1:
        return None
    bias = part.bias.detach() if part.bias is not None else weight.new_zeros(classes)
    return weight.reshape(classes, channels), widen(bias)


def _agree(predicted: Tensor, output: Tensor) -> bool:
    scale = output.abs().amax().clamp(min=1e-6)
    return bool(((predicted.to(output.dtype) - output).abs().amax() / scale) < _AGREEMENT)
