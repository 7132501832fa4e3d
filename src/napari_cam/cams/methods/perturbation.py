"""Ablation-CAM: channels weighted by what the score loses without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, probe_of
from napari_cam.cams.methods.gradient import weighted_sum


@dataclass(frozen=True)
class AblationCAM(CamMethod):
    """Ablation-CAM: w_k = y - y_k, y_k the score with channel k zero; map = ReLU(sum_k w_k A_k).

    After Desai and Ramaswamy 2020 (WACV), who divide by y: a factor common to all channels that
    normalisation cancels where y > 0, that turns the map over where y < 0 and that explodes where
    y is about 0. It is left out.
    """

    name: ClassVar[str] = "ablationcam"
    title: ClassVar[str] = "Ablation-CAM"
    reference: ClassVar[str] = "Desai and Ramaswamy 2020, WACV"
    summary: ClassVar[str] = "channels weighted by what the score loses without them; no gradients"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        probe, A = probe_of(evidence), evidence.activations
        weights = A.new_zeros(A.shape[:2])
        for image in range(len(A)):
            # Without a channel that is zero everywhere nothing changes.
            alive = (A[image].flatten(1) != 0).any(1).nonzero()[:, 0]
            if len(alive) == 0:
                continue
            variants = _Ablated(A[image], alive)
            scores = probe.score_activations(variants.make, len(alive) + 1, image)
            weights[image, alive] = (scores[0] - scores[1:]).to(A)
        return weighted_sum(weights, A)


class _Ablated:
    """Activations without one channel each, in the same memory chunk after chunk.

    Variant 0 lacks none, variant j lacks channel ``channels[j - 1]``.
    """

    def __init__(self, maps: Tensor, channels: Tensor) -> None:
        self._maps, self._channels = maps, channels
        self._buffer = maps.new_empty((0, *maps.shape))

    def make(self, numbers: Tensor) -> Tensor:
        """Return the activations (m, k, *f) of variants (m,)."""
        if len(numbers) > len(self._buffer):
            self._buffer = self._maps.new_empty((len(numbers), *self._maps.shape))
        maps = self._buffer[: len(numbers)]
        maps.copy_(self._maps.expand_as(maps))
        rows = (numbers > 0).nonzero()[:, 0]
        maps[rows, self._channels[numbers[rows] - 1]] = 0
        return maps
