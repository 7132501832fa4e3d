"""What is kept of one case that the network was asked about: numbers of units, and curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.reports.cases.map_names import MapName

Places = NDArray[np.int64]
Row = dict[str, Any]

FLOOR = "floor: "
"""How the method of a map begins that knows nothing of the network."""


@dataclass(frozen=True, eq=False)
class UnitRows:
    """Numbers of units, one a row, as columns.

    Attributes
    ----------
    maps, metrics
        What the numbers in `map` and `metric` stand for.
    unit, class_index, map, metric
        (n,) of each row.
    value
        (n,) the numbers.
    """

    maps: tuple[MapName, ...]
    metrics: tuple[str, ...]
    unit: Places = field(repr=False)
    class_index: Places = field(repr=False)
    map: Places = field(repr=False)
    metric: Places = field(repr=False)
    value: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        columns = (self.unit, self.class_index, self.map, self.metric)
        if any(each.shape != self.value.shape for each in columns):
            raise ReportError("The rows of a case do not fit each other; score the case again.")

    @classmethod
    def of(cls, rows: Sequence[Row]) -> UnitRows:
        """Return rows (unit, class, map, metric, value) as columns."""
        maps = {name: place for place, name in enumerate(dict.fromkeys(r["map"] for r in rows))}
        metrics = {name: k for k, name in enumerate(dict.fromkeys(r["metric"] for r in rows))}
        return cls(
            tuple(maps),
            tuple(metrics),
            unit=np.array([row["unit"] for row in rows], np.int64),
            class_index=np.array([row["class"] for row in rows], np.int64),
            map=np.array([maps[row["map"]] for row in rows], np.int64),
            metric=np.array([metrics[row["metric"]] for row in rows], np.int64),
            value=np.array([row["value"] for row in rows], np.float64),
        )

    def rows(self, subject: str) -> Iterator[Row]:
        """Yield the rows, with whose they are."""
        columns = (self.unit, self.class_index, self.map, self.metric, self.value)
        for unit, index, name, metric, value in zip(*(c.tolist() for c in columns), strict=True):
            yield {
                "subject": subject,
                "unit": unit,
                "class": index,
                "map": self.maps[name],
                "metric": self.metrics[metric],
                "value": value,
            }


@dataclass(frozen=True, eq=False)
class UnitCurves:
    """A map's deletion and insertion curves, (u, 2, steps + 1)."""

    name: MapName
    values: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Remade:
    """What a map has in common with those of other networks.

    Attributes
    ----------
    name
        Which map.
    known
        Whether it could be made again by every other network that was asked.
    places
        Shape of the map before it was enlarged; () where it is none of a layer.
    stages, cascade
        How far weights were drawn anew, and the rank correlations (stages, u) with the map then.
    random, control
        Numbers of networks of random weights, and of one of shuffled labels; None where the map
        could not be made again.
    """

    name: MapName
    known: bool
    places: tuple[int, ...] = ()
    stages: tuple[str, ...] = ()
    cascade: NDArray[np.float64] | None = field(default=None, repr=False)
    random: UnitRows | None = field(default=None, repr=False)
    control: UnitRows | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class FaithfulnessScores:
    """What the network says of the maps of one case.

    Attributes
    ----------
    subject
        Of the case.
    units
        Which were asked about; () where none holds evidence.
    trained
        Whether the network was trained on the subject; None where its card names nobody.
    input_shape
        (c, *s) of a unit as the network takes it.
    difference
        How far two runs of the network differ, relative to its largest output.
    device
        Where it ran.
    tested
        Numbers of every map and floor.
    curves
        Of every map and floor.
    remade
        Every map beside those of other networks.
    """

    subject: str
    units: tuple[int, ...]
    trained: bool | None
    input_shape: tuple[int, ...]
    difference: float
    device: str
    tested: UnitRows
    curves: tuple[UnitCurves, ...]
    remade: tuple[Remade, ...]
