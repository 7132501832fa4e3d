"""The list of a viewer's images, one of which a dock is about."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from napari.layers import Image
from qtpy.QtWidgets import QComboBox

from napari_cam.errors import NapariCamError
from napari_cam.widgets.controls.parts import allow, refill
from napari_cam.widgets.layers.picture import NO_PICTURE, Picture, PictureState, images
from napari_cam.widgets.layers.position import bare


class PictureList:
    """Keeps a list at the viewer's images, and the state at the one that is chosen.

    Parameters
    ----------
    viewer
        Whose layers are followed.
    box
        The list that is shown.
    state
        Told of another image.
    """

    def __init__(self, viewer: Any, box: QComboBox, state: PictureState) -> None:
        self._viewer, self._box, self._state = viewer, box, state
        self._images: list[weakref.ReferenceType[Image]] = []

    @property
    def current(self) -> Image | None:
        """The layer that is chosen in the list."""
        place = self._box.currentIndex()
        return self._images[place]() if 0 <= place < len(self._images) else None

    def follow(self) -> None:
        """Follow the viewer's layers; the chosen one stays, whatever it is called now."""
        before = self.current
        self._list()
        if self._state.picture is None or self.current is not before:
            self.take_chosen()

    @staticmethod
    def _first(found: Sequence[Image]) -> Image:
        """Return which image is taken where none was chosen and none is active."""
        return found[0]

    def _list(self) -> None:
        found, chosen = images(self._viewer.layers), self.current
        if not any(each is chosen for each in found):
            active = bare(self._viewer.layers.selection.active)
            chosen = next((each for each in found if each is active), None)
            chosen = self._first(found) if found and chosen is None else chosen
        place = next((n for n, each in enumerate(found) if each is chosen), -1)
        self._show(found, place)
        self._images = [weakref.ref(each) for each in found]

    def _show(self, found: Sequence[Image], place: int) -> None:
        """Show images, one of them as the chosen one; `_images` are those shown so far."""
        refill(self._box, [(str(each.name), None) for each in found], place)
        allow(self._box, "" if found else NO_PICTURE)

    def take_chosen(self) -> None:
        """Take the image that is chosen in the list."""
        layer = self.current
        if layer is None:
            self._state.set_picture(None, NO_PICTURE)
            return
        try:
            self._state.set_picture(Picture.of(layer))
        except NapariCamError as error:
            self._state.set_picture(None, str(error))
