r"""The Score-CAM family, side by side: channels weighted by what they let the network see.

A_k are the activations of one channel of the target layer, H_k = s(Up(A_k)) its mask: enlarged to
the image X (linear, half-pixel centres) and scaled from its own minimum and maximum to [0, 1].
y is the explained score; weights are increases y(X * H_k) - y(X_b) over a baseline X_b. Channels
without contrast have no mask and weight 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.methods.base import CamMethod, Evidence, real_number, rescorer_of, whole_number
from napari_cam.cams.methods.gradient import weighted_sum
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.targets.scores import class_logits
from napari_cam.errors import MethodError

# A channel whose range is this share of its magnitude holds rounding errors, no contrast.
_FLAT = 1e-6

# Standard deviation of the blurred baseline's Gaussian, as a share of each side of the image.
_BLUR = 0.05


@dataclass(frozen=True)
class ScoreCAM(CamMethod):
    """Score-CAM: w_k = y(X * H_k) - y(X_b); map = ReLU(sum_k w_k A_k).

    Wang et al. 2020 (arXiv:1910.01279), the channel-wise increase of confidence.

    Attributes
    ----------
    baseline
        X_b: "black" is zero, as where the mask is zero; "blurred" the image under a Gaussian whose
        standard deviation is a twentieth of each side.
    channel_softmax
        Pass the increases of the channels through a softmax, as the paper's algorithm does. On
        scores that differ by tens it leaves little but one channel.
    max_channels
        Use only that many channels, those with the largest standard deviation over places; None
        for all.
    legacy_double_softmax
        w_k = softmax(softmax(logits))_c of the masked image and no baseline, as executed by Syed
        et al. 2023: all weights are positive and alike. Whatever the target's score, the logits
        are read.
    """

    name: ClassVar[str] = "scorecam"
    title: ClassVar[str] = "Score-CAM"
    reference: ClassVar[str] = "Wang et al. 2020, eq. 6-10, arXiv:1910.01279"
    summary: ClassVar[str] = "channels weighted by the score of what they let through; no gradients"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})

    baseline: Literal["black", "blurred"] = "black"
    channel_softmax: bool = False
    max_channels: int | None = None
    legacy_double_softmax: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline not in ("black", "blurred"):
            raise MethodError(
                f"{self.title}: baseline is 'black' or 'blurred', not '{self.baseline}'."
            )
        if self.max_channels is not None:
            whole_number(self, "max_channels")

    @property
    def repeats(self) -> int:
        """How many masked images each channel is judged by."""
        return 1

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        rescorer, A = rescorer_of(evidence), evidence.activations
        weights = A.new_zeros(A.shape[:2])
        for image in range(len(A)):
            channels = self._channels(A[image])
            if len(channels):
                weights[image, channels] = self._weights(rescorer, A[image], channels, image).to(A)
        return weighted_sum(weights, A)

    def _channels(self, maps: Tensor) -> Tensor:
        """Return which channels (k,) of maps (K, *f) are used."""
        flat = maps.flatten(1)
        low, high = flat.amin(1), flat.amax(1)
        clear = high - low > _FLAT * torch.maximum(low.abs(), high.abs())
        if self.max_channels is not None and self.max_channels < len(maps):
            order = flat.std(1, correction=0).argsort(descending=True, stable=True)
            chosen = torch.zeros_like(clear)
            chosen[order[: self.max_channels]] = True
            clear &= chosen
        return clear.nonzero()[:, 0]

    def _weights(self, rescorer: Rescorer, maps: Tensor, channels: Tensor, image: int) -> Tensor:
        """Return the weights (k,) of `channels` of maps (K, *f)."""
        read = _double_softmax(rescorer) if self.legacy_double_softmax else None
        variants = _Masked(rescorer.batch[image], maps, channels, self.repeats, self)
        scores = rescorer.score_inputs(variants.make, len(channels) * self.repeats, image, read)
        means = scores.reshape(len(channels), self.repeats).mean(1)
        if self.legacy_double_softmax:
            return means
        increases = means - rescorer.score_inputs(self._baseline(rescorer, image), 1, image)
        return increases.softmax(0) if self.channel_softmax else increases

    def _baseline(self, rescorer: Rescorer, image: int) -> Callable[[Tensor], Tensor]:
        one = rescorer.batch[image : image + 1]
        return lambda _: torch.zeros_like(one) if self.baseline == "black" else blur(one)

    def alter_activations(self, maps: Tensor, channels: Tensor, repeats: Tensor) -> None:
        """Change activations (m, *f) of `channels` (m,) in place, before they become masks."""

    def alter_masks(self, masks: Tensor, repeats: Tensor) -> None:
        """Change masks (m, 1, *s) in place."""

    def alter_images(self, images: Tensor, channels: Tensor, repeats: Tensor) -> None:
        """Change masked images (m, c, *s) in place."""


@dataclass(frozen=True)
class FasterScoreCAM(ScoreCAM):
    """Faster Score-CAM: Score-CAM of the channels with the largest spatial standard deviation.

    After tabayashi0117's release of that name, used by Syed et al. 2023 with 10 channels.
    """

    name: ClassVar[str] = "faster-scorecam"
    title: ClassVar[str] = "Faster Score-CAM"
    reference: ClassVar[str] = "tabayashi0117 2020; Syed et al. 2023"
    summary: ClassVar[str] = "Score-CAM of the ten channels that vary most"

    max_channels: int | None = 10


@dataclass(frozen=True)
class SSCAM(ScoreCAM):
    """SS-CAM: Score-CAM whose increase is the mean over noisy copies of activation or image.

    After Wang et al. 2020 (arXiv:2006.14255), who smooth either the activation maps or the masked
    input.

    Attributes
    ----------
    samples
        Noisy copies of each channel.
    sigma
        Standard deviation of the noise: a share of the range of what it is added to (the channel,
        or the image), or, with ``sigma_unit="absolute"``, its own unit as in the paper.
    noise
        "activation" adds it to A_k before it becomes a mask, "input" to the masked image.
    seed
        Of the noise, which is the same for every image and on every device.
    """

    name: ClassVar[str] = "sscam"
    title: ClassVar[str] = "SS-CAM"
    reference: ClassVar[str] = "Wang et al. 2020, arXiv:2006.14255"
    summary: ClassVar[str] = "Score-CAM averaged over noisy copies"

    samples: int = 10
    sigma: float = 0.2
    sigma_unit: Literal["range", "absolute"] = "range"
    noise: Literal["activation", "input"] = "activation"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "samples")
        whole_number(self, "seed", 0)
        real_number(self, "sigma", 0)
        if self.sigma_unit not in ("range", "absolute"):
            raise MethodError(
                f"SS-CAM: sigma_unit is 'range' or 'absolute', not '{self.sigma_unit}'."
            )
        if self.noise not in ("activation", "input"):
            raise MethodError(f"SS-CAM: noise is 'activation' or 'input', not '{self.noise}'.")

    @property
    def repeats(self) -> int:
        """How many masked images each channel is judged by."""
        return self.samples

    def alter_activations(self, maps: Tensor, channels: Tensor, repeats: Tensor) -> None:
        """Add noise to activations."""
        if self.noise == "activation":
            self._add(maps, maps, channels, repeats)

    def alter_images(self, images: Tensor, channels: Tensor, repeats: Tensor) -> None:
        """Add noise to masked images."""
        if self.noise == "input":
            self._add(images, images, channels, repeats)

    def _add(self, values: Tensor, like: Tensor, channels: Tensor, repeats: Tensor) -> None:
        spread = [self.sigma] * len(values)
        if self.sigma_unit == "range":
            flat = like.flatten(1)
            spread = (self.sigma * (flat.amax(1) - flat.amin(1))).tolist()
        for row, (channel, repeat) in enumerate(
            zip(channels.tolist(), repeats.tolist(), strict=True)
        ):
            # Each copy has noise of its own, whatever chunk it runs in and however many there are.
            seed = ((self.seed * 1_000_003 + channel) * 1_000_003 + repeat) % 2**63
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(values.shape[1:], generator=generator)
            values[row] += spread[row] * noise.to(values)


@dataclass(frozen=True)
class ISCAM(ScoreCAM):
    """IS-CAM: Score-CAM whose increase is the mean over the mask scaled by 1/N, 2/N, ... 1.

    After Naidu et al. 2020 (arXiv:2010.03023): the integral of y(X * t H_k) - y(X_b) over t in
    [0, 1], as a sum of N terms.

    Attributes
    ----------
    steps
        N.
    """

    name: ClassVar[str] = "iscam"
    title: ClassVar[str] = "IS-CAM"
    reference: ClassVar[str] = "Naidu et al. 2020, arXiv:2010.03023"
    summary: ClassVar[str] = "Score-CAM averaged while the mask grows from dark to full"

    steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "steps")

    @property
    def repeats(self) -> int:
        """How many masked images each channel is judged by."""
        return self.steps

    def alter_masks(self, masks: Tensor, repeats: Tensor) -> None:
        """Scale masks by their share of the way."""
        masks *= ((repeats + 1) / self.steps).to(masks).reshape(-1, *(1,) * (masks.ndim - 1))


class _Masked:
    """Masked images of one image, made in the same memory chunk after chunk."""

    def __init__(
        self, image: Tensor, maps: Tensor, channels: Tensor, repeats: int, method: ScoreCAM
    ) -> None:
        self._image, self._maps, self._channels = image, maps, channels
        self._repeats, self._method = repeats, method
        self._buffer = image.new_empty((0, *image.shape))

    def make(self, numbers: Tensor) -> Tensor:
        """Return the masked images (m, c, *s) of variants (m,)."""
        channels = self._channels[numbers // self._repeats]
        repeats = numbers % self._repeats
        maps = self._maps[channels]
        self._method.alter_activations(maps, channels, repeats)
        masks = as_masks(maps, self._image.shape[1:])
        self._method.alter_masks(masks, repeats)
        if len(numbers) > len(self._buffer):
            self._buffer = self._image.new_empty((len(numbers), *self._image.shape))
        images = self._buffer[: len(numbers)]
        torch.mul(self._image, masks.to(images.dtype), out=images)
        self._method.alter_images(images, channels, repeats)
        return images


def as_masks(maps: Tensor, shape: torch.Size) -> Tensor:
    """Return maps (m, *f) enlarged to `shape` and scaled to [0, 1] one by one: (m, 1, *s)."""
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    masks = F.interpolate(maps[:, None], size=tuple(shape), mode=mode, align_corners=False)
    flat = masks.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    span = torch.where(high > low, high - low, 1)
    axes = (-1, *(1,) * (masks.ndim - 1))
    return masks.sub_(low.reshape(axes)).div_(span.reshape(axes))


def blur(images: Tensor) -> Tensor:
    """Return images (n, c, *s) under a Gaussian of a twentieth of each side.

    Weights of places outside are left out and the others add up to 1.
    """
    for axis in range(2, images.ndim):
        length = images.shape[axis]
        place = torch.arange(length, dtype=torch.float32, device=images.device)
        distance = (place[:, None] - place) / max(_BLUR * length, 1e-6)
        weights = (-0.5 * distance.square()).exp()
        weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype)
        images = (images.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return images


def _double_softmax(rescorer: Rescorer) -> Callable[[Tensor, Tensor], Tensor]:
    index = rescorer.scored.class_index

    def read(output: Tensor, of: Tensor) -> Tensor:
        twice = class_logits(output).softmax(1).softmax(1)
        return twice.gather(1, index[of][:, None])[:, 0]

    return read
