"""Heatmaps on the volume's grid, made of the raw maps of its units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.explained_units import ExplainedUnits
from napari_cam.cams.keys import Fused, MapKey
from napari_cam.cams.plan import Plan
from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.cams.targets.scores import Target
from napari_cam.errors import MethodError
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.normalize import (
    NORMALIZE,
    SCALE,
    Normalize,
    Scale,
    bounds,
    check_foreground,
    extremes,
    has_evidence,
    to_unit,
)
from napari_cam.provenance import plain, stamp
from napari_cam.units import by_unit


def build_heatmaps(
    plan: Plan,
    parts: Iterable[ExplainedUnits],
    normalize: Normalize = "unit",
    scale: Scale = "minmax",
    foreground: Any = None,
) -> Maps[MapKey, Heatmap]:
    """Make heatmaps of whatever units have come so far.

    Parameters
    ----------
    plan
        What was asked for.
    parts
        Batches that the plan's run has yielded, all of them or the first few.
    normalize, scale, foreground
        As in :func:`explain`.

    Raises
    ------
    MethodError
        Where ``normalize="foreground"`` and neither the call nor the preparation gives one, or
        where one is given that would not be used.
    """
    NORMALIZE.checked(normalize)
    SCALE.checked(scale)
    finished = tuple(parts)
    counted = _foreground(plan, normalize, foreground)
    facts = _facts(plan, finished)
    builder = _Builder(plan, finished, normalize, scale, counted, facts)
    return Maps({key: builder.heatmap(key) for key in plan.keys})


@dataclass(frozen=True, eq=False)
class _Builder:
    """Makes the heatmap of each key out of the units that have come."""

    plan: Plan
    parts: tuple[ExplainedUnits, ...]
    normalize: Normalize
    scale: Scale
    foreground: NDArray[np.bool_] | None
    facts: dict[str, Any]

    def heatmap(self, key: MapKey) -> Heatmap:
        prepared, shape = self.plan.prepared, self.plan.volume.shape
        units = [unit for part in self.parts for unit in part.units]
        values = np.zeros(shape, np.float32)
        inside = np.zeros(shape, bool)
        low, high = (np.zeros(prepared.n_units, np.float32) for _ in range(2))
        valid = np.zeros(prepared.n_units, bool)
        if len(units):
            on_grid, low[units], high[units], valid[units] = self._stretched(key, units)
            seen = np.broadcast_to(prepared.inside, on_grid.shape)
            prepared.place(on_grid, units, values)
            prepared.place(seen, units, inside)
        signed = key.method.relu == "none" and not isinstance(key.layer, Fused)
        made = {"normalize": self.normalize, "scale": self.scale}
        return Heatmap(
            values=values,
            kind="unit" if self.normalize != "none" else ("signed" if signed else "raw"),
            raw_min=low,
            raw_max=high,
            valid=valid,
            class_index=self._gather(lambda part: part.class_index[key.target], -1),
            predicted_index=self._gather(lambda part: part.predicted_for(key.target), -1),
            score=self._gather(lambda part: part.score[key.target], np.nan),
            inside=inside,
            unit_axis=prepared.unit_axis,
            grid=self.plan.volume.grid,
            provenance=_of_key(key) | self._of_region(key.target) | self.facts | made,
        )

    def _stretched(self, key: MapKey, units: list[int]) -> tuple[NDArray[Any], ...]:
        """Return the maps of units on the volume's grid, their bounds, which have evidence."""
        prepared = self.plan.prepared
        raw = np.concatenate([part.maps[key] for part in self.parts])
        rectify = key.method.relu == "sum"
        evidence = has_evidence(raw, rectify)
        shown = np.where(_like(evidence, raw), np.maximum(raw, 0) if rectify else raw, 0)
        on_grid = prepared.on_volume_grid(shown)
        seen = np.broadcast_to(prepared.inside, on_grid.shape)
        counted = seen
        if self.foreground is not None:
            counted = seen & by_unit(self.foreground, prepared.unit_axis)[units]
        low, high = extremes(on_grid, counted, tuple(range(1, on_grid.ndim)))
        evidence &= high > np.maximum(low, 0)
        low, high = bounds(low, high, evidence, self.normalize, self.scale)
        if self.normalize != "none":
            on_grid = to_unit(on_grid, _like(low, on_grid), _like(high, on_grid))
        on_grid = np.where(_like(evidence, on_grid) & seen, on_grid, 0).astype(np.float32)
        return on_grid, low, high, evidence

    def _gather(
        self, read: Callable[[ExplainedUnits], NDArray[Any]], missing: float
    ) -> NDArray[Any]:
        """Return one number per unit of the volume, `missing` for those not explained."""
        dtype = np.int64 if missing == -1 else np.float32
        result = np.full(self.plan.prepared.n_units, missing, dtype)
        for part in self.parts:
            result[list(part.units)] = read(part)
        return result

    def _of_region(self, target: Target) -> dict[str, Any]:
        """Return which pixels were explained, and how many in each unit (None where not asked)."""
        if not isinstance(target, RegionScore):
            return {}
        sizes: list[int | None] = [None] * self.plan.prepared.n_units
        for part in self.parts:
            for unit, size in zip(part.units, part.pixels.get(target, ()), strict=False):
                sizes[unit] = int(size)
        return {"region": plain({**target.facts(), "pixels": sizes})}


def _foreground(plan: Plan, normalize: Normalize, foreground: Any) -> NDArray[np.bool_] | None:
    if normalize != "foreground":
        if foreground is not None:
            raise MethodError(
                f"A foreground is given but normalize is '{normalize}', which does not use it; "
                "say normalize='foreground', or give the foreground to binarize."
            )
        return None
    if foreground is None:
        foreground = plan.prepared.foreground
    if foreground is None:
        raise MethodError(
            "normalize='foreground' needs a foreground: give a mask on the volume's grid, or a "
            "preparation with a foreground step."
        )
    return check_foreground(foreground, plan.volume.shape)


def _like(numbers: NDArray[Any], maps: NDArray[Any]) -> NDArray[Any]:
    """Reshape (n,) `numbers` so that they broadcast against maps (n, *s)."""
    return numbers.reshape(-1, *(1,) * (maps.ndim - 1))


def _of_key(key: MapKey) -> dict[str, Any]:
    """Return what sets one map apart from the others of its explanation."""
    return {
        "kind": "heatmap",
        "method": plain({"name": key.method.name, **asdict(key.method)}),
        "reference": key.method.reference,
        "layer": str(key.layer),
        "target": key.target.label,
    }


def _facts(plan: Plan, parts: Sequence[ExplainedUnits]) -> dict[str, Any]:
    """Return what all maps of one explanation share."""
    card = plan.model.card
    # Reading every voxel of a lazy array only to name it would load it whole.
    eager = isinstance(plan.volume.values, np.ndarray)
    notes = [*plan.volume.notes, *plan.prepared.notes, *(n for part in parts for n in part.notes)]
    return stamp(
        interpolation="linear, half-pixel centres",
        model={"architecture": card.architecture, "sha256": plan.model.sha256},
        preparation=card.preparation.to_json(),
        notes=list(dict.fromkeys(notes)),
        image={
            "sha256": plan.volume.sha256() if eager else None,
            "shape": plan.volume.shape,
        },
        units_explained=sum(len(part.units) for part in parts),
        device=plan.device.type,
        precision=plan.precision,
        batch_size=parts[-1].batch_size if parts else plan.batch_size,
        windows=None if plan.windows is None else asdict(plan.windows),
        optimize=plan.optimize,
        network_run=list(dict.fromkeys(part.path for part in parts)),
        seed=None,
    )
