"""Targets as callers give them: classes by name or index, None, or targets themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.cams.targets.scores import AnyTarget, ClassScore, Target
from napari_cam.errors import TargetError
from napari_cam.models.loaded import LoadedModel


def as_targets(targets: AnyTarget | Sequence[AnyTarget], model: LoadedModel | None) -> list[Target]:
    """Return targets as a list, checked: None is the predicted class, a name or index that class.

    For a segmentation network that is the class's score over the pixels where it is predicted.

    Raises
    ------
    TargetError
        Where none is given, or the network has no such class.
    """
    given: Any = targets
    if isinstance(given, (np.ndarray, Tensor)):
        given = given.tolist()
    wanted = list(given) if isinstance(given, (list, tuple, range)) else [given]
    if not wanted:
        raise TargetError("No target is given; name a class, or None for the predicted one.")
    return [_as_target(item, model).resolved(model) for item in wanted]


def _as_target(item: Any, model: LoadedModel | None) -> Target:
    if isinstance(item, Target):
        return item
    names = model.card.class_names if model is not None else ()
    predicted = isinstance(item, str) and item == "predicted" and item not in names
    class_id = None if predicted else item
    if model is not None and model.card.task == "segmentation":
        return RegionScore(class_id)
    return ClassScore(class_id)
