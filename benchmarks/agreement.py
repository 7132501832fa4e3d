"""What all pairwise overlaps of many masks cost, beside the plain NumPy loop.

30 heatmaps of 54 x 256 x 256 are cut at nine thresholds, and every pair of masks is compared slice
by slice. Both ways start from the heatmaps, run in one process, and must find the same counts. The
loop is measured on some of the pairs and scaled up. Extra memory is what the process grew by, at
its peak, beyond the heatmaps.

Run: ``python benchmarks/agreement.py [--maps 30] [--repeats 3]``
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cam.masks.pairs import PairCounts, pack, pair_counts

SHAPE = (54, 256, 256)
THRESHOLDS = np.arange(1, 10, dtype=np.float32) / 10
_LOOPED_PAIRS = 20

Maps = Sequence[NDArray[np.float32]]


def heatmaps(count: int, shape: tuple[int, int, int] = SHAPE) -> list[NDArray[np.float32]]:
    """Return maps that share some of their pattern."""
    rng = np.random.default_rng(0)
    common = rng.random(shape, dtype=np.float32)
    return [
        (0.5 * (common + rng.random(shape, dtype=np.float32))).astype(np.float32)
        for _ in range(count)
    ]


def packed(maps: Maps) -> list[PairCounts]:
    """Return the counts of all pairs for each threshold."""
    return [pair_counts(pack(each > cut for each in maps)) for cut in THRESHOLDS]


def loop(maps: Maps, pairs: Sequence[tuple[int, int]]) -> list[NDArray[np.int64]]:
    """Return intersection and union (2, p, z) for each threshold, as one would write it."""
    found = []
    for cut in THRESHOLDS:
        masks = {place: maps[place] > cut for pair in pairs for place in pair}
        rows = []
        for a, b in pairs:
            one, two = masks[a], masks[b]
            rows.append(((one & two).sum(axis=(1, 2)), (one | two).sum(axis=(1, 2))))
        found.append(np.moveaxis(np.array(rows), 1, 0))
    return found


def best(work: object, repeats: int) -> float:
    """Return the shortest of some runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


def peak_megabytes(maps: Maps) -> float:
    """Return by how much the packed way grows at its peak."""
    tracemalloc.start()
    packed(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    """Measure, compare and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    maps = heatmaps(options.maps)
    n_pairs = options.maps * (options.maps - 1) // 2
    found = packed(maps)
    all_pairs = list(zip(found[0].first.tolist(), found[0].second.tolist(), strict=True))
    step = max(1, n_pairs // _LOOPED_PAIRS)
    some = all_pairs[::step]
    start = time.perf_counter()
    slow = loop(maps, some)
    loop_seconds = (time.perf_counter() - start) * n_pairs / len(some)
    for fast, plain in zip(found, slow, strict=True):
        assert np.array_equal(fast.intersection[::step], plain[0])
        assert np.array_equal(fast.union[::step], plain[1])
    seconds = best(lambda: packed(maps), options.repeats)
    half = [each[:27] for each in maps]
    half_seconds = best(lambda: packed(half), options.repeats)
    print(f"{options.maps} maps, {n_pairs} pairs, 9 thresholds, 54 x 256 x 256")
    print("| way | seconds | |\n|---|---|---|")
    print(f"| packed bits | {seconds:.2f} | {peak_megabytes(maps):.0f} MB extra |")
    print(f"| packed bits, half the slices | {half_seconds:.2f} | |")
    print(f"| plain loop ({len(some)} pairs, scaled) | {loop_seconds:.0f} | ", end="")
    print(f"{loop_seconds / seconds:.0f} x |")


if __name__ == "__main__":
    main()
