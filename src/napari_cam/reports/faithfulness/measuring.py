"""Everything that is measured of the maps: against the floors, in place, and of random networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.cams.targets.scores import ClassScore, Score, Target
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.cases import MapName
from napari_cam.reports.faithfulness.again import Recipe, made_again, rank_correlation
from napari_cam.reports.faithfulness.asking import ask
from napari_cam.reports.faithfulness.cases import Case
from napari_cam.reports.faithfulness.curves import Curves, CurveSettings, curves_of
from napari_cam.reports.faithfulness.randomisation import cascade, floor_maps, random_network
from napari_cam.reports.faithfulness.sensitivity import sensitivity_n
from napari_cam.reports.localisation import area_share, energy_inside, peak_inside

Row = dict[str, Any]
FLOOR = "floor: "


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured, one row per number.

    Attributes
    ----------
    rows
        subject, unit, class, map (a :class:`MapName`; floors have the method "floor: ..."),
        metric, value.
    curves
        Map -> the mean deletion and insertion curves over units, (2, steps + 1).
    cascades
        Map -> (stage, mean rank correlation) from the output down.
    """

    rows: list[Row] = field(default_factory=list)
    curves: dict[MapName, NDArray[np.float64]] = field(default_factory=dict)
    cascades: dict[MapName, list[tuple[str, float]]] = field(default_factory=dict)

    def values(self, name: MapName, metric: str) -> tuple[NDArray[np.float64], list[str]]:
        """Return the values of a metric, and the subject of each, in the order of the units."""
        found = [row for row in self.rows if row["map"] == name and row["metric"] == metric]
        return np.array([row["value"] for row in found]), [row["subject"] for row in found]


def put_to_the_test(
    model: LoadedModel,
    cases: list[Case],
    score: Score,
    settings: CurveSettings,
    device: torch.device,
    tick: Callable[[], None],
) -> Measured:
    """Ask the network for its score as pixels go, in the order of every map and floor."""
    measured = Measured()
    sums: dict[MapName, NDArray[np.float64]] = {}
    counts: dict[MapName, int] = {}
    for case in cases:
        for unit in case.units:
            for name, row, curves in _of_unit(model, case, unit, score, settings, device):
                measured.rows.extend(row)
                both = np.stack([curves.deletion, curves.insertion])
                sums[name] = sums.get(name, 0) + both
                counts[name] = counts.get(name, 0) + 1
            measured.rows.extend(_places(case, unit))
            tick()
    measured.curves.update({name: total / counts[name] for name, total in sums.items()})
    return measured


def _of_unit(
    model: LoadedModel,
    case: Case,
    unit: int,
    score: Score,
    settings: CurveSettings,
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
    asked = dict(
        zip(
            distinct,
            ask(model, prepared, unit, [target_of(model, c, score) for c in distinct], device),
            strict=True,
        )
    )
    floors = floor_maps(image, inside, settings.seed)
    first = distinct[0]
    wanted = [(name, classes[name], heat) for name, heat in heats.items()]
    wanted += [(MapName(FLOOR + name), first, heat) for name, heat in floors.items()]
    for name, class_index, heat in wanted:
        one = asked[class_index]
        curves = curves_of(one, heat, settings)
        metrics = curves.metrics()
        if not name.method.startswith(FLOOR):
            metrics["sensitivity_n"] = sensitivity_n(one, heat, seed=settings.seed)
        yield name, [_row(case, unit, class_index, name, *each) for each in metrics.items()], curves


def target_of(model: LoadedModel, class_index: int, score: Score) -> Target:
    """Return the score of a class: over the pixels where it is predicted, of a segmentation."""
    if model.card.task == "segmentation":
        return RegionScore(class_index, score=score)
    return ClassScore(class_index, score)


def _places(case: Case, unit: int) -> Iterator[Row]:
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
            yield _row(case, unit, class_index, name, metric, value)


def compare_with_random(
    model: LoadedModel,
    cases: list[Case],
    name: MapName,
    recipe: Recipe,
    measured: Measured,
    *,
    stages: int,
    networks: int,
    seed: int,
    device: str,
) -> None:
    """Make a map again with weights drawn anew, stage by stage and several times altogether."""
    found: dict[str, list[float]] = {}
    for stage, other in cascade(model, stages, seed):
        for case in cases:
            heat = made_again(recipe, case, name, other, device)
            values = [
                rank_correlation(
                    case.unit_of(case.maps[name].values, unit), case.unit_of(heat, unit)
                )
                for unit in case.units
            ]
            found.setdefault(stage, []).extend(values)
    measured.cascades[name] = [(stage, _mean(values)) for stage, values in found.items()]
    others = [random_network(model, seed + 1 + number) for number in range(networks)]
    for case in cases:
        heats = [made_again(recipe, case, name, other, device) for other in others]
        for unit in case.units:
            measured.rows.extend(_against(case, unit, name, heats, "random"))


def compare_with_control(
    control: LoadedModel,
    cases: list[Case],
    name: MapName,
    recipe: Recipe,
    measured: Measured,
    device: str,
) -> None:
    """Make a map again with a network that was trained on labels at random."""
    for case in cases:
        heats = [made_again(recipe, case, name, control, device)]
        for unit in case.units:
            measured.rows.extend(_against(case, unit, name, heats, "control"))


def _against(
    case: Case, unit: int, name: MapName, heats: list[NDArray[np.float32]], what: str
) -> Iterator[Row]:
    """Yield how alike maps of other networks are, and how much energy they have in place."""
    heatmap = case.maps[name]
    own = case.unit_of(heatmap.values, unit)
    class_index = int(heatmap.class_index[unit])
    parts = [np.maximum(case.unit_of(heat, unit), 0) for heat in heats]
    alike = _mean([rank_correlation(own, part) for part in parts])
    yield _row(case, unit, class_index, name, f"rank_correlation_{what}", alike)
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
            yield _row(case, unit, class_index, name, f"energy_{metric}_{what}", mean)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _row(case: Case, unit: int, class_index: int, name: MapName, metric: str, value: float) -> Row:
    return {
        "subject": case.subject,
        "unit": unit,
        "class": class_index,
        "map": name,
        "metric": metric,
        "value": float(value),
    }
