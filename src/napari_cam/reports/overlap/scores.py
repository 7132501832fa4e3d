"""What is kept of the overlap of one case: counts of every map, and small pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.masks.counts import Counts
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.overlap.pictures import Pictures

COUNTS = ("tp", "fp", "fn", "tn")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OverlapSettings:
    """How maps are scored against a reference.

    Attributes
    ----------
    thresholds
        Names of the rules; masks that are given as such have none.
    headline
        The one shown first, at which surface distances are measured.
    strict
        True where a voxel must exceed its cut.
    soft
        Whether average precision and soft overlap are computed, which takes the longest.
    surfaces
        Whether surface distances are.
    """

    thresholds: tuple[str, ...]
    headline: str
    strict: bool
    soft: bool
    surfaces: bool


@dataclass(frozen=True, eq=False)
class MapScores:
    """What one map reached in u units of one or more subjects, at r thresholds.

    Attributes
    ----------
    name
        Which map.
    thresholds
        (r,) names of the rules.
    case, unit
        (u,) number of the case, and of the unit within its volume.
    subject, group, class_name
        (c,) of each case.
    correct
        (u,) 1 where the network classified the unit rightly, 0 where not, -1 unknown.
    counts
        tp, fp, fn, tn as arrays (r, u).
    soft
        Numbers without a threshold by name, (u,).
    surface
        "hd95", "assd", (s, c) of whole volumes at `surface_at` thresholds.
    surface_at
        Places of the thresholds at which surfaces were measured.
    voxel_ml
        (c,) millilitres of a voxel; NaN where the image states no size.
    """

    name: MapName
    thresholds: tuple[str, ...]
    case: NDArray[np.int64]
    unit: NDArray[np.int64]
    subject: tuple[str, ...]
    group: tuple[str, ...]
    class_name: tuple[str, ...]
    correct: NDArray[np.int8]
    counts: Counts = field(repr=False)
    soft: Mapping[str, Floats] = field(repr=False)
    surface: Mapping[str, Floats] = field(repr=False)
    surface_at: tuple[int, ...]
    voxel_ml: Floats

    @classmethod
    def joined(cls, parts: Sequence[MapScores]) -> MapScores:
        """Return the scores of one map over several cases, numbered in their order."""
        first = parts[0]
        starts = np.cumsum([0, *(len(part.subject) for part in parts)])
        places = [part.case + at for part, at in zip(parts, starts, strict=False)]
        counted = ([getattr(part.counts, name) for part in parts] for name in COUNTS)
        return cls(
            name=first.name,
            thresholds=first.thresholds,
            case=np.concatenate(places),
            unit=np.concatenate([part.unit for part in parts]),
            subject=tuple(each for part in parts for each in part.subject),
            group=tuple(each for part in parts for each in part.group),
            class_name=tuple(each for part in parts for each in part.class_name),
            correct=np.concatenate([part.correct for part in parts]),
            counts=Counts(*(np.concatenate(each, axis=1) for each in counted)),
            soft={key: np.concatenate([part.soft[key] for part in parts]) for key in first.soft},
            surface={
                key: np.concatenate([part.surface[key] for part in parts], axis=1)
                for key in first.surface
            },
            surface_at=first.surface_at,
            voxel_ml=np.concatenate([part.voxel_ml for part in parts]),
        )

    def __post_init__(self) -> None:
        rules, units, cases = len(self.thresholds), len(self.unit), len(self.subject)
        shapes = {
            (units,): [self.case, self.correct, *self.soft.values()],
            (rules, units): [getattr(self.counts, name) for name in COUNTS],
            (len(self.surface_at), cases): self.surface.values(),
            (cases,): [self.voxel_ml],
        }
        if any(np.shape(each) != shape for shape, arrays in shapes.items() for each in arrays):
            raise ReportError("The scores of a map do not fit each other; score the case again.")


@dataclass(frozen=True, eq=False)
class OverlapScores:
    """The scores of all maps of one case.

    Attributes
    ----------
    subject
        Of the case.
    maps
        One by one.
    models
        SHA-256 of the networks that the maps say they explain.
    unseen
        Voxels of the reference outside of what every network saw, and all of them; (0, 0) where
        the maps are masks.
    pictures
        Of one slice, for the figures; None where nothing of the reference is there, or none are
        wanted.
    """

    subject: str
    maps: tuple[MapScores, ...]
    models: tuple[str, ...]
    unseen: tuple[int, int]
    pictures: Pictures | None = field(default=None, repr=False)
