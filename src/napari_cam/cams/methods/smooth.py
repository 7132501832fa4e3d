"""Gradients averaged over noisy copies of the input, at a layer: Smooth Grad-CAM++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from napari_cam.cams.methods.base import (
    CamMethod,
    Evidence,
    probe_of,
    real_number,
    whole_number,
)
from napari_cam.cams.methods.gradient import over_places, weighted_sum
from napari_cam.cams.methods.noise import Draws, noisy
from napari_cam.cams.network.chunks import in_chunks
from napari_cam.cams.network.probe import Probe

# Noisy copies per forward pass.
_CHUNK = 8


@dataclass(frozen=True)
class SmoothGradCAMPlusPlus(CamMethod):
    """Smooth Grad-CAM++: Grad-CAM++ with G, G^2 and G^3 averaged over noisy copies of the input.

    With D_p the mean of G^p over all noisy copies, alpha_k = D_2 / (2 D_2 + D_3 sum A_k),
    w_k = sum alpha_k ReLU(D_1), map = ReLU(sum_k w_k A_k); A are the activations of the image
    itself. After Omeiza et al. 2019 (arXiv:1908.01224).

    Attributes
    ----------
    samples
        Number of noisy copies, each a forward pass and the gradients above the layer.
    noise
        Standard deviation of the Gaussian noise as a share of the image's range.
    seed
        Seed of the noise, which also depends on the image.
    """

    name: ClassVar[str] = "smoothgradcam++"
    title: ClassVar[str] = "Smooth Grad-CAM++"
    reference: ClassVar[str] = "Omeiza et al. 2019, arXiv:1908.01224"
    summary: ClassVar[str] = "Grad-CAM++ with gradients averaged over noisy inputs"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})

    samples: int = 25
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "samples")
        whole_number(self, "seed", 0)
        real_number(self, "noise", 0)

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        probe = probe_of(evidence)
        weights = [self._weights(probe, i) for i in range(len(probe.batch))]
        return weighted_sum(torch.stack(weights), evidence.activations)

    def _weights(self, probe: Probe, image: int) -> Tensor:
        """Return the weights (k,) of one image's channels."""
        A = probe.activations[image]
        # Cubes of small gradients leave float32's range; MPS has nothing wider.
        exact = A.dtype if A.device.type == "mps" else torch.float64
        sums = torch.zeros((3, *A.shape), dtype=exact, device=A.device)
        picture = probe.batch[image]
        draws = Draws(self.seed, picture)

        def add(numbers: Tensor) -> None:
            tapped = probe.tapped(noisy(picture, draws, numbers, self.noise))
            scores = probe.scored.again(tapped.output, torch.full_like(numbers, image))
            G = tapped.gradients(scores)[probe.layer].to(exact)
            part = torch.stack([G.sum(0), G.square().sum(0), G.pow(3).sum(0)])
            sums.add_(part)

        in_chunks(add, self.samples, _CHUNK, A.device)
        first, second, third = sums[:, None] / self.samples
        denominator = 2 * second + third * over_places(A[None].to(exact).flatten(2).sum(2), A[None])
        usable = (second != 0) & (denominator > 0)
        alpha = torch.where(usable, second, 0.0) / torch.where(usable, denominator, 1.0)
        weights: Tensor = (alpha * first.clamp(min=0)).flatten(2).sum(2)
        return weights[0].to(A)
