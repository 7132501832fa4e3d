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

    One forward pass per batch serves all methods, layers and classes. A 2D network sees one slice
    at a time along the axis that its preparation names; a 3D network sees the whole volume.

    Parameters
    ----------
    model
        The network with its card, from :func:`load_model` or :func:`wrap_model`.
    volume_or_array
        A volume, or an array (y, x) or (z, y, x). For images with channels pass a :class:`Volume`
        (``Volume.from_array(picture, channel_axis=-1)``).
    methods
        Names from :data:`METHODS`, or methods with your own parameters.
    targets
        A class by name or index, or :class:`ClassScore`; None for the class that the network
        predicts, unit by unit. A list gives separate maps. For a segmentation network, a class
        means its score over the pixels for which it is predicted; use :class:`RegionScore` to
        explain other pixels.
    layers
        Target layers. A list gives separate maps, :class:`Fused` combines several layers into one
        map. None for the card's default; without one, the tensor that enters global pooling, or a
        segmentation network's bottleneck.
    normalize
        "unit" stretches each slice (or the 3D volume) to [0, 1], "volume" all slices together,
        "foreground" each unit by its values in the foreground. "none" keeps the CAM's own scale.
    scale
        "minmax" maps the minimum and maximum to 0 and 1; "max" keeps zero at zero.
    foreground
        (z, y, x) mask for ``normalize="foreground"``; None to use the preparation's own.
    units
        Slices to explain; None for all. Other slices stay unexplained (`inside` is False).
    device
        "auto" (CUDA, then MPS, then CPU) or a torch device. The network itself is not moved.
    precision
        "auto" is float32 (TensorFloat-32 off); "bfloat16" or "float16" run in mixed precision.
    batch_size
        Units per forward pass; halved each time memory runs out.
    windows
        For networks trained on patches: each unit is shown through overlapping windows. Pass the
        window size or :class:`Windows`; `batch_size` then counts windows. None shows the unit as a
        whole.
    optimize
        Run a private copy of the network that is faster and gives the same numbers: batch norms are
        folded into convolutions, and on the CPU memory is channels-last. The copy holds one more
        version of the convolutions' weights and agrees with the network within 2e-5 of its largest
        output (checked once). Unusual networks are not copied. False runs the network as it is.
        Each heatmap's record states which one was run.

    Returns
    -------
    Maps
        Key -> :class:`Heatmap` on the volume's grid. ``maps["gradcam"]`` works if only one map
        matches.

    Raises
    ------
    NapariCamError
        If the volume does not fit the network, or a method, class, layer or device is unknown.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], targets=["healthy", "damaged"])
    >>> len(maps)
    4
    >>> maps["gradcam / damaged"].values.shape
    (22, 96, 128)
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
    """Compute a single heatmap; the parameters are those of :func:`explain`.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> heatmap = nc.explain_one(model, volume, "gradcam", target="damaged")
    >>> heatmap.values.shape, heatmap.kind
    ((22, 96, 128), 'unit')
    """
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
    """Yield raw maps batch by batch, starting with the unit `first` on its own.

    The parameters are those of :func:`explain`. Close the generator to cancel.
    """
    options = RunOptions(units, first, device, precision, batch_size, windows, optimize)
    yield from plan_explanation(model, volume_or_array, methods, targets, layers, options).run()
