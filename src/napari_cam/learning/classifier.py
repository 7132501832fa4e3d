"""Training a classifier from labelled images to a network with a full card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from napari_cam.errors import DeviceError, TrainingError
from napari_cam.learning.accuracy import Proportion
from napari_cam.learning.augmentation import Augmentation
from napari_cam.learning.examples import (
    Examples,
    as_images,
    check_classes,
    class_names_of,
    class_weights_of,
    examples_of,
    split_sha256,
)
from napari_cam.learning.loop import Epoch, Progress, Settings, fit, logits_of, own_randomness
from napari_cam.learning.subjects import hash_subjects
from napari_cam.models.architectures import build
from napari_cam.models.card import ModelCard
from napari_cam.models.device import choose_device
from napari_cam.models.loaded import LoadedModel, weights_sha256
from napari_cam.models.preparation import Preparation
from napari_cam.models.steps import Channels, Orient, Rescale, Slices, Step
from napari_cam.provenance import stamp

Labelled = tuple[Any, Any]


def train(
    images: Any,
    labels: Any,
    architecture: str = "gap-cnn",
    class_names: Sequence[str] | None = None,
    preparation: Preparation | None = None,
    architecture_options: Mapping[str, Any] | None = None,
    validation: Labelled | None = None,
    *,
    prepared: bool = False,
    epochs: int = 20,
    learning_rate: float = 3e-3,
    batch_size: int = 32,
    weight_decay: float = 1e-3,
    patience: int | None = None,
    class_weights: Literal["balanced"] | Sequence[float] | None = None,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    device: str = "auto",
    subjects: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Train a classification network; the same seed gives the same weights on one machine's CPU.

    Parameters
    ----------
    images
        (n, c, h, w), or (n, c, d, h, w) for a network of volumes; array or tensor, all one shape.
    labels
        (n,) class indices counted from 0, or class names.
    architecture
        A name of ``ARCHITECTURES``.
    class_names
        One name per class; None names them "0", "1", ... up to the largest label.
    preparation
        The steps between stored voxels and network. None stretches each image to [0, 1].
    architecture_options
        Arguments of the architecture, such as ``{"widths": (8, 16)}``.
    validation
        Images and labels of other subjects; the weights with the smallest loss on them are kept.
        Without it the last weights are.
    prepared
        Whether `images` have been through the whole preparation already, as
        ``preparation.bind(volume).batch(indices)`` gives them. Otherwise its steps after `Slices`
        are applied here, once.
    epochs
        Passes over the training images, at most.
    learning_rate, weight_decay
        Of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101). The rate rises over the first
        tenth of the steps and falls to zero along a cosine.
    batch_size
        Images per step; the last batch is not smaller than the others by more than one image.
    patience
        Stop once the validation loss has not improved for so many epochs; None never.
    class_weights
        Weights of the cross-entropy, "balanced" for n / (classes * n of the class).
    augmentation
        Changes drawn anew for each image and epoch; None for none.
    seed
        Of initial weights, order and augmentation. Torch's own random state is left as it was.
    device
        "auto", "cpu", "cuda", "cuda:0" or "mps". The network comes back on the CPU.
    subjects
        (n,) whom each training image is of; the card keeps their salted hashes alone.
    progress
        Called after every epoch; what it raises ends the training.

    Returns
    -------
    LoadedModel
        In eval mode, its card holding how it was trained and how well it validated.

    Raises
    ------
    TrainingError
        Where images, labels or settings cannot give a usable network, or the loss diverges.
    PreparationError, ModelError, DeviceError
        Where the preparation does not fit the images, the architecture is unknown, or the device
        does not exist or is too small.
    """
    pixels = as_images(images, "training")
    spatial_ndim: Literal[2, 3] = 2 if pixels.ndim == 4 else 3
    names = class_names_of(class_names, labels)
    steps = preparation or _default_preparation(spatial_ndim, pixels.shape[1])
    if not prepared:
        _check_volume_steps(steps)
    training = examples_of(pixels, labels, names, steps, prepared, "training")
    check_classes(training, names)
    validating = None
    if validation is not None:
        others = as_images(validation[0], "validation")
        validating = examples_of(others, validation[1], names, steps, prepared, "validation")
    if subjects is not None and len(subjects) != len(training):
        raise TrainingError(
            f"There are {len(training)} training images but {len(subjects)} subjects; "
            "name the subject of each image."
        )
    settings = Settings(
        *(epochs, learning_rate, batch_size, weight_decay, patience),
        class_weights_of(class_weights, training, len(names)),
        augmentation or Augmentation(),
        seed,
    )
    place = choose_device(device)
    options = dict(architecture_options or {})
    channels = training.images.shape[1]
    card = ModelCard(
        *(architecture, "classification", spatial_ndim, names, channels, steps),
        architecture_options=options,
    )
    try:
        with torch.enable_grad(), own_randomness(seed, place):
            module = build(architecture, len(names), channels, spatial_ndim, **options).to(place)
            _check_size(module, training, len(names), place)
            history = fit(module, training, validating, settings, place, progress)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{batch_size} images at a time do not fit into the memory of {place}; lower "
            "batch_size, or use device='cpu'."
        ) from error
    module.cpu()
    notes = _notes(module, training, validating, settings, history, len(names))
    if subjects is not None:
        notes["subjects"] = hash_subjects(subjects)
    return LoadedModel(module, replace(card, training=notes), weights_sha256(module))


def _default_preparation(spatial_ndim: Literal[2, 3], channels: int) -> Preparation:
    """Stretch each unit by itself: arrays of images hold no volume to take statistics from."""
    slices: tuple[Step, ...] = (Slices(),) if spatial_ndim == 2 else ()
    scaling = Rescale(per_channel=channels != 3)
    return Preparation((Orient(), *slices, scaling, Channels("as_is", count=channels)))


def _check_volume_steps(preparation: Preparation) -> None:
    if preparation.volume_steps:
        step = preparation.volume_steps[0].name
        raise TrainingError(
            f"The preparation step '{step}' sees the whole volume, which is not at hand here; give "
            "preparation.bind(volume).batch(...) as images and say prepared=True."
        )


def _check_size(
    module: nn.Module, training: Examples, n_classes: int, device: torch.device
) -> None:
    """Raise unless the network takes images of this size and gives one score per class."""
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
    if tuple(scores.shape) != (1, n_classes):
        raise TrainingError(
            f"The network gives {tuple(scores.shape[1:])} and not {n_classes} scores per image; "
            "choose a classification network."
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
    metrics: dict[str, Any] = {"training_loss": best.training_loss}
    if validation is not None:
        cpu = torch.device("cpu")
        logits = logits_of(module, validation.images, settings.batch_size, cpu)
        hits = logits.argmax(dim=1) == validation.labels
        metrics["validation_loss"] = best.validation_loss
        metrics["validation_accuracy"] = Proportion.of(hits.numpy()).to_json()
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
        loss={"name": "cross-entropy", "class_weights": settings.class_weights},
        augmentation=settings.augmentation.to_json(),
        images_per_class={
            "training": training.counts(n_classes),
            "validation": None if validation is None else validation.counts(n_classes),
        },
        split_sha256=split_sha256(training, validation),
        metrics=metrics,
    )
    return notes
