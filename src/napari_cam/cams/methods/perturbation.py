"""Methods that only watch the score: channels left out, windows covered, inputs masked at random.

Ablation-CAM sets channels of a layer to zero, Occlusion covers windows of the input, RISE masks the
input at random. None of them needs gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.base import (
    CamMethod,
    Evidence,
    Space,
    real_number,
    rescorer_of,
    whole_number,
)
from napari_cam.cams.methods.gradient import weighted_sum
from napari_cam.cams.methods.noise import Draws
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.errors import MethodError

# RISE's masks that are held at once while they are summed.
_MASKS_AT_ONCE = 4


@dataclass(frozen=True)
class AblationCAM(CamMethod):
    """Ablation-CAM: w_k = y - y_k, y_k the score with channel k zero; map = ReLU(sum_k w_k A_k).

    After Desai and Ramaswamy 2020 (WACV), who divide by y: a factor common to all channels that
    normalisation cancels where y > 0, that turns the map over where y < 0 and that explodes where
    y is about 0. It is left out.
    """

    name: ClassVar[str] = "ablationcam"
    title: ClassVar[str] = "Ablation-CAM"
    reference: ClassVar[str] = "Desai and Ramaswamy 2020, WACV"
    summary: ClassVar[str] = "channels weighted by what the score loses without them; no gradients"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        rescorer, A = rescorer_of(evidence), evidence.activations
        weights = A.new_zeros(A.shape[:2])
        for image in range(len(A)):
            # Without a channel that is zero everywhere nothing changes.
            alive = (A[image].flatten(1) != 0).any(1).nonzero()[:, 0]
            if len(alive) == 0:
                continue
            variants = _Ablated(A[image], alive)
            scores = rescorer.score_activations(variants.make, len(alive) + 1, image)
            weights[image, alive] = (scores[0] - scores[1:]).to(A)
        return weighted_sum(weights, A)


class _Ablated:
    """Activations without one channel each, in the same memory chunk after chunk.

    Variant 0 lacks none, variant j lacks channel ``channels[j - 1]``.
    """

    def __init__(self, maps: Tensor, channels: Tensor) -> None:
        self._maps, self._channels = maps, channels
        self._buffer = maps.new_empty((0, *maps.shape))

    def make(self, numbers: Tensor) -> Tensor:
        """Return the activations (m, k, *f) of variants (m,)."""
        if len(numbers) > len(self._buffer):
            self._buffer = self._maps.new_empty((len(numbers), *self._maps.shape))
        maps = self._buffer[: len(numbers)]
        maps.copy_(self._maps.expand_as(maps))
        rows = (numbers > 0).nonzero()[:, 0]
        maps[rows, self._channels[numbers[rows] - 1]] = 0
        return maps


@dataclass(frozen=True)
class Occlusion(CamMethod):
    """Occlusion: at each pixel the mean drop of the score over the windows that cover it.

    Zeiler and Fergus 2014 (arXiv:1311.2901).

    Attributes
    ----------
    window
        Side of the window in pixels of the network's input; an axis shorter than that is covered
        whole.
    stride
        Steps from one window to the next. The last window of an axis ends where the input does, so
        that all windows are of one size and every pixel is covered.
    value
        What stands in a covered pixel, on the scale of the prepared input.
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    reference: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"
    summary: ClassVar[str] = "drop of the score while a window of the input is covered"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    space: ClassVar[Space] = "input"

    window: int = 16
    stride: int = 8
    value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "window")
        whole_number(self, "stride")
        real_number(self, "value")
        if self.stride > self.window:
            raise MethodError(
                f"{self.title}: a stride of {self.stride} leaves pixels between windows of "
                f"{self.window}; make it no larger than the window."
            )

    def raw(self, evidence: Evidence) -> Tensor:
        """Return the mean drop over the windows that cover a pixel."""
        rescorer = rescorer_of(evidence)
        windows = [
            tuple(slice(start, start + self.window) for start in starts)
            for starts in product(*(self._starts(length) for length in rescorer.batch.shape[2:]))
        ]
        return torch.stack([self._map(rescorer, i, windows) for i in range(len(rescorer.batch))])

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.window, 0)
        return [*range(0, last, self.stride), last]

    def _map(self, rescorer: Rescorer, image: int, windows: list[tuple[slice, ...]]) -> Tensor:
        picture = rescorer.batch[image]

        def make(numbers: Tensor) -> Tensor:
            variants = picture.repeat(len(numbers), *(1,) * picture.ndim)
            for variant, number in zip(variants, numbers.tolist(), strict=True):
                if number:  # number 0 is the picture itself
                    variant[(slice(None), *windows[number - 1])] = self.value
            return variants

        scores = rescorer.score_inputs(make, len(windows) + 1, image)
        drops = scores[0] - scores[1:]
        total = drops.new_zeros(picture.shape[1:])
        times = torch.zeros_like(total)
        for drop, window in zip(drops, windows, strict=True):
            total[window] += drop
            times[window] += 1
        return total / times


