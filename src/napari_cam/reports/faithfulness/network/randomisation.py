"""What knows nothing: maps made without the network, and networks of random weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from napari_cam.models.hooks import plain_module
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.localisation import centred_gaussian, image_intensity

FLOORS = ("random", "smooth random", "centred Gaussian", "image intensity")
_SMOOTH = 0.08  # of the shortest axis: as wide as a coarse map's own blobs


def floor_maps(
    image: NDArray[np.float32], foreground: NDArray[np.bool_] | None, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Return the floors of one unit by name: what a heatmap must beat to say anything.

    Parameters
    ----------
    image
        (c, *s) the unit as the network takes it; intensity is the mean over channels.
    foreground
        (*s) where the object is; None for everywhere. The Gaussian and the intensity know it.
    seed
        Of the two random maps; the same for every network and method.

    Returns
    -------
    dict
        Name -> (*s) float32, non-negative.
    """
    shape = image.shape[1:]
    inside = np.ones(shape, bool) if foreground is None or not foreground.any() else foreground
    rng = np.random.default_rng(seed)
    noise = rng.random(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), _SMOOTH * min(shape), mode="nearest"
    )
    maps = (
        noise,
        smooth - smooth.min(),
        centred_gaussian(inside),
        image_intensity(image.mean(axis=0), inside),
    )
    return dict(zip(FLOORS, maps, strict=True))


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
