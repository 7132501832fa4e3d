"""The linear layer after global average pooling, whose weights classic CAM needs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from napari_cam.cams.network.tap import Tapped, widen
from napari_cam.cams.targets.scores import class_logits
from napari_cam.errors import MethodError
from napari_cam.models.hooks import LayerRef, plain_module

# Agreement between a score's gradient and the weights of a layer that proves it to be the head;
# mixed precision rounds gradients to about three digits.
_AGREEMENT = 2e-2


def weights_of_classes(
    module: nn.Module, tapped: Tapped, layer: LayerRef, class_index: Tensor
) -> Tensor:
    """Return for each image the head's weights (n, k) of its class.

    A single-output head z is binary: class 1 has weights w and class 0 has -w. The head proves
    itself by the gradient of the class score, which after global pooling is w_k / Z (mean) or w_k
    (sum) at every place of channel k. Scores would prove less: a bias can outweigh all else.

    Raises
    ------
    MethodError
        Where the scores are not W pool(A) + b for any linear layer of the network, pool being the
        mean (or sum) over places.
    """
    if tapped.output.ndim != 2:
        raise MethodError(
            "CAM is not defined for maps of scores, where no global pooling is; choose Grad-CAM or "
            "HiResCAM."
        )
    scores = class_logits(tapped.output).gather(1, class_index[:, None])[:, 0]
    gradients = tapped.gradients(scores)[layer].flatten(2)
    slopes = gradients.mean(2)
    if _agree(gradients, slopes[:, :, None]):
        places = gradients.shape[2]
        for matrix in _matrices(plain_module(module), slopes.shape[1], tapped.output):
            weights = matrix[class_index].to(slopes.dtype)
            if _agree(slopes * places, weights) or _agree(slopes, weights):
                return weights
    raise MethodError(
        f"CAM needs global average pooling and one linear layer right after '{layer}', which "
        "this network has not; choose Grad-CAM, which equals CAM where CAM exists."
    )


def _matrices(module: nn.Module, channels: int, output: Tensor) -> Iterator[Tensor]:
    """Yield the weights (classes, k) of every layer that could be the head."""
    outputs = output.shape[1]
    found = [
        widen(part.weight.detach()).flatten(1)
        for part in module.modules()
        if isinstance(part, (nn.Linear, nn.Conv2d, nn.Conv3d))
    ]
    if channels == outputs:
        # The maps are the class scores before pooling: each class weighs its own channel.
        found.append(torch.eye(outputs, device=output.device))
    for matrix in found:
        if matrix.shape == (outputs, channels):
            yield torch.cat([-matrix, matrix]) if outputs == 1 else matrix


def _agree(found: Tensor, expected: Tensor) -> bool:
    difference = (found - expected).flatten(1).abs().amax(1)
    return bool((difference <= _AGREEMENT * expected.flatten(1).abs().amax(1)).all())
