"""A map made again, with another network in the place of the one that it explains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cam.cams.explain import explain, explain_units
from napari_cam.cams.keys import MapKey
from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.methods.table import METHODS
from napari_cam.errors import NapariCamError
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.explained import ExplainedCase


@dataclass(frozen=True)
class Recipe:
    """How a map is made.

    Attributes
    ----------
    method, layer
        As :func:`napari_cam.explain` takes them.
    target
        What is explained; None for the class that the heatmap states, unit by unit.
    options
        How it was normalised.
    """

    method: CamMethod
    layer: Any
    target: Any
    options: Mapping[str, Any]


def recipe_of(case: ExplainedCase, name: MapName) -> Recipe | None:
    """Return how a map can be made again, from its key or its record; None where neither says."""
    heatmap, key = case.maps[name], case.keys[name]
    record = heatmap.provenance
    how = record.get("normalize")
    options = {"normalize": how if how in ("unit", "volume", "none") else "unit"}
    options["scale"] = record.get("scale", "minmax")
    if isinstance(key, MapKey):
        fixed = getattr(key.target, "class_id", None) is not None
        return Recipe(key.method, key.layer, key.target if fixed else None, options)
    stated = record.get("method")
    fields = dict(stated) if isinstance(stated, Mapping) else {"name": stated}
    method = METHODS.get(str(fields.pop("name", None)))
    layer = record.get("layer")
    if method is None or record.get("region") is not None:
        return None
    names = {each.name for each in dataclasses.fields(method)}
    known: dict[str, Any] = {name: value for name, value in fields.items() if name in names}
    try:
        method = dataclasses.replace(method, **known)
    except (NapariCamError, TypeError):
        return None
    return Recipe(method, layer if method.space == "layer" else None, None, options)


def remade_map(
    recipe: Recipe, case: ExplainedCase, name: MapName, model: LoadedModel, device: str
) -> NDArray[np.float32]:
    """Return the map (z, y, x) of another network for the same classes; 0 in units not asked of."""
    result = np.zeros(case.volume.shape, np.float32)
    for class_index, units in case.by_class(name).items():
        target = class_index if recipe.target is None else recipe.target
        maps = explain(
            model,
            case.volume,
            [recipe.method],
            [target],
            None if recipe.layer is None else [recipe.layer],
            units=units,
            device=device,
            **recipe.options,
        )
        (heatmap,) = maps.values()
        for unit in units:
            case.unit_of(result, unit)[...] = case.unit_of(heatmap.values, unit)
    return result


def places_of(
    recipe: Recipe, case: ExplainedCase, name: MapName, model: LoadedModel, device: str
) -> Any:
    """Return the shape (*f) of the map before it was enlarged."""
    class_index = int(case.maps[name].class_index[case.units[0]])
    target = class_index if recipe.target is None else recipe.target
    layers = None if recipe.layer is None else [recipe.layer]
    part = next(
        explain_units(
            *(model, case.volume, [recipe.method], [target], layers),
            units=case.units[:1],
            device=device,
        )
    )
    (raw,) = part.maps.values()
    return raw.shape[1:]


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Spearman's correlation of two maps; 0 where one alone is flat, NaN where both are."""
    flat = [bool(np.ptp(each) == 0) for each in (a, b)]
    if any(flat):
        return float("nan") if all(flat) else 0.0
    return float(stats.spearmanr(a.ravel(), b.ravel()).statistic)
