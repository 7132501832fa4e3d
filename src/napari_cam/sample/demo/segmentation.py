"""What the demo of segmentation computes: one network, seen by class, by pixel set and by level."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.cams.explain import explain
from napari_cam.cams.keys import MapKey
from napari_cam.cams.targets.region_score import RegionScore
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.learning.segmenter import predict_labels
from napari_cam.masks.counts import dice
from napari_cam.models.layers.candidates import candidate_layers
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import load_sample_model, load_sample_phantom
from napari_cam.sample.cohort import VOXEL_CLASSES, voxel_labels
from napari_cam.sample.demo.classification import pointing
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
    levels
        "encoder 0" and so on -> name of the layer.
    by_class, by_set, by_level
        Heatmaps; all slices of the first, the slice `z` of the others.
    dice
        Class -> Dice of the prediction with the truth.
    energy
        Class -> what map -> share of its sum where the class is predicted.
    energy_by_level
        Level -> what map of damage -> the same in slice `z`.
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
    energy_by_level: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    model_sha256: str

    @property
    def all_maps(self) -> Maps[MapKey, Heatmap]:
        """Every heatmap, each key once: whole volumes where they were explained."""
        return Maps({**self.by_level, **self.by_set, **self.by_class})

    @property
    def level(self) -> str:
        """The level at which classes and sets of pixels are compared."""
        layer = str(next(iter(self.by_class)).layer)
        return next(level for level, name in self.levels.items() if name == layer)

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
    levels = _levels(model, sample)
    classes = [RegionScore(name) for name in VOXEL_CLASSES]
    by_class = _explain(model, sample, classes)
    by_set = _explain(model, sample, [each.target for each in sets], z=z)
    by_level = _explain(model, sample, [RegionScore(TARGET)], list(levels.values()), z)
    energy = {
        name: _energy(predicted == place, _by_method(by_class, target=name))
        for place, name in enumerate(VOXEL_CLASSES)
    }
    here = np.zeros_like(predicted == 0)
    here[z] = predicted[z] == VOXEL_CLASSES.index(TARGET)
    by_depth = {
        level: _energy(here, _by_method(by_level, layer=layer)) for level, layer in levels.items()
    }
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
        energy_by_level=by_depth,
        notes=notes,
        model_sha256=model.sha256,
    )


def _levels(model: LoadedModel, sample: Phantom) -> dict[str, str]:
    """Return the name of each level, from the encoder's first on -> its last layer."""
    rows = candidate_layers(model, (1, *sample.volume.shape[1:]))
    (bottom,) = {row.shape for row in rows if row.level == "bottleneck"}
    return {
        row.level: row.name
        for row in rows
        if row.level and (row.shape != bottom or row.level == "bottleneck")
    }


def _by_method(maps: Maps[MapKey, Heatmap], **parts: str) -> dict[str, NDArray[np.float32]]:
    """Return the title of each method -> its heatmap of a layer or a target."""
    return {title: heatmap_of(maps, name, **parts).values for name, title in TITLES.items()}


def heatmap_of(maps: Maps[MapKey, Heatmap], method: str, **parts: str) -> Heatmap:
    """Return the one heatmap of a method, and of a `layer` or `target` where one is named."""
    (found,) = (
        heatmap
        for key, heatmap in maps.items()
        if key.method.name == method
        and parts.get("layer", str(key.layer)) == str(key.layer)
        and parts.get("target", key.target.label) == key.target.label
    )
    return found


def _energy(region: NDArray[np.bool_], maps: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the share of each map's sum that lies in a region: means over slices that have it."""
    every = {**maps, "flat map": np.ones(region.shape, np.float32)}
    return {title: pointing(values, region)["energy"] for title, values in every.items()}


def _explain(
    model: LoadedModel,
    sample: Phantom,
    targets: list[RegionScore],
    layers: list[str] | None = None,
    z: int | None = None,
) -> Maps[MapKey, Heatmap]:
    units = None if z is None else [z]
    # As in the paper's figures: each slice divided by its own maximum.
    options: dict[str, Any] = {"units": units, "normalize": "unit", "scale": "max"}
    return explain(model, sample.volume, list(TITLES), targets, layers, **options)


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
