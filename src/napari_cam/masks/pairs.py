"""How much each of many masks shares with each other one, slice by slice.

Masks are packed to one bit a voxel, so that 64 voxels are compared at once; the work grows linearly
with the voxels and with the pairs. The union follows from the areas, so that one count a pair does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.masks.counts import Counts
from napari_cam.units import by_unit, n_units

_MOST_THREADS = 4


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """Masks of one shape, one bit a voxel.

    Attributes
    ----------
    bits
        (m, u, w) uint64: m masks, u units, as many words as a unit's voxels need, padded with 0.
    areas
        (m, u) int64, voxels in each mask.
    voxels
        Voxels in a unit.
    """

    bits: NDArray[np.uint64] = field(repr=False)
    areas: NDArray[np.int64] = field(repr=False)
    voxels: int

    def __len__(self) -> int:
        return len(self.bits)


@dataclass(frozen=True, eq=False)
class PairCounts:
    """What each pair of m masks has in common, p = m (m - 1) / 2 pairs.

    Attributes
    ----------
    first, second
        (p,) which masks, first < second, in the order 01, 02, ..., 12, ...
    intersection, union
        (p, u) int64 voxels.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    intersection: NDArray[np.int64] = field(repr=False)
    union: NDArray[np.int64] = field(repr=False)

    def iou(self, empty: float = np.nan) -> NDArray[np.float64]:
        """Return intersection over union (p, u); `empty` (NaN, 0 or 1) for two empty masks."""
        rest = self.union - self.intersection
        none = np.zeros_like(rest)
        return Counts(self.intersection, rest, none, none).iou(empty)


def pack(masks: Iterable[NDArray[np.bool_]], unit_axis: int | None = 0) -> PackedMasks:
    """Pack masks to one bit a voxel.

    Parameters
    ----------
    masks
        Boolean arrays (z, y, x) of one shape, taken one at a time.
    unit_axis
        Along which axis the units lie; None where the whole array is one unit.

    Raises
    ------
    MaskError
        Where there is no mask, one is not boolean or the shapes differ.
    """
    packed: list[NDArray[np.uint64]] = []
    shape: tuple[int, ...] | None = None
    for place, mask in enumerate(masks):
        array = np.asarray(mask)
        if array.dtype != np.bool_:
            raise MaskError(
                f"Mask {place} holds {array.dtype}, not booleans; cut a heatmap with binarize."
            )
        if shape is not None and array.shape != shape:
            raise MaskError(
                f"Mask {place} has shape {array.shape} but the first {shape}; give all on one grid."
            )
        shape = array.shape
        packed.append(_packed(array, unit_axis))
    if shape is None:
        raise MaskError("There are no masks to compare; give at least one.")
    bits = np.stack(packed)
    voxels = int(np.prod(shape)) // max(n_units(shape, unit_axis), 1)
    return PackedMasks(bits, bits_set(bits), voxels)


def _packed(mask: NDArray[np.bool_], unit_axis: int | None) -> NDArray[np.uint64]:
    """Return (u, w) words of a mask."""
    units = by_unit(mask, unit_axis)
    octets = np.packbits(units.reshape(len(units), -1), axis=1)
    short = -octets.shape[1] % 8
    if short:
        octets = np.pad(octets, ((0, 0), (0, short)))
    return np.ascontiguousarray(octets).view(np.uint64)


def pair_counts(packed: PackedMasks) -> PairCounts:
    """Count what each pair of masks has in common, unit by unit."""
    first, second = np.triu_indices(len(packed), 1)
    n_units = packed.bits.shape[1]
    shared = np.zeros((len(first), n_units), dtype=np.int64)

    def count(unit: int) -> None:
        # All masks of one unit fit into a core's own memory.
        words = np.ascontiguousarray(packed.bits[:, unit])
        place = 0
        for one in range(len(words) - 1):
            both = words[one + 1 :] & words[one]
            shared[place : place + len(both), unit] = bits_set(both)
            place += len(both)

    _each(count, range(n_units))
    areas = packed.areas
    return PairCounts(first, second, shared, areas[first] + areas[second] - shared)


def counts_with(
    packed: PackedMasks,
    reference: PackedMasks,
    region: PackedMasks | None = None,
) -> Counts:
    """Count where each mask agrees with one reference, unit by unit.

    Parameters
    ----------
    packed
        m masks.
    reference, region
        One mask each; only voxels in `region` count, None for all.

    Returns
    -------
    Counts
        Arrays (m, u).

    Raises
    ------
    MaskError
        Where the units differ.
    """
    for other in (reference, *([region] if region else [])):
        if other.bits.shape[1:] != packed.bits.shape[1:] or other.voxels != packed.voxels:
            raise MaskError("Masks and reference have different shapes; give both on one grid.")
    inside = None if region is None else region.bits[0]
    true = reference.bits[0] if inside is None else reference.bits[0] & inside
    in_reference = bits_set(true)
    total = np.full_like(in_reference, packed.voxels) if region is None else region.areas[0]
    both = np.empty(packed.areas.shape, dtype=np.int64)
    area = packed.areas if inside is None else np.empty_like(packed.areas)

    def count(mask: int) -> None:
        both[mask] = bits_set(packed.bits[mask] & true)
        if inside is not None:
            area[mask] = bits_set(packed.bits[mask] & inside)

    _each(count, range(len(packed)))
    either = area + in_reference - both
    return Counts(both, area - both, in_reference - both, total - either)


def _each(work: Any, items: Sequence[int]) -> None:
    """Do `work` for all items on a few threads: NumPy lets go of the lock while it counts."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1, len(items))
    if threads <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))


def bits_set(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bits are set in words (..., w), (...)."""
    # Sums of at most 64 a word: unsigned 32 bits hold 2^26 words.
    result: NDArray[np.int64] = _popcount(words).sum(axis=-1, dtype=np.uint32).astype(np.int64)
    return result


def _popcount(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(words)
        return counted
    return by_table(words)


def by_table(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the number of bits set in pieces of each word, for NumPy before 2.0."""
    return np.asarray(_table()[np.ascontiguousarray(words).view(np.uint16)])


@cache
def _table() -> NDArray[np.uint8]:
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return np.asarray(np.unpackbits(numbers, axis=1).sum(axis=1, dtype=np.uint8))
