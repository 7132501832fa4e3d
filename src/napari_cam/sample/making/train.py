"""Training the sample network.

``python -m napari_cam.sample.making.train --out fillet.safetensors``
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError
from napari_cam.files import check_writable
from napari_cam.learning.classifier import train
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.training.engine import Epoch
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Orient, Rescale, Slices
from napari_cam.sample.cohort import (
    AMBIGUOUS,
    CLASS_NAMES,
    TEST,
    TRAINING,
    VALIDATION,
    Cohort,
    slice_labels,
)
from napari_cam.sample.making.evaluate import Localisation, evaluate, markdown

PREPARATION = Preparation(
    (
        Orient("IPL"),
        Slices("acquisition"),
        Rescale(low_percentile=0.5, high_percentile=99.5),
        Channels("as_is", count=1),
    )
)
# Mottle is a fine texture: a map at a quarter of the resolution, whose pixels each see a small
# part of the slice, places it better than a deeper network would.
OPTIONS = {"widths": (16, 32, 48, 64), "pools": (2, 2, 1, 1)}
AUGMENTATION = Augmentation(flips=(-1, -2), shift=0.06, jitter=0.1)


@dataclass(frozen=True, eq=False)
class LabelledSlices:
    """Slices of a cohort, as the network takes them.

    Attributes
    ----------
    images
        (n, 1, y, x) float32, prepared.
    labels
        (n,) int64.
    subjects
        (n,) the phantom each slice is of.
    """

    images: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    subjects: list[str] = field(repr=False)


def labelled_slices(cohort: Cohort, n: int | None = None) -> LabelledSlices:
    """Prepare the slices of a cohort's first `n` phantoms; ambiguous ones are left out."""
    images, labels, subjects = [], [], []
    for one in cohort.phantoms(n):
        classes = slice_labels(one)
        kept = np.flatnonzero(classes != AMBIGUOUS)
        images.append(PREPARATION.bind(one.volume).batch(kept.tolist()))
        labels.append(classes[kept])
        subjects += [f"phantom {one.seed}"] * len(kept)
    return LabelledSlices(np.concatenate(images), np.concatenate(labels), subjects)


def train_sample(volumes: int, epochs: int, seed: int) -> LoadedModel:
    """Train the sample network on so many phantoms, a quarter as many to validate on."""
    training = labelled_slices(TRAINING, volumes)
    validation = labelled_slices(VALIDATION, max(4, volumes // 4))
    return train(
        training.images,
        training.labels,
        "gap-cnn",
        CLASS_NAMES,
        PREPARATION,
        OPTIONS,
        (validation.images, validation.labels),
        prepared=True,
        epochs=epochs,
        class_weights="balanced",
        augmentation=AUGMENTATION,
        seed=seed,
        device="cpu",  # so that the same seed gives the same file
        subjects=training.subjects,
        progress=say,
    )


def say(epoch: Epoch) -> None:
    """Print what an epoch gave."""
    kept = ", best so far" if epoch.is_best else ""
    typer.echo(
        f"epoch {epoch.number}/{epoch.of}: training loss {epoch.training_loss:.3f}, validation "
        f"loss {epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}{kept}"
    )


def test_metrics(found: Localisation) -> dict[str, Any]:
    """Return what the card says of the network's test, as plain JSON."""
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
    out: Annotated[Path, typer.Option(help="Model file to write, .safetensors.")],
    volumes: Annotated[int, typer.Option(min=4, help="Training phantoms.")] = TRAINING.n,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    test_volumes: Annotated[int, typer.Option(min=1, help="Unseen phantoms.")] = TEST.n,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that stands there.")] = False,
) -> None:
    """Make phantoms, train the sample network on them, test it on unseen ones, save it."""
    try:
        check_writable(out, overwrite)
        typer.echo("Making phantoms ...")
        model = train_sample(volumes, epochs, seed)
        found = evaluate(model, TEST.phantoms(test_volumes))
        notes = {**model.card.training, "data": "synthetic fillets", "test": test_metrics(found)}
        save_model(replace(model, card=replace(model.card, training=notes)), out, overwrite)
    except NapariCamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"\n{markdown(found)}\n\nSaved {out}.")


if __name__ == "__main__":
    typer.run(main)
