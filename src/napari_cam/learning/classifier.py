"""Training a classifier from labelled images to a network with a full card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from napari_cam.errors import TrainingError
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.data.examples import (
    as_images,
    check_classes,
    class_names_of,
    class_weights_of,
    examples_of,
)
from napari_cam.learning.training.by_card import train_by_card
from napari_cam.learning.training.engine import Progress, Settings
from napari_cam.models.card import ModelCard
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Orient, Rescale, Slices, Step

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
    """Train a classification network; reproducible on one machine's CPU for a fixed seed.

    Parameters
    ----------
    images
        (n, c, h, w), or (n, c, d, h, w) for a 3D network; an array or a tensor with images of one
        shape.
    labels
        (n,) class indices from 0, or class names.
    architecture
        A name in ``ARCHITECTURES``.
    class_names
        One name per class; None uses "0", "1", ... up to the largest label.
    preparation
        The steps from stored voxels to the network's input. None stretches each image to [0, 1].
    architecture_options
        Arguments of the architecture, such as ``{"widths": (8, 16)}``.
    validation
        Images and labels of other subjects. The weights with the smallest loss on them are kept;
        without validation, the last weights.
    prepared
        Whether `images` have already been through the whole preparation, as returned by
        ``preparation.bind(volume).batch(indices)``. If not, the steps after `Slices` are applied
        here, once.
    epochs
        Maximum number of passes over the training images.
    learning_rate, weight_decay
        Parameters of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101). The rate rises over the
        first tenth of the steps and then falls to zero along a cosine.
    batch_size
        Images per step. Batch sizes differ by at most one image.
    patience
        Stop when the validation loss has not improved for this many epochs; None never stops early.
    class_weights
        Weights of the cross-entropy; "balanced" for n / (classes * n of the class).
    augmentation
        Random changes, drawn anew for each image and epoch; None for none.
    seed
        Seed of the initial weights, the order and the augmentation. Torch's own random state is
        left unchanged.
    device
        "auto", "cpu", "cuda", "cuda:0" or "mps". The trained network is returned on the CPU.
    subjects
        (n,) the subject of each training image. The card stores only salted hashes of them.
    progress
        Called after every epoch. If it raises, training stops.

    Returns
    -------
    LoadedModel
        In eval mode. Its card records how it was trained and its validation results.

    Raises
    ------
    TrainingError
        If the images, labels or settings cannot give a usable network, or the loss diverges.
    PreparationError, ModelError, DeviceError
        If the preparation does not fit the images, the architecture is unknown, or the device does
        not exist or has too little memory.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cam as nc
    >>> images = np.random.default_rng(0).random((8, 1, 32, 32), dtype=np.float32)
    >>> images[4:, :, 8:16, 8:16] += 1  # a bright square in the second half
    >>> labels = ["plain"] * 4 + ["square"] * 4
    >>> model = nc.train(images, labels, "gap-cnn", class_names=["plain", "square"], epochs=2)
    >>> model.card.class_names
    ('plain', 'square')
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
    settings = Settings(
        *(epochs, learning_rate, batch_size, weight_decay, patience),
        class_weights_of(class_weights, training, len(names)),
        augmentation or Augmentation(),
        seed,
    )
    card = ModelCard(
        *(architecture, "classification", spatial_ndim, names, training.images.shape[1], steps),
        architecture_options=dict(architecture_options or {}),
    )
    return train_by_card(card, training, validating, settings, device, subjects, progress)


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