@dataclass(frozen=True)
class RISE(CamMethod):
    """RISE: (1 / N p) sum_i y(x * M_i) M_i over N random masks.

    Petsiuk et al. 2018 (arXiv:1806.07421). A mask is a grid of `cells` per axis, each 1 with
    probability p and else 0, enlarged linearly to one grid cell more than the input and cut out at
    a random shift. Every pixel's mask value is p on average, which is what p divides by.

    Attributes
    ----------
    masks
        N, one forward pass each.
    cells
        Grid cells along each axis; no more than it has pixels.
    keep
        p. Drawn uniformly: a cell is kept where a number from [0, 1) lies below it.
    seed
        Seed of the masks; all images get the same ones.
    """

    name: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    reference: ClassVar[str] = "Petsiuk et al. 2018, arXiv:1806.07421"
    summary: ClassVar[str] = "scores of randomly masked inputs; needs the network's answers only"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    space: ClassVar[Space] = "input"

    masks: int = 2000
    cells: int = 7
    keep: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("masks", "cells"):
            whole_number(self, field)
        whole_number(self, "seed", 0)
        real_number(self, "keep", 0, 1)
        if self.keep == 0:
            raise MethodError(f"{self.title}: keep is above 0, else every mask is empty.")

    def raw(self, evidence: Evidence) -> Tensor:
        """Return (1 / N p) sum_i y(x * M_i) M_i."""
        rescorer = rescorer_of(evidence)
        batch = rescorer.batch
        masks = _Masks(self, tuple(batch.shape[2:]))
        maps = []
        for image in range(len(batch)):
            picture = batch[image]

            def make(numbers: Tensor, picture: Tensor = picture) -> Tensor:
                return picture * masks(numbers)[:, None].to(picture)

            scores = rescorer.score_inputs(make, self.masks, image)
            total = scores.new_zeros(picture.shape[1:])
            for numbers in torch.split(torch.arange(self.masks), _MASKS_AT_ONCE):
                held = masks(numbers).to(total)
                total += torch.tensordot(scores[numbers.to(scores.device)], held, dims=1)
            maps.append(total / (self.masks * self.keep))
        return torch.stack(maps)


class _Masks:
    """Numbered masks (m, *s); made anew whenever asked for, the same each time."""

    def __init__(self, method: RISE, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._grid = tuple(min(method.cells, length) for length in shape)
        self._keep = method.keep
        self._draws = Draws(method.seed)
        # Two cells of pixels more than enough: the cut-out may start anywhere in the first one.
        self._cell = tuple(-(-length // n) for length, n in zip(shape, self._grid, strict=True))
        self._large = tuple((n + 1) * cell for n, cell in zip(self._grid, self._cell, strict=True))

    def __call__(self, numbers: Tensor) -> Tensor:
        """Return masks `numbers`, float32 on the CPU."""
        return torch.stack([self._mask(number) for number in numbers.tolist()])

    def _mask(self, number: int) -> Tensor:
        kept = (self._draws.uniform(2 * number, self._grid) < self._keep).float()
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[kept.ndim]
        mask = F.interpolate(kept[None, None], size=self._large, mode=mode, align_corners=False)
        mask = mask[0, 0]
        # The last axis first: a volume of one slice has the masks of the slice.
        shifts = self._draws.uniform(2 * number + 1, (kept.ndim,)).flip(0).tolist()
        for axis, (share, cell) in enumerate(zip(shifts, self._cell, strict=True)):
            mask = mask.narrow(axis, int(share * cell), self._shape[axis])
        return mask
