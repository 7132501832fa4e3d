"""Pixels taken away or put back in the order of a map, and how the score follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cam.cams.methods.noise import Draws
from napari_cam.reports.faithfulness.network.imputation import blurred, impute
from napari_cam.reports.faithfulness.network.scored_unit import ScoredUnit
from napari_cam.reports.faithfulness.settings import CurveSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """What a map of one unit gave.

    Attributes
    ----------
    deletion, insertion
        (steps + 1,) scores, from no pixel to all of them.
    morf, lerf
        (k,) scores where so many of the most, or the least, relevant pixels are removed (ROAD).
    masked
        Score of the unit multiplied by the map.
    start
        Score of the unit.
    """

    deletion: Floats
    insertion: Floats
    morf: Floats
    lerf: Floats
    masked: float
    start: float

    def metrics(self) -> dict[str, float]:
        """Return the numbers that these curves are summed up by.

        `deletion` (low is good) and `insertion` (high is good) are areas under the curves over the
        share of pixels (Petsiuk et al. 2018, section 4.1); `average_drop` is max(0, Y - O) / Y in
        percent and `increase` whether O > Y, of the score Y and that of the masked unit O
        (Chattopadhyay et al. 2018, section 4.1), NaN where Y is not positive; `road` is half of
        what removing the least relevant pixels leaves more than removing the most relevant.
        """
        drop = max(0.0, self.start - self.masked) / self.start if self.start > 0 else float("nan")
        morf, lerf = float(self.morf.mean()), float(self.lerf.mean())
        return {
            "deletion": area(self.deletion),
            "insertion": area(self.insertion),
            "average_drop": 100 * drop,
            "increase": float(self.masked > self.start) if self.start > 0 else float("nan"),
            "road_morf": morf,
            "road_lerf": lerf,
            "road": (lerf - morf) / 2,
        }


def area(scores: Floats) -> float:
    """Return the area under scores at evenly spaced shares from 0 to 1 (trapezia)."""
    # By hand: NumPy calls it trapz before 2.0 and trapezoid since.
    return float((scores[1:] + scores[:-1]).sum() / (2 * (len(scores) - 1)))


def curves_of(unit: ScoredUnit, heat: NDArray[np.float32], settings: CurveSettings) -> Curves:
    """Put the map `heat` (*s) of a unit to the test."""
    order = ranks(heat, settings.seed)
    morf, lerf = road(unit, order, settings)
    return Curves(
        deletion(unit, order, settings),
        insertion(unit, order, settings),
        morf,
        lerf,
        masked_score(unit, heat),
        unit.start,
    )


def ranks(heat: NDArray[np.float32], seed: int = 0) -> NDArray[np.int64]:
    """Return each pixel's place (*s) when they are sorted from the largest value to the smallest.

    Pixels of one value, such as all zeros of a rectified map, come in a random order, the same for
    all maps of a shape: their own order would favour one side of the image.
    """
    flat = np.asarray(heat, dtype=np.float32).ravel()
    shuffled = np.random.default_rng(seed).permutation(flat.size)
    order = shuffled[np.argsort(-flat[shuffled], kind="stable")]
    result = np.empty(flat.size, dtype=np.int64)
    result[order] = np.arange(flat.size)
    return result.reshape(heat.shape)


def deletion(unit: ScoredUnit, order: NDArray[np.int64], settings: CurveSettings) -> Floats:
    """Return the scores (steps + 1,) as pixels are taken away, the most important first."""
    spatial = tuple(range(1, unit.image.ndim))
    if settings.fill == "blur":
        filled = _canvas(unit, settings)
    elif settings.fill == "mean":
        filled = unit.image.mean(dim=spatial, keepdim=True).expand_as(unit.image)
    else:
        filled = torch.zeros_like(unit.image)
    return _replaced(unit, order, unit.image, filled, settings.steps)


def insertion(unit: ScoredUnit, order: NDArray[np.int64], settings: CurveSettings) -> Floats:
    """Return the scores (steps + 1,) as pixels return to a blurred image, best first."""
    return _replaced(unit, order, _canvas(unit, settings), unit.image, settings.steps)


def _canvas(unit: ScoredUnit, settings: CurveSettings) -> Tensor:
    return blurred(unit.image, max(0.5, settings.blur * min(unit.image.shape[1:])))


def _replaced(
    unit: ScoredUnit, order: NDArray[np.int64], before: Tensor, after: Tensor, steps: int
) -> Floats:
    place = torch.from_numpy(order).to(before.device)
    cuts = torch.from_numpy(np.round(np.linspace(0, order.size, steps + 1)).astype(np.int64))

    def make(numbers: Tensor) -> Tensor:
        limit = cuts[numbers.cpu()].to(place.device)
        chosen = place[None] < limit.reshape(-1, *(1,) * place.ndim)
        return torch.where(chosen[:, None], after[None], before[None])

    return unit.scores(make, steps + 1)


def road(
    unit: ScoredUnit, order: NDArray[np.int64], settings: CurveSettings
) -> tuple[Floats, Floats]:
    """Return the scores where the most, and the least, relevant pixels are removed and imputed.

    Remove and debias, Rong et al. 2022 (ICML): neighbours impute what is removed, so that the
    shape of the hole does not tell the network what a map says. The paper counts which images keep
    their class; here it is the score, as for the other curves.
    """
    image, k = unit.image, len(settings.removed)
    place = torch.from_numpy(order).to(image.device)
    draws = Draws(settings.seed, image)
    spread = settings.noise * (image.amax() - image.amin())

    def make(numbers: Tensor) -> Tensor:
        removed, noise = [], []
        for number in numbers.tolist():
            count = round(settings.removed[number % k] * order.size)
            removed.append(place < count if number < k else place >= order.size - count)
            noise.append(draws.normal(number, tuple(image.shape)))
        added = spread * torch.stack(noise).to(image)
        images = image[None].expand(len(removed), *image.shape)
        return impute(images, torch.stack(removed), added)

    scores = unit.scores(make, 2 * k)
    return scores[:k], scores[k:]


def masked_score(unit: ScoredUnit, heat: NDArray[np.float32]) -> float:
    """Return the score of the unit multiplied by its map, stretched to [0, 1]."""
    low, high = float(heat.min()), float(heat.max())
    shares = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    weights = torch.from_numpy(np.ascontiguousarray(shares, np.float32)).to(unit.image)
    return float(unit.scores(lambda _: (unit.image * weights)[None], 1)[0])
