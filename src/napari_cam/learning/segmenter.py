"""Segmentation networks: trained from images whose pixels are labelled, and asked for labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cam.errors import TrainingError
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.data.examples import Examples, as_images
from napari_cam.learning.training.by_card import train_by_card
from napari_cam.learning.training.engine import Progress, Settings, logits_of
from napari_cam.models.card import ModelCard
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.volumes.volume import Volume

_SLICES_AT_ONCE = 8


def train_segmenter(
    images: Any,
    labels: Any,
    class_names: Sequence[str],
    preparation: Preparation,
    architecture: str = "unet",
    architecture_options: Mapping[str, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    *,
    default_layer: str | None = "bottleneck",
    epochs: int = 20,
    learning_rate: float = 3e-3,
    batch_size: int = 8,
    weight_decay: float = 1e-3,
    patience: int | None = None,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    device: str = "auto",
    subjects: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Train a segmentation network with Dice and cross-entropy, on images prepared already.

    Parameters
    ----------
    images
        (n, c, *s) float32, as ``preparation.bind(volume).batch(indices)`` gives them.
    labels
        (n, *s) class of each pixel, counted from 0, which is background; the Dice leaves it out.
    class_names
        One name per class.
    preparation
        The steps that `images` have been through.
    architecture, architecture_options
        A name of ``ARCHITECTURES`` that segments, and its arguments.
    validation
        Images and labels of other subjects; the weights with the smallest loss on them are kept.
    default_layer
        What the card names as target layer.
    epochs, learning_rate, batch_size, weight_decay, patience
        As in :func:`napari_cam.train`.
    augmentation, seed, device, subjects, progress
        As in :func:`napari_cam.train`.

    Raises
    ------
    TrainingError
        Where images, labels or settings cannot give a usable network, or the loss diverges.
    ModelError, DeviceError
        Where the architecture is unknown, or the device does not exist or is too small.
    """
    names = tuple(class_names)
    training = _examples(images, labels, len(names), "training")
    validating = None
    if validation is not None:
        validating = _examples(*validation, len(names), "validation")
    card = ModelCard(
        architecture,
        "segmentation",
        3 if preparation.spatial_ndim == 3 else 2,
        names,
        training.images.shape[1],
        preparation,
        default_layer,
        architecture_options=dict(architecture_options or {}),
    )
    settings = Settings(
        *(epochs, learning_rate, batch_size, weight_decay, patience, None),
        augmentation or Augmentation(),
        seed,
        loss="Dice + cross-entropy",
    )
    return train_by_card(card, training, validating, settings, device, subjects, progress)


def predict_labels(model: LoadedModel, volume: Volume) -> NDArray[np.uint8]:
    """Return the class (z, y, x) that a segmentation network of slices sees in each voxel."""
    prepared = model.card.bind(volume)
    images = torch.from_numpy(prepared.batch(range(prepared.n_units)))
    logits = logits_of(model.module, images, _SLICES_AT_ONCE, torch.device("cpu"))
    # On the volume's own grid, so that its slices may be stored turned or mirrored.
    scores = [prepared.on_volume_grid(each.numpy()) for each in logits.unbind(1)]
    units = np.stack(scores).argmax(axis=0).astype(np.uint8)
    labels = np.zeros(volume.shape, np.uint8)
    prepared.place(units, range(prepared.n_units), labels)
    return labels


def _examples(images: Any, labels: Any, n_classes: int, what: str) -> Examples:
    pixels = as_images(images, what).astype(np.float32, copy=False)
    classes: NDArray[Any] = np.asarray(labels)
    if classes.dtype.kind not in "bui" or classes.shape != (len(pixels), *pixels.shape[2:]):
        raise TrainingError(
            f"The {what} labels are one class number per pixel, "
            f"{(len(pixels), *pixels.shape[2:])}, not {classes.dtype} of shape {classes.shape}."
        )
    if classes.min() < 0 or classes.max() >= n_classes:
        raise TrainingError(
            f"The {what} labels run from {classes.min()} to {classes.max()}, but there are "
            f"{n_classes} classes, counted from 0."
        )
    if not np.isfinite(pixels).all():
        raise TrainingError(f"The {what} images hold NaN or infinite pixels; replace them first.")
    return Examples(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(classes.astype(np.int64)),
    )
