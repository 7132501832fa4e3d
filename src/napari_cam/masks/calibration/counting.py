"""One case of a calibration: its members' heatmaps and its true mask, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import check_same_place
from napari_cam.heatmap import Heatmap, label_of
from napari_cam.masks.calibration.joint_histogram import joint_histogram
from napari_cam.masks.counts import Counts, counts
from napari_cam.masks.ensembles.boxes import BoxFilter, box_mask
from napari_cam.masks.ensembles.members import UnitAxis
from napari_cam.masks.ensembles.rule import EnsembleRule
from napari_cam.masks.overlap_scores import Tally
from napari_cam.units import any_by_unit, by_unit, n_units

Mask = NDArray[np.bool_]
Box = BoxFilter | Mask | None

_MOST_COMBINATIONS = 3_000_000


@dataclass(frozen=True, eq=False)
class Counting:
    """What is to be counted in every case.

    Attributes
    ----------
    rule
        How members become one mask.
    cuts
        (c,) ascending, tried on each member.
    strict
        True where a value must exceed a cut.
    boxes
        By name: where masks may lie, for all cases or a sequence with one for each.
    unit_axis
        As :func:`napari_cam.combine`'s.
    both_empty
        What an image without anything to find, and nothing found, counts as.
    """

    rule: EnsembleRule
    cuts: NDArray[np.float64]
    strict: bool
    boxes: Mapping[str, Box | Sequence[Box]]
    unit_axis: UnitAxis
    both_empty: float


@dataclass(frozen=True, eq=False)
class CountedCase:
    """What one case adds to the whole.

    Attributes
    ----------
    members
        Names, in the order of the grid's axes.
    grid
        (b, c, ..., c) counts for each box and combination of cuts.
    baselines
        Single counts of predicting nothing, everything and the boxes.
    images
        How many units a network saw.
    """

    members: tuple[str, ...]
    grid: Tally
    baselines: Mapping[str, Tally]
    images: int


def counted_case(
    counting: Counting, maps: Any, reference: Any, number: int, members: tuple[str, ...] | None
) -> CountedCase:
    """Count a case.

    Parameters
    ----------
    counting
        What is asked for.
    maps
        The members' heatmaps by name.
    reference
        The true mask (z, y, x) bool.
    number
        The case's place, from 0.
    members
        The members of the other cases, None for the first case.

    Raises
    ------
    MaskError
        Where the case does not fit itself or the others.
    """
    named = _named(maps, number, members)
    if (len(counting.cuts) + 1) ** len(named) > _MOST_COMBINATIONS:
        raise MaskError(
            f"{len(counting.cuts)} thresholds of {len(named)} members are too many combinations; "
            "give fewer thresholds or members."
        )
    _check(named, reference, number)
    axis = _unit_axis(named, counting.unit_axis, number)
    units = _Units.of(list(named.values()), reference, axis)
    grids, boxed = [], {}
    for name, box in counting.boxes.items():
        inside = box_mask(_of_case(box, number), next(iter(named.values())).grid)
        histogram = joint_histogram(
            units.values(),
            units.references(),
            units.allowed(inside),
            counting.cuts.astype(np.float32),
            counting.strict,
        )
        grids.append(Tally.of_case(histogram.counts(counting.rule), counting.both_empty))
        if inside is not None:
            label = "box only" if len(counting.boxes) == 1 else f"box only ({name})"
            boxed[label] = units.predicting(inside)
    n, positive = histogram.sizes()
    nothing = np.zeros_like(n)
    baselines = {
        "empty": Counts(nothing, nothing, positive, n - positive),
        "full": Counts(positive, n - positive, nothing, nothing),
        **boxed,
    }
    return CountedCase(
        members=tuple(named),
        grid=Tally.stacked(grids),
        baselines={
            name: Tally.of_case(counted, counting.both_empty) for name, counted in baselines.items()
        },
        images=len(n),
    )


@dataclass(frozen=True, eq=False)
class _Units:
    """A case, unit by unit: those that a network saw, without the voxels that none did.

    Attributes
    ----------
    seen
        (z, y, x) what any network saw; None for everything, as usual.
    shown
        Which units that is.
    """

    heatmaps: list[Heatmap]
    reference: Mask
    axis: int | None
    seen: Mask | None
    shown: Sequence[int]

    @classmethod
    def of(cls, heatmaps: list[Heatmap], reference: Mask, axis: int | None) -> _Units:
        """Find what the networks saw."""
        if any(heatmap.inside.all() for heatmap in heatmaps):
            return cls(heatmaps, reference, axis, None, range(n_units(reference.shape, axis)))
        seen = np.logical_or.reduce([heatmap.inside for heatmap in heatmaps])
        shown = np.flatnonzero(any_by_unit(seen, axis)).tolist()
        return cls(heatmaps, reference, axis, seen, shown)

    def values(self) -> list[list[NDArray[np.float32]]]:
        """Return for each unit its members' values."""
        return [
            [self._part(heatmap.values, unit) for heatmap in self.heatmaps] for unit in self.shown
        ]

    def references(self) -> list[Mask]:
        """Return for each unit the reference."""
        return [self._part(self.reference, unit) for unit in self.shown]

    def allowed(self, inside: Mask | None) -> list[list[Mask | None]]:
        """Return for each unit and member where its mask may lie, None for everywhere."""
        places = [_place(heatmap, inside) for heatmap in self.heatmaps]
        return [
            [None if place is None else self._part(place, unit) for place in places]
            for unit in self.shown
        ]

    def predicting(self, mask: Mask) -> Counts:
        """Return (u,) counts of a mask as the prediction."""
        pairs = [(self._part(mask, unit), self._part(self.reference, unit)) for unit in self.shown]
        each = [counts(found, truth) for found, truth in pairs]
        return Counts(
            *(np.array([getattr(one, name) for one in each]) for name in ("tp", "fp", "fn", "tn"))
        )

    def _part(self, array: NDArray[Any], unit: int) -> NDArray[Any]:
        part: NDArray[Any] = by_unit(array, self.axis)[unit]
        return part if self.seen is None else part[by_unit(self.seen, self.axis)[unit]]


