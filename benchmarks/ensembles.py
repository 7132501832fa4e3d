"""Calibration of all pairs of thresholds beside a loop over masks, and what ensembles cost.

A stack of 54 x 256 x 256 voxels with two smooth heatmaps and a reference. The loops compare both
heatmaps, combine and count for each of the 121 pairs: one with binarize,
combine and counts of this package; "lean" counts the ensemble and its overlap,
"counts" calls :func:`napari_cam.masks.counts.counts` once, "counts per slice" calls it slice by
slice, which metrics of images and the smallest and largest member need. Jobs take turns, so that a
busy machine slows all.

Run: ``python benchmarks/ensembles.py [--repeats 5]``
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.binarize import binarize
from napari_cam.masks.calibration.calibrate import THRESHOLDS
from napari_cam.masks.calibration.counting import Counting, counted_case
from napari_cam.masks.choices import OPERATORS
from napari_cam.masks.counts import counts
from napari_cam.masks.ensembles.agreement_map import consensus
from napari_cam.masks.ensembles.combine import combine
from napari_cam.masks.ensembles.rule import EnsembleRule
from napari_cam.masks.rules import Fixed

SHAPE = (54, 256, 256)


def smooth(seed: int) -> NDArray[np.float32]:
    """Return blobs (z, y, x) stretched to [0, 1] slice by slice, like a heatmap."""
    noise = np.random.default_rng(seed).standard_normal(SHAPE, np.float32)
    field = np.maximum(ndimage.gaussian_filter(noise, (1, 12, 12)), 0)
    result: NDArray[np.float32] = field / field.max(axis=(1, 2), keepdims=True)
    return result


def heatmap(values: NDArray[np.float32]) -> Heatmap:
    """Return values as the heatmap of a 2D network."""
    zeros = np.zeros(len(values), np.float32)
    index = np.ones(len(values), np.int64)
    return Heatmap(
        values=values,
        kind="unit",
        raw_min=zeros,
        raw_max=zeros + 1,
        valid=np.ones(len(values), bool),
        class_index=index,
        predicted_index=index,
        score=zeros,
        inside=np.ones(values.shape, bool),
        unit_axis=0,
        grid=Grid.plain(SHAPE),
    )


def loop(
    count: Callable[[NDArray[np.bool_]], object], a: NDArray[np.float32], b: NDArray[np.float32]
) -> None:
    """Cut, combine and count at every pair of thresholds."""
    for s, t in product(np.array(THRESHOLDS, np.float32), repeat=2):
        count((a > s) & (b > t))


def loop_of_functions(pair: dict[str, Heatmap], reference: NDArray[np.bool_]) -> None:
    """Do the same with this package's own functions."""
    for s, t in product(THRESHOLDS, repeat=2):
        masks = {n: binarize(h, Fixed(x)) for (n, h), x in zip(pair.items(), (s, t), strict=True)}
        counts(combine(masks, "and").mask, reference)


def timed(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each job, which take turns."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return times


def staple_of_itk(masks: list[NDArray[np.bool_]], iterations: int) -> Any:
    """Return the probabilities of ITK's STAPLE."""
    itk: Any = SimpleITK
    method = itk.STAPLEImageFilter()
    method.SetForegroundValue(1)
    method.SetMaximumIterations(iterations)
    return method.Execute([itk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks])


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    a, b, c = smooth(0), smooth(1), smooth(3)
    reference = smooth(2) > 0.5
    pair = {"a": heatmap(a), "b": heatmap(b)}

    def calibrate(operator: Any, maps: dict[str, Heatmap]) -> Callable[[], Any]:
        cuts = np.array(THRESHOLDS)
        counting = Counting(EnsembleRule(operator), cuts, True, {"": None}, "members", np.nan)
        return lambda: counted_case(counting, maps, reference, 0, None)

    def lean(mask: NDArray[np.bool_]) -> tuple[int, int]:
        return int(np.count_nonzero(mask)), int(np.count_nonzero(mask & reference))

    jobs = {
        "loop, binarize, combine, counts": lambda: loop_of_functions(pair, reference),
        "loop, lean": lambda: loop(lean, a, b),
        "loop, counts": lambda: loop(lambda mask: counts(mask, reference), a, b),
        "loop, counts per slice": lambda: loop(
            lambda mask: counts(mask, reference, axis=(1, 2)), a, b
        ),
        "calibrate, and": calibrate("and", pair),
        "calibrate, smallest": calibrate("smallest", pair),
        "calibrate, three members, and": calibrate("and", {**pair, "c": heatmap(c)}),
    }
    times = timed(jobs, repeats)
    print("| 121 pairs | seconds | of the loops, in their order |\n|---|---|---|")
    for name, own in times.items():
        ratios = ""
        if name.startswith("calibrate"):
            loops = [min(times[each]) for each in times if each.startswith("loop")]
            ratios = ", ".join(f"1/{each / min(own):.1f}" for each in loops)
        print(f"| {name} | {min(own):.4f} ({statistics.median(own):.4f}) | {ratios} |", flush=True)

    masks = {name: values > 0.4 for name, values in zip("abc", (a, b, c), strict=True)}
    one_pass = {"one pass: a & b & c": lambda: masks["a"] & masks["b"] & masks["c"]}
    combining: dict[str, Callable[[], Any]] = {
        f"combine, {operator}": lambda operator=operator: combine(masks, operator)  # type: ignore[misc]
        for operator in OPERATORS
    }
    combining["combine, staple by SimpleITK, 20 iterations"] = lambda: staple_of_itk(
        list(masks.values()), 20
    )
    combining["combine, staple, 20 iterations"] = lambda: combine(masks, "staple", iterations=20)
    times = timed({**one_pass, **combining, "consensus": lambda: consensus(masks)}, repeats)
    print("\n| three masks of 54 x 256 x 256 | seconds |\n|---|---|")
    for name, own in times.items():
        print(f"| {name} | {min(own):.4f} ({statistics.median(own):.4f}) |", flush=True)


if __name__ == "__main__":
    main()
