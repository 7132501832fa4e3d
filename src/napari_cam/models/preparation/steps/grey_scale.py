"""Grey-scale arithmetic on images (c, *s), any number of spatial axes.

Two kinds of functions: those that take numbers from an image (`percentiles`, `moments`,
`equalization`; from its foreground where one is given) and those that apply such numbers, which
may then be given any part of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.exposure import equalize_adapthist

Array = NDArray[Any]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


def samples(values: Array, foreground: Mask | None, per_channel: bool) -> Array:
    """Return the numbers that statistics are taken from, (groups, m).

    One group per channel, or a single one of all channels. m is 0 for an empty foreground.
    """
    chosen = values.reshape(len(values), -1) if foreground is None else values[:, foreground]
    return chosen if per_channel else chosen.reshape(1, -1)


def percentiles(
    values: Array,
    foreground: Mask | None,
    low: float,
    high: float,
    per_channel: bool = True,
) -> tuple[Numbers, Numbers]:
    """Return two percentiles (c,), (c,) with linear interpolation; 0, 0 of an empty foreground."""
    chosen = samples(values, foreground, per_channel)
    if chosen.shape[1] == 0:
        limits = np.zeros((2, 1))
    elif (low, high) == (0, 100):
        limits = np.stack([chosen.min(axis=1), chosen.max(axis=1)])
    else:
        limits = np.percentile(chosen, [low, high], axis=1)
    full = np.broadcast_to(limits.astype(np.float64), (2, len(values)))
    return full[0], full[1]


def moments(
    values: Array, foreground: Mask | None, per_channel: bool = True
) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation (c,), (c,); deviation 0 where all values are the same."""
    chosen = samples(values, foreground, per_channel)
    if chosen.shape[1] == 0:
        return np.zeros(len(values)), np.zeros(len(values))
    mean = chosen.mean(axis=1, dtype=np.float64)
    # Rounding leaves a constant image a tiny deviation, which would blow up its rounding noise.
    flat = chosen.min(axis=1) == chosen.max(axis=1)
    deviation = np.where(flat, 0.0, chosen.std(axis=1, dtype=np.float64))
    shape = (len(values),)
    return np.broadcast_to(mean, shape), np.broadcast_to(deviation, shape)


def stretch(values: Array, low: Numbers, high: Numbers, clip: bool) -> Array:
    """Return ``(values - low) / (high - low)`` per channel, 0 where high is not above low."""
    bottom = _per_channel(low, values)
    span = _per_channel(high, values) - bottom
    result = (values - bottom) / np.where(span > 0, span, 1)
    if clip:
        np.clip(result, 0, 1, out=result)
    return _blank_flat(result, span)


def standardize(values: Array, mean: Numbers, deviation: Numbers) -> Array:
    """Return ``(values - mean) / deviation`` per channel, 0 where the deviation is 0."""
    spread = _per_channel(deviation, values)
    result = (values - _per_channel(mean, values)) / np.where(spread > 0, spread, 1)
    return _blank_flat(result, spread)


def divide(values: Array, by: float) -> Array:
    """Return ``values / by``."""
    return np.asarray(values / values.dtype.type(by))


def two_valued(values: Array, cut: float, low: float, high: float) -> Array:
    """Return `low` where ``values < cut`` and `high` elsewhere."""
    kind = values.dtype.type
    return np.asarray(np.where(values < kind(cut), kind(low), kind(high)))


def equalization(
    values: Array, foreground: Mask | None, bins: int
) -> tuple[Numbers, Numbers, Numbers]:
    """Return what `look_up` needs to equalise the histogram: low (c,), high (c,), table (c, bins).

    The cumulative distribution over the foreground, rescaled so that the lowest occupied bin
    becomes 0 and the highest 1 (Syed et al. 2023, who thereby leave the background bin out).
    """
    low, high = percentiles(values, foreground, 0, 100)
    table = np.zeros((len(values), bins))
    for channel, numbers in enumerate(samples(values, foreground, per_channel=True)):
        if high[channel] > low[channel]:
            index = _bin(numbers, low[channel], high[channel], bins)
            cumulative = np.bincount(index, minlength=bins).cumsum()
            origin = cumulative[0]  # the lowest value lies in the first bin
            table[channel] = (cumulative - origin) / (cumulative[-1] - origin)
    return low, high, table


def look_up(values: Array, low: Numbers, high: Numbers, table: Numbers) -> Array:
    """Return each value's entry in its channel's `table`; beyond its ends the outermost entry."""
    result = np.zeros_like(values)
    for channel, numbers in enumerate(values):
        if high[channel] > low[channel]:
            index = _bin(numbers, low[channel], high[channel], table.shape[1])
            result[channel] = table[channel][index]
    return result


def clahe(
    values: Array, foreground: Mask | None, clip_limit: float, tiles: int, bins: int
) -> Array:
    """Return contrast-limited adaptive histogram equalisation per channel, in [0, 1].

    Each channel is first stretched between the extremes of its foreground. Outside a foreground
    the result is 0: its tiles hold no tissue to equalise.
    """
    low, high = percentiles(values, foreground, 0, 100)
    unit = stretch(values, low, high, clip=True)
    kernel = [max(1, n // tiles) for n in values.shape[1:]]
    result = np.zeros_like(unit)
    for channel, image in enumerate(unit):
        # One tile of one grey level has nothing to equalise, and the library would divide by 0.
        if image.max() > image.min():
            result[channel] = equalize_adapthist(image, kernel, clip_limit, bins)
    if foreground is not None:
        result[:, ~foreground] = 0
    return np.nan_to_num(result, copy=False)


def _per_channel(numbers: Numbers, values: Array) -> Array:
    """Return numbers (c,) so that they broadcast against values (c, *s), in their type."""
    return numbers.astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))


def _blank_flat(result: Array, span: Array) -> Array:
    """Set channels without any spread to 0, in place."""
    flat = np.broadcast_to(~(span > 0).ravel(), (len(result),))
    result[flat] = 0
    return result


def _bin(numbers: Array, low: float, high: float, bins: int) -> NDArray[np.intp]:
    position = (numbers.astype(np.float64) - low) * (bins / (high - low))
    return np.clip(position, 0, bins - 1).astype(np.intp)
