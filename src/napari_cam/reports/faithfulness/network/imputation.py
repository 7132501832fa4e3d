"""What stands in the place of removed pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_TOLERANCE = 1e-4
_MOST_ROUNDS = 400
_ONE_THREAD = 2**15 - 1  # numbers that torch does not share out


def impute(images: Tensor, removed: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return images whose removed pixels are the weighted mean of their neighbours, plus noise.

    The noisy linear imputation of Rong et al., A Consistent and Efficient Evaluation Strategy for
    Attribution Methods (ICML 2022), section 4.2: every removed pixel equals the mean of its
    neighbours, next ones with weight 1/6 and diagonal ones with 1/12, which makes one linear system
    of all removed pixels. In volumes, where the paper says nothing, faces weigh 1/14, edges 1/28
    and corners 1/56: half as much for every axis that differs, as in the plane. At the border the
    weights of the neighbours that exist count.

    Parameters
    ----------
    images
        (m, c, *s).
    removed
        (m, *s) bool. Where all pixels of an image are removed, its mean stands for them.
    noise
        (m, c, *s) to add where pixels are removed; None for none.

    Returns
    -------
    Tensor
        (m, c, *s); pixels that are not removed are untouched.
    """
    known = (~removed)[:, None].to(images)
    unknown = 1 - known
    degree = _neighbours(torch.ones_like(known))
    start = torch.where(known > 0, images, _filled(images, known))
    # On the removed pixels alone: degree x - neighbours(x) = neighbours(known pixels).
    right = unknown * _neighbours(images * known)
    # A few at a time on CPUs, where numbers so few stay on one thread: hundreds of short
    # operations, after each of which threads wait, crawl where another program has a core.
    few = max(1, _ONE_THREAD // max(1, images[0].numel()))
    size = few if images.device.type == "cpu" else len(images)
    guess = start * unknown
    parts = [slice(first, first + size) for first in range(0, len(images), size)]
    x = torch.cat([_solved(guess[p], right[p], unknown[p], degree[:1]) for p in parts])
    lost = known.flatten(2).sum(2, keepdim=True).reshape(*known.shape[:2], *_ones(images)) == 0
    x = torch.where(lost, start, x)
    if noise is not None:
        x = x + noise
    return torch.where(known > 0, images, x)


def _solved(x: Tensor, right: Tensor, unknown: Tensor, degree: Tensor) -> Tensor:
    """Return what solves degree x - neighbours(x) = right on the unknown pixels, from a guess x.

    Conjugate gradients: the systems, one for each image and channel, are symmetric and positive
    definite. A system that is solved stays as it is, so that its numbers do not depend on those
    beside it; images with nothing left to do are put aside.
    """
    residual = right - unknown * (degree * x - _neighbours(x))
    direction = residual.clone()
    energy = _dot(residual, residual)
    enough = (_TOLERANCE**2) * _dot(right, right)
    done, place = torch.empty_like(x), torch.arange(len(x), device=x.device)
    for _ in range(_MOST_ROUNDS):
        busy = (energy > enough).flatten(1).any(1)
        waiting = int(busy.sum())
        if waiting < len(busy):
            done[place[~busy]] = x[~busy]
            if waiting == 0:
                return done
            place, x, residual, direction, unknown = (
                each[busy] for each in (place, x, residual, direction, unknown)
            )
            energy, enough = energy[busy], enough[busy]
        pushed = (degree * direction).sub_(_neighbours(direction)).mul_(unknown)
        step = torch.where(energy > enough, _ratio(energy, _dot(direction, pushed)), 0)
        x = x.addcmul_(step, direction)
        residual = residual.addcmul_(step, pushed, value=-1)
        left = torch.where(energy > enough, _dot(residual, residual), energy)
        direction = direction.mul_(_ratio(left, energy)).add_(residual)
        energy = left
    done[place] = x
    return done


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Return an image (c, *s) through a Gaussian of `sigma` pixels, its border repeated."""
    radius = max(1, math.ceil(3 * sigma))
    places = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    for axis in range(1, image.ndim):
        moved = image.movedim(axis, -1)
        lines = moved.reshape(-1, 1, moved.shape[-1])
        padded = F.pad(lines, (radius, radius), mode="replicate")
        smooth = F.conv1d(padded, weights[None, None])
        image = smooth.reshape(moved.shape).movedim(-1, axis)
    return image


def _neighbours(x: Tensor) -> Tensor:
    """Return the weighted sum of each pixel's neighbours, those beyond the border left out."""
    ndim = x.ndim - 2
    total = x
    for axis in range(2, x.ndim):
        length = total.shape[axis]
        passed = 2 * total
        if length > 1:
            passed.narrow(axis, 1, length - 1).add_(total.narrow(axis, 0, length - 1))
            passed.narrow(axis, 0, length - 1).add_(total.narrow(axis, 1, length - 1))
        total = passed
    # 1 2 1 along each axis gives the pixel itself 2^ndim of 4^ndim.
    own = float(2**ndim)
    return (total - own * x) / (own**2 - own)


def _filled(images: Tensor, known: Tensor) -> Tensor:
    """Return a first guess: the mean of the known pixels around, from fine to coarse."""
    values, weights = images * known, known.expand_as(images[:, :1])
    mean = values.flatten(2).sum(2) / weights.flatten(2).sum(2).clamp(min=1)
    none = (weights.flatten(2).sum(2) == 0).expand_as(mean)
    mean = torch.where(none, images.flatten(2).mean(2), mean)
    return _pyramid(values, weights, mean.reshape(*mean.shape, *_ones(images)))


def _pyramid(values: Tensor, weights: Tensor, mean: Tensor) -> Tensor:
    """Return values / weights, from a coarser level where there is no weight."""
    size = values.shape[2:]
    if max(size) <= 2:
        below = mean.expand_as(values)
    else:
        pool = F.avg_pool2d if len(size) == 2 else F.avg_pool3d
        step = [min(2, length) for length in size]
        coarse = _pyramid(
            pool(values, step, ceil_mode=True), pool(weights, step, ceil_mode=True), mean
        )
        mode = "bilinear" if len(size) == 2 else "trilinear"
        below = F.interpolate(coarse, size=size, mode=mode, align_corners=False)
    return torch.where(weights > 0, values / weights.clamp(min=1e-12), below)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(2).sum(2).reshape(*a.shape[:2], *_ones(a))


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), 0)


def _ones(x: Tensor) -> tuple[int, ...]:
    return (1,) * (x.ndim - 2)
