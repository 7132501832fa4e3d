"""The preparation: which steps turn a volume into what a network was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.prepared import PreparedVolume
from napari_cam.models.preparation.steps import (
    STEPS,
    Channels,
    Contrast,
    Divide,
    Foreground,
    GeometricStep,
    Orient,
    Rescale,
    Resize,
    Slices,
    Standardize,
    Step,
)
from napari_cam.models.preparation.steps.base import Frame
from napari_cam.models.preparation.unit_steps import Layout, UnitSteps
from napari_cam.models.preparation.volume_steps import VolumeSteps, all_numbers, numbers
from napari_cam.volumes.volume import Volume, check_numeric

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preparation:
    """The ordered steps from stored voxels to a network's input.

    A 2D network's preparation contains a `Slices` step. The steps before it see the whole volume,
    the steps after it one slice at a time. A `Rescale` before it therefore works per volume, and
    after it per slice. Without `Slices` the network is 3D and the whole volume is one unit.

    Attributes
    ----------
    steps
        The steps, in the order in which they are applied.

    Raises
    ------
    PreparationError
        If the steps contradict each other or are in a wrong order.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if not isinstance(step, Step):
                raise PreparationError(
                    f"A preparation is made of steps such as Resize(224), not {step!r}."
                )
            step.check_ndim(self.spatial_ndim)
        for kind in (Orient, Slices, Foreground):
            if sum(isinstance(step, kind) for step in self.steps) > 1:
                raise PreparationError(
                    f"The preparation holds the step '{kind.name}' twice; keep one."
                )
        if any(isinstance(step, Orient) for step in self.steps[1:]):
            raise PreparationError(
                "The preparation step 'orient' must come first, so that all others see the same "
                "image whichever way it is stored."
            )
        for step in self.volume_steps:
            whole_only = isinstance(step, Contrast) and not step.pointwise
            if isinstance(step, GeometricStep) or whole_only:
                raise PreparationError(
                    f"The preparation step '{step.name}' works on one slice at a time here; "
                    "put it after the step 'slices'."
                )

    @property
    def spatial_ndim(self) -> int:
        """2 if units are slices, 3 if they are whole volumes."""
        return 2 if any(isinstance(step, Slices) for step in self.steps) else 3

    @property
    def volume_steps(self) -> tuple[Step, ...]:
        """The steps that see the whole volume: those before `Slices`, except `Orient`."""
        for place, step in enumerate(self.steps):
            if isinstance(step, Slices):
                return tuple(s for s in self.steps[:place] if not isinstance(s, Orient))
        return ()

    @property
    def unit_steps(self) -> tuple[Step, ...]:
        """The steps that see one unit: those after `Slices`; without it, all but `Orient`."""
        skip = len(self.volume_steps)
        rest = [step for step in self.steps if not isinstance(step, (Orient, Slices))]
        return tuple(rest[skip:])

    @property
    def fixed_channels(self) -> int | None:
        """Number of input channels, if the steps alone determine it."""
        channels: int | None = None
        for step in self.steps:
            if isinstance(step, Channels):
                channels = step.fixed_count or channels
            elif isinstance(step, Standardize):
                channels = len(step.mean)
        return channels

    @classmethod
    def default(cls, spatial_ndim: int, in_channels: int) -> Preparation:
        """Return the preparation for a network that does not state one.

        Radiological orientation. Intensities are stretched to [0, 1] over the volume (each channel
        separately, but three channels together, because they are colours). A single channel is
        repeated if the network needs more. 2D networks get slices across the acquisition axis.
        """
        if spatial_ndim not in (2, 3):
            raise PreparationError(f"A network is 2D or 3D; spatial_ndim is not {spatial_ndim!r}.")
        steps: tuple[Step, ...] = (Orient("IPL"), Rescale(per_channel=in_channels != 3))
        if spatial_ndim == 2:
            steps = (*steps, Slices("acquisition"))
        return cls((*steps, Channels("replicate", count=in_channels)))

    @classmethod
    def imagenet(
        cls, size: int | tuple[int, int] | None = 224, divide_by: float | None = None
    ) -> Preparation:
        """Return the preparation for 2D networks trained on ImageNet.

        Parameters
        ----------
        size
            Input size. The whole picture is resized; nothing is cropped, because the heatmap would
            be undefined outside the crop. None keeps the stored size.
        divide_by
            None stretches each volume or picture to [0, 1], which works for any scanner. 255 treats
            8-bit pictures exactly as the networks' authors did.
        """
        scaling: Step = Rescale(per_channel=False) if divide_by is None else Divide(divide_by)
        resize = () if size is None else (Resize(size),)
        return cls(
            (
                Orient("IPL"),
                scaling,
                Slices("acquisition"),
                *resize,
                Channels("replicate", count=3),
                Standardize(IMAGENET_MEAN, IMAGENET_STD),
            )
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Return the steps as plain JSON, with every parameter."""
        return [step.to_json() for step in self.steps]

    @classmethod
    def from_json(cls, steps: Any) -> Preparation:
        """Return the preparation that :meth:`to_json` described.

        Raises
        ------
        PreparationError
            If a step or parameter is unknown, missing, of the wrong type or out of range.
        """
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise PreparationError(f"A preparation is a list of steps, not {steps!r}.")
        return cls(tuple(_read_step(step) for step in steps))

    def bind(self, volume: Volume) -> PreparedVolume:
        """Adapt the preparation to one volume.

        All checks are made and volume-wide statistics are computed here, once. Slices are converted
        later, by :meth:`PreparedVolume.batch`. Non-finite voxels are replaced by the smallest
        finite value of their channel, with a note.

        Raises
        ------
        PreparationError
            If a step does not fit this volume.
        """
        check_numeric(volume.values.dtype)
        layout, spacing, unit_steps = self._geometry(volume)
        turned = layout.turn(volume.channels_first())
        volume_steps = VolumeSteps.fit(self.volume_steps, turned, spacing)
        notes = self._notes(volume, replaced=volume_steps.replacement is not None)
        return PreparedVolume(volume, layout, volume_steps, unit_steps, notes)

    def input_shape(self, volume: Volume) -> tuple[int, ...]:
        """Return the shape (c, *s) of one unit of a volume, without reading any voxels.

        Raises
        ------
        PreparationError
            If a step does not fit this volume.
        """
        _, _, unit_steps = self._geometry(volume)
        return (unit_steps.channels, *unit_steps.frame.shape)

    def _geometry(self, volume: Volume) -> tuple[Layout, tuple[float, ...] | None, UnitSteps]:
        orient = next((step for step in self.steps if isinstance(step, Orient)), None)
        slices = next((step for step in self.steps if isinstance(step, Slices)), None)
        layout = Layout.of(volume, orient, slices)
        spacing = None
        if volume.grid.units == "mm":
            spacing = tuple(volume.spacing[axis] for axis in layout.axes)
        shape = tuple(volume.shape[axis] for axis in layout.axes)
        frame = Frame.start(
            tuple(shape[place] for place in layout.unit_axes),
            spacing and tuple(spacing[place] for place in layout.unit_axes),
        )
        channels = volume.n_channels
        for step in self.volume_steps:
            channels = step.channels_out(channels)
        return layout, spacing, UnitSteps.fit(self.unit_steps, frame, channels)

    def apply_units(
        self, images: NDArray[Any], spacing: tuple[float, ...] | None = None
    ) -> NDArray[np.float32]:
        """Apply the steps that see one unit to an array of units, exactly as :meth:`bind` does.

        The steps before `Slices` are **not** applied, because they need the whole volume.

        Parameters
        ----------
        images
            (n, c, h, w), or (n, c, d, h, w) for a 3D network's preparation.
        spacing
            Pixel size in mm along the unit's axes, if a step needs it.

        Returns
        -------
        NDArray
            (n, c', *s) float32, C-contiguous.

        Raises
        ------
        PreparationError
            If a step does not fit, or a pixel is not finite.
        """
        images = np.asarray(images)
        check_numeric(images.dtype)
        if images.ndim != 2 + self.spatial_ndim or 0 in images.shape:
            axes = "(n, c, h, w)" if self.spatial_ndim == 2 else "(n, c, d, h, w)"
            raise PreparationError(
                f"The preparation of a {self.spatial_ndim}D network takes units {axes}, "
                f"not an array of shape {images.shape}."
            )
        if not all_numbers(images):
            raise PreparationError(
                "The images hold NaN or infinite pixels; replace them before training."
            )
        frame = Frame.start(tuple(images.shape[2:]), spacing)
        units = UnitSteps.fit(self.unit_steps, frame, images.shape[1])
        shape = (len(images), units.channels, *units.frame.shape)
        result = np.empty(shape, dtype=np.float32)
        for place, image in enumerate(images):
            result[place] = units.run(numbers(image), None)
        return result

    def _notes(self, volume: Volume, replaced: bool) -> tuple[str, ...]:
        """Return sentences on what `bind` decided for `volume`."""
        notes = []
        if any(isinstance(step, Orient) for step in self.steps) and volume.orientation is None:
            notes.append("The image has no patient frame; it is taken as it is stored.")
        if replaced:
            notes.append(
                "The image holds voxels that are NaN, infinite or beyond 1e38; the network gets "
                "the smallest finite value of their channel instead."
            )
        channels = volume.n_channels
        for step in self.steps:
            if isinstance(step, Channels) and (note := step.note(channels)):
                notes.append(note)
            channels = step.channels_out(channels)
        return tuple(notes)


def _read_step(step: Any) -> Step:
    if not isinstance(step, Mapping) or not isinstance(step.get("step"), str):
        raise PreparationError(
            f'A preparation step is an object such as {{"step": "resize", "size": 224}}, '
            f"not {step!r}."
        )
    name = step["step"]
    if name not in STEPS:
        raise PreparationError(
            f"There is no preparation step '{name}'; there are {', '.join(STEPS)}."
        )
    return STEPS[name].from_json({key: value for key, value in step.items() if key != "step"})
