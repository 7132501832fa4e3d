"""Training the sample U-Net.

``python -m napari_cam.sample.making.train_unet --out unet.safetensors``
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from napari_cam.errors import NapariCamError
from napari_cam.files import check_writable
from napari_cam.learning.segmenter import train_segmenter
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample.cohort import (
    TEST,
    TRAINING,
    VALIDATION,
    VOXEL_CLASSES,
    Cohort,
    voxel_labels,
)
from napari_cam.sample.making.overlap import overlap
from napari_cam.sample.making.train import AUGMENTATION, PREPARATION, LabelledSlices, say

# Half of the narrowest published width at each level, and less at the top: 1 MB in all.
OPTIONS = {"widths": (12, 24, 48, 80)}
# The damage is a fine texture: this level sees it, and its skip connection passes it on. Without
# the bottleneck's maps the network does as well (docs/sample.md).
DEFAULT_LAYER = "encoder.1"
# Neighbouring slices of one fillet resemble each other; every third says nearly as much as all.
SLICE_STEP = 3


def labelled_pixels(cohort: Cohort, n: int | None = None) -> LabelledSlices:
    """Prepare some slices of a cohort's first `n` phantoms, with the class of each pixel."""
    n_classes = len(VOXEL_CLASSES)
    images, labels, subjects = [], [], []
    for one in cohort.phantoms(n):
        kept = range(one.seed % SLICE_STEP, one.volume.shape[0], SLICE_STEP)
        prepared, truth = PREPARATION.bind(one.volume), voxel_labels(one)
        images.append(prepared.batch(kept))
        labels.append(sum(c * prepared.mask_batch(truth == c, kept) for c in range(1, n_classes)))
        subjects += [f"phantom {one.seed}"] * len(kept)
    return LabelledSlices(np.concatenate(images), np.concatenate(labels), subjects)


def train_sample_unet(volumes: int, epochs: int, seed: int) -> LoadedModel:
    """Train the sample U-Net on so many phantoms, a quarter as many to validate on."""
    training = labelled_pixels(TRAINING, volumes)
    validation = labelled_pixels(VALIDATION, max(4, volumes // 4))
    return train_segmenter(
        training.images,
        training.labels,
        VOXEL_CLASSES,
        PREPARATION,
        architecture_options=OPTIONS,
        default_layer=DEFAULT_LAYER,
        validation=(validation.images, validation.labels),
        epochs=epochs,
        augmentation=AUGMENTATION,
        seed=seed,
        device="cpu",  # so that the same seed gives the same file
        subjects=training.subjects,
        progress=say,
    )


def main(
    out: Annotated[Path, typer.Option(help="Model file to write, .safetensors.")],
    volumes: Annotated[int, typer.Option(min=4, help="Training phantoms.")] = TRAINING.n,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    test_volumes: Annotated[int, typer.Option(min=1, help="Unseen phantoms.")] = TEST.n,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that stands there.")] = False,
) -> None:
    """Make phantoms, train the sample U-Net on them, test it on unseen ones, save it."""
    try:
        check_writable(out, overwrite)
        typer.echo("Making phantoms ...")
        model = train_sample_unet(volumes, epochs, seed)
        found = overlap(model, TEST.phantoms(test_volumes))
        notes = {**model.card.training, "data": "synthetic fillets", "test": found.to_json()}
        save_model(replace(model, card=replace(model.card, training=notes)), out, overwrite)
    except NapariCamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"\n{found.markdown()}\n\nSaved {out}.")


if __name__ == "__main__":
    typer.run(main)
