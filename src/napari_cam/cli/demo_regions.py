"""What the demo of segmentation computes: one network, seen by class, by pixel set and by level."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.cams.explain import build_heatmaps
from napari_cam.cams.keys import MapKey
from napari_cam.cams.plan import plan_explanation
from napari_cam.cams.region_score import RegionScore
from napari_cam.cli.demo_results import pointing
from napari_cam.cli.explain import run
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.masks.counts import dice
from napari_cam.models.layers import candidate_layers
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import load_sample_model, load_sample_phantom
from napari_cam.sample.cohort import VOXEL_CLASSES, voxel_labels
from napari_cam.sample.overlap import predict_labels
from napari_cam.sample.phantom import Phantom

TARGET = "damaged"
# The two that Rheude et al. 2024 compare, under the names that they have for segmentation.
TITLES = MappingProxyType({"gradcam": "Seg-Grad-CAM", "hirescam": "Seg-HiRes-Grad CAM"})


@dataclass(frozen=True, eq=False)
class PixelSet:
    """A set of pixels of one slice whose score is explained.

    Attributes
    ----------
    title
        What people read.
    target
        The same for the network.
    pixels
        (z, y, x) bool.
    """

    title: str
    target: RegionScore
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RegionResults:
    """Everything that the demo of segmentation has to show.

    Attributes
    ----------
    truth, predicted
        (z, y, x) uint8, indices into `VOXEL_CLASSES`.
    z
        The slice in which pixel sets and levels are compared.
    by_class, by_set, by_level
        Heatmaps; all slices of the first, the slice `z` of the others.
    dice
        Class -> Dice of the prediction with the truth.
    energy
        Class -> what map -> share of its sum where the class is predicted.
    """

    sample: Phantom
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    z: int
    sets: tuple[PixelSet, ...]
    levels: dict[str, str]
    by_class: Maps[MapKey, Heatmap]
    by_set: Maps[MapKey, Heatmap]
    by_level: Maps[MapKey, Heatmap]
    dice: dict[str, float]
    energy: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    model_sha256: str

    @property
    def all_maps(self) -> Maps[MapKey, Heatmap]:
        """Every heatmap, each key once: whole volumes where they were explained."""
        return Maps({**self.by_level, **self.by_set, **self.by_class})

    @property
    def damage(self) -> NDArray[np.bool_]:
        """Where damage truly is, (z, y, x)."""
        return np.asarray(self.truth == VOXEL_CLASSES.index(TARGET))

    def region(self, name: str) -> NDArray[np.bool_]:
        """Return where a class is predicted, (z, y, x)."""
        return np.asarray(self.predicted == VOXEL_CLASSES.index(name))


def compute_regions() -> RegionResults:
    """Segment the sample volume and explain it: each class, some pixel sets, every level."""
    sample, model = load_sample_phantom(), load_sample_model("segmentation")
    predicted = predict_labels(model, sample.volume)
    truth = voxel_labels(sample).astype(np.uint8)
    sets = _pixel_sets(predicted == VOXEL_CLASSES.index(TARGET))
    z = int(np.argwhere(sets[-1].pixels)[0, 0])
    levels = {
        row.level: row.name
        for row in candidate_layers(model, (1, *sample.volume.shape[1:]))
        if row.level
    }
    classes = [RegionScore(name) for name in VOXEL_CLASSES]
    by_class = _explain(model, sample, classes)
    by_set = _explain(model, sample, [each.target for each in sets], z=z)
    by_level = _explain(model, sample, [RegionScore(TARGET)], list(levels.values()), z)
    energy = {name: _energy(name, predicted, by_class) for name in VOXEL_CLASSES}
    overlaps = {
        name: float(dice(predicted == place, truth == place))
        for place, name in enumerate(VOXEL_CLASSES)
    }
    notes = tuple(next(iter(by_class.values())).provenance.get("notes", ()))
    return RegionResults(
        sample,
        truth,
        predicted,
        z,
        sets,
        levels,
        by_class,
        by_set,
        by_level,
        dice=overlaps,
        energy=energy,
        notes=notes,
        model_sha256=model.sha256,
    )


def _energy(
    name: str, predicted: NDArray[np.uint8], maps: Maps[MapKey, Heatmap]
) -> dict[str, float]:
    """Return the share of each map's sum where its class is predicted: means over slices."""
    region = predicted == VOXEL_CLASSES.index(name)
    flat = np.ones(region.shape, np.float32)
    named = {
        TITLES[key.method.name]: heatmap.values
        for key, heatmap in maps.items()
        if key.target.label == name
    }
    every = {**named, "flat map": flat}
    return {title: pointing(values, region)["energy"] for title, values in every.items()}


def _explain(
    model: LoadedModel,
    sample: Phantom,
    targets: list[RegionScore],
    layers: list[str] | None = None,
    z: int | None = None,
) -> Maps[MapKey, Heatmap]:
    units = None if z is None else [z]
    plan = plan_explanation(model, sample.volume, list(TITLES), targets, layers, units=units)
    # As in the paper's figures: each slice divided by its own maximum.
    return build_heatmaps(plan, run(plan), normalize="unit", scale="max")


def _pixel_sets(region: NDArray[np.bool_]) -> tuple[PixelSet, ...]:
    """Return the sets to compare, in a slice with two large components if there is one."""
    parts = [ndimage.label(plane)[0] for plane in region]
    sizes = [np.sort(np.bincount(part.ravel())[1:])[::-1] for part in parts]
    seconds = [int(size[1]) if len(size) > 1 else 0 for size in sizes]
    firsts = [int(size[0]) if len(size) else 0 for size in sizes]
    z = int(np.argmax(seconds if max(seconds) else firsts))
    smaller = np.bincount(parts[z].ravel())[1:].argsort()[::-1][: 1 + bool(seconds[z])][-1] + 1
    component = np.zeros_like(region)
    component[z] = parts[z] == smaller
    # The pixel deepest inside of it.
    depth = ndimage.distance_transform_edt(np.pad(component[z], 1))[1:-1, 1:-1]
    y, x = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
    point = np.zeros_like(region)
    point[z, y, x] = True
    at = f"{z},{y},{x}"
    return (
        PixelSet("whole image", RegionScore(TARGET, "all"), np.ones_like(region)),
        PixelSet("predicted class", RegionScore(TARGET), region),
        PixelSet("one component", RegionScore(TARGET, f"component:{at}"), component),
        PixelSet("one pixel", RegionScore(TARGET, f"point:{at}"), point),
    )
