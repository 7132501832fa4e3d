"""Pixel sets that are read from the network's output: what it predicts, and parts of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_cam.cams.targets.regions import (
    Mask,
    Prediction,
    Region,
    check_point,
    point_words,
    whole_point,
)
from napari_cam.errors import TargetError


@dataclass(frozen=True)
class Everything(Region):
    """All pixels."""

    @property
    def label(self) -> str:
        """Return where."""
        return "everywhere"

    def choose(self, prediction: Prediction) -> Tensor:
        """Return all pixels."""
        return torch.ones_like(prediction.predicted)


@dataclass(frozen=True)
class Predicted(Region):
    """The pixels where the class is the network's own choice (argmax)."""

    @property
    def label(self) -> str:
        """Return where: nothing is said, as this is what is meant unless something else is."""
        return ""

    def choose(self, prediction: Prediction) -> Tensor:
        """Return the class's predicted pixels."""
        return prediction.predicted

    def facts(self) -> dict[str, Any]:
        """Return what it is."""
        return {"region": "predicted"}


@dataclass(frozen=True)
class Probability(Region):
    """The pixels where the class's probability is above a number in [0, 1)."""

    above: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.above < 1:
            raise TargetError(
                f"A probability threshold is at least 0 and below 1, not {self.above}."
            )

    @property
    def label(self) -> str:
        """Return where."""
        return f"where p > {self.above:g}"

    def choose(self, prediction: Prediction) -> Tensor:
        """Return the pixels above the threshold."""
        return prediction.probability > self.above


@dataclass(frozen=True)
class Component(Region):
    """One connected component of the predicted pixels: the largest, or the one at a point.

    Pixels that share an edge (in 3D a face) are connected. A 2D network's components lie in one
    slice.

    Attributes
    ----------
    at
        (z, y, x) on the image's grid; None for the largest component of each unit.
    """

    at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.at is not None:
            object.__setattr__(self, "at", whole_point(self.at))

    @property
    def label(self) -> str:
        """Return where."""
        if self.at is None:
            return "largest component"
        return f"component at {point_words(self.at)}"

    @property
    def point(self) -> tuple[int, ...] | None:
        """The pixel whose component is meant."""
        return self.at

    def on_grid(self, shape: tuple[int, ...], stack_axis: int = 0) -> Mask | None:
        """Check that the point lies in the image."""
        del stack_axis
        if self.at is not None:
            check_point(self.at, shape)
        return None

    def choose(self, prediction: Prediction) -> Tensor:
        """Return the component of each image; nothing where the point is not predicted so."""
        found = [self._one(image, place) for image, place in self._pairs(prediction)]
        return torch.from_numpy(np.stack(found)).to(prediction.predicted.device)

    def _pairs(self, prediction: Prediction) -> list[tuple[Mask, tuple[int, ...] | None]]:
        images = prediction.predicted.cpu().numpy()
        if self.at is None or prediction.places is None:
            return [(image, None) for image in images]
        places = [tuple(map(int, place)) for place in prediction.places]
        return list(zip(images, places, strict=True))

    def _one(self, predicted: Mask, place: tuple[int, ...] | None) -> Mask:
        parts, count = ndimage.label(predicted)
        if place is None:
            sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
            wanted = int(sizes.argmax()) + 1 if count else 0
        else:
            wanted = int(parts[place]) if min(place) >= 0 else 0
        return np.asarray(parts == wanted) & predicted


@dataclass(frozen=True)
class Chosen(Region):
    """The pixels that a function chooses: logits (n, c, *o) -> bool (n, *o)."""

    function: Callable[[Tensor], Any]

    @property
    def label(self) -> str:
        """Return where."""
        return f"where {getattr(self.function, '__name__', 'chosen').strip('<>')}"

    def choose(self, prediction: Prediction) -> Tensor:
        """Return what the function chooses."""
        logits, wanted = prediction.output, tuple(prediction.predicted.shape)
        chosen = torch.as_tensor(self.function(logits), device=logits.device)
        if chosen.shape != wanted:
            raise TargetError(
                f"The function that chooses a region returned shape {tuple(chosen.shape)} for "
                f"logits {tuple(logits.shape)}; it must return {wanted}."
            )
        return chosen.bool()
