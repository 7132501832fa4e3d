"""What the demo of segmentation writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.keys import MapKey
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.provenance import stamp
from napari_cam.reports.page.contact_sheet import SheetRow, contact_sheet, save_sheet
from napari_cam.reports.page.panels import Panel, PanelRow, panel_sheet
from napari_cam.sample.cohort import DAMAGED_ABOVE, VOXEL_CLASSES
from napari_cam.sample.demo.folder import DemoFolder, name_files
from napari_cam.sample.demo.segmentation import TARGET, TITLES, RegionResults, heatmap_of
from napari_cam.volumes.writing import write_volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "segmentation demo"
_PREDICTION = "prediction"
_SLICES = 4


@dataclass(frozen=True)
class RegionFiles(DemoFolder):
    """Where everything goes."""

    @property
    def labels(self) -> Path:
        """What the network predicts."""
        return self.folder / "prediction.nii.gz"

    @property
    def figures(self) -> dict[str, Path]:
        """What is compared -> the picture of it."""
        return {what: self.folder / f"{what}.png" for what in ("classes", "pixel_sets", "levels")}

    @property
    def images(self) -> list[Path]:
        """Every file that has a sidecar, and the results."""
        return [*super().images, self.labels, *self.figures.values()]

    @classmethod
    def plan(cls, folder: Path, results: RegionResults) -> RegionFiles:
        """Name every file."""
        return cls(folder, name_files(folder / "heatmaps", "heatmap", results.all_maps))

    def write(self, results: RegionResults, overwrite: bool) -> None:
        """Write every file."""
        sample = results.sample
        classes = dict(enumerate(VOXEL_CLASSES))
        settings = {"truth_above": DAMAGED_ABOVE, "normalize": "unit", "scale": "max"}
        facts = {
            **stamp(kind=KIND, classes=classes, slice=results.z, **settings),
            "dice": results.dice,
            "energy_in_predicted_region": results.energy,
            "energy_in_predicted_region_by_level": results.energy_by_level,
        }
        self.write_mark(facts, overwrite)
        self.write_sample(sample, results.truth, overwrite, classes=classes)
        made = stamp(kind="labels", classes=classes, model={"sha256": results.model_sha256})
        write_volume(self.labels, results.predicted, sample.volume, made, overwrite)
        self.write_heatmaps(results.all_maps, sample, overwrite)
        drawn = {"classes": draw_classes, "pixel_sets": draw_sets, "levels": draw_levels}
        for what, path in self.figures.items():
            made = stamp(kind="figure", compares=what, methods=list(TITLES), **settings)
            save_sheet(drawn[what](results), path, made, overwrite)


def draw_classes(results: RegionResults) -> Figure:
    """Return both methods side by side for each class on some slices."""
    rows = [
        SheetRow(
            "Image", None, results.region(TARGET), "true and predicted damage", truth=results.damage
        ),
    ]
    for name in reversed(VOXEL_CLASSES):
        for method, title in TITLES.items():
            heatmap = heatmap_of(results.by_class, method, target=name).values
            rows.append(SheetRow(title, heatmap, results.region(name), f"class: {name}"))
    return contact_sheet(
        results.sample.volume,
        rows,
        _slices(results),
        title=f"What the sample U-Net looked at, class by class ({results.level})",
        mask_label=_PREDICTION,
    )


def draw_sets(results: RegionResults) -> Figure:
    """Return both methods for several sets of pixels of one class."""
    sets = [({"target": each.target.label}, each.pixels) for each in results.sets]
    return panel_sheet(
        results.sample.volume,
        _panels(results, results.by_set, sets),
        [each.title for each in results.sets],
        f"Which pixels are explained (slice {results.z}, {results.level})",
        mask_label="explained pixels",
    )


def draw_levels(results: RegionResults) -> Figure:
    """Return both methods at every level of the network."""
    region = results.region(TARGET)
    levels = [({"layer": layer}, region) for layer in results.levels.values()]
    return panel_sheet(
        results.sample.volume,
        _panels(results, results.by_level, levels),
        list(results.levels),
        f"From encoder to decoder (slice {results.z})",
        mask_label=_PREDICTION,
    )


def _panels(
    results: RegionResults,
    maps: Maps[MapKey, Heatmap],
    columns: Sequence[tuple[dict[str, str], NDArray[np.bool_]]],
) -> list[PanelRow]:
    """Return a row for each method: the map of each column's target or layer, with its pixels."""
    return [
        PanelRow(
            title,
            [
                Panel(results.z, heatmap_of(maps, method, **part).values, pixels)
                for part, pixels in columns
            ],
            f"class: {TARGET}",
        )
        for method, title in TITLES.items()
    ]


def _slices(results: RegionResults) -> list[int]:
    """Return slices with predicted damage, spread over the volume, the compared one among them."""
    sizes = results.region(TARGET).sum(axis=(1, 2))
    large = np.flatnonzero(sizes > 0.2 * sizes.max())
    places = np.linspace(0, len(large) - 1, _SLICES).round().astype(int)
    chosen = large[places]
    chosen[np.abs(chosen - results.z).argmin()] = results.z
    return sorted({int(each) for each in chosen})
