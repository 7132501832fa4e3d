"""What the demo of classification computes: heatmaps, their masks, and how well they do."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.explain import build_heatmaps
from napari_cam.cams.keys import MapKey
from napari_cam.cams.plan import plan_explanation
from napari_cam.cli.commands.explain import run
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.masks.binarize import MaskSet, binarize
from napari_cam.masks.counts import counts
from napari_cam.normalize import Normalize
from napari_cam.reports.localisation import centred_gaussian, energy_inside, peak_inside
from napari_cam.sample import load_sample_model, load_sample_phantom
from napari_cam.sample.cohort import DAMAGED_ABOVE
from napari_cam.sample.phantom import Phantom

TARGET = "damaged"
# Slices are compared with each other, so that a healthy one need not light up.
NORMALIZE: Normalize = "volume"
RULE = "otsu:volume"
# The methods that work on one forward and backward pass.
METHOD_NAMES = (
    *("cam", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam"),
    *("eigencam", "eigengradcam"),
)


@dataclass(frozen=True, eq=False)
class DemoResults:
    """Everything that the demo has to show."""

    phantom: Phantom
    truth: NDArray[np.bool_]
    maps: Maps[MapKey, Heatmap]
    masks: MaskSet
    scores: dict[MapKey, dict[str, float]]
    guesses: dict[str, dict[str, float]]
    notes: tuple[str, ...]


def compute_demo() -> DemoResults:
    """Explain the sample volume with several methods, cut masks and compare them with the truth."""
    sample = load_sample_phantom()
    truth = sample.damage > DAMAGED_ABOVE
    plan = plan_explanation(load_sample_model(), sample.volume, METHOD_NAMES, [TARGET])
    maps = build_heatmaps(plan, run(plan), NORMALIZE)
    masks = binarize(maps, RULE)
    guess = np.stack([centred_gaussian(tissue) for tissue in sample.tissue])
    guesses = {
        "guess: middle of the tissue": pointing(guess, truth),
        "guess: all of the tissue": {
            **pointing(sample.tissue.astype(np.float32), truth),
            "peak": nan,  # a flat map has none
        },
    }
    scores = {
        key: {**_overlap(masks[key], truth), **pointing(heatmap.values, truth)}
        for key, heatmap in maps.items()
    }
    return DemoResults(sample, truth, maps, masks, scores, guesses, plan.prepared.notes)


def _overlap(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    counted = counts(mask, truth)
    return {"IoU": float(counted.iou()), "Dice": float(counted.dice())}


def pointing(heatmap: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return how much of the energy, and whether the peak, lies in the truth: means over slices.

    Slices without truth are left out, those without evidence count as a miss.
    """
    slices = [z for z in range(len(truth)) if truth[z].any()]
    energies = [energy_inside(heatmap[z], truth[z]) for z in slices]
    peaks = [peak_inside(heatmap[z], truth[z]) for z in slices]
    known = [0.0 if isnan(energy) else energy for energy in energies]
    return {"energy": sum(known) / len(slices), "peak": sum(peaks) / len(slices)}
