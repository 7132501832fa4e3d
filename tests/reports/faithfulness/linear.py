"""Networks whose every score is known: sums of weighted pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import napari_cam as nc
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Slices
from napari_cam.reports.faithfulness.network.scored_unit import ScoredUnit, scored_unit


class Weighted(nn.Module):
    """(n, 1, *s) -> (n, 2): class 0 scores 0, class 1 the weighted sum of the pixels."""

    def __init__(self, weights, most=10_000):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        score = (x[:, 0] * self.weights).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(score), score], 1)


def model_of(module, spatial_ndim=2):
    """Wrap a network that takes images as they are, of one channel."""
    slices = (Slices(0),) if spatial_ndim == 2 else ()
    preparation = Preparation((*slices, Channels("as_is", count=1)))
    return nc.wrap_model(module, ["no", "yes"], 1, spatial_ndim, preparation=preparation)


def unit_of(module, image, score="logit") -> ScoredUnit:
    """Return one image (y, x) or (z, y, x) with its score of class 1."""
    image = np.asarray(image, np.float32)
    model = model_of(module, image.ndim)
    prepared = model.card.bind(nc.Volume.from_array(image))
    return scored_unit(model, prepared, 0, [ClassScore(1, score)], torch.device("cpu"))[0]
