"""Steps that change numbers. Statistics come from the foreground wherever there is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from napari_cam.models.preparation.steps import grey_scale as intensity
from napari_cam.models.preparation.steps import parameters
from napari_cam.models.preparation.steps.base import Array, IntensityStep, Mask, PointMap


def _percentiles(step: Rescale | Contrast) -> tuple[float, float]:
    """Return a step's percentiles, the low one below the high one."""
    low = parameters.number(step.name, "low_percentile", step.low_percentile, 0, 100)
    high = parameters.number(step.name, "high_percentile", step.high_percentile, 0, 100)
    if high <= low:
        parameters.refuse(
            step.name, f"high_percentile ({high:g}) must exceed low_percentile ({low:g})."
        )
    return low, high


@dataclass(frozen=True)
class Rescale(IntensityStep):
    """Stretch linearly: the low percentile becomes 0, the high one 1; a flat image becomes 0.

    Attributes
    ----------
    low_percentile, high_percentile
        0 and 100 are the smallest and the largest value.
    clip
        Hold the result in [0, 1].
    per_channel
        Each channel by itself (modalities), or all with the same two numbers (colours).
    """

    name: ClassVar[str] = "rescale"
    needs_statistics: ClassVar[bool] = True
    low_percentile: float = 0.0
    high_percentile: float = 100.0
    clip: bool = True
    per_channel: bool = True

    def __post_init__(self) -> None:
        low, high = _percentiles(self)
        self._set(
            low_percentile=low,
            high_percentile=high,
            clip=parameters.flag(self.name, "clip", self.clip),
            per_channel=parameters.flag(self.name, "per_channel", self.per_channel),
        )

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:
        """Return the stretch between this image's percentiles."""
        low, high = intensity.percentiles(
            values, foreground, self.low_percentile, self.high_percentile, self.per_channel
        )
        return partial(intensity.stretch, low=low, high=high, clip=self.clip)


@dataclass(frozen=True)
class Window(IntensityStep):
    """Stretch linearly: `low` becomes 0, `high` 1, clipped (a CT window)."""

    name: ClassVar[str] = "window"
    low: float
    high: float

    def __post_init__(self) -> None:
        low = parameters.number(self.name, "low", self.low)
        high = parameters.number(self.name, "high", self.high)
        if high <= low:
            parameters.refuse(self.name, f"high ({high:g}) must exceed low ({low:g}).")
        self._set(low=low, high=high)

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:  # noqa: ARG002
        """Return the stretch between the two limits."""
        low, high = np.array([self.low]), np.array([self.high])
        return partial(intensity.stretch, low=low, high=high, clip=True)


@dataclass(frozen=True)
class Divide(IntensityStep):
    """Divide by a constant, as 255 for 8-bit pictures or 4096 for 12-bit images."""

    name: ClassVar[str] = "divide"
    by: float

    def __post_init__(self) -> None:
        self._set(by=parameters.number(self.name, "by", self.by, above=0))

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:  # noqa: ARG002
        """Return the division."""
        return partial(intensity.divide, by=self.by)


@dataclass(frozen=True)
class Threshold(IntensityStep):
    """Keep two values only: `low` below `cut`, `high` from `cut` on.

    Ostrowski et al. gave their Grad-CAM networks such an image (cut 0.8, high 255).
    """

    name: ClassVar[str] = "threshold"
    cut: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for parameter in ("cut", "low", "high"):
            self._set(
                **{parameter: parameters.number(self.name, parameter, getattr(self, parameter))}
            )

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:  # noqa: ARG002
        """Return the comparison."""
        return partial(intensity.two_valued, cut=self.cut, low=self.low, high=self.high)


