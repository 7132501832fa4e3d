"""Labelled images on their way into training: read, checked, prepared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cam.errors import TrainingError
from napari_cam.models.preparation.preparation import Preparation


@dataclass(frozen=True, eq=False)
class Examples:
    """Prepared images with their classes.

    Attributes
    ----------
    images
        (n, c, *s) float32, on the CPU.
    labels
        (n,) int64, or (n, *s) where each pixel has its class.
    """

    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, n_classes: int) -> list[int]:
        """Return how many images, or pixels, there are of each class."""
        counts: list[int] = torch.bincount(self.labels.flatten(), minlength=n_classes).tolist()
        return counts


def examples_of(
    images: NDArray[Any],
    labels: Any,
    class_names: tuple[str, ...],
    preparation: Preparation,
    prepared: bool,
    what: str,
) -> Examples:
    """Return images (n, c, *s) and labels (n,) as the network takes them.

    Raises
    ------
    TrainingError
        Where they do not go together.
    PreparationError
        Where the preparation does not fit the images.
    """
    indices = as_labels(labels, class_names, what)
    if len(indices) != len(images):
        raise TrainingError(
            f"There are {len(images)} {what} images but {len(indices)} labels; give one label "
            "per image."
        )
    if images.ndim != 2 + preparation.spatial_ndim:
        raise TrainingError(
            f"The {what} images have {images.ndim - 2} spatial axes but the preparation is that "
            f"of a {preparation.spatial_ndim}D network (2D ones have a step 'slices')."
        )
    ready = images.astype(np.float32) if prepared else preparation.apply_units(images)
    if not np.isfinite(ready).all():
        raise TrainingError(f"The {what} images hold NaN or infinite pixels; replace them first.")
    return Examples(torch.from_numpy(np.ascontiguousarray(ready)), torch.from_numpy(indices))


def as_images(images: Any, what: str) -> NDArray[Any]:
    """Return images as an array (n, c, h, w) or (n, c, d, h, w).

    Raises
    ------
    TrainingError
        Where they are no such array, or empty.
    """
    if isinstance(images, Tensor):
        images = images.detach().cpu()
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise TrainingError(f"The {what} images differ in shape; bring them to one.") from error
    if array.ndim not in (4, 5) or array.dtype.kind not in "buif":
        raise TrainingError(
            f"The {what} images are numbers (n, c, h, w) or (n, c, d, h, w), not {array.dtype} of "
            f"shape {array.shape}."
        )
    if 0 in array.shape:
        raise TrainingError(f"The {what} images are empty (shape {array.shape}).")
    return array


def as_labels(labels: Any, class_names: tuple[str, ...], what: str) -> NDArray[np.int64]:
    """Return class indices (n,), given as numbers or names; without names any number is one.

    Raises
    ------
    TrainingError
        Where a label is no class.
    """
    array = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if array.dtype.kind == "U" and class_names:
        array = _indices(array, class_names, what)
    whole = array.dtype.kind in "bui" or (array.dtype.kind == "f" and bool((array % 1 == 0).all()))
    if array.ndim != 1 or not whole:
        raise TrainingError(
            f"The {what} labels are one class number per image, or one name where class_names are "
            f"given, not {array.dtype} of shape {array.shape}."
        )
    indices = array.astype(np.int64)
    highest = len(class_names) - 1 if class_names else np.iinfo(np.int64).max
    if len(indices) and (indices.min() < 0 or indices.max() > highest):
        raise TrainingError(
            f"The {what} labels run from {indices.min()} to {indices.max()}, but classes are "
            f"counted from 0{f' to {highest}' if class_names else ''}."
        )
    return indices


def _indices(labels: NDArray[Any], class_names: tuple[str, ...], what: str) -> NDArray[np.int64]:
    if unknown := sorted(set(labels.ravel().tolist()) - set(class_names)):
        raise TrainingError(
            f"The {what} labels hold '{unknown[0]}', which is none of the classes "
            f"{', '.join(class_names)}."
        )
    indices = [class_names.index(name) for name in labels.ravel()]
    return np.array(indices, dtype=np.int64).reshape(labels.shape)


def class_names_of(class_names: Sequence[str] | None, labels: Any) -> tuple[str, ...]:
    """Return the names of the classes, "0", "1", ... up to the largest label where None.

    Raises
    ------
    TrainingError
        Where names are fewer than two or not distinct.
    """
    if class_names is None:
        indices = as_labels(labels, (), "training")
        return tuple(str(index) for index in range(int(indices.max(initial=0)) + 1))
    distinct = {str(name) for name in class_names}
    if isinstance(class_names, str) or len(distinct) != len(class_names) or len(distinct) < 2:
        raise TrainingError(f"class_names are two or more distinct names, not {class_names!r}.")
    return tuple(str(name) for name in class_names)


def check_classes(training: Examples, class_names: tuple[str, ...]) -> None:
    """Raise a :class:`TrainingError` unless every class, of two or more, has an image."""
    counts = training.counts(len(class_names))
    if sum(count > 0 for count in counts) < 2:
        raise TrainingError(
            "All training images are of one class; a network needs two or more to tell apart."
        )
    missing = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if missing:
        raise TrainingError(
            f"No training image shows the class '{missing[0]}'; add some or leave the class out."
        )


def class_weights_of(
    weights: Literal["balanced"] | Sequence[float] | None, training: Examples, n_classes: int
) -> tuple[float, ...] | None:
    """Return one weight per class; "balanced" is n / (classes * n of the class).

    Raises
    ------
    TrainingError
        Where they are not one positive number per class.
    """
    if weights is None:
        return None
    if isinstance(weights, str):
        if weights != "balanced":
            raise TrainingError(f"class_weights are 'balanced' or numbers, not '{weights}'.")
        return tuple(len(training) / (n_classes * n) for n in training.counts(n_classes))
    numbers = tuple(float(weight) for weight in weights)
    if len(numbers) != n_classes or not all(0 < weight < np.inf for weight in numbers):
        raise TrainingError(
            f"class_weights are one positive number for each of {n_classes} classes, not {numbers}."
        )
    return numbers


def split_sha256(training: Examples, validation: Examples | None) -> str:
    """Return a digest of which images were trained and which validated on, in any order."""
    parts = []
    for examples in (training, validation):
        images = () if examples is None else examples.images
        digests = sorted(hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images)
        parts.append(",".join(digests))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
