"""What steps 1 to 3 ask for, as their controls stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cam.normalize import NORMALIZE
from napari_cam.widgets.docks.cam.work.request import Request
from napari_cam.widgets.docks.settings import read_settings
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.position import shown_index
from napari_cam.widgets.networks import SAMPLE

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.control.pixel_sets import PixelSets
    from napari_cam.widgets.docks.cam.state import DockState, Picked
    from napari_cam.widgets.docks.cam.views.heatmap_step import HeatmapStep
    from napari_cam.widgets.docks.cam.views.image_step import ImageStep
    from napari_cam.widgets.docks.cam.views.network_step import NetworkStep
    from napari_cam.widgets.docks.settings import Settings


class Asking:
    """Reads what is asked for off the controls.

    Attributes
    ----------
    settings
        The preferences, as they were when a run began.
    """

    def __init__(
        self,
        viewer: Any,
        state: DockState,
        steps: tuple[ImageStep, NetworkStep, HeatmapStep],
        pixel_sets: PixelSets,
        settings: Settings,
    ) -> None:
        self._viewer = viewer
        self._state = state
        self._image, self._network, self._heatmap = steps
        self._pixel_sets = pixel_sets
        self.settings = settings

    def read_settings(self) -> None:
        """Take the preferences as they are now."""
        self.settings = read_settings()

    def request(self, volume: Volume) -> Request:
        """Return what is asked for of an image, as the controls stand.

        Raises
        ------
        NapariCamError
            Where the pixel set does not lie on the image.
        """
        network, picked = self._state.network, self._state.picked
        series = None
        if picked is not None and volume.source.format == "dicom":
            series = picked.first.metadata.get(FACTS, {}).get("series")
        box = self._network.region
        return Request(
            model=network.source if network is not None else SAMPLE,
            architecture=network.architecture if network is not None else None,
            methods=self._network.chosen_methods,
            class_id=self._network.chosen_class,
            region=None if box.isHidden() else self._pixel_sets.region(volume),
            layers=self._network.chosen_layers,
            axis=self._image.axis,
            normalize=NORMALIZE.checked(self._heatmap.normalize.currentData()),
            device=self.settings.device,
            precision=self.settings.precision,
            image=volume.source.path,
            time=None if picked is None else self._time(picked),
            series=series,
        )

    def _time(self, picked: Picked) -> int | None:
        """Return the point of a time series that is on screen."""
        if picked.axes.time is None:
            return None
        layer = picked.first
        length = layer.data.shape[picked.axes.time]
        return shown_index(self._viewer, layer, picked.axes.time, length)
