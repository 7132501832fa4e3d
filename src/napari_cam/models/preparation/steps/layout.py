"""Steps that say what is looked at: orientation, slices, foreground, channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.steps import parameters
from napari_cam.models.preparation.steps.base import Array, IntensityStep, Mask, PointMap, Step
from napari_cam.volumes import foreground as tissue

_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "I": "S", "S": "I"}
_PLANES = {"axial": "IS", "coronal": "AP", "sagittal": "LR"}


@dataclass(frozen=True)
class Orient(Step):
    """Turn a patient volume so that its indices grow towards given directions.

    Images without a patient frame pass as stored.

    Attributes
    ----------
    letters
        Direction of growth of (z, y, x): one of L/R, one of A/P, one of I/S, in any of the 48
        arrangements. "IPL" gives the radiological views: rows run from anterior to posterior or
        from superior to inferior, columns towards the patient's left (from anterior to posterior
        in sagittal slices).
    """

    name: ClassVar[str] = "orient"
    letters: str = "IPL"

    def __post_init__(self) -> None:
        letters: Any = self.letters
        valid = isinstance(letters, str) and len(letters) == 3
        if not valid or any(len(set(letters) & set(pair)) != 1 for pair in _PLANES.values()):
            parameters.refuse(
                self.name,
                "letters are three directions, one of L/R, one of A/P and one of I/S, such as "
                f"'IPL', not {letters!r}.",
            )

    def turn(self, stored: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """Return for each turned axis the stored axis behind it and whether it runs backwards.

        Parameters
        ----------
        stored
            Directions of the stored axes, such as "SAR".
        """
        axes, flips = [], []
        for letter in self.letters:
            same = letter in stored
            axes.append(stored.index(letter if same else _OPPOSITE[letter]))
            flips.append(not same)
        return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


@dataclass(frozen=True)
class Slices(Step):
    """Give a 2D network one slice at a time. Steps before it see the volume, after it the slice.

    Attributes
    ----------
    axis
        Across which axis the slices lie: "acquisition" (the volume's own stack), "axial",
        "coronal", "sagittal" (only with a patient frame), or a stored array axis 0, 1 or 2.
    """

    name: ClassVar[str] = "slices"
    axis: Literal["acquisition", "axial", "coronal", "sagittal", 0, 1, 2] = "acquisition"

    def __post_init__(self) -> None:
        parameters.choice(self.name, "axis", self.axis, ("acquisition", *_PLANES, 0, 1, 2))

    def stored_axis(self, stack_axis: int, orientation: str | None) -> int:
        """Return the stored array axis across which the slices lie.

        Raises
        ------
        PreparationError
            Where an anatomical plane is asked of an image without a patient frame.
        """
        if self.axis == "acquisition":
            return stack_axis
        if isinstance(self.axis, int):
            return self.axis
        if orientation is None:
            parameters.refuse(
                self.name,
                f"the image has no patient frame and thus no {self.axis} slices; "
                "use 'acquisition' or an array axis 0, 1 or 2.",
            )
        return next(axis for axis, letter in enumerate(orientation) if letter in _PLANES[self.axis])


@dataclass(frozen=True)
class Foreground(Step):
    """Find the tissue; the statistics of all later steps are taken from it.

    It is kept as a mask of its own, so that tissue voxels of value 0 stay tissue.

    Attributes
    ----------
    method
        "otsu": brighter than Otsu's threshold of the smoothed image; "kmeans": the cluster that
        does not fill the image's border, after Syed et al. 2023; "nonzero": not 0. Holes are
        filled; "otsu" and "kmeans" keep the largest connected piece.
    fill
        Value to set outside the tissue; None leaves it.
    """

    name: ClassVar[str] = "foreground"
    needs_statistics: ClassVar[bool] = True
    method: Literal["otsu", "kmeans", "nonzero"] = "otsu"
    fill: float | None = None

    def __post_init__(self) -> None:
        parameters.choice(self.name, "method", self.method, tuple(tissue.METHODS))
        if self.fill is not None:
            self._set(fill=parameters.number(self.name, "fill", self.fill))

    def find(self, values: Array, spacing: tuple[float, ...] | None) -> Mask:
        """Return where `values` (c, *s) show tissue, bool (*s)."""
        return tissue.METHODS[self.method](values, spacing)

    def blank(self, values: Array, mask: Mask) -> Array:
        """Return `values` (c, *s) with the outside of `mask` (*s) filled."""
        return values if self.fill is None else np.where(mask, values, values.dtype.type(self.fill))


@dataclass(frozen=True)
class Channels(IntensityStep):
    """Say which channels the network gets.

    Attributes
    ----------
    rule
        "replicate": one channel is repeated `count` times (an image that already has `count`
        channels passes); "select": the channels `indices`, in that order; "mean": their mean,
        such as RGB to grey; "as_is": unchanged, and `count` many where that is given.
    count
        Channels after the step ("replicate", "as_is").
    indices
        Channels to take ("select"), counted from 0.
    """

    name: ClassVar[str] = "channels"
    rule: Literal["replicate", "select", "mean", "as_is"]
    count: int | None = None
    indices: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        rules = ("replicate", "select", "mean", "as_is")
        parameters.choice(self.name, "rule", self.rule, rules)
        if self.count is not None:
            parameters.count(self.name, "count", self.count)
        if self.indices is not None:
            self._set(indices=parameters.counts(self.name, "indices", self.indices, low=0))
        if self.rule == "replicate" and self.count is None:
            parameters.refuse(self.name, "rule 'replicate' needs count, the channels to make.")
        if self.rule == "select" and self.indices is None:
            parameters.refuse(self.name, "rule 'select' needs indices, the channels to take.")
        if self.rule != "select" and self.indices is not None:
            parameters.refuse(self.name, f"rule '{self.rule}' takes no indices.")
        if self.rule in ("select", "mean") and self.count is not None:
            parameters.refuse(self.name, f"rule '{self.rule}' takes no count.")

    @property
    def fixed_count(self) -> int | None:
        """Channels after the step where that does not depend on the image."""
        if self.rule == "mean":
            return 1
        return len(self.indices) if self.indices is not None else self.count

    def channels_out(self, channels: int) -> int:
        """Return the channels after the step; refuse what the rule cannot take."""
        wanted = self.fixed_count
        if self.rule == "select":
            beyond = [index for index in self.indices or () if index >= channels]
            if beyond:
                raise PreparationError(
                    f"The preparation takes channel {beyond[0]} (counted from 0) but the image "
                    f"has {channels}; give the image with all its channels."
                )
        elif self.rule == "replicate" and channels not in (1, wanted):
            raise PreparationError(
                f"The network takes {wanted} channels, made from 1, but the image has {channels}; "
                "choose channels with Channels('select', indices=...) or "
                "Channels('mean')."
            )
        elif self.rule == "as_is" and wanted not in (None, channels):
            raise PreparationError(
                f"The network takes {wanted} channels but the image has {channels}; choose "
                "channels with Channels('select', indices=...) or repeat one with "
                "Channels('replicate', count=...)."
            )
        return channels if wanted is None else wanted

    def note(self, channels: int) -> str | None:
        """Return a sentence on what becomes of `channels`, None where nothing does."""
        if self.rule == "replicate" and channels == 1 and self.count != 1:
            return f"The image's one channel is repeated to {self.count}."
        if self.rule == "select" and self.indices != tuple(range(channels)):
            chosen = ", ".join(map(str, self.indices or ()))
            return f"The network gets channels {chosen} (from 0) of the image's {channels}."
        if self.rule == "mean" and channels > 1:
            return f"The image's {channels} channels are averaged into one."
        return None

    def fit(self, values: Array, foreground: Mask | None) -> PointMap:  # noqa: ARG002
        """Return the choice of channels."""
        return self.pick

    def pick(self, values: Array) -> Array:
        """Return the chosen channels of `values` (c, *s)."""
        if self.rule == "mean":
            return np.asarray(values.mean(axis=0, keepdims=True))
        if self.rule == "select":
            return values[list(self.indices or ())]
        wanted = self.count or len(values)
        return values if len(values) == wanted else np.repeat(values, wanted, axis=0)
