"""Gradients of the input, and gradients averaged over noisy inputs.

Saliency and SmoothGrad show the input's gradients; Smooth Grad-CAM++ averages a layer's over noisy
copies of the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from napari_cam.cams.methods.base import (
    CamMethod,
    Evidence,
    Space,
    real_number,
    rescorer_of,
    whole_number,
)
from napari_cam.cams.methods.gradient import over_places, weighted_sum
from napari_cam.cams.methods.noise import Draws, noisy
from napari_cam.cams.network.chunks import in_chunks
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap_input
from napari_cam.models.hooks import INPUT, LayerRef

# Images per pass; their whole graph is kept while they are differentiated.
_CHUNK = 4
# Noisy copies per forward pass where only what lies above a layer is differentiated.
_NOISY_COPIES = 8


def input_gradients(rescorer: Rescorer, images: Tensor, of: Tensor) -> Tensor:
    """Return d score / d input (m, c, *s) of images (m, c, *s), variants of images `of` (m,)."""
    tapped = tap_input(rescorer.module, images, rescorer.autocast)
    return tapped.gradients(rescorer.scored.again(tapped.output, of))[LayerRef(INPUT)]


def _check_copies(method: SmoothGrad | SmoothGradCAMPlusPlus) -> None:
    """Check how many noisy copies a method averages over, and their noise."""
    whole_number(method, "samples")
    whole_number(method, "seed", 0)
    real_number(method, "noise", 0)


@dataclass(frozen=True)
class Saliency(CamMethod):
    """Vanilla saliency: the largest |dy/dx| over the input's channels, pixel by pixel.

    Simonyan et al. 2013 (arXiv:1312.6034).
    """

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency"
    reference: ClassVar[str] = "Simonyan et al. 2013, arXiv:1312.6034"
    summary: ClassVar[str] = "magnitude of the gradient at every pixel of the input"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    space: ClassVar[Space] = "input"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return max_c |dy/dx_c|."""
        rescorer = rescorer_of(evidence)
        maps = evidence.activations.new_zeros(
            (len(rescorer.batch), *evidence.activations.shape[2:])
        )

        def fill(numbers: Tensor) -> None:
            maps[numbers] = (
                input_gradients(rescorer, rescorer.batch[numbers], numbers).abs().amax(1)
            )

        in_chunks(fill, len(maps), _CHUNK, maps.device)
        return maps


@dataclass(frozen=True)
class SmoothGrad(CamMethod):
    """SmoothGrad: saliency averaged over noisy copies of the input.

    Smilkov et al. 2017 (arXiv:1706.03825); by default the magnitudes are averaged, with 20 copies
    and noise of 0.20 of the range, as in the code of Syed et al. 2023.

    Attributes
    ----------
    samples
        Number of noisy copies.
    noise
        Standard deviation of the Gaussian noise as a share of the image's range.
    signed_mean
        Average the gradients with their signs and take the magnitude of the mean.
    seed
        Seed of the noise, which also depends on the image.
    """

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    reference: ClassVar[str] = "Smilkov et al. 2017, arXiv:1706.03825"
    summary: ClassVar[str] = "saliency averaged over noisy copies of the input"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    space: ClassVar[Space] = "input"

    samples: int = 20
    noise: float = 0.2
    signed_mean: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_copies(self)

    def raw(self, evidence: Evidence) -> Tensor:
        """Return max_c mean |dy/dx_c|."""
        rescorer = rescorer_of(evidence)
        return torch.stack([self._map(rescorer, i) for i in range(len(rescorer.batch))])

    def _map(self, rescorer: Rescorer, image: int) -> Tensor:
        picture = rescorer.batch[image]
        draws = Draws(self.seed, picture)
        total = torch.zeros_like(picture, dtype=torch.promote_types(picture.dtype, torch.float32))

        def add(numbers: Tensor) -> None:
            copies = noisy(picture, draws, numbers, self.noise)
            found = input_gradients(rescorer, copies, torch.full_like(numbers, image))
            total.add_((found if self.signed_mean else found.abs()).sum(0))

        in_chunks(add, self.samples, _CHUNK, picture.device)
        return total.abs().amax(0) / self.samples


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
        _check_copies(self)

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        rescorer = rescorer_of(evidence)
        weights = [self._weights(rescorer, i) for i in range(len(rescorer.batch))]
        return weighted_sum(torch.stack(weights), evidence.activations)

    def _weights(self, rescorer: Rescorer, image: int) -> Tensor:
        """Return the weights (k,) of one image's channels."""
        A = rescorer.activations[image]
        # Cubes of small gradients leave float32's range; MPS has nothing wider.
        exact = A.dtype if A.device.type == "mps" else torch.float64
        sums = torch.zeros((3, *A.shape), dtype=exact, device=A.device)
        picture = rescorer.batch[image]
        draws = Draws(self.seed, picture)

        def add(numbers: Tensor) -> None:
            tapped = rescorer.tapped(noisy(picture, draws, numbers, self.noise))
            scores = rescorer.scored.again(tapped.output, torch.full_like(numbers, image))
            G = tapped.gradients(scores)[rescorer.layer].to(exact)
            part = torch.stack([G.sum(0), G.square().sum(0), G.pow(3).sum(0)])
            sums.add_(part)

        in_chunks(add, self.samples, _NOISY_COPIES, A.device)
        first, second, third = sums[:, None] / self.samples
        denominator = 2 * second + third * over_places(A[None].to(exact).flatten(2).sum(2), A[None])
        usable = (second != 0) & (denominator > 0)
        alpha = torch.where(usable, second, 0.0) / torch.where(usable, denominator, 1.0)
        weights: Tensor = (alpha * first.clamp(min=0)).flatten(2).sum(2)
        return weights[0].to(A)
