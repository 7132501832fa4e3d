"""Draws the two figures of sample.md: ``python docs/sample_figures.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("Agg")
from matplotlib import pyplot as plt

from napari_cam.cams.explain import explain_one
from napari_cam.models.architectures.building import build
from napari_cam.models.loaded import wrap_model
from napari_cam.reports.localisation import centred_gaussian, image_intensity
from napari_cam.sample import load_sample_model, load_sample_phantom

IMAGES = Path(__file__).parent / "images"
BRIGHTEST = 3000


def draw_phantom() -> None:
    """Draw the same slices healthy, damaged, and with the truth drawn in."""
    damaged, healthy = load_sample_phantom(), load_sample_phantom("healthy")
    figure, axes = plt.subplots(3, 4, figsize=(10, 5.9), layout="constrained")
    for column, z in enumerate((3, 9, 13, 19)):
        for row, one in enumerate((healthy, damaged, damaged)):
            axes[row, column].imshow(one.volume.values[z], cmap="gray", vmax=BRIGHTEST)
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"slice {z}", fontsize=10)
        if damaged.damage[z].max() > 0.5:
            axes[2, column].contour(damaged.damage[z], [0.5], colors="tab:red", linewidths=1.2)
    for row, name in enumerate(("healthy", "damaged", "damage > 0.5")):
        axes[row, 0].set_ylabel(name)
    figure.savefig(IMAGES / "sample_phantom.png", dpi=70)


def draw_localisation() -> None:
    """Draw the truth, the network's map, and what knows nothing of the damage."""
    one, model = load_sample_phantom(), load_sample_model()
    card = model.card
    stranger = wrap_model(
        build(card.architecture, 2, card.in_channels, 2, **card.architecture_options).eval(),
        card.class_names,
        card.in_channels,
        preparation=card.preparation,
    )
    trained = explain_one(model, one.volume, "gradcam", "damaged", normalize="volume").values
    random = explain_one(stranger, one.volume, "gradcam", "damaged").values
    figure, axes = plt.subplots(3, 5, figsize=(12, 5.7), layout="constrained")
    for place, z in enumerate((9, 13, 19)):
        tissue = one.tissue[z]
        maps = {
            "image": one.volume.values[z],
            "Grad-CAM": trained[z],
            "random weights": random[z],
            "centred Gaussian": centred_gaussian(tissue),
            "intensity": image_intensity(one.volume.values[z], tissue),
        }
        for axis, (name, values) in zip(axes[place], maps.items(), strict=True):
            cmap, top = ("gray", BRIGHTEST) if name == "image" else ("inferno", None)
            axis.imshow(values, cmap=cmap, vmax=1 if name == "Grad-CAM" else top)
            axis.contour(one.damage[z], [0.5], colors="tab:cyan", linewidths=1.0)
            axis.set(xticks=[], yticks=[])
            if place == 0:
                axis.set_title(name, fontsize=10)
        axes[place, 0].set_ylabel(f"slice {z}")
    figure.savefig(IMAGES / "sample_localisation.png", dpi=70)


if __name__ == "__main__":
    torch.manual_seed(0)
    draw_phantom()
    draw_localisation()
