"""What the demo of classification writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cam.cams.keys import MapKey
from napari_cam.provenance import stamp
from napari_cam.reports.page.contact_sheet import SheetRow, contact_sheet
from napari_cam.reports.page.panels import save_sheet
from napari_cam.sample.cohort import DAMAGED_ABOVE
from napari_cam.sample.demo.classification import NORMALIZE, RULE, TARGET, DemoResults
from napari_cam.sample.demo.folder import DemoFolder, name_files
from napari_cam.volumes.writing import write_volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "demo"
_DAMAGED_SLICES = 4


@dataclass(frozen=True)
class DemoFiles(DemoFolder):
    """Where everything goes."""

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
