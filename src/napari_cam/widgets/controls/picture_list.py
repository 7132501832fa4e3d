"""The list of a viewer's images, one of which a dock is about."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from napari.layers import Image
from qtpy.QtWidgets import QComboBox

from napari_cam.errors import NapariCamError
from napari_cam.widgets.controls.parts import allow, refill
from napari_cam.widgets.layers.picture import NO_PICTURE, Picture, images
from napari_cam.widgets.layers.position import bare


class HasPicture(Protocol):
    """What a dock knows of its image."""

    picture: Picture | None

    def set_picture(self, picture: Picture | None, problem: str = "") -> None:
        """Take another image, or none and why."""


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

    def __init__(self, viewer: Any, box: QComboBox, state: HasPicture) -> None:
        self._viewer, self._box, self._state = viewer, box, state
        self._images: list[weakref.ReferenceType[Image]] = []

    def follow(self) -> None:
        """Follow the viewer's layers; without an image so far the active one is taken."""
        found = images(self._viewer.layers)
        old = None if self._state.picture is None else self._state.picture.reference()
        chosen = next((each for each in found if each is old), None)
        active = bare(self._viewer.layers.selection.active)
        if chosen is None:
            chosen = next((each for each in found if each is active), found[0] if found else None)
        place = next((n for n, each in enumerate(found) if each is chosen), -1)
        self._images = [weakref.ref(each) for each in found]
        refill(self._box, [(str(each.name), None) for each in found], place)
        allow(self._box, "" if found else NO_PICTURE)
        if chosen is not old or chosen is None:
            self._take(chosen)

    def take_chosen(self) -> None:
        """Take the image that was chosen in the list."""
        place = self._box.currentIndex()
        self._take(self._images[place]() if 0 <= place < len(self._images) else None)

    def _take(self, layer: Image | None) -> None:
        if layer is None:
            self._state.set_picture(None, NO_PICTURE)
            return
        try:
            self._state.set_picture(Picture.of(layer))
        except NapariCamError as error:
            self._state.set_picture(None, str(error))
