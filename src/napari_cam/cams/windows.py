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
from itertools import product
from math import ceil
from operator import index
from types import MappingProxyType
from typing import Any, Literal, SupportsIndex, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_cam import checks
from napari_cam.cams.keys import Layer, MapKey
from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.network.enlarge import enlarge
from napari_cam.cams.network.inference import Runner, choose_runner
from napari_cam.cams.network.tap import tap
from napari_cam.cams.raw import BatchCams, as_input, compute, single_layers
from napari_cam.cams.targets.scores import Score, Scored, Target, class_scores, two_classes
from napari_cam.errors import PreparationError, TargetError
from napari_cam.heatmap import Maps
from napari_cam.models.device import exact_float32
from napari_cam.models.hooks import LayerRef

Weights = Literal["gaussian", "constant"]
# As MONAI and nnU-Net: the standard deviation is an eighth of the window.
_SIGMA = 0.125
# The smallest weight, so that what no other window shows is still shown by this one.
_LEAST = 1e-3


@dataclass(frozen=True)
class Windows:
    """How a unit is cut into windows.

    Attributes
    ----------
    size
        Pixels of a window along each axis of the network's input: one number, or one per axis.
        A unit that is smaller is padded with zeros at its end.
    overlap
        Share of a window that its neighbour shows too, at least 0 and below 1.
    weights
        "gaussian": a pixel near a window's middle counts more, with a standard deviation of an
        eighth of the window as in MONAI and nnU-Net; "constant": all count alike.
    margin
        Pixels along a window's edges that do not count, except at the unit's own edges.

    Notes
    -----
    A layer with a stride (input pixels per place of its map) samples other places where a window
    begins off that stride. The step between windows is therefore rounded down to a multiple of the
    largest stride among the target layers; the last window ends where the unit does, and fits where
    the unit's length less the window's is such a multiple too.
    """

    size: int | tuple[int, ...]
    overlap: float = 0.5
    weights: Weights = "gaussian"
    margin: int = 0

    def __post_init__(self) -> None:
        given: Any = self.size
        try:
            sizes = tuple(map(index, (given,) if isinstance(given, SupportsIndex) else given))
        except TypeError as error:
            raise PreparationError(
                f"A window's size is a whole number or one per axis, not {given!r}."
            ) from error
        if not sizes or min(sizes) < 1:
            raise PreparationError(f"A window has at least one pixel along each axis, not {given}.")
        checks.number(self.overlap, "The overlap of windows", PreparationError, least=0, below=1)
        if self.weights not in get_args(Weights):
            raise PreparationError(
                f"Windows are weighted 'gaussian' or 'constant', not '{self.weights}'."
            )
        pixels = "a whole number of pixels"
        checks.whole(self.margin, "The margin of windows", PreparationError, wanted=pixels)
        if not 0 <= 2 * self.margin < min(sizes):
            raise PreparationError(
                f"A margin of {self.margin} leaves nothing of a window of {given} pixels."
            )
        object.__setattr__(self, "size", sizes[0] if len(sizes) == 1 else sizes)

    @classmethod
    def of(cls, given: Any) -> Windows | None:
        """Return windows as they are, or of a size; None stays None."""
        return given if given is None or isinstance(given, Windows) else cls(given)

    def shape(self, ndim: int) -> tuple[int, ...]:
        """Return the window's size along each of `ndim` axes."""
        sizes = (self.size,) * ndim if isinstance(self.size, int) else self.size
        if len(sizes) != ndim:
            raise PreparationError(
                f"The window {self.size} has {len(sizes)} axes but the network's input {ndim}."
            )
        return sizes

    def starts(self, length: int, size: int, stride: int = 1) -> list[int]:
        """Return where windows begin along an axis: evenly, the last one at the end."""
        if length <= size:
            return [0]
        step = int((size - 2 * self.margin) * (1 - self.overlap))
        step = max(1, step // stride * stride if step > stride else min(step, stride))
        count = ceil((length - size) / step)
        return [*(n * step for n in range(count)), length - size]

    def weight(self, start: int, size: int, length: int) -> Tensor:
        """Return how much each pixel of a window counts along one axis, (size,) float32."""
        places = torch.arange(size, dtype=torch.float32)
        values = torch.ones(size)
        if self.weights == "gaussian":
            away = (places - (size - 1) / 2) / (_SIGMA * size)
            values = torch.exp(-0.5 * away**2).clamp(min=_LEAST)
        if start > 0:
            values[: self.margin] = 0
        if start + size < length:
            values[size - self.margin :] = 0
        return values


@dataclass(frozen=True)
class _Place:
    """One window: in which image of a batch, which box, and how much each of its pixels counts."""

    image: int
    box: tuple[Any, ...]
    weight: Tensor


def _places(
    windows: Windows, shape: Sequence[int], size: Sequence[int], strides: Sequence[int]
) -> list[_Place]:
    """Return the windows of a batch of `shape` (n, c, *s), image after image."""
    whole = shape[2:]
    starts = [windows.starts(*each) for each in zip(whole, size, strides, strict=True)]
    found = []
    for corner in product(*starts):
        weight = torch.ones(())
        for start, n, length in zip(corner, size, whole, strict=True):
            weight = weight[..., None] * windows.weight(start, n, length)
        box = tuple(slice(start, start + n) for start, n in zip(corner, size, strict=True))
        found.append((box, weight))
    return [_Place(image, box, weight) for image in range(shape[0]) for box, weight in found]


@dataclass(frozen=True, eq=False)
class _Fixed:
    """A score whose class and pixel set were read from the whole unit, in some windows of it."""

    target: Target
    score: Score
    class_index: Tensor
    chosen: Tensor | None
    of_all: Tensor | None  # (n,) pixels of the whole unit's set, so that parts count by their size

    @property
    def label(self) -> str:
        return self.target.label

    def resolved(self, _model: Any) -> _Fixed:
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


class _Mean:
    """A weighted mean of what windows show of whole units, on the host."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._total = torch.zeros(*shape)
        self._weight = torch.zeros(shape[0], *shape[2:])

    def add(self, place: _Place, values: Tensor) -> None:
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
    padded = _padded(batch, missing)
    singles = single_layers(layers)
    example = as_input(first_window(padded, windows), module)
    runner = choose_runner(module, example, singles) if optimize else Runner(module)
    strides = _strides(runner, example, singles, autocast)
    places = _places(windows, padded.shape, size, strides)
    turns = [places[first : first + per_pass] for first in range(0, len(places), per_pass)]
    kept = (slice(None), slice(None), *(slice(0, n) for n in whole))
    output, note = _stitched(runner, padded, turns, autocast)
    output = output[kept] if output.ndim > 2 else output
    scored = {target: bound.get(target, target).read(output) for target in targets}
    sets = {target: _set_of(read, missing) for target, read in scored.items()}
    means: dict[MapKey, _Mean] = {}
    for turn in turns:
        fixed: dict[Target, Target] = {
            _fixed(target, read, sets[target], turn): target for target, read in scored.items()
        }
        images = _cut(module, padded, turn)
        cams = compute(module, images, methods, list(fixed), layers, autocast, optimize)
        for key, maps in cams.maps.items():
            own = replace(key, target=fixed[key.target])
            mean = means.setdefault(own, _Mean((len(padded), 1, *padded.shape[2:])))
            shown = enlarge(maps, torch.Size(size)).float().cpu()
            for place, each in zip(turn, shown, strict=True):
                mean.add(place, each[None])
    found = {key: mean.result()[kept][:, 0] for key, mean in means.items()}
    return BatchCams(Maps(found), scored, output, note, runner.path)


def first_window(batch: Tensor, windows: Windows) -> Tensor:
    """Return the first window (1, c, *w) of a batch, for questions about the network."""
    size = windows.shape(batch.ndim - 2)
    missing = [max(0, n - m) for n, m in zip(size, batch.shape[2:], strict=True)]
    return _padded(batch, missing)[(slice(0, 1), slice(None), *(slice(0, n) for n in size))]


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


def _padded(values: Tensor, missing: Sequence[int]) -> Tensor:
    """Return values with so many zeros at the end of their last axes."""
    return F.pad(values, [pad for gap in reversed(missing) for pad in (0, gap)])


def _cut(module: nn.Module, batch: Tensor, turn: Sequence[_Place]) -> Tensor:
    """Return windows (m, c, *w) where the network's weights are."""
    images = torch.stack([batch[(place.image, slice(None), *place.box)] for place in turn])
    return as_input(images, module)


def _stitched(
    runner: Runner,
    batch: Tensor,
    turns: Sequence[Sequence[_Place]],
    autocast: torch.dtype | None,
) -> tuple[Tensor, str]:
    """Return the network's output for whole units, (n, classes, *s) or (n, classes), and its note.

    A classifier's scores are the mean over windows.
    """
    rows: list[Tensor] = []
    mean: _Mean | None = None
    note = ""
    for turn in turns:
        images = _cut(runner.module, batch, turn)
        with exact_float32():
            tapped = tap(runner.module, runner.lay_out(images), [], autocast)
        output, note = tapped.output.detach().float(), tapped.note
        if output.ndim == 2:
            rows += list(output.cpu())
            continue
        maps = enlarge(output.flatten(0, 1), images.shape[2:]).cpu()
        mean = mean or _Mean((len(batch), output.shape[1], *batch.shape[2:]))
        for place, values in zip(turn, maps.reshape(len(turn), -1, *images.shape[2:]), strict=True):
            mean.add(place, values)
    if mean is not None:
        return mean.result(), note
    return torch.stack(rows).reshape(len(batch), -1, rows[0].numel()).mean(1), note


def _set_of(read: Scored, missing: Sequence[int]) -> Tensor | None:
    """Return the pixel set (n, *s) of padded units, which holds nothing of the padding."""
    if read.chosen is None:
        return None
    return _padded(read.chosen, missing)


def _fixed(target: Target, read: Scored, chosen: Tensor | None, turn: Sequence[_Place]) -> _Fixed:
    score = getattr(target, "score", None)
    if score is None:
        raise TargetError(
            f"Windows explain a class or a region, not '{target.label}'; explain it without them."
        )
    images = [place.image for place in turn]
    parts = None if chosen is None else [chosen[(place.image, *place.box)] for place in turn]
    return _Fixed(
        target,
        score,
        read.class_index[images],
        None if parts is None else torch.stack(parts),
        None if read.pixels is None else read.pixels[images],
    )
