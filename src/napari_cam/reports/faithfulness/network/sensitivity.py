"""Whether what a map gives to a set of pixels is what the score loses without them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cam.reports.faithfulness.network.scored_unit import ScoredUnit


def sensitivity_n(
    unit: ScoredUnit,
    heat: NDArray[np.float32],
    *,
    cells: int = 8,
    shares: tuple[float, ...] = (0.125, 0.25, 0.5),
    subsets: int = 24,
    seed: int = 0,
) -> float:
    """Return the correlation of a map's sum over random sets and the loss of score without them.

    Sensitivity-n of Ancona et al., Towards better understanding of gradient-based attribution
    methods (ICLR 2018), section 3: Pearson's correlation over sets of n features that are set to
    zero, here averaged over several n. A feature is a cell of a regular grid, as a heatmap's own
    resolution is coarse. Exact attributions of a linear network reach 1.

    Parameters
    ----------
    unit, heat
        A unit and its map (*s).
    cells
        Grid cells along each axis; no more than it has pixels.
    shares
        Shares of the cells that are taken away at once, the paper's n.
    subsets
        Random sets of each size.
    seed
        All maps of a unit get the same sets.

    Returns
    -------
    float
        -1 to 1; NaN where neither the map nor the score says anything.
    """
    cell = grid_cells(heat.shape, cells)
    count = int(cell.max()) + 1
    inside = np.bincount(cell.ravel(), heat.ravel().astype(np.float64), count)
    rng = np.random.default_rng(seed)
    sizes = [max(1, round(share * count)) for share in shares]
    taken = np.zeros((len(sizes) * subsets, count), dtype=bool)
    for row, size in enumerate(np.repeat(sizes, subsets)):
        taken[row, rng.choice(count, size, replace=False)] = True
    place = torch.from_numpy(cell).to(unit.image.device)
    gone = torch.from_numpy(taken).to(unit.image.device)

    def make(numbers: Tensor) -> Tensor:
        kept = ~gone[numbers.to(gone.device)][:, place]
        return unit.image[None] * kept[:, None]

    lost = unit.start - unit.scores(make, len(taken))
    summed = taken.astype(np.float64) @ inside
    found = [
        _pearson(summed[start : start + subsets], lost[start : start + subsets])
        for start in range(0, len(taken), subsets)
    ]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def grid_cells(shape: tuple[int, ...], cells: int) -> NDArray[np.int64]:
    """Return which cell of a regular grid each pixel (*s) lies in, counted from 0."""
    result = np.zeros((1,) * len(shape), dtype=np.int64)
    for axis, length in enumerate(shape):
        n = min(cells, length)
        along = (np.arange(length) * n // length).reshape(
            [-1 if a == axis else 1 for a in range(len(shape))]
        )
        result = result * n + along
    return result


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else float("nan")
