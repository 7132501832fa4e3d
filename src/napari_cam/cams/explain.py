"""From a network and a volume to heatmaps on the volume's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from napari_cam.cams.build_heatmaps import build_heatmaps
from napari_cam.cams.explained_units import ExplainedUnits
from napari_cam.cams.keys import AnyLayer, MapKey
from napari_cam.cams.methods.table import AnyMethod
from napari_cam.cams.plan import RunOptions, plan_explanation
from napari_cam.cams.targets.scores import AnyTarget
from napari_cam.cams.windows import Windows
from napari_cam.errors import MethodError
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.models.loaded import LoadedModel
from napari_cam.normalize import (
    NORMALIZE,
    SCALE,
    Normalize,
    Scale,
)


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
    options = RunOptions(units, None, device, precision, batch_size, windows, optimize)
    plan = plan_explanation(model, volume_or_array, methods, targets, layers, options)
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
    options = RunOptions(units, first, device, precision, batch_size, windows, optimize)
    yield from plan_explanation(model, volume_or_array, methods, targets, layers, options).run()
