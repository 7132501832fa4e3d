"""Networks whose weights are random, in part or altogether: what must change a map."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from napari_cam.models.hooks import plain_module
from napari_cam.models.loaded import LoadedModel


def cascade(
    model: LoadedModel, stages: int = 4, seed: int = 0
) -> Iterator[tuple[str, LoadedModel]]:
    """Yield the network with more and more of its weights drawn anew, from the output down.

    Cascading randomisation of Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018),
    section 3.1. Layers that have weights are taken in the reverse of the order in which the network
    lists them, in `stages` parts of about the same number. The last stage is a network of random
    weights alone.

    Parameters
    ----------
    model
        Never changed: one private copy is, and yielded each time, so use it before the next comes.
    stages
        In how many parts.
    seed
        The same seed gives the same weights.

    Yields
    ------
    tuple
        What has been drawn anew, from the output to which layer, and the network.
    """
    module = copy.deepcopy(plain_module(model.module)).cpu()
    named = [(name, part) for name, part in module.named_modules() if _has_weights(part)][::-1]
    stages = max(1, min(stages, len(named)))
    generator = torch.Generator().manual_seed(seed)
    for stage in range(stages):
        start, stop = (len(named) * each // stages for each in (stage, stage + 1))
        for _, part in named[start:stop]:
            draw_anew(part, generator)
        last = named[stop - 1][0] if stage < stages - 1 else "all"
        yield last, replace(model, module=module, sha256=f"random weights, seed {seed}")


def random_network(model: LoadedModel, seed: int = 0) -> LoadedModel:
    """Return the same architecture with random weights alone."""
    return next(each for _, each in cascade(model, 1, seed))


def draw_anew(part: nn.Module, generator: torch.Generator) -> None:
    """Draw a layer's own weights anew: He et al. (2015), so that the signal keeps its size.

    Vectors are biases (0) or gains (1); running statistics start over.
    """
    with torch.no_grad():
        for name, parameter in part.named_parameters(recurse=False):
            if parameter.ndim < 2:
                parameter.fill_(0.0 if "bias" in name else 1.0)
            else:
                fan_in = parameter[0].numel()
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(drawn * (2 / fan_in) ** 0.5)
        if isinstance(part, nn.modules.batchnorm._NormBase):  # noqa: SLF001
            part.reset_running_stats()


def _has_weights(part: nn.Module) -> bool:
    return next(part.parameters(recurse=False), None) is not None
