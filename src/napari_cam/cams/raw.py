"""Raw CAMs of one batch: several methods, layers and classes out of one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from napari_cam.cams.keys import AnyLayer, Fused, Layer, MapKey, as_layers, layers_of, single_layers
from napari_cam.cams.methods.base import CamMethod, Evidence
from napari_cam.cams.methods.table import AnyMethod, as_methods
from napari_cam.cams.network.class_weights import weights_of_classes
from napari_cam.cams.network.enlarge import enlarge
from napari_cam.cams.network.optimized import Runner, choose_runner
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import Tapped, tap, widen
from napari_cam.cams.targets.arguments import as_targets
from napari_cam.cams.targets.region_score import bind_inputs
from napari_cam.cams.targets.scores import AnyTarget, Scored, Target
from napari_cam.errors import ModelError, PreparationError
from napari_cam.heatmap import Maps
from napari_cam.models.device import exact_float32
from napari_cam.models.hooks import INPUT, LayerRef
from napari_cam.models.loaded import LoadedModel
from napari_cam.normalize import ROUNDING


@dataclass(frozen=True, eq=False)
class BatchCams:
    """Everything one forward pass gave.

    Attributes
    ----------
    maps
        Key -> raw map (n, *f), signed.
    scored
        Target -> the explained scores and classes.
    output
        (n, classes) the network's scores; (n, classes, *o) of a segmentation network.
    note
        A sentence where the scores are not simply what the network returns.
    path
        How the network ran: "plain", or what was done to it.
    """

    maps: Maps[MapKey, Tensor]
    scored: dict[Target, Scored]
    output: Tensor
    note: str = ""
    path: str = "plain"


def raw_cams(
    model: LoadedModel | nn.Module,
    batch: Tensor,
    methods: AnyMethod | Sequence[AnyMethod] = "gradcam",
    targets: AnyTarget | Sequence[AnyTarget] = None,
    layers: AnyLayer | Sequence[AnyLayer] | None = None,
) -> Maps[MapKey, Tensor]:
    """Compute raw CAMs of a batch that is already prepared for the network.

    Parameters
    ----------
    model
        A loaded or wrapped network, or any module that returns (n, classes), or (n, classes, *o)
        for segmentation.
    batch
        (n, c, *s), the network's input. It is moved to the network's device and precision.
    methods
        Names from :data:`napari_cam.METHODS`, or methods with your own parameters.
    targets
        A class by name or index, or a target; None for each image's predicted class. Regions given
        by position lie on the input's grid (*s).
    layers
        Target layers. A list gives separate maps, :class:`napari_cam.Fused` combines several layers
        into one map. None for the network's default: the tensor that enters global pooling, or a
        segmentation network's bottleneck.

    Returns
    -------
    Maps
        Key -> map (n, *f) at the layer's resolution: signed, before the final ReLU, resize and
        normalisation (a ReLU inside a method's definition stays). ``maps["gradcam"]`` works if only
        one map matches.

    Raises
    ------
    MethodError, TargetError, LayerError
        If a method, class or layer is unknown or does not fit the network.
    ModelError, PreparationError
        If `model` is not a network, or `batch` is not a batch that it accepts.

    Examples
    --------
    >>> import torch
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> batch = torch.from_numpy(model.card.bind(volume).batch([10, 11]))
    >>> cams = nc.raw_cams(model, batch, "gradcam", "damaged")
    >>> cams["gradcam"].ndim, len(cams["gradcam"])
    (3, 2)
    """
    loaded = model if isinstance(model, LoadedModel) else None
    module: Any = model.module if isinstance(model, LoadedModel) else model
    if not isinstance(module, nn.Module):
        raise ModelError(f"A {type(module).__name__} is no network; give a torch.nn.Module.")
    images = as_input(_checked(batch), module)
    wanted = as_methods(methods)
    explained = as_targets(targets, loaded)
    return compute(
        module,
        images,
        wanted,
        explained,
        as_layers(layers, loaded, module, images, wanted),
        bound=bind_inputs(explained, images.shape),
    ).maps


def _checked(batch: Any) -> Tensor:
    if isinstance(batch, Tensor) and batch.ndim in (4, 5) and 0 not in batch.shape:
        return batch
    kind = type(batch).__name__
    raise PreparationError(
        "A batch is a torch tensor (n, c, height, width) or (n, c, depth, height, width), not a "
        f"{kind} of shape {tuple(getattr(batch, 'shape', ()))}."
    )


def as_input(batch: Tensor, module: nn.Module) -> Tensor:
    """Return a batch where the network's weights are and in their precision."""
    weights = (weight for weight in module.parameters() if weight.is_floating_point())
    weight = next(weights, None)
    return batch.float() if weight is None else batch.to(weight.device, weight.dtype)


def compute(
    module: nn.Module,
    batch: Tensor,
    methods: Sequence[CamMethod],
    targets: Sequence[Target],
    layers: Sequence[Layer],
    autocast: torch.dtype | None = None,
    optimize: bool = False,
    bound: Mapping[Target, Target] = MappingProxyType({}),
) -> BatchCams:
    """Run one forward pass and every formula on it; see :func:`raw_cams`.

    With `optimize` the network's private copy runs (:mod:`napari_cam.cams.network.optimized`).
    `bound` says what reads the score in a target's place: a region as it lies in this batch.
    """
    singles = single_layers(layers)
    maps: dict[MapKey, Tensor] = {}
    scored: dict[Target, Scored] = {}
    shared: dict[tuple[CamMethod, LayerRef], Tensor] = {}
    # The caller may be inside no_grad or inference_mode, and gradients are needed all the same.
    with torch.inference_mode(False), torch.enable_grad(), exact_float32():
        runner = choose_runner(module, batch, singles) if optimize else Runner(module)
        tapped = tap(runner.module, runner.lay_out(batch), singles, autocast)
        forward = _Pass(module, runner, batch, tapped, autocast)
        for target in targets:
            read = bound.get(target, target).read(tapped.output)
            gradients = _gradients(tapped, read, methods)
            fixed = scored[target] = replace(read, scores=read.scores.detach())
            for method in methods:
                single = forward.maps(method, fixed, gradients, shared)
                for wanted in layers_of(method, layers):
                    maps[MapKey(method, wanted, target)] = (
                        fuse(single, wanted) if isinstance(wanted, Fused) else single[wanted]
                    )
    return BatchCams(Maps(maps), scored, tapped.output.detach(), tapped.note, runner.path)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One forward pass of a batch, and the formulas that work on it.

    Attributes
    ----------
    module
        The user's network.
    runner
        What ran in its place.
    """

    module: nn.Module
    runner: Runner
    batch: Tensor
    tapped: Tapped
    autocast: torch.dtype | None

    def maps(
        self,
        method: CamMethod,
        read: Scored,
        gradients: dict[LayerRef, Tensor],
        shared: dict[tuple[CamMethod, LayerRef], Tensor],
    ) -> dict[LayerRef, Tensor]:
        """Return a method's raw maps, at its layers or the input; `shared` holds earlier ones."""
        found: dict[LayerRef, Tensor] = {}
        at_layers = method.space == "layer"
        places = self.tapped.activations if at_layers else {LayerRef(INPUT): self.batch}
        for layer, activations in places.items():
            # A map that reads activations alone is the same for every class.
            if method.needs == {"activations"} and (method, layer) in shared:
                found[layer] = _where_asked(shared[method, layer], read)
                continue
            evidence = self._evidence(method, layer, activations, read, gradients.get(layer))
            shared[method, layer] = method.raw(evidence)
            found[layer] = _where_asked(_where_scored(shared[method, layer], read), read)
        return found

    def _evidence(
        self,
        method: CamMethod,
        layer: LayerRef,
        activations: Tensor,
        read: Scored,
        gradients: Tensor | None,
    ) -> Evidence:
        # Formulas flatten places, which is free of copies in this layout alone.
        A = widen(activations.detach()).contiguous()
        weights = rescorer = None
        if "class weights" in method.needs:
            weights = weights_of_classes(self.runner.module, self.tapped, layer, read.class_index)
        if "rescoring" in method.needs:
            runner = Runner(self.module) if method.reads_modules else self.runner
            batch = runner.lay_out(self.batch)
            rescorer = Rescorer(runner.module, batch, layer, A, read, self.autocast)
        return Evidence(A, gradients, weights, rescorer)


def _where_asked(maps: Tensor, read: Scored) -> Tensor:
    """Return maps (n, *f), zero for images whose region holds no pixel: nothing was asked there."""
    if read.pixels is None or bool((read.pixels > 0).all()):
        return maps
    asked = (read.pixels > 0).reshape(-1, *(1,) * (maps.ndim - 1))
    return torch.where(asked, maps, 0)


def _where_scored(maps: Tensor, read: Scored) -> Tensor:
    """Return maps (n, *f), NaN for images whose score is NaN: a ReLU's slope hides it."""
    unknown = read.scores.isnan().reshape(-1, *(1,) * (maps.ndim - 1))
    return torch.where(unknown, torch.nan, maps)


def _gradients(
    tapped: Tapped, read: Scored, methods: Sequence[CamMethod]
) -> dict[LayerRef, Tensor]:
    if any("gradients" in method.needs for method in methods):
        return tapped.gradients(read.scores)
    return {}


def fuse(maps: dict[LayerRef, Tensor], fused: Fused) -> Tensor:
    """Fuse maps of several layers into one at the finest resolution (after Jiang et al. 2021).

    Parameters
    ----------
    maps
        Layer -> raw map (n, *f), each layer with its own f.
    fused
        Which layers, how they are scaled and reduced.

    Returns
    -------
    Tensor
        (n, *f) in [0, 1], f of the layer with most places.
    """
    finest = max((maps[layer].shape[1:] for layer in fused.layers), key=lambda f: f.numel())
    scaled = []
    for layer in fused.layers:
        flat = maps[layer].flatten(1)
        peak, magnitude = flat.amax(1), flat.abs().amax(1)
        # A layer whose positive part is rounding says nothing, and must not be stretched to 1.
        scale = torch.where(peak > ROUNDING * magnitude, peak, torch.inf)
        share = maps[layer].clamp(min=0) / scale.reshape(-1, *(1,) * len(finest))
        if layer not in fused.unscaled:
            share = torch.tanh(fused.gamma * share)
        scaled.append(enlarge(share, finest))
    stack = torch.stack(scaled)
    return stack.amax(0) if fused.reduce == "maximum" else stack.mean(0)