@dataclass(frozen=True)
class ZScore(IntensityStep):
    """Subtract the mean and divide by the standard deviation (ddof 0); flat becomes 0.

    Attributes
    ----------
    per_channel
        Each channel by itself, or all with the same two numbers.
    """

    name: ClassVar[str] = "z_score"
    needs_statistics: ClassVar[bool] = True
    per_channel: bool = True

    def __post_init__(self) -> None:
        self._set(per_channel=parameters.flag(self.name, "per_channel", self.per_channel))

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:
        """Return the standardisation by this image's mean and deviation."""
        mean, deviation = intensity.moments(values, foreground, self.per_channel)
        return partial(intensity.standardize, mean=mean, deviation=deviation)


@dataclass(frozen=True)
class Standardize(IntensityStep):
    """Subtract a fixed mean and divide by a fixed deviation, one of each per channel."""

    name: ClassVar[str] = "standardize"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        mean = parameters.numbers(self.name, "mean", self.mean)
        std = parameters.numbers(self.name, "std", self.std, above=0)
        if len(mean) != len(std):
            parameters.refuse(
                self.name,
                f"mean has {len(mean)} numbers but std {len(std)}; give one of each per channel.",
            )
        self._set(mean=mean, std=std)

    def channels_out(self, channels: int) -> int:
        """Return `channels`; refuse another number than that of the means."""
        if channels != len(self.mean):
            parameters.refuse(
                self.name,
                f"it has numbers for {len(self.mean)} channels but the image has {channels} here; "
                "put a 'channels' step before it.",
            )
        return channels

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:  # noqa: ARG002
        """Return the standardisation by the fixed numbers."""
        mean, deviation = np.array(self.mean), np.array(self.std)
        return partial(intensity.standardize, mean=mean, deviation=deviation)


@dataclass(frozen=True)
class Contrast(IntensityStep):
    """One of the grey-scale variants of Syed et al. 2023, with a result in [0, 1].

    Attributes
    ----------
    variant
        "stretch": linear between two percentiles; "equalize": histogram equalisation, the lowest
        occupied bin becomes 0; "clahe": contrast-limited adaptive equalisation, on units only.
    low_percentile, high_percentile
        Of "stretch".
    bins
        Grey levels of "equalize".
    clip_limit, tiles, tile_bins
        Of "clahe": share of a tile's pixels that one grey level may hold, tiles along each axis,
        grey levels.
    """

    name: ClassVar[str] = "contrast"
    needs_statistics: ClassVar[bool] = True
    variant: Literal["stretch", "equalize", "clahe"]
    low_percentile: float = 0.1
    high_percentile: float = 99.9
    bins: int = 4096
    clip_limit: float = 0.03
    tiles: int = 8
    tile_bins: int = 256

    def __post_init__(self) -> None:
        variants = ("stretch", "equalize", "clahe")
        parameters.choice(self.name, "variant", self.variant, variants)
        low, high = _percentiles(self)
        self._set(
            low_percentile=low,
            high_percentile=high,
            bins=parameters.count(self.name, "bins", self.bins, low=2),
            clip_limit=parameters.number(self.name, "clip_limit", self.clip_limit, high=1, above=0),
            tiles=parameters.count(self.name, "tiles", self.tiles),
            tile_bins=parameters.count(self.name, "tile_bins", self.tile_bins, low=2),
        )

    @property
    def pointwise(self) -> bool:
        """Whether a pixel's result depends on its own value alone, given the statistics."""
        return self.variant != "clahe"

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:
        """Return the variant's function for this image."""
        if self.variant == "stretch":
            low, high = intensity.percentiles(
                values, foreground, self.low_percentile, self.high_percentile
            )
            return partial(intensity.stretch, low=low, high=high, clip=True)
        if self.variant == "equalize":
            low, high, table = intensity.equalization(values, foreground, self.bins)
            return partial(intensity.look_up, low=low, high=high, table=table)
        return partial(
            intensity.clahe,
            foreground=foreground,
            clip_limit=self.clip_limit,
            tiles=self.tiles,
            bins=self.tile_bins,
        )
