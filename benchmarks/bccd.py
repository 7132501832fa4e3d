"""Does a CAM lie on the object, on real pictures? White blood cells, from image labels alone.

Blood smears of the BCCD data (github.com/Shenggan/BCCD_Dataset, MIT) are cut into halves, and a
half is "yes" where at least a third of a white cell's box lies in it and "no" where none touches
it; the others are left out. A small network learns that from the label alone, split by picture.
Then energy inside the boxes and the pointing game of its maps on held-out "yes" halves stand beside
maps of the same network with random weights, a Gaussian in the middle, the picture's darkness, and
the share of the area that boxes take. Intervals draw whole pictures anew.

Run: ``python benchmarks/bccd.py [FOLDER] [--method gradcam]``; the folder defaults to ``bccd`` in
the one that NAPARI_CAM_TEST_DATA names.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

import napari_cam as nc
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.faithfulness.network.randomisation import random_network
from napari_cam.reports.localisation import (
    area_share,
    centred_gaussian,
    energy_inside,
    image_intensity,
    peak_inside,
)
from napari_cam.statistics import cluster_bootstrap, mean_of, wilson_proportion

HALF = (480, 320)  # y, x
SMALLER = 4
SHAPE = (HALF[0] // SMALLER, HALF[1] // SMALLER)
LEAST = 1 / 3  # of a box, to say yes
CLASSES = ("no", "yes")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HalfPicture:
    """Half of a picture.

    Attributes
    ----------
    picture
        Which picture it is of.
    pixels
        (3, y, x) float32 in [0, 1].
    cells
        (y, x) where boxes of white cells are.
    label
        0 or 1.
    """

    picture: str
    pixels: NDArray[np.float32] = field(repr=False)
    cells: Mask = field(repr=False)
    label: int


def halves_of(folder: Path) -> Iterator[HalfPicture]:
    """Yield the halves that are clearly yes or no, picture by picture."""
    for path in sorted((folder / "Annotations").glob("*.xml")):
        boxes = [
            [int(float(each.findtext(f"bndbox/{side}", "0"))) for side in _SIDES]
            for each in ET.parse(path).iter("object")
            if each.findtext("name") == "WBC"
        ]
        with Image.open(folder / "JPEGImages" / f"{path.stem}.jpg") as image:
            small = image.convert("RGB").resize((2 * SHAPE[1], SHAPE[0]), Image.Resampling.BOX)
        pixels = np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
        for left in (0, HALF[1]):
            shares = [_overlap(box, left) for box in boxes]
            largest = max(shares, default=0.0)
            if 0 < largest < LEAST:
                continue
            cells = np.zeros(SHAPE, bool)
            for x0, y0, x1, y1 in boxes:
                columns = slice(*(max(x - left, 0) // SMALLER for x in (x0, x1)))
                cells[y0 // SMALLER : y1 // SMALLER, columns] = True
            start = left // SMALLER
            part = pixels[:, :, start : start + SHAPE[1]].astype(np.float32)
            yield HalfPicture(path.stem, part, cells, int(largest > 0))


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _overlap(box: list[int], left: int) -> float:
    inside = min(box[2], left + HALF[1]) - max(box[0], left)
    return max(inside, 0) / max(box[2] - box[0], 1)


def split(halves: list[HalfPicture], seed: int = 0) -> tuple[list[HalfPicture], ...]:
    """Return halves to train, to validate and to test on; both halves of a picture together."""
    pictures = np.array(sorted({each.picture for each in halves}))
    order = np.random.default_rng(seed).permutation(pictures).tolist()
    cuts = [0, round(0.6 * len(order)), round(0.8 * len(order)), len(order)]
    parts = [set(order[start:stop]) for start, stop in pairwise(cuts)]
    return tuple([each for each in halves if each.picture in part] for part in parts)


def arrays(halves: list[HalfPicture]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return pictures (n, 3, y, x) and labels (n,)."""
    return np.stack([each.pixels for each in halves]), np.array([each.label for each in halves])


def heats(model: LoadedModel, half: HalfPicture, method: str) -> NDArray[np.float32]:
    """Return the map (y, x) of "yes"."""
    volume = nc.Volume.from_array(half.pixels, channel_axis=0)
    return np.asarray(nc.explain_one(model, volume, method, "yes").values[0])


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return how often a "yes" scores higher than a "no"."""
    yes, no = scores[labels == 1], scores[labels == 0]
    return float(stats.mannwhitneyu(yes, no).statistic / (len(yes) * len(no)))


def measure(model: LoadedModel, test: list[HalfPicture], method: str) -> None:
    """Print the table."""
    others = [random_network(model, seed) for seed in range(3)]
    everywhere = np.ones(SHAPE, bool)
    rows: dict[str, list[tuple[float, float]]] = {}
    yes = [each for each in test if each.label == 1]
    for half in yes:
        maps = {method: [heats(model, half, method)]}
        maps["random weights"] = [heats(other, half, method) for other in others]
        maps["centred Gaussian"] = [centred_gaussian(everywhere)]
        maps["darkness of the picture"] = [image_intensity(-half.pixels.mean(axis=0), everywhere)]
        for name, each in maps.items():
            energy = float(np.nanmean([energy_inside(heat, half.cells) for heat in each]))
            peak = float(np.mean([peak_inside(heat, half.cells) for heat in each]))
            rows.setdefault(name, []).append((energy, peak))
        area = area_share(half.cells, everywhere)
        rows.setdefault("area of the boxes", []).append((area, area))
    whose = [each.picture for each in yes]
    print("| map | energy inside | ahead of the area | peak inside | ahead of the area |")
    print("|---|---|---|---|---|")
    area_rows = np.array(rows["area of the boxes"])
    for name, found in rows.items():
        cells = [name]
        for values, least in zip(np.array(found).T, area_rows.T, strict=True):
            for shown in (values, values - least):
                mean = cluster_bootstrap(mean_of(shown), len(shown), whose)
                cells.append(f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f})")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Train, measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--method", default="gradcam")
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    folder = given.folder or Path(os.environ.get("NAPARI_CAM_TEST_DATA", ".")) / "bccd"
    if not (folder / "Annotations").is_dir():
        parser.error(f"{folder} holds no BCCD data; name its folder")
    halves = list(halves_of(folder))
    training, validation, test = split(halves)
    labels = np.array([each.label for each in halves])
    print(f"{(labels == 1).sum()} halves with a white cell, {(labels == 0).sum()} without")
    began = time.perf_counter()
    model = nc.train(
        *arrays(training),
        class_names=CLASSES,
        validation=arrays(validation),
        epochs=given.epochs,
        class_weights="balanced",
    )
    seconds = time.perf_counter() - began
    maps = [
        nc.explain_one(model, nc.Volume.from_array(h.pixels, channel_axis=0), "gradcam", "yes")
        for h in test
    ]
    scores = [float(each.score[0]) for each in maps]
    right = [int(m.predicted_index[0]) == h.label for m, h in zip(maps, test, strict=True)]
    area = area_under_curve(np.array(scores), np.array([each.label for each in test]))
    accuracy = wilson_proportion(sum(right), len(right))
    print(
        f"trained {seconds:.0f} s; held-out AUC {area:.3f}, accuracy {accuracy.value:.3f} "
        f"({accuracy.low:.3f} to {accuracy.high:.3f}) of {len(test)} halves\n"
    )
    measure(model, test, given.method)


if __name__ == "__main__":
    main()
