"""The negative control: a map that knows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, rescorer_of, whole_number
from napari_cam.cams.methods.noise import Draws


@dataclass(frozen=True)
class RandomMap(CamMethod):
    """Random: uniform noise on [0, 1) at the layer's resolution, whatever network and class.

    What a real method must beat in every comparison. The noise depends on the seed and the image.

    Attributes
    ----------
    seed
        Another seed is another control.
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    reference: ClassVar[str] = "negative control"
    summary: ClassVar[str] = "noise; what every method must beat"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "seed", 0)

    def raw(self, evidence: Evidence) -> Tensor:
        """Return uniform noise (n, *f)."""
        A = evidence.activations
        shape = tuple(A.shape[2:])
        maps = [Draws(self.seed, image).uniform(0, shape) for image in rescorer_of(evidence).batch]
        return torch.stack(maps).to(A)
