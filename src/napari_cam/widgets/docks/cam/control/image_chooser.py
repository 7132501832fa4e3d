"""What step 1 does: which image, or images as channels, the dock is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.widgets.controls.picture_list import PictureList
from napari_cam.widgets.layers.picture import NO_PICTURE, Picture

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.state import CamState
    from napari_cam.widgets.docks.cam.views.image_step import ImageStep


class ImageChooser(PictureList):
    """Takes what the controls of step 1 say, whenever they or the viewer's layers change."""

    taken = Signal(object)  # the image's voxels, None where there is none

    def __init__(self, viewer: Any, state: CamState, step: ImageStep) -> None:
        super().__init__(viewer, step.image, state)
        self._step = step
        step.changed.connect(self.take_chosen)

    @staticmethod
    def _first(found: Sequence[Image]) -> Image:
        return found[-1]  # the one that was opened last

    def _show(self, found: Sequence[Image], place: int) -> None:
        before = self._ticked
        ticked = [row for row, each in enumerate(found) if any(each is other for other in before)]
        self._step.show_images([str(each.name) for each in found], place, ticked)

    @property
    def _ticked(self) -> list[Image]:
        """The layers ticked as channels that are still there."""
        layers = [self._images[row]() for row in self._step.ticked]
        return [layer for layer in layers if layer is not None]

    def follow(self) -> None:
        """Follow the viewer's layers and look at the chosen one anew: it may be another by now."""
        self._list()
        self.take_chosen()

    def take_chosen(self) -> None:
        """Take the image that the controls say."""
        layer = self.current
        self._step.show_extra_axis(layer is not None and layer.ndim == 4)
        picture, problem = self._pick(layer)
        volume: Volume | None = None
        if picture is not None:
            try:
                volume = picture.volume(self._viewer)
            except NapariCamError as error:
                picture, problem = None, str(error)
        self._state.set_picture(picture, problem)
        self._step.show_facts(volume, problem)
        self.taken.emit(volume)

    def _pick(self, layer: Image | None) -> tuple[Picture | None, str]:
        """Return the image, or None and the sentence that says what is missing."""
        if layer is None:
            return None, NO_PICTURE
        layers = self._ticked if self._step.takes_several else [layer]
        if not layers:
            return None, "Tick the layers to take as channels in step 1."
        as_channels = layer.ndim == 4 and self._step.as_channels
        try:
            return Picture.of(*layers, channel_axis=0 if as_channels else None), ""
        except NapariCamError as error:
            return None, str(error)
