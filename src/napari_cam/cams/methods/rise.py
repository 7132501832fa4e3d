"""RISE: scores of randomly masked inputs, summed where the masks let the input through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.base import (
    CamMethod,
    Evidence,
    Space,
    probe_of,
    real_number,
    whole_number,
)
from napari_cam.cams.methods.noise import Draws
from napari_cam.errors import MethodError

# Masks held at once while they are summed.
_CHUNK = 4


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
        probe = probe_of(evidence)
        batch = probe.batch
        masks = _Masks(self, tuple(batch.shape[2:]))
        maps = []
        for image in range(len(batch)):
            picture = batch[image]

            def make(numbers: Tensor, picture: Tensor = picture) -> Tensor:
                return picture * masks(numbers)[:, None].to(picture)

            scores = probe.score_inputs(make, self.masks, image)
            total = scores.new_zeros(picture.shape[1:])
            for numbers in torch.split(torch.arange(self.masks), _CHUNK):
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
