"""What the dock knows: the network, the image, the heatmaps it made. Plain objects, no Qt."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from psygnal import Signal

from napari_cam.errors import VolumeError
from napari_cam.widgets.networks import OPEN_NETWORKS, Network

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.work.request import Request
    from napari_cam.widgets.docks.cam.work.running import Result
    from napari_cam.widgets.layers.cutting import MaskRequest
    from napari_cam.widgets.layers.layer_axes import ImageAxes
    from napari_cam.widgets.layers.watcher import Watcher


OF_A_DOCK: WeakSet[Image] = WeakSet()
"""Layers of heatmaps that a dock made and still looks after: others leave them to it."""


@dataclass(frozen=True, eq=False)
class Picked:
    """The image that is to be explained.

    Attributes
    ----------
    layers
        One layer, or several as channels; weak, so that a removed layer can go.
    axes
        What their axes mean.
    """

    layers: tuple[weakref.ReferenceType[Image], ...]
    axes: ImageAxes

    @property
    def first(self) -> Image:
        """The first layer, beside which results are laid.

        Raises
        ------
        VolumeError
            Where it is gone.
        """
        return self.alive()[0]

    def alive(self) -> list[Image]:
        """Return the layers.

        Raises
        ------
        VolumeError
            Where one is gone.
        """
        layers = [reference() for reference in self.layers]
        if any(layer is None for layer in layers):
            raise VolumeError("The image was removed from the viewer; choose another in step 1.")
        return [layer for layer in layers if layer is not None]


@dataclass(eq=False)
class Made:
    """A heatmap of this dock and the layer that shows it.

    Attributes
    ----------
    result
        The heatmap with its class scores; replaced as slices come in.
    picked, volume
        What was explained: its layers, and its voxels with their source.
    request
        What was asked.
    class_names
        Of the network.
    layer
        The layer that shows it; weak.
    exploring
        Whether it follows every choice in step 2, and so shows now this and now that.
    """

    result: Result
    picked: Picked
    volume: Volume
    request: Request
    class_names: tuple[str, ...]
    layer: weakref.ReferenceType[Image]
    exploring: bool = False

    @property
    def title(self) -> str:
        """How the dock calls it: the name of its layer."""
        layer = self.layer()
        return self.result.title if layer is None else str(layer.name)

    @property
    def beside(self) -> tuple[Image, ImageAxes | None]:
        """The layer beside which results lie and what its axes mean.

        It is the image, or the heatmap itself, which says what its axes mean, where that is gone.

        Raises
        ------
        VolumeError
            Where both are gone.
        """
        layer = self.layer()
        if layer is not None and any(each() is None for each in self.picked.layers):
            return layer, None
        return self.picked.first, self.picked.axes

    @property
    def n_units(self) -> int:
        """Slices along the unit axis, 1 for a 3D network."""
        return len(self.result.heatmap.valid)


@dataclass(eq=False)
class MadeMask:
    """A mask of this dock and the labels layer that shows it.

    Attributes
    ----------
    made
        The heatmap it was cut from.
    request
        How it was cut.
    layer
        The layer that shows it; weak.
    live
        Whether the slider still changes it; False once it was kept, or painted into.
    edited
        Whether someone painted into it.
    due
        How the whole volume is still to be cut, while only the slice on screen is; else None.
    cut_at
        While the rest is due: the slice (axis, index) that was cut already; None for none.
    watch
        Tells of what others draw into the layer.
    """

    made: Made
    request: MaskRequest
    layer: weakref.ReferenceType[Labels]
    live: bool = True
    edited: bool = False
    due: MaskRequest | None = None
    cut_at: tuple[int, int] | None = None
    watch: Watcher | None = None

    def shows(self, place: tuple[int, int] | None) -> bool:
        """Whether a slice (axis, index) of the layer is as it was asked for; None for all."""
        return self.due is None or (place is not None and place == self.cut_at)


class DockState:
    """What the dock knows, with a signal for each part of it.

    Attributes
    ----------
    network
        The loaded network; None while it loads or where it could not be.
    picked
        The image; None where there is none, and then `no_image` says why.
    made
        Heatmaps whose layer is still in the viewer, the latest last.
    masks
        Masks whose layer is still in the viewer, the latest last.
    busy
        What is being done, empty for nothing.
    """

    network_changed = Signal()
    image_changed = Signal()
    made_changed = Signal()
    busy_changed = Signal()

    def __init__(self) -> None:
        self.network: Network | None = None
        self.no_network = "The network is being loaded."
        self.picked: Picked | None = None
        self.no_image = "Choose an image in step 1."
        self.made: list[Made] = []
        self.masks: list[MadeMask] = []
        self.busy = ""

    def set_network(self, network: Network | None, problem: str = "") -> None:
        """Take a network, or none and the sentence that says why."""
        self.network, self.no_network = network, problem
        if network is not None:
            OPEN_NETWORKS[network.model.sha256] = network
        self.network_changed.emit()

    def set_image(self, picked: Picked | None, problem: str = "") -> None:
        """Take an image, or none and the sentence that says why."""
        self.picked, self.no_image = picked, problem
        self.image_changed.emit()

    def set_busy(self, what: str) -> None:
        """Say what is being done, "" for nothing."""
        self.busy = what
        self.busy_changed.emit()

    def add(self, made: Made) -> None:
        """Take a heatmap as the latest, or note that a known one has grown."""
        if not any(other is made for other in self.made):
            self.made.append(made)
        self.made_changed.emit()

    def keep_only(self, layers: set[int]) -> None:
        """Forget heatmaps and masks whose layer's id is not among `layers`."""
        made = [m for m in self.made if (layer := m.layer()) is not None and id(layer) in layers]
        masks = [m for m in self.masks if (layer := m.layer()) is not None and id(layer) in layers]
        if len(made) != len(self.made) or len(masks) != len(self.masks):
            self.made, self.masks = made, masks
            self.made_changed.emit()

    def live_mask(self, made: Made) -> MadeMask | None:
        """Return the mask of a heatmap that the slider changes, None where there is none."""
        return next((m for m in reversed(self.masks) if m.made is made and m.live), None)

    def find(self, parts: tuple[str, str, str], source: Image) -> Made | None:
        """Return the heatmap of a method, layer and target that was made of `source`."""
        for made in self.made:
            same = made.result.parts == parts and not made.exploring
            if same and made.picked.layers[0]() is source:
                return made
        return None

    def exploring(self, method: str, source: Image) -> Made | None:
        """Return the heatmap of `source` by a method that follows the choices, if there is one."""
        for made in self.made:
            if (
                made.exploring
                and made.result.parts[0] == method
                and made.picked.layers[0]() is source
            ):
                return made
        return None

    def claim(self, mine: bool) -> None:
        """Look after the layers of this dock's heatmaps, or leave them to other docks."""
        for made in self.made:
            layer = made.layer()
            if layer is not None and made.result.maps is not None:
                (OF_A_DOCK.add if mine else OF_A_DOCK.discard)(layer)

    @property
    def missing(self) -> str:
        """Why nothing can run: one sentence that says how to mend it, "" where all is there."""
        if self.network is None:
            return self.no_network
        if self.picked is None:
            return self.no_image
        return ""
