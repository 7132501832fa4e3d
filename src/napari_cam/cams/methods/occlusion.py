"""Occlusion: how far the score drops when a window of the input is covered."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from napari_cam.cams.methods.base import (
    CamMethod,
    Evidence,
    Space,
    probe_of,
    real_number,
    whole_number,
)
from napari_cam.cams.network.probe import Probe
from napari_cam.errors import MethodError


@dataclass(frozen=True)
class Occlusion(CamMethod):
    """Occlusion: at each pixel the mean drop of the score over the windows that cover it.

    Zeiler and Fergus 2014 (arXiv:1311.2901).

    Attributes
    ----------
    window
        Side of the window in pixels of the network's input; an axis shorter than that is covered
        whole.
    stride
        Steps from one window to the next. The last window of an axis ends where the input does, so
        that all windows are of one size and every pixel is covered.
    value
        What stands in a covered pixel, on the scale of the prepared input.
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    reference: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901"
    summary: ClassVar[str] = "drop of the score while a window of the input is covered"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    space: ClassVar[Space] = "input"

    window: int = 16
    stride: int = 8
    value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "window")
        whole_number(self, "stride")
        real_number(self, "value")
        if self.stride > self.window:
            raise MethodError(
                f"{self.title}: a stride of {self.stride} leaves pixels between windows of "
                f"{self.window}; make it no larger than the window."
            )

    def raw(self, evidence: Evidence) -> Tensor:
        """Return the mean drop over the windows that cover a pixel."""
        probe = probe_of(evidence)
        windows = [
            tuple(slice(start, start + self.window) for start in starts)
            for starts in product(*(self._starts(length) for length in probe.batch.shape[2:]))
        ]
        return torch.stack([self._map(probe, i, windows) for i in range(len(probe.batch))])

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.window, 0)
        return [*range(0, last, self.stride), last]

    def _map(self, probe: Probe, image: int, windows: list[tuple[slice, ...]]) -> Tensor:
        picture = probe.batch[image]

        def make(numbers: Tensor) -> Tensor:
            variants = picture.repeat(len(numbers), *(1,) * picture.ndim)
            for variant, number in zip(variants, numbers.tolist(), strict=True):
                if number:  # number 0 is the picture itself
                    variant[(slice(None), *windows[number - 1])] = self.value
            return variants

        scores = probe.score_inputs(make, len(windows) + 1, image)
        drops = scores[0] - scores[1:]
        total = drops.new_zeros(picture.shape[1:])
        times = torch.zeros_like(total)
        for drop, window in zip(drops, windows, strict=True):
            total[window] += drop
            times[window] += 1
        return total / times