def _place(heatmap: Heatmap, inside: Mask | None) -> Mask | None:
    """Return where a heatmap's mask may lie, None for everywhere."""
    place = None if heatmap.inside.all() else heatmap.inside
    if inside is not None:
        place = inside if place is None else place & inside
    if not heatmap.valid.all():
        valid = np.broadcast_to(heatmap.per_unit(heatmap.valid), heatmap.values.shape)
        place = valid if place is None else place & valid
    return place


def _named(maps: Any, number: int, members: tuple[str, ...] | None) -> dict[str, Heatmap]:
    """Return the heatmaps of a case by name, in the order of the members."""
    if not isinstance(maps, Mapping) or not all(isinstance(m, Heatmap) for m in maps.values()):
        raise MaskError(
            f"Case {number + 1} must be heatmaps by name, not {type(maps).__name__}; "
            "give what explain returns for each volume."
        )
    named = {label_of(key): heatmap for key, heatmap in maps.items()}
    if not named:
        raise MaskError(f"Case {number + 1} has no heatmaps; explain at least one method.")
    if members is not None and set(named) != set(members):
        raise MaskError(
            f"Case {number + 1} has the members {', '.join(named)} but the first case "
            f"{', '.join(members)}; explain all cases alike."
        )
    return {name: named[name] for name in members or named}


def _check(named: Mapping[str, Heatmap], reference: Any, number: int) -> None:
    first = next(iter(named.values()))
    for name, heatmap in named.items():
        if heatmap.kind != "unit":
            raise MaskError(
                f"The heatmap '{name}' of case {number + 1} is {heatmap.kind}, but thresholds "
                "from 0 to 1 need one normalised to [0, 1]; explain with normalize='unit' or "
                "'volume'."
            )
        member = f"The heatmap '{name}' of case {number + 1}"
        check_same_place(member, heatmap.grid, "the case's first", first.grid, MaskError)
    if not isinstance(reference, np.ndarray) or reference.dtype != np.bool_:
        kind = getattr(reference, "dtype", type(reference).__name__)
        raise MaskError(
            f"The reference of case {number + 1} holds {kind}, not booleans; "
            "say what counts, as in labels == 1."
        )
    if reference.shape != first.values.shape:
        raise MaskError(
            f"The reference of case {number + 1} has shape {reference.shape} but its heatmaps "
            f"{first.values.shape}; give both on one grid."
        )


def _unit_axis(maps: Mapping[str, Heatmap], asked: UnitAxis, number: int) -> int | None:
    if asked != "members":
        if asked is not None and asked not in (0, 1, 2):
            raise MaskError(f"The units lie along axis 0, 1, 2 or None, not {asked!r}.")
        return asked
    axes = {heatmap.unit_axis for heatmap in maps.values()}
    if len(axes) > 1:
        raise MaskError(
            f"Some heatmaps of case {number + 1} were explained slice by slice and some not, or "
            "along another axis; say what is compared with unit_axis=0, 1, 2, or None."
        )
    return axes.pop()


def _of_case(box: Box | Sequence[Box], number: int) -> Box:
    return box[number] if isinstance(box, (list, tuple)) else box  # type: ignore[return-value]
