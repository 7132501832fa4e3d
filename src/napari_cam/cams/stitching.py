r"""Explaining what is larger than a network takes: window after window, put together once.

A network that was trained on patches (nnU-Net, MONAI) is shown a unit through overlapping windows.
A first pass stitches its output together, from which the class and the pixel set are read for the
unit as a whole. A second pass explains, in every window, the part of the set that lies in it. The
raw map of a unit is at every pixel the weighted mean of the windows that show it,

    L(x) = sum_w g_w(x) L_w(x) / sum_w g_w(x),

and is normalised once, as a whole. Where g_w is zero over a margin as wide as the receptive field,
methods that weigh place by place (HiResCAM, Layer-CAM) give what the whole unit in one pass would;
methods that average gradients over a map (Grad-CAM) average over each window instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.keys import Layer, MapKey, single_layers
from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.network.enlarge import enlarge
from napari_cam.cams.network.optimized import Runner, choose_runner
from napari_cam.cams.network.tap import tap
from napari_cam.cams.raw import BatchCams, as_input, compute
from napari_cam.cams.targets.scores import Score, Scored, Target, class_scores, two_classes
from napari_cam.cams.windows import WindowPlace, Windows, first_window, padded_at_end, window_places
from napari_cam.errors import TargetError
from napari_cam.heatmap import Maps
from napari_cam.models.device import exact_float32
from napari_cam.models.hooks import LayerRef


@dataclass(frozen=True, eq=False)
class _PartOfUnit:
    """A score whose class and pixel set were read from the whole unit, in some windows of it."""

    target: Target
    score: Score
    class_index: Tensor
    chosen: Tensor | None
    of_all: Tensor | None  # (n,) pixels of the whole unit's set, so that parts count by their size

    @property
    def label(self) -> str:
        return self.target.label

    def resolved(self, _model: Any) -> _PartOfUnit:
        return self

    def read(self, output: Tensor) -> Scored:
        binary = output.shape[1] == 1
        index = self.class_index.to(output.device)
        of_all = None if self.of_all is None else self.of_all.to(output.device)
        chosen = None if self.chosen is None else self.chosen.to(output.device)
        if chosen is not None and chosen.shape[1:] != output.shape[2:]:
            size = tuple(output.shape[2:])
            smaller = F.interpolate(chosen[:, None].float(), size=size, mode="nearest-exact")
            chosen = smaller[:, 0] > 0
        pixels = None if chosen is None else chosen.flatten(1).sum(1)

        def summed(output: Tensor, of: Tensor) -> Tensor:
            values = class_scores(two_classes(output), index[of], self.score, binary)
            if chosen is None:
                return values
            return torch.where(chosen[of], values, 0).flatten(1).sum(1)

        def again(output: Tensor, of: Tensor) -> Tensor:
            total = summed(output, of)
            return total if of_all is None else total / of_all[of].clamp(min=1)

        everyone = torch.arange(len(output), device=output.device)
        return Scored(summed(output, everyone), index, again, pixels, chosen)


class _WeightedMean:
    """A weighted mean of what windows show of whole units, on the host."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._total = torch.zeros(*shape)
        self._weight = torch.zeros(shape[0], *shape[2:])

    def add(self, place: WindowPlace, values: Tensor) -> None:
        """Add what one window shows, (k, *w)."""
        self._total[(place.image, slice(None), *place.box)] += values * place.weight
        self._weight[(place.image, *place.box)] += place.weight

    def result(self) -> Tensor:
        """Return the mean (n, k, *s)."""
        return self._total / self._weight[:, None]


