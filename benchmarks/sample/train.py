"""Trains the two sample networks.

Run: ``python benchmarks/sample/train.py classifier --out fillet.safetensors``, or ``unet``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from evaluate import Localisation, evaluate
from evaluate import markdown as localisation_table
from napari_cam.errors import NapariCamError
from napari_cam.files import check_writable
from napari_cam.learning.classifier import train
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.segmenter import train_segmenter
from napari_cam.learning.training.engine import Epoch
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample.cohort import (
    CLASS_NAMES,
    TEST,
    TRAINING,
    VALIDATION,
    VOXEL_CLASSES,
    Cohort,
)
from napari_cam.sample.phantom import Phantom
from overlap import overlap
from slices import PREPARATION, LabelledSlices, labelled_pixels, labelled_slices

# Mottle is a fine texture: a map at a quarter of the resolution, whose pixels each see a small
# part of the slice, places it better than a deeper network would.
CLASSIFIER = {"widths": (16, 32, 48, 64), "pools": (2, 2, 1, 1)}
# Half of the narrowest published width at each level, and less at the top: 1 MB in all.
UNET = {"widths": (12, 24, 48, 80)}
# The damage is a fine texture: this level sees it, and its skip connection passes it on. Without
# the bottleneck's maps the network does as well (docs/sample.md).
UNET_LAYER = "encoder.1"


class Network(StrEnum):
    """Which network to train."""

    CLASSIFIER = "classifier"
    UNET = "unet"


def train_classifier(volumes: int, **options: Any) -> LoadedModel:
    """Train the classifier on so many phantoms; `options` are those of :func:`napari_cam.train`."""
    images, labels, common = _given(labelled_slices, volumes, options)
    return train(
        images,
        labels,
        "gap-cnn",
        CLASS_NAMES,
        PREPARATION,
        CLASSIFIER,
        prepared=True,
        class_weights="balanced",
        **common,
    )


def train_unet(volumes: int, **options: Any) -> LoadedModel:
    """Train the U-Net on so many phantoms; `options` are those of :func:`napari_cam.train`."""
    images, labels, common = _given(labelled_pixels, volumes, options)
    return train_segmenter(
        images,
        labels,
        VOXEL_CLASSES,
        PREPARATION,
        architecture_options=UNET,
        default_layer=UNET_LAYER,
        **common,
    )


def _given(
    slices: Callable[[Cohort, int], LabelledSlices], volumes: int, options: dict[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return images, labels and what both networks share; a quarter as many phantoms validate."""
    training, validation = slices(TRAINING, volumes), slices(VALIDATION, max(4, volumes // 4))
    shared: dict[str, Any] = {
        "validation": (validation.images, validation.labels),
        "augmentation": Augmentation(flips=(-1, -2), shift=0.06, jitter=0.1),
        "device": "cpu",  # so that the same seed gives the same file
        "subjects": training.subjects,
        "progress": say,
    }
    return training.images, training.labels, {**shared, **options}


def say(epoch: Epoch) -> None:
    """Print what an epoch gave."""
    kept = ", best so far" if epoch.is_best else ""
    print(
        f"epoch {epoch.number}/{epoch.of}: training loss {epoch.training_loss:.3f}, validation "
        f"loss {epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}{kept}"
    )


def tested(
    network: Network, model: LoadedModel, phantoms: Iterable[Phantom]
) -> tuple[dict[str, Any], str]:
    """Return what the card says of a network's test, and the same as Markdown."""
    if network == Network.CLASSIFIER:
        found = evaluate(model, phantoms)
        return card_metrics(found), localisation_table(found)
    overlaps = overlap(model, phantoms)
    return overlaps.to_json(), overlaps.markdown()


def card_metrics(found: Localisation) -> dict[str, Any]:
    """Return what the card says of the classifier's test, as plain JSON."""
    return {
        "accuracy": found.accuracy.to_json(),
        "healthy": found.healthy.to_json(),
        "damaged": found.damaged.to_json(),
        "peak_inside_damage": found.peak_inside.to_json(),
        "energy_inside_damage": {
            name: round(float(energy.mean()), 4) for name, energy in found.energy.items()
        },
    }


def main(
    network: Annotated[Network, typer.Argument(help="Which network.")],
    out: Annotated[Path, typer.Option(help="Model file to write, .safetensors.")],
    volumes: Annotated[int, typer.Option(min=4, help="Training phantoms.")] = TRAINING.n,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    test_volumes: Annotated[int, typer.Option(min=1, help="Unseen phantoms.")] = TEST.n,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that stands there.")] = False,
) -> None:
    """Make phantoms, train a sample network on them, test it on unseen ones, save it."""
    fit = train_classifier if network == Network.CLASSIFIER else train_unet
    try:
        check_writable(out, overwrite)
        print("Making phantoms ...")
        model = fit(volumes, epochs=epochs, seed=seed)
        metrics, table = tested(network, model, TEST.phantoms(test_volumes))
        notes = {**model.card.training, "data": "synthetic fillets", "test": metrics}
        save_model(replace(model, card=replace(model.card, training=notes)), out, overwrite)
    except NapariCamError as error:
        raise SystemExit(str(error)) from error
    print(f"\n{table}\n\nSaved {out}.")


if __name__ == "__main__":
    typer.run(main)
