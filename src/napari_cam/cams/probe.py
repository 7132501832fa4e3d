"""The network asked again: scores of changed inputs and of changed activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from napari_cam.cams.tap import Tapped, run_again, tap
from napari_cam.cams.targets import Scored
from napari_cam.models.hooks import LayerRef

Make = Callable[[Tensor], Tensor]
"""Takes the numbers (m,) of the variants wanted next and returns them, (m, c, *s) or (m, k, *f)."""

_CHUNK = 16


@dataclass(frozen=True, eq=False)
class Probe:
    """Runs the network on variants of an image and reads the score that is being explained.

    Class and pixel set are those of the unchanged images, and a score over a set of pixels is
    their mean.

    Attributes
    ----------
    module
        The network.
    batch
        (n, c, *s) the images that are explained, as the network takes them.
    layer
        Target layer, or `INPUT`.
    activations
        A (n, k, *f) of that layer, for these images.
    scored
        What the target read from the unchanged images.
    """

    module: nn.Module = field(repr=False)
    batch: Tensor = field(repr=False)
    layer: LayerRef
    activations: Tensor = field(repr=False)
    scored: Scored = field(repr=False)
    autocast: torch.dtype | None = None

    def score_inputs(self, make: Make, count: int, image: int) -> Tensor:
        """Return the scores (count,) of `count` variants of an image.

        Parameters
        ----------
        make
            Gives the variants (m, c, *s) whose numbers (m,) it is called with.
        image
            Which image of the batch they are variants of.
        """
        return self._in_chunks(
            lambda numbers: run_again(self.module, make(numbers), autocast=self.autocast),
            count,
            image,
        )

    def score_activations(self, make: Make, count: int, image: int) -> Tensor:
        """Return the scores (count,) of an image with variants (m, k, *f) of its activations."""

        def run(numbers: Tensor) -> Tensor:
            one = self.batch[image : image + 1]
            same = one.expand(len(numbers), *one.shape[1:])
            return run_again(self.module, same, self.layer, make(numbers), self.autocast)

        return self._in_chunks(run, count, image)

    def tapped(self, images: Tensor) -> Tapped:
        """Return the forward pass of other images (m, c, *s) with the target layer laid open."""
        return tap(self.module, images, [self.layer], self.autocast)

    def _in_chunks(self, run: Make, count: int, image: int) -> Tensor:
        scores = []
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            numbers = torch.arange(start, stop, device=self.batch.device)
            of = torch.full_like(numbers, image)
            scores.append(self.scored.again(run(numbers), of))
        return torch.cat(scores)
