"""The former call of the report, with volumes and heatmaps in mappings by subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.plan import as_volume
from napari_cam.errors import ReportError
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.cases.case import Case
from napari_cam.reports.former import former
from napari_cam.volumes.volume import Volume

P = ParamSpec("P")
T = TypeVar("T")


def with_former_call(report: Callable[P, T]) -> Callable[P, T]:
    """Let a report be called as ``report(model, volume, heatmaps)`` too, and warn of it."""

    @wraps(report)
    def called(*args: P.args, **given: P.kwargs) -> T:
        if not (args and isinstance(args[0], LoadedModel)) and not {"volume", "heatmaps"} & {
            *given
        }:
            return report(*args, **given)
        former(f"{report.__name__}(model, volume, heatmaps)", "(cases, model)")
        former_call: Any = _with_cases
        found: T = former_call(report, *args, **given)
        return found

    return called


def _with_cases(
    report: Callable[..., T],
    model: LoadedModel,
    volume: Any,
    heatmaps: Any,
    *,
    foreground: Any = None,
    reference: Any = None,
    **settings: Any,
) -> T:
    several = isinstance(volume, Mapping)
    volumes = dict(volume) if several else {"volume": volume}
    if not volumes:
        raise ReportError("No volume is given.")
    cases = []
    for subject, each in volumes.items():
        image = as_volume(each)
        maps = _of(heatmaps, subject, several, "heatmap")
        if maps is None:
            raise ReportError(f"Subject '{subject}' has no heatmap.")
        inside = _mask(_of(foreground, subject, several, "foreground"), image, "foreground")
        truth = _mask(_of(reference, subject, several, "reference"), image, "reference")
        cases.append(Case(maps, truth, str(subject), foreground=inside, image=image))
    return report(cases, model, **settings)


def _of(given: Any, subject: Any, several: bool, what: str) -> Any:
    if given is None or not several:
        return given
    if not isinstance(given, Mapping) or subject not in given:
        raise ReportError(f"Subject '{subject}' has no {what}; give one for every subject.")
    return given[subject]


def _mask(given: Any, volume: Volume, what: str) -> NDArray[np.bool_] | None:
    if given is None:
        return None
    mask = np.asarray(given)
    if mask.dtype != np.bool_ or mask.shape != volume.shape:
        raise ReportError(
            f"The {what} holds {mask.dtype} of shape {mask.shape}; give True and False on the "
            f"volume's grid {volume.shape}."
        )
    return mask
