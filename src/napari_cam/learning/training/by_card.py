"""From a card and examples to a trained network, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from napari_cam.errors import DeviceError, TrainingError
from napari_cam.learning.cohort.subjects import hash_subjects
from napari_cam.learning.data.examples import Examples, split_sha256
from napari_cam.learning.training.engine import (
    Epoch,
    Progress,
    Settings,
    fit,
    logits_of,
    own_randomness,
)
from napari_cam.models.architectures.building import build
from napari_cam.models.card import ModelCard
from napari_cam.models.device import choose_device
from napari_cam.models.loaded import LoadedModel, weights_sha256
from napari_cam.provenance import stamp
from napari_cam.statistics.intervals import Proportion


def train_by_card(
    card: ModelCard,
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    device: str = "auto",
    subjects: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Build the network that `card` describes and train it; the card comes back with its notes.

    The parameters are those of :func:`napari_cam.train`.

    Raises
    ------
    TrainingError
        Where the network does not fit the examples, or the loss diverges.
    ModelError, DeviceError
        Where the architecture is unknown, or the device does not exist or is too small.
    """
    if subjects is not None and len(subjects) != len(training):
        raise TrainingError(
            f"There are {len(training)} training images but {len(subjects)} subjects; "
            "name the subject of each image."
        )
    place, n_classes = choose_device(device), len(card.class_names)
    try:
        with torch.enable_grad(), own_randomness(settings.seed, place):
            module = build(
                card.architecture,
                n_classes,
                card.in_channels,
                card.spatial_ndim,
                **card.architecture_options,
            ).to(place)
            _check_size(module, training, n_classes, place)
            history = fit(module, training, validation, settings, place, progress)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{settings.batch_size} images at a time do not fit into the memory of {place}; lower "
            "batch_size, or use device='cpu'."
        ) from error
    module.cpu()
    notes = _notes(module, training, validation, settings, history, n_classes)
    if subjects is not None:
        notes["subjects"] = hash_subjects(subjects)
    return LoadedModel(module, replace(card, training=notes), weights_sha256(module))


def _check_size(
    module: nn.Module, training: Examples, n_classes: int, device: torch.device
) -> None:
    """Raise unless the network takes these images and gives one score per class and label."""
    shape = tuple(training.images.shape[1:])
    try:
        scores = logits_of(module, training.images[:1], 1, device)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"The network cannot take images of shape {shape} ({reason}); resize them in the "
            "preparation."
        ) from error
    labelled = tuple(training.labels.shape[1:])
    if tuple(scores.shape[1:]) != (n_classes, *labelled):
        task, place = ("segmentation", "pixel") if labelled else ("classification", "image")
        raise TrainingError(
            f"The network gives {tuple(scores.shape[1:])} and not {n_classes} scores per {place}; "
            f"choose a {task} network."
        )


def _notes(
    module: nn.Module,
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    history: list[Epoch],
    n_classes: int,
) -> dict[str, Any]:
    """Return what the card says about the training, as plain JSON."""
    best = [epoch for epoch in history if epoch.is_best][-1]
    of_pixels = training.labels.ndim > 1
    metrics: dict[str, Any] = {"training_loss": best.training_loss}
    if validation is not None:
        metrics["validation_loss"] = best.validation_loss
        # Pixels of one image are no separate trials, so that a share of them has no interval.
        metrics["validation_accuracy"] = (
            best.validation_accuracy
            if of_pixels
            else _accuracy(module, validation, settings).to_json()
        )
    notes: dict[str, Any] = stamp(
        source="trained from random weights",
        seed=settings.seed,
        epochs={"run": len(history), "at_most": settings.epochs, "kept": best.number},
        optimizer={
            "name": "AdamW",
            "learning_rate": settings.learning_rate,
            "weight_decay": settings.weight_decay,
            "schedule": "warm-up over a tenth of the steps, then cosine to zero",
            "batch_size": settings.batch_size,
            "patience": settings.patience,
        },
        loss={"name": settings.loss, "class_weights": settings.class_weights},
        augmentation=settings.augmentation.to_json(),
        split_sha256=split_sha256(training, validation),
        metrics=metrics,
    )
    notes["pixels_per_class" if of_pixels else "images_per_class"] = {
        "training": training.counts(n_classes),
        "validation": None if validation is None else validation.counts(n_classes),
    }
    return notes


def _accuracy(module: nn.Module, validation: Examples, settings: Settings) -> Proportion:
    cpu = torch.device("cpu")
    logits = logits_of(module, validation.images, settings.batch_size, cpu)
    return Proportion.of((logits.argmax(dim=1) == validation.labels).numpy())
