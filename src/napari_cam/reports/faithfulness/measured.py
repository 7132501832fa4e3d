"""What was measured of all cases together, from the scores of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.scores import FaithfulnessScores, Remade, Row


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


def measured_of(found: Sequence[FaithfulnessScores]) -> Measured:
    """Join the scores of cases, each with units that were asked about.

    Numbers of a map that another network could not make for every case are left out.

    Raises
    ------
    ReportError
        Where cases have different maps.
    """
    names = {each.name for each in found[0].remade}
    if any({each.name for each in case.remade} != names for case in found):
        raise ReportError("The subjects have different maps; give the same ones for each.")
    joined = Measured()
    for case in found:
        joined.rows.extend(case.tested.rows(case.subject))
    for curve in found[0].curves:
        units = [
            unit
            for case in found
            for each in case.curves
            if each.name == curve.name
            for unit in each.values
        ]
        joined.curves[curve.name] = sum(units[1:], units[0]) / len(units)
    for each in found[0].remade:
        _join_remade(joined, each.name, found)
    return joined


def _join_remade(joined: Measured, name: MapName, found: Sequence[FaithfulnessScores]) -> None:
    cases = [(case.subject, remade_of(case, name)) for case in found]
    random = [(subject, each.random) for subject, each in cases]
    if all(rows is not None for _, rows in random):
        cascades = [each.cascade for _, each in cases if each.cascade is not None]
        joined.cascades[name] = [
            (stage, mean_of_known(values))
            for stage, values in zip(
                cases[0][1].stages, np.concatenate(cascades, axis=1), strict=True
            )
        ]
    control = [(subject, each.control) for subject, each in cases]
    for parts in (random, control):
        if all(rows is not None for _, rows in parts):
            for subject, rows in parts:
                joined.rows.extend(rows.rows(subject) if rows is not None else ())


def remade_of(case: FaithfulnessScores, name: MapName) -> Remade:
    """Return what a case's map has in common with those of other networks."""
    return next(each for each in case.remade if each.name == name)


def remade_in_all(found: Sequence[FaithfulnessScores], name: MapName) -> bool:
    """Return whether a map could be made again for every case."""
    return all(remade_of(case, name).known for case in found)


def resolution_of(found: Sequence[FaithfulnessScores]) -> dict[MapName, tuple[int, ...]]:
    """Return the shape of every layer's map before it was enlarged, where that is known."""
    return {
        each.name: each.places
        for each in found[0].remade
        if each.places and remade_in_all(found, each.name)
    }


def mean_of_known(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the mean of what is not NaN; NaN where nothing is left."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
