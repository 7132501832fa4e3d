"""How long rules and clean-ups take on a heatmap of 54 x 256 x 256: the volume, and one slice.

The heatmap is like one of a deep layer: 8 x 8 values per slice, most of them near 0, enlarged.
Voxels are 1 x 0.24 x 0.24 mm. The slice is what a slider waits for; rules with one cut for the
volume, and clean-ups in three dimensions, have none.

Run: ``OMP_NUM_THREADS=1 python benchmarks/masks.py [--repeats 5]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap, one_slice
from napari_cam.masks.binarize import binarize
from napari_cam.masks.cleanup import Cleanup, clean

SHAPE = (54, 256, 256)
RULES = (
    *("fixed:0.5", "quantile:0.9", "area:0.1", "otsu", "li", "triangle", "yen"),
    *("local-otsu:3.6", "quantile:0.9:volume", "otsu:volume", "li:volume"),
)
CLEANUPS = {
    "opening_mm=1": Cleanup(opening_mm=1),
    "closing_mm=1": Cleanup(closing_mm=1),
    "fill_holes": Cleanup(fill_holes=True),
    "smallest=10": Cleanup(smallest=10),
    "largest_only": Cleanup(largest_only=True),
}


def heatmap() -> Heatmap:
    """Return a heatmap with a few bright places in each slice."""
    random = np.random.default_rng(0)
    coarse = random.exponential(0.1, (SHAPE[0], 8, 8)) ** 2
    values = ndimage.zoom(coarse, (1, 32, 32), order=1).astype(np.float32)
    values -= values.min(axis=(1, 2), keepdims=True)
    values /= values.max(axis=(1, 2), keepdims=True)
    zeros = np.zeros(SHAPE[0], dtype=np.float32)
    classes = np.zeros(SHAPE[0], dtype=np.int64)
    return Heatmap(
        values=values,
        kind="unit",
        raw_min=zeros,
        raw_max=zeros + 1,
        valid=np.ones(SHAPE[0], dtype=bool),
        class_index=classes,
        predicted_index=classes,
        score=zeros,
        inside=np.ones(SHAPE, dtype=bool),
        unit_axis=0,
        grid=Grid.plain(SHAPE, (1.0, 0.24, 0.24), "mm"),
    )


def cut(heatmap: Heatmap, rule: str) -> NDArray[np.bool_]:
    """Return the mask of a heatmap."""
    return binarize(heatmap, rule)["mask"]


def milliseconds(job: Callable[[], object], repeats: int) -> float:
    """Return the fastest of several runs: other work on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Measure and print one Markdown row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    whole = heatmap()
    single = one_slice(whole, 20)
    print("| rule | volume (ms) | slice (ms) | covers |\n|---|---|---|---|")
    for rule in RULES:
        volume = milliseconds(partial(cut, whole, rule), repeats)
        one = (
            ""
            if rule.endswith("volume")
            else f"{milliseconds(partial(cut, single, rule), repeats):.1f}"
        )
        print(f"| `{rule}` | {volume:.0f} | {one} | {cut(whole, rule).mean():.1%} |", flush=True)
    mask = cut(whole, "otsu")
    print("\n| clean-up | volume (ms) | unit by unit (ms) |\n|---|---|---|")
    for name, cleanup in CLEANUPS.items():
        times = [
            milliseconds(partial(clean, mask, whole.grid, each, 0), repeats)
            for each in (cleanup, replace(cleanup, per="unit"))
        ]
        print(f"| `{name}` | {times[0]:.0f} | {times[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
