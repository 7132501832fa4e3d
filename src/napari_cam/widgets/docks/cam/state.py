"""What the dock knows: the network, the image, the heatmaps that it has. Plain objects, no Qt."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from psygnal import Signal

from napari_cam.widgets.layers.picture import Picture, PictureState
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
"""Layers of heatmaps that a dock has made and still looks after: others leave them to it."""


@dataclass(eq=False)
class ShownHeatmap:
    """A heatmap of this dock and the layer that shows it.

    Attributes
    ----------
    result
        The heatmap with its class scores; replaced as slices come in.
    picture, volume
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
    picture: Picture
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
        if layer is not None and any(each() is None for each in self.picture.references):
            return layer, None
        return self.picture.layer, self.picture.axes

    @property
    def n_units(self) -> int:
        """Slices along the unit axis, 1 for a 3D network."""
        return len(self.result.heatmap.valid)


@dataclass(eq=False)
class ShownMask:
    """A mask of this dock and the labels layer that shows it.

    Attributes
    ----------
    cut_from
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

    cut_from: ShownHeatmap
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


class CamState(PictureState):
    """What the dock knows, with a signal for each part of it.

    Attributes
    ----------
    network
        The loaded network; None while it loads or where it could not be.
    heatmaps
        Heatmaps whose layer is still in the viewer, the latest last.
    masks
        Masks whose layer is still in the viewer, the latest last.
    busy
        What is being done, empty for nothing.
    """

    network_changed = Signal()
    results_changed = Signal()
    busy_changed = Signal()

    def __init__(self) -> None:
        super().__init__("Choose an image in step 1.")
        self.network: Network | None = None
        self.no_network = "The network is being loaded."
        self.heatmaps: list[ShownHeatmap] = []
        self.masks: list[ShownMask] = []
        self.busy = ""

    def set_network(self, network: Network | None, problem: str = "") -> None:
        """Take a network, or none and the sentence that says why."""
        self.network, self.no_network = network, problem
        if network is not None:
            OPEN_NETWORKS[network.model.sha256] = network
        self.network_changed.emit()

    def set_busy(self, what: str) -> None:
        """Say what is being done, "" for nothing."""
        self.busy = what
        self.busy_changed.emit()

    def add(self, shown: ShownHeatmap) -> None:
        """Take a heatmap as the latest, or note that a known one has grown."""
        if not any(other is shown for other in self.heatmaps):
            self.heatmaps.append(shown)
        self.results_changed.emit()

    def keep_only(self, layers: set[int]) -> None:
        """Forget heatmaps and masks whose layer's id is not among `layers`."""

        def there(item: ShownHeatmap | ShownMask) -> bool:
            layer = item.layer()
            return layer is not None and id(layer) in layers

        heatmaps = [each for each in self.heatmaps if there(each)]
        masks = [each for each in self.masks if there(each)]
        if len(heatmaps) != len(self.heatmaps) or len(masks) != len(self.masks):
            self.heatmaps, self.masks = heatmaps, masks
            self.results_changed.emit()

    def live_mask(self, shown: ShownHeatmap) -> ShownMask | None:
        """Return the mask of a heatmap that the slider changes, None where there is none."""
        return next((m for m in reversed(self.masks) if m.cut_from is shown and m.live), None)

    def find(self, parts: tuple[str, str, str], source: Image) -> ShownHeatmap | None:
        """Return the heatmap of a method, layer and target that was made of `source`."""
        for shown in self.heatmaps:
            same = shown.result.parts == parts and not shown.exploring
            if same and shown.picture.reference() is source:
                return shown
        return None

    def exploring(self, method: str, source: Image) -> ShownHeatmap | None:
        """Return the heatmap of `source` by a method that follows the choices, if there is one."""
        for shown in self.heatmaps:
            if (
                shown.exploring
                and shown.result.parts[0] == method
                and shown.picture.reference() is source
            ):
                return shown
        return None

    def claim(self, mine: bool) -> None:
        """Look after the layers of this dock's heatmaps, or leave them to other docks."""
        for shown in self.heatmaps:
            layer = shown.layer()
            if layer is not None and shown.result.maps is not None:
                (OF_A_DOCK.add if mine else OF_A_DOCK.discard)(layer)

    @property
    def missing(self) -> str:
        """Why nothing can run: one sentence that says how to mend it, "" where all is there."""
        return self.no_network if self.network is None else super().missing
