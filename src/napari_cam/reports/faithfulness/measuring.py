"""Everything that is measured of one case: against the floors, in place, and of other networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.cams.targets.scores import ClassScore, Target
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.explained import ExplainedCase
from napari_cam.reports.faithfulness.measured import mean_of_known
from napari_cam.reports.faithfulness.network.curves import Curves, curves_of
from napari_cam.reports.faithfulness.network.randomisation import (
    cascade,
    floor_maps,
    random_network,
)
from napari_cam.reports.faithfulness.network.remaking import Recipe, rank_correlation, remade_map
from napari_cam.reports.faithfulness.network.scored_unit import scored_unit
from napari_cam.reports.faithfulness.network.sensitivity import sensitivity_n
from napari_cam.reports.faithfulness.scores import FLOOR, Row, UnitCurves
from napari_cam.reports.faithfulness.settings import FaithfulnessSettings
from napari_cam.reports.localisation import area_share, energy_inside, peak_inside


def put_to_the_test(
    model: LoadedModel,
    case: ExplainedCase,
    how: FaithfulnessSettings,
    device: torch.device,
    tick: Callable[[], None] | None,
) -> tuple[list[Row], tuple[UnitCurves, ...]]:
    """Ask the network for its score as pixels go, in the order of every map and floor."""
    rows: list[Row] = []
    curves: dict[MapName, list[NDArray[np.float64]]] = {}
    for unit in case.units:
        for name, row, found in _of_unit(model, case, unit, how, device):
            rows.extend(row)
            curves.setdefault(name, []).append(np.stack([found.deletion, found.insertion]))
        rows.extend(_places(case, unit))
        if tick is not None:
            tick()
    return rows, tuple(UnitCurves(name, np.stack(units)) for name, units in curves.items())


def _of_unit(
    model: LoadedModel,
    case: ExplainedCase,
    unit: int,
    how: FaithfulnessSettings,
    device: torch.device,
) -> Iterator[tuple[MapName, list[Row], Curves]]:
    prepared = case.prepared
    image = prepared.batch([unit])[0]
    inside = None
    if case.foreground is not None:
        inside = prepared.mask_batch(case.foreground, [unit])[0]
    heats = {name: prepared.map_batch(each.values, [unit])[0] for name, each in case.maps.items()}
    classes = {name: int(each.class_index[unit]) for name, each in case.maps.items()}
    distinct = list(dict.fromkeys(classes.values()))
    targets = [target_of(model, each, how.score) for each in distinct]
    scored = dict(
        zip(
            distinct,
            scored_unit(model, prepared, unit, targets, device),
            strict=True,
        )
    )
    floors = floor_maps(image, inside, how.curves.seed)
    first = distinct[0]
    wanted = [(name, classes[name], heat) for name, heat in heats.items()]
    wanted += [(MapName(FLOOR + name), first, heat) for name, heat in floors.items()]
    for name, class_index, heat in wanted:
        one = scored[class_index]
        curves = curves_of(one, heat, how.curves)
        metrics = curves.metrics()
        if not name.method.startswith(FLOOR):
            metrics["sensitivity_n"] = sensitivity_n(one, heat, seed=how.curves.seed)
        yield name, [_row(unit, class_index, name, *each) for each in metrics.items()], curves


def target_of(model: LoadedModel, class_index: int, score: Any) -> Target:
    """Return the score of a class: over the pixels where it is predicted, of a segmentation."""
    if model.card.task == "segmentation":
        return RegionScore(class_index, score=score)
    return ClassScore(class_index, score)


def _places(case: ExplainedCase, unit: int) -> Iterator[Row]:
    """Yield where the maps lie: energy in foreground and reference, and what a flat map has."""
    seen = case.unit_of(next(iter(case.maps.values())).inside, unit)
    inside = seen if case.foreground is None else case.unit_of(case.foreground, unit) & seen
    truth = None if case.reference is None else case.unit_of(case.reference, unit) & seen
    for name, heatmap in case.maps.items():
        heat = np.maximum(case.unit_of(heatmap.values, unit), 0)
        found: dict[str, float] = {}
        if case.foreground is not None and inside.any() and not inside[seen].all():
            found["energy_foreground"] = energy_inside(heat, inside)
            found["area_foreground"] = area_share(inside, seen)
        if truth is not None and truth.any():
            found["energy_reference"] = energy_inside(heat, truth)
            found["area_reference"] = area_share(truth & inside, inside)
            found["peak_reference"] = float(peak_inside(heat, truth))
        class_index = int(heatmap.class_index[unit])
        for metric, value in found.items():
            yield _row(unit, class_index, name, metric, value)


def compare_with_random(
    model: LoadedModel,
    case: ExplainedCase,
    name: MapName,
    recipe: Recipe,
    how: FaithfulnessSettings,
    device: str,
) -> tuple[dict[str, list[float]], list[Row]]:
    """Make a map again with weights drawn anew, stage by stage and several times altogether.

    Returns
    -------
    tuple
        Stage -> the rank correlation of each unit; and the rows of networks of random weights.
    """
    stages: dict[str, list[float]] = {}
    for stage, other in cascade(model, how.stages, how.seed):
        heat = remade_map(recipe, case, name, other, device)
        stages[stage] = [
            rank_correlation(case.unit_of(case.maps[name].values, unit), case.unit_of(heat, unit))
            for unit in case.units
        ]
    heats = []
    for number in range(how.random_networks):
        other = random_network(model, how.seed + 1 + number)
        heats.append(remade_map(recipe, case, name, other, device))
    rows = [row for unit in case.units for row in _against(case, unit, name, heats, "random")]
    return stages, rows


def compare_with_control(
    control: LoadedModel, case: ExplainedCase, name: MapName, recipe: Recipe, device: str
) -> list[Row]:
    """Make a map again with a network that was trained on labels at random."""
    heats = [remade_map(recipe, case, name, control, device)]
    return [row for unit in case.units for row in _against(case, unit, name, heats, "control")]


def _against(
    case: ExplainedCase, unit: int, name: MapName, heats: list[NDArray[np.float32]], what: str
) -> Iterator[Row]:
    """Yield how alike maps of other networks are, and how much energy they have in place."""
    heatmap = case.maps[name]
    own = case.unit_of(heatmap.values, unit)
    class_index = int(heatmap.class_index[unit])
    parts = [np.maximum(case.unit_of(heat, unit), 0) for heat in heats]
    alike = mean_of_known([rank_correlation(own, part) for part in parts])
    yield _row(unit, class_index, name, f"rank_correlation_{what}", alike)
    seen = case.unit_of(heatmap.inside, unit)
    for metric, mask in (("reference", case.reference), ("foreground", case.foreground)):
        if mask is None:
            continue
        region = case.unit_of(mask, unit) & seen
        if region.any():
            energies = [energy_inside(part, region) for part in parts]
            # A network without any evidence for the class has no map; a flat one stands for it.
            flat = area_share(region, seen)
            mean = float(np.mean([flat if np.isnan(each) else each for each in energies]))
            yield _row(unit, class_index, name, f"energy_{metric}_{what}", mean)


def _row(unit: int, class_index: int, name: MapName, metric: str, value: float) -> Row:
    return {
        "unit": unit,
        "class": class_index,
        "map": name,
        "metric": metric,
        "value": float(value),
    }
