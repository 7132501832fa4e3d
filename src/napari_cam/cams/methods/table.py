"""The table of methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.methods.control import RandomMap
from napari_cam.cams.methods.deeplift import LiftCAM
from napari_cam.cams.methods.full_gradients import FullGrad
from napari_cam.cams.methods.gradient import (
    CAM,
    EigenCAM,
    EigenGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
    XResCAM,
)
from napari_cam.cams.methods.input_gradients import Saliency, SmoothGrad, SmoothGradCAMPlusPlus
from napari_cam.cams.methods.perturbation import RISE, AblationCAM, Occlusion
from napari_cam.cams.methods.score import ISCAM, SSCAM, FasterScoreCAM, ScoreCAM
from napari_cam.errors import MethodError

METHODS: Mapping[str, CamMethod] = MappingProxyType(
    {
        method.name: method
        for method in (
            CAM(),
            GradCAM(),
            GradCAMPlusPlus(),
            SmoothGradCAMPlusPlus(),
            XGradCAM(),
            HiResCAM(),
            LayerCAM(),
            XResCAM(),
            EigenCAM(),
            EigenGradCAM(),
            ScoreCAM(),
            FasterScoreCAM(),
            SSCAM(),
            ISCAM(),
            AblationCAM(),
            LiftCAM(),
            FullGrad(),
            Saliency(),
            SmoothGrad(),
            Occlusion(),
            RISE(),
            RandomMap(),
        )
    }
)
"""Every method by the name that Python, the command line and the docks know it by."""


AnyMethod = str | CamMethod


def as_methods(methods: AnyMethod | Sequence[AnyMethod]) -> list[CamMethod]:
    """Return methods as a list, each name looked up in :data:`METHODS`.

    Raises
    ------
    MethodError
        Where a name is unknown, or none is given.
    """
    given: Any = methods
    wanted = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not wanted:
        raise MethodError(f"No method is given; choose among {', '.join(METHODS)}.")
    return list(dict.fromkeys(_as_method(item) for item in wanted))


def _as_method(item: Any) -> CamMethod:
    if isinstance(item, CamMethod):
        return item
    if isinstance(item, str) and item in METHODS:
        return METHODS[item]
    close = difflib.get_close_matches(str(item).lower(), METHODS, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(METHODS)}."
    raise MethodError(f"There is no method '{item}'; {hint}")
