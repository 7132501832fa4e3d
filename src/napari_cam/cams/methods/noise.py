"""Random numbers that depend on a seed and on the image, and on nothing else.

They are drawn on the CPU, so that every device gets the same, and each draw has a generator of its
own: neither the batch an image comes in nor the order or size of the chunks changes them.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


class Draws:
    """Numbered draws of random numbers.

    Parameters
    ----------
    seed
        What the user chose.
    image
        Whose bytes are mixed in, so that images differ; None gives all images the same draws.
    """

    def __init__(self, seed: int, image: Tensor | None = None) -> None:
        digest = hashlib.sha256(str(seed).encode())
        if image is not None:
            # The same picture in double precision is the same picture.
            digest.update(image.detach().cpu().float().contiguous().numpy().tobytes())
        self._digest = digest

    def normal(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """Return draw `number` of the standard normal distribution, float32 on the CPU."""
        return torch.randn(shape, generator=self._generator(number))

    def uniform(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """Return draw `number` of the uniform distribution on [0, 1), float32 on the CPU."""
        return torch.rand(shape, generator=self._generator(number))

    def _generator(self, number: int) -> torch.Generator:
        digest = self._digest.copy()
        digest.update(f" {number}".encode())
        return torch.Generator().manual_seed(int.from_bytes(digest.digest()[:8], "big") >> 1)


def noisy(image: Tensor, draws: Draws, numbers: Tensor, share: float) -> Tensor:
    """Return noisy copies of an image.

    Parameters
    ----------
    image
        (c, *s).
    numbers
        (m,) which draws.
    share
        Standard deviation of the noise as a share of the image's range, maximum less minimum.

    Returns
    -------
    Tensor
        (m, c, *s), like the image.
    """
    spread = share * (image.amax() - image.amin())
    copies = torch.stack([draws.normal(number, tuple(image.shape)) for number in numbers.tolist()])
    return image + spread * copies.to(image)
