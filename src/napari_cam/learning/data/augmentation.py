"""Small changes that leave an image's class as it is, drawn anew whenever the image is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from napari_cam import checks
from napari_cam.errors import TrainingError


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images, drawn separately for each image.

    Attributes
    ----------
    flips
        Spatial axes to mirror, each with probability one half, counted from the last (-1 is x).
    shift
        Largest displacement along each spatial axis as a share of its length, rounded to whole
        pixels; edge pixels are repeated.
    jitter
        Largest relative change of intensity, such as 0.1 for a factor of 0.9 to 1.1.

    Raises
    ------
    TrainingError
        If an axis is not a spatial axis counted from the last, or a share is out of range.
    """

    flips: tuple[int, ...] = ()
    shift: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "flips", tuple(self.flips))
        if any(axis not in (-1, -2, -3) for axis in self.flips):
            raise TrainingError(
                f"Flips are spatial axes counted from the last (-1, -2, -3), not {self.flips}."
            )
        checks.number(self.shift, "shift", TrainingError, least=0, below=0.5)
        checks.number(self.jitter, "jitter", TrainingError, least=0, below=1)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed copies of images (n, c, *s), with draws from `generator` (on the CPU)."""
        return self._jittered(self._moved(images, generator), generator)

    def apply_with_labels(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return changed images and labels; labels (n, *s) move, labels (n,) stay."""
        if labels.ndim == 1:
            return self.apply(images, generator), labels
        # As one more channel of the image, class numbers go wherever its pixels go.
        both = self._moved(torch.cat([images, labels[:, None].to(images)], dim=1), generator)
        return self._jittered(both[:, :-1], generator), both[:, -1].to(labels)

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        spatial = images.ndim - 2
        if any(axis < -spatial for axis in self.flips):
            raise TrainingError(f"Images with {spatial} spatial axes have no axis -3 to flip.")
        result = images.clone()
        for axis in self.flips:
            chosen = torch.rand(len(images), generator=generator) < 0.5
            result[chosen] = result[chosen].flip(axis)
        if self.shift:
            for axis in range(-spatial, 0):
                result = self._shifted(result, axis, generator)
        return result

    def _jittered(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not self.jitter:
            return images
        draw = torch.rand(len(images), generator=generator) * 2 - 1
        factor = 1 + self.jitter * draw
        return images * factor.to(images).reshape(-1, *[1] * (images.ndim - 1))

    def _shifted(self, images: Tensor, axis: int, generator: torch.Generator) -> Tensor:
        n = images.shape[axis]
        most = int(self.shift * n)
        steps = torch.randint(-most, most + 1, (len(images), 1), generator=generator)
        places = (torch.arange(n) + steps).clamp(0, n - 1)
        shape = [len(images)] + [1] * (images.ndim - 1)
        shape[axis] = n
        return images.gather(axis, places.reshape(shape).to(images.device).expand_as(images))

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain JSON."""
        return asdict(self)