def compute_in_windows(
    module: nn.Module,
    batch: Tensor,
    windows: Windows,
    methods: Sequence[CamMethod],
    targets: Sequence[Target],
    layers: Sequence[Layer],
    autocast: torch.dtype | None = None,
    optimize: bool = False,
    bound: Mapping[Target, Target] = MappingProxyType({}),
    per_pass: int = 1,
) -> BatchCams:
    """Return the maps (n, *s) of units (n, c, *s), as :func:`~napari_cam.cams.raw.compute` does.

    The batch may lie on the host: each window is brought to the network on its own. The device
    holds the activations of `per_pass` windows; the host the units, their stitched output, and two
    float32 numbers per pixel and map.

    Parameters
    ----------
    module
        The network, where it is to run.
    batch
        (n, c, *s).
    windows
        How units are cut.
    methods, targets, layers, autocast, optimize, bound
        As for :func:`~napari_cam.cams.raw.compute`.
    per_pass
        Windows per forward pass.

    Raises
    ------
    TargetError
        Where a target is neither a class nor a region.
    """
    whole = tuple(batch.shape[2:])
    size = windows.shape(len(whole))
    missing = [max(0, n - m) for n, m in zip(size, whole, strict=True)]
    padded = padded_at_end(batch, missing)
    singles = single_layers(layers)
    example = as_input(first_window(padded, windows), module)
    runner = choose_runner(module, example, singles) if optimize else Runner(module)
    strides = _strides(runner, example, singles, autocast)
    places = window_places(windows, padded.shape, size, strides)
    passes = [places[first : first + per_pass] for first in range(0, len(places), per_pass)]
    kept = (slice(None), slice(None), *(slice(0, n) for n in whole))
    output, note = _stitched(runner, padded, passes, autocast)
    output = output[kept] if output.ndim > 2 else output
    scored = {target: bound.get(target, target).read(output) for target in targets}
    sets = {target: _padded_set(read, missing) for target, read in scored.items()}
    means: dict[MapKey, _WeightedMean] = {}
    for group in passes:
        fixed: dict[Target, Target] = {
            _part_of_unit(target, read, sets[target], group): target
            for target, read in scored.items()
        }
        images = _cut(module, padded, group)
        cams = compute(module, images, methods, list(fixed), layers, autocast, optimize)
        for key, maps in cams.maps.items():
            own = replace(key, target=fixed[key.target])
            mean = means.setdefault(own, _WeightedMean((len(padded), 1, *padded.shape[2:])))
            shown = enlarge(maps, torch.Size(size)).float().cpu()
            for place, each in zip(group, shown, strict=True):
                mean.add(place, each[None])
    found = {key: mean.result()[kept][:, 0] for key, mean in means.items()}
    return BatchCams(Maps(found), scored, output, note, runner.path)


def _strides(
    runner: Runner, example: Tensor, layers: Sequence[LayerRef], autocast: torch.dtype | None
) -> list[int]:
    """Return along each axis the most input pixels per place among the layers' maps."""
    size = example.shape[2:]
    if not layers:
        return [1] * len(size)
    with exact_float32():
        found = tap(runner.module, runner.lay_out(example), layers, autocast).activations
    shapes = [maps.shape[2:] for maps in found.values()]
    return [max(round(n / f[axis]) for f in shapes) for axis, n in enumerate(size)]


def _cut(module: nn.Module, batch: Tensor, group: Sequence[WindowPlace]) -> Tensor:
    """Return windows (m, c, *w) where the network's weights are."""
    images = torch.stack([batch[(place.image, slice(None), *place.box)] for place in group])
    return as_input(images, module)


def _stitched(
    runner: Runner,
    batch: Tensor,
    passes: Sequence[Sequence[WindowPlace]],
    autocast: torch.dtype | None,
) -> tuple[Tensor, str]:
    """Return the network's output for whole units, (n, classes, *s) or (n, classes), and its note.

    A classifier's scores are the mean over windows.
    """
    rows: list[Tensor] = []
    mean: _WeightedMean | None = None
    note = ""
    for group in passes:
        images = _cut(runner.module, batch, group)
        with exact_float32():
            tapped = tap(runner.module, runner.lay_out(images), [], autocast)
        output, note = tapped.output.detach().float(), tapped.note
        if output.ndim == 2:
            rows += list(output.cpu())
            continue
        maps = enlarge(output.flatten(0, 1), images.shape[2:]).cpu()
        mean = mean or _WeightedMean((len(batch), output.shape[1], *batch.shape[2:]))
        for place, values in zip(
            group, maps.reshape(len(group), -1, *images.shape[2:]), strict=True
        ):
            mean.add(place, values)
    if mean is not None:
        return mean.result(), note
    return torch.stack(rows).reshape(len(batch), -1, rows[0].numel()).mean(1), note


def _padded_set(read: Scored, missing: Sequence[int]) -> Tensor | None:
    """Return the pixel set (n, *s) of padded units, which holds nothing of the padding."""
    if read.chosen is None:
        return None
    return padded_at_end(read.chosen, missing)


def _part_of_unit(
    target: Target, read: Scored, chosen: Tensor | None, group: Sequence[WindowPlace]
) -> _PartOfUnit:
    score = getattr(target, "score", None)
    if score is None:
        raise TargetError(
            f"Windows explain a class or a region, not '{target.label}'; explain it without them."
        )
    images = [place.image for place in group]
    parts = None if chosen is None else [chosen[(place.image, *place.box)] for place in group]
    return _PartOfUnit(
        target,
        score,
        read.class_index[images],
        None if parts is None else torch.stack(parts),
        None if read.pixels is None else read.pixels[images],
    )
