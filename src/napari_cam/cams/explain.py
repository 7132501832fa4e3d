"""From a network and a volume to heatmaps on the volume's grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.keys import AnyLayer, Fused, MapKey
from napari_cam.cams.methods.table import AnyMethod
from napari_cam.cams.plan import ExplainedUnits, Plan, plan_explanation
from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.cams.targets.scores import AnyTarget, Target
from napari_cam.cams.windows import Windows
from napari_cam.errors import MethodError
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.models.loaded import LoadedModel
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


def explain(
    model: LoadedModel,
    volume_or_array: Any,
    methods: AnyMethod | Sequence[AnyMethod] = "gradcam",
    targets: AnyTarget | Sequence[AnyTarget] = None,
    layers: AnyLayer | Sequence[AnyLayer] | None = None,
    *,
    normalize: Normalize = "unit",
    scale: Scale = "minmax",
    foreground: Any = None,
    units: Sequence[int] | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | str = "auto",
    windows: Windows | int | Sequence[int] | None = None,
    optimize: bool = True,
) -> Maps[MapKey, Heatmap]:
    """Compute heatmaps of a volume, which show where the network looked.

    One forward pass per batch serves all methods, layers and classes. A 2D network is shown slice
    after slice along the axis its preparation names, a 3D one the whole volume.

    Parameters
    ----------
    model
        Network with its card, from :func:`load_model` or :func:`wrap_model`.
    volume_or_array
        A volume, or an array (y, x) or (z, y, x). Channels need a :class:`Volume`
        (``Volume.from_array(picture, channel_axis=-1)``).
    methods
        Names from :data:`METHODS` or methods with parameters of their own.
    targets
        Class by name or index, or :class:`ClassScore`; None for the class the network predicts,
        unit by unit. A list means separate maps. For a segmentation network a class means its
        score over the pixels where it is predicted; :class:`RegionScore` explains other pixels.
    layers
        Target layers; a list means separate maps, :class:`Fused` one map of several layers. None
        for the card's default, else the tensor that enters global pooling, or a segmentation
        network's bottleneck.
    normalize
        "unit" stretches each slice (or the 3D volume) to [0, 1], "volume" all slices together,
        "foreground" each unit by its values in the foreground, "none" keeps the CAM's own scale.
    scale
        "minmax" maps minimum and maximum to 0 and 1, "max" keeps zero at zero.
    foreground
        (z, y, x) mask for ``normalize="foreground"``; None for the preparation's own.
    units
        Slices to explain; None for all. The others stay unexplained (`inside` False).
    device
        "auto" (CUDA, then MPS, then CPU) or a torch device. The network itself is not moved.
    precision
        "auto" is float32 (TensorFloat-32 off); "bfloat16" or "float16" run in mixed precision.
    batch_size
        Units per forward pass; halved whenever memory runs out.
    windows
        For networks that were trained on patches: the size of the windows through which they are
        shown each unit, or :class:`Windows`; `batch_size` then counts windows. None shows it whole.
    optimize
        Run a private copy of the network that gives the same numbers sooner: batch norms folded
        into convolutions, channels last in memory on the CPU. It holds one more version of the
        convolutions' weights, agrees with the network within 2e-5 of its largest output (checked
        once), and is not made of networks that are unusual. False runs the network as it is.
        The record of each heatmap says which was run.

    Returns
    -------
    Maps
        Key -> :class:`Heatmap` on the volume's grid; ``maps["gradcam"]`` finds one wherever that
        is unambiguous.

    Raises
    ------
    NapariCamError
        Where the volume does not fit the network, or a method, class, layer or device is unknown.
    """
    NORMALIZE.checked(normalize)
    SCALE.checked(scale)
    plan = plan_explanation(
        model,
        volume_or_array,
        methods,
        targets,
        layers,
        units=units,
        device=device,
        precision=precision,
        batch_size=batch_size,
        windows=windows,
        optimize=optimize,
    )
    return build_heatmaps(plan, plan.run(), normalize, scale, foreground)


def explain_one(
    model: LoadedModel,
    volume_or_array: Any,
    method: AnyMethod = "gradcam",
    target: AnyTarget = None,
    layer: AnyLayer | None = None,
    **options: Any,
) -> Heatmap:
    """Compute one heatmap; the parameters are those of :func:`explain`."""
    maps = explain(model, volume_or_array, [method], [target], layer, **options)
    if len(maps) != 1:
        raise MethodError(f"explain_one gives one heatmap, and {len(maps)} were asked for.")
    return next(iter(maps.values()))


def explain_units(
    model: LoadedModel,
    volume_or_array: Any,
    methods: AnyMethod | Sequence[AnyMethod] = "gradcam",
    targets: AnyTarget | Sequence[AnyTarget] = None,
    layers: AnyLayer | Sequence[AnyLayer] | None = None,
    *,
    units: Sequence[int] | None = None,
    first: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | str = "auto",
    windows: Windows | int | Sequence[int] | None = None,
    optimize: bool = True,
) -> Iterator[ExplainedUnits]:
    """Yield raw maps batch by batch, the unit `first` alone and before all others.

    The parameters are those of :func:`explain`; closing the generator cancels.
    """
    plan = plan_explanation(
        model,
        volume_or_array,
        methods,
        targets,
        layers,
        units=units,
        first=first,
        device=device,
        precision=precision,
        batch_size=batch_size,
        windows=windows,
        optimize=optimize,
    )
    yield from plan.run()


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
    counted = _foreground(plan, normalize, foreground)
    finished = list(parts)
    facts = _facts(plan, finished) | {"normalize": normalize, "scale": scale}
    return Maps(
        {key: _heatmap(plan, finished, key, normalize, scale, counted, facts) for key in plan.keys}
    )


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


def _heatmap(
    plan: Plan,
    parts: Sequence[ExplainedUnits],
    key: MapKey,
    normalize: Normalize,
    scale: Scale,
    foreground: NDArray[np.bool_] | None,
    facts: dict[str, Any],
) -> Heatmap:
    prepared, shape = plan.prepared, plan.volume.shape
    units = [unit for part in parts for unit in part.units]
    values = np.zeros(shape, np.float32)
    inside = np.zeros(shape, bool)
    low, high = (np.zeros(prepared.n_units, np.float32) for _ in range(2))
    valid = np.zeros(prepared.n_units, bool)
    if len(units):
        raw = np.concatenate([part.maps[key] for part in parts])
        rectify = key.method.relu == "sum"
        evidence = has_evidence(raw, rectify)
        shown = np.where(_like(evidence, raw), np.maximum(raw, 0) if rectify else raw, 0)
        on_grid = prepared.on_volume_grid(shown)
        seen = np.broadcast_to(prepared.inside, on_grid.shape)
        counted = seen
        if foreground is not None:
            counted = seen & by_unit(foreground, prepared.unit_axis)[units]
        unit_low, unit_high = extremes(on_grid, counted, tuple(range(1, on_grid.ndim)))
        evidence &= unit_high > np.maximum(unit_low, 0)
        unit_low, unit_high = bounds(unit_low, unit_high, evidence, normalize, scale)
        if normalize != "none":
            on_grid = to_unit(on_grid, *(_like(each, on_grid) for each in (unit_low, unit_high)))
        on_grid = np.where(_like(evidence, on_grid) & seen, on_grid, 0).astype(np.float32)
        prepared.place(on_grid, units, values)
        prepared.place(seen, units, inside)
        low[units], high[units], valid[units] = unit_low, unit_high, evidence
    signed = key.method.relu == "none" and not isinstance(key.layer, Fused)
    return Heatmap(
        values=values,
        kind="unit" if normalize != "none" else ("signed" if signed else "raw"),
        raw_min=low,
        raw_max=high,
        valid=valid,
        class_index=_gather(plan, parts, lambda part: part.class_index[key.target], -1),
        predicted_index=_gather(plan, parts, lambda part: part.predicted_for(key.target), -1),
        score=_gather(plan, parts, lambda part: part.score[key.target], np.nan),
        inside=inside,
        unit_axis=prepared.unit_axis,
        grid=plan.volume.grid,
        provenance=_of_key(key) | _of_region(plan, parts, key.target) | facts,
    )


def _like(numbers: NDArray[Any], maps: NDArray[Any]) -> NDArray[Any]:
    """Reshape (n,) `numbers` so that they broadcast against maps (n, *s)."""
    return numbers.reshape(-1, *(1,) * (maps.ndim - 1))


def _gather(
    plan: Plan,
    parts: Sequence[ExplainedUnits],
    read: Callable[[ExplainedUnits], NDArray[Any]],
    missing: float,
) -> NDArray[Any]:
    """Return one number per unit of the volume, `missing` for those not explained."""
    dtype = np.int64 if missing == -1 else np.float32
    result = np.full(plan.prepared.n_units, missing, dtype)
    for part in parts:
        result[list(part.units)] = read(part)
    return result


def _of_key(key: MapKey) -> dict[str, Any]:
    """Return what sets one map apart from the others of its explanation."""
    return {
        "kind": "heatmap",
        "method": plain({"name": key.method.name, **asdict(key.method)}),
        "reference": key.method.reference,
        "layer": str(key.layer),
        "target": key.target.label,
    }


def _of_region(plan: Plan, parts: Sequence[ExplainedUnits], target: Target) -> dict[str, Any]:
    """Return which pixels were explained, and how many in each unit (None where not asked)."""
    if not isinstance(target, RegionScore):
        return {}
    sizes: list[int | None] = [None] * plan.prepared.n_units
    for part in parts:
        for unit, size in zip(part.units, part.pixels.get(target, ()), strict=False):
            sizes[unit] = int(size)
    return {"region": plain({**target.facts(), "pixels": sizes})}


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
