"""The demo of classification: heatmaps, their masks, how well they do, and the files of it all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.explain import explain
from napari_cam.cams.keys import MapKey
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.masks.binarize import MaskSet, binarize
from napari_cam.masks.counts import counts
from napari_cam.normalize import Normalize
from napari_cam.provenance import stamp
from napari_cam.reports.localisation import centred_gaussian, energy_inside, peak_inside
from napari_cam.reports.page.contact_sheet import SheetRow, contact_sheet, save_sheet
from napari_cam.sample import load_sample_model, load_sample_phantom
from napari_cam.sample.cohort import DAMAGED_ABOVE
from napari_cam.sample.demo.folder import DemoFolder, name_files
from napari_cam.sample.phantom import Phantom
from napari_cam.volumes.writing import write_volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "demo"
TARGET = "damaged"
# Slices are compared with each other, so that a healthy one need not light up.
NORMALIZE: Normalize = "volume"
RULE = "otsu:volume"
# The methods that work on one forward and backward pass.
METHOD_NAMES = (
    *("cam", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam"),
    *("eigencam", "eigengradcam"),
)
_DAMAGED_SLICES = 4


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
    maps = explain(load_sample_model(), sample.volume, METHOD_NAMES, TARGET, normalize=NORMALIZE)
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
    notes = tuple(next(iter(maps.values())).provenance.get("notes", ()))
    return DemoResults(sample, truth, maps, masks, scores, guesses, notes)


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


@dataclass(frozen=True)
class DemoFiles(DemoFolder):
    """Where everything goes that the demo of classification writes."""

    masks: dict[MapKey, Path]

    @property
    def sheet(self) -> Path:
        """The picture."""
        return self.folder / "contact_sheet.png"

    @property
    def images(self) -> list[Path]:
        """Every file that has a sidecar, and the results."""
        return [*super().images, self.sheet, *self.masks.values()]

    @classmethod
    def plan(cls, folder: Path, keys: Iterable[MapKey]) -> DemoFiles:
        """Name every file."""
        keys = list(keys)
        return cls(
            folder,
            name_files(folder / "heatmaps", "heatmap", keys),
            name_files(folder / "masks", "mask", keys),
        )

    def write(self, results: DemoResults, overwrite: bool) -> None:
        """Write every file."""
        settings = {"truth_above": DAMAGED_ABOVE, "rule": RULE, "normalize": NORMALIZE}
        facts = {
            **stamp(kind=KIND, target=TARGET, **settings),
            "results": {" / ".join(key.parts): each for key, each in results.scores.items()},
            "guesses": results.guesses,
        }
        self.write_mark(facts, overwrite)
        sample = results.phantom
        self.write_sample(sample, results.truth, overwrite)
        self.write_heatmaps(results.maps, sample, overwrite)
        for key, path in self.masks.items():
            made = results.masks.provenance_of(key)
            write_volume(path, results.masks[key], sample.volume, made, overwrite)
        made = stamp(kind="contact sheet", target=TARGET, **settings)
        save_sheet(draw(results), self.sheet, made, overwrite)


def draw(results: DemoResults) -> Figure:
    """Return the contact sheet of the demo as a figure."""
    rows = [SheetRow("Image", caption="with the true damage")]
    for key, heatmap in results.maps.items():
        scores = results.scores[key]
        caption = f"Dice {scores['Dice']:.2f}, IoU {scores['IoU']:.2f}"
        rows.append(SheetRow(key.method.title, heatmap.values, results.masks[key], caption))
    slices = _slices(results)
    words = ["damaged" if results.truth[z].any() else "healthy" for z in slices]
    return contact_sheet(
        results.phantom.volume,
        rows,
        slices,
        truth=results.truth,
        title="Where the sample network saw damage",
        column_titles=[f"slice {z}: {word}" for z, word in zip(slices, words, strict=True)],
    )


def _slices(results: DemoResults) -> list[int]:
    """Return a healthy slice and some damaged ones, spread over the volume."""
    sizes = results.truth.sum(axis=(1, 2))
    damaged = np.flatnonzero(sizes > 0.2 * sizes.max())
    places = np.linspace(0, len(damaged) - 1, _DAMAGED_SLICES).round().astype(int)
    healthy = np.flatnonzero(sizes == 0)
    return sorted({int(healthy[len(healthy) // 2]), *damaged[places].tolist()})
