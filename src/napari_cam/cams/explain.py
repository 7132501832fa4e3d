"""From a network and a volume to heatmaps on the volume's grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.keys import Fused, MapKey
from napari_cam.cams.method import CamMethod
from napari_cam.cams.normalize import (
    Normalize,
    Scale,
    bounds,
    check_choices,
    check_foreground,
    extremes,
    has_evidence,
    to_unit,
)
from napari_cam.cams.plan import ExplainedUnits, Plan, plan_explanation
from napari_cam.cams.targets import Target
from napari_cam.errors import MethodError
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.models.hooks import LayerRef
from napari_cam.models.loaded import LoadedModel
from napari_cam.provenance import stamp


def explain(
    model: LoadedModel,
    volume_or_array: Any,
    methods: str | CamMethod | Sequence[str | CamMethod] = "gradcam",
    targets: Target | int | str | None | Sequence[Target | int | str | None] = None,
    layers: str | LayerRef | Fused | None | Sequence[str | LayerRef | Fused] = None,
    *,
    normalize: Normalize = "unit",
    scale: Scale = "minmax",
    foreground: Any = None,
    units: Sequence[int] | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | str = "auto",
) -> Maps[MapKey, Heatmap]:
    """Compute heatmaps of a volume: where did the network look?

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
        unit by unit. A list means separate maps.
    layers
        Target layers; a list means separate maps, :class:`Fused` one map of several layers. None
        for the card's default, else the tensor that enters global pooling.
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
    check_choices(normalize, scale)
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
    )
    return build_heatmaps(plan, plan.run(), normalize, scale, foreground)


def explain_one(
    model: LoadedModel,
    volume_or_array: Any,
    method: str | CamMethod = "gradcam",
    target: Target | int | str | None = None,
    layer: str | LayerRef | Fused | None = None,
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
    methods: str | CamMethod | Sequence[str | CamMethod] = "gradcam",
    targets: Target | int | str | None | Sequence[Target | int | str | None] = None,
    layers: str | LayerRef | Fused | None | Sequence[str | LayerRef | Fused] = None,
    *,
    units: Sequence[int] | None = None,
    first: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | str = "auto",
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
        Where ``normalize="foreground"`` and neither the call nor the preparation gives one.
    """
    check_choices(normalize, scale)
    counted = _foreground(plan, normalize, foreground)
    finished = list(parts)
    return Maps({key: _heatmap(plan, finished, key, normalize, scale, counted) for key in plan.keys})


def _foreground(plan: Plan, normalize: Normalize, foreground: Any) -> NDArray[np.bool_] | None:
    if normalize != "foreground":
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
) -> Heatmap:
    prepared, shape = plan.prepared, plan.volume.shape
    units = np.array([unit for part in parts for unit in part.units], dtype=np.int64)
    values = np.zeros(shape, np.float32)
    inside = np.zeros(shape, bool)
    low, high = (np.zeros(prepared.n_units, np.float32) for _ in range(2))
    valid = np.zeros(prepared.n_units, bool)
    if len(units):
        raw = np.concatenate([part.maps[key] for part in parts])
        rectified = np.maximum(raw, 0) if key.method.relu == "sum" else raw
        evidence = has_evidence(rectified)
        on_grid = prepared.on_volume_grid(np.where(_like(evidence, raw), rectified, 0))
        seen = np.broadcast_to(prepared.inside, on_grid.shape)
        counted = seen if foreground is None else seen & _per_unit(foreground, plan, units)
        unit_low, unit_high = extremes(on_grid, counted)
        evidence &= unit_high > np.maximum(unit_low, 0)
        unit_low, unit_high = bounds(unit_low, unit_high, evidence, normalize, scale)
        if normalize != "none":
            on_grid = to_unit(on_grid, unit_low, unit_high)
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
        class_index=_gather(parts, units, prepared.n_units, lambda p: p.class_index[key.target]),
        predicted_index=_gather(parts, units, prepared.n_units, lambda p: p.predicted_index),
        score=_gather(parts, units, prepared.n_units, lambda p: p.score[key.target]),
        inside=inside,
        unit_axis=prepared.unit_axis,
        grid=plan.volume.grid,
        provenance=_provenance(plan, parts, key, normalize, scale),
    )


def _like(flags: NDArray[np.bool_], maps: NDArray[Any]) -> NDArray[np.bool_]:
    return flags.reshape(-1, *(1,) * (maps.ndim - 1))


def _per_unit(
    mask: NDArray[np.bool_], plan: Plan, units: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return a mask (z, y, x) unit by unit (n, *s)."""
    axis = plan.prepared.unit_axis
    return mask[None] if axis is None else np.moveaxis(mask, axis, 0)[units]


def _gather(
    parts: Sequence[ExplainedUnits], units: NDArray[np.int64], n_units: int, read: Any
) -> NDArray[Any]:
    """Return one number per unit of the volume: -1 or NaN for units not explained."""
    if not parts:
        return np.full(n_units, -1, np.int64)
    found = np.concatenate([read(part) for part in parts])
    result = np.full(n_units, np.nan if found.dtype.kind == "f" else -1, found.dtype)
    result[units] = found
    return result


def _provenance(
    plan: Plan, parts: Sequence[ExplainedUnits], key: MapKey, normalize: str, scale: str
) -> dict[str, Any]:
    card = plan.model.card
    return stamp(
        kind="heatmap",
        method={"name": key.method.name, **asdict(key.method), "reference": key.method.reference},
        layer=str(key.layer),
        target=key.target.label,
        score=getattr(key.target, "score", None),
        normalize=normalize,
        scale=scale,
        interpolation="linear, half-pixel centres",
        model={"architecture": card.architecture, "sha256": plan.model.sha256},
        preparation=card.preparation.to_json(),
        notes=[*plan.volume.notes, *plan.prepared.notes],
        image={"sha256": image_digest(plan), "shape": plan.volume.shape},
        units_explained=sum(len(part.units) for part in parts),
        device=plan.device.type,
        precision=plan.precision,
        batch_size=parts[-1].batch_size if parts else plan.batch_size,
        seed=None,
    )


def image_digest(plan: Plan) -> str | None:
    """Return the digest of the voxels, None where reading them all would load a lazy array."""
    return plan.volume.sha256() if isinstance(plan.volume.values, np.ndarray) else None
