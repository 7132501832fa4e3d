"""Do the refinements help? Measured on phantoms whose truth is known, out of fold.

Two truths. Damage, which the sample network finds and which differs from sound tissue by its
texture alone; and the whole fillet, whose outline is an edge, with a made-up heatmap: the fillet
blurred as far as heatmaps are blurred. Every row may choose its cut (or its cuts) and parameters
on the other volumes. "Smoothing alone" and "distance alone" are the refinements with the image
taken away.

Run: ``python benchmarks/refinement.py [--volumes 32]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.cams.explain import explain_one
from napari_cam.heatmap import Heatmap, where_predicted
from napari_cam.labels.classes import FIRST_CLASS
from napari_cam.labels.seeds.making import make_seeds
from napari_cam.labels.seeds.refine import refine
from napari_cam.masks.binarize import binarize
from napari_cam.masks.rules import Fixed
from napari_cam.normalize import renormalized
from napari_cam.reports.refinement import refinement_gain
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import DAMAGED_ABOVE, TEST
from napari_cam.sample.phantom import Phantom
from napari_cam.volumes.volume import Volume

Mask = NDArray[np.bool_]

CUTS = tuple(round(0.05 * step, 2) for step in range(1, 20))
RADII, EPSILONS = (1.0, 2.0, 4.0), (0.01, 0.1, 1.0)
SEED_CUTS = tuple(product((0.3, 0.4, 0.5, 0.6, 0.8), (0.1, 0.2)))
BETAS = (0.1, 1.0, 10.0)
NO_IMAGE = 1e-9  # a beta that sees no edge
FLAT = 1e9  # an epsilon to which every window is flat


@dataclass(frozen=True, eq=False)
class Case:
    """One volume: its image, its heatmap, its truth, and where masks may lie."""

    volume: Volume
    heatmap: Heatmap
    truth: Mask
    tissue: Mask


def damage(one: Phantom) -> Case:
    """Return the case of the damage that the sample network finds with Grad-CAM."""
    heatmap = explain_one(load_sample_model(), one.volume, "gradcam", "damaged")
    return Case(one.volume, renormalized(heatmap), one.damage > DAMAGED_ABOVE, one.tissue)


def outline(one: Phantom) -> Case:
    """Return the case of the whole fillet, whose heatmap is its mask blurred by 3 mm."""
    sigma = [3.0 / size for size in one.volume.spacing]
    blurred = ndimage.gaussian_filter(one.tissue.astype(np.float32), (0, *sigma[1:]))
    n = one.volume.shape[0]
    ones = np.ones(n, np.int64)
    heatmap = Heatmap(
        values=blurred / blurred.max(),
        kind="unit",
        raw_min=np.zeros(n, np.float32),
        raw_max=np.ones(n, np.float32),
        valid=ones > 0,
        class_index=ones,
        predicted_index=ones,
        score=ones.astype(np.float32),
        inside=np.ones(one.volume.shape, bool),
        unit_axis=0,
        grid=one.volume.grid,
        provenance={"normalize": "volume", "target": "fillet"},
    )
    return Case(one.volume, heatmap, one.tissue, np.ones(one.volume.shape, bool))


def cut(case: Case, heatmap: Heatmap, value: float) -> Mask:
    """Return the mask of a heatmap in the tissue of slices that pass the gate."""
    allowed = case.tissue & where_predicted(heatmap)
    return binarize(heatmap, Fixed(value), foreground=allowed)["mask"]


def plain_cuts(cases: Sequence[Case]) -> dict[Any, list[Mask]]:
    """Return the masks of unrefined heatmaps by their cut."""
    return {value: [cut(case, case.heatmap, value) for case in cases] for value in CUTS}


def guided(epsilons: Sequence[float]) -> Callable[[Sequence[Case]], dict[Any, list[Mask]]]:
    """Return what makes the masks of filtered heatmaps by radius, epsilon and cut."""

    def masks(cases: Sequence[Case]) -> dict[Any, list[Mask]]:
        found: dict[Any, list[Mask]] = {}
        for radius, epsilon in product(RADII, epsilons):
            filtered = [_filtered(case, radius, epsilon) for case in cases]
            for value in CUTS:
                pairs = zip(cases, filtered, strict=True)
                found[(radius, epsilon, value)] = [cut(case, each, value) for case, each in pairs]
        return found

    return masks


def _filtered(case: Case, radius: float, epsilon: float) -> Heatmap:
    tissue = case.tissue
    return refine(case.volume, case.heatmap, foreground=tissue, radius=radius, epsilon=epsilon)


def walked(betas: Sequence[float]) -> Callable[[Sequence[Case]], dict[Any, list[Mask]]]:
    """Return what makes the masks of grown seeds by their cuts and beta."""

    def masks(cases: Sequence[Case]) -> dict[Any, list[Mask]]:
        found: dict[Any, list[Mask]] = {}
        for (high, low), beta in product(SEED_CUTS, betas):
            found[(high, low, beta)] = []
            for case in cases:
                seeds = make_seeds(case.heatmap, high, low, foreground=case.tissue)
                grown = refine(case.volume, seeds, foreground=case.tissue, beta=beta)
                found[(high, low, beta)].append(grown.labels == FIRST_CLASS)
        return found

    return masks


ROWS = {
    "guided filter": guided(EPSILONS),
    "smoothing alone": guided((FLAT,)),
    "random walker": walked(BETAS),
    "distance alone": walked((NO_IMAGE,)),
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=32)
    phantoms = list(TEST.phantoms(parser.parse_args().volumes))
    print(f"{len(phantoms)} volumes, Dice over all voxels, 5 folds of whole volumes")
    print("| truth | refinement | without | with | gain (95 % interval) | accepted | oracle gain |")
    print("|---|---|---|---|---|---|---|")
    for what, make in (("damage", damage), ("outline", outline)):
        cases = [make(one) for one in phantoms]
        truths = [case.truth for case in cases]
        before = plain_cuts(cases)
        for name, masks in ROWS.items():
            started = time.perf_counter()
            found = refinement_gain(before, masks(cases), truths, range(len(cases)))
            low, high = found.interval
            print(
                f"| {what} | {name} | {found.before:.3f} | {found.after:.3f} | "
                f"{found.gain:+.3f} ({low:+.3f} to {high:+.3f}) | "
                f"{'yes' if found.accepted else 'no'} | {found.oracle['gain']:+.3f} |",
                flush=True,
            )
            chosen = sorted({str((fold.before, fold.after)) for fold in found.folds})
            print(f"<!-- {time.perf_counter() - started:.0f} s; chosen: {chosen} -->", flush=True)


if __name__ == "__main__":
    main()
