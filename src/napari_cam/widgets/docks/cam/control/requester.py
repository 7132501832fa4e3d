"""What steps 1 to 3 ask for, as their controls stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cam.normalize import NORMALIZE
from napari_cam.widgets.docks.cam.work.request import Request
from napari_cam.widgets.docks.settings import read_settings
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.networks import SAMPLE

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.control.pixel_chooser import PixelChooser
    from napari_cam.widgets.docks.cam.state import CamState
    from napari_cam.widgets.docks.cam.views.heatmap_step import HeatmapStep
    from napari_cam.widgets.docks.cam.views.image_step import ImageStep
    from napari_cam.widgets.docks.cam.views.network_step import NetworkStep
    from napari_cam.widgets.docks.settings import Settings


class Requester:
    """Says what is asked for, as the controls stand.

    Attributes
    ----------
    settings
        The preferences, as they were when a run began.
    """

    def __init__(
        self,
        viewer: Any,
        state: CamState,
        steps: tuple[ImageStep, NetworkStep, HeatmapStep],
        pixel_sets: PixelChooser,
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
        network, picture = self._state.network, self._state.picture
        series = None
        if picture is not None and volume.source.format == "dicom":
            series = picture.layer.metadata.get(FACTS, {}).get("series")
        box = self._network.region
        return Request(
            model=network.source if network is not None else SAMPLE,
            architecture=network.architecture if network is not None else None,
            methods=tuple(method.name for method in self._network.methods.chosen),
            class_id=self._network.chosen_class,
            region=None if box.isHidden() else self._pixel_sets.region(volume),
            layers=self._network.layers.chosen,
            axis=self._image.axis,
            normalize=NORMALIZE.checked(self._heatmap.normalize.currentData()),
            device=self.settings.device,
            precision=self.settings.precision,
            image=volume.source.path,
            time=None if picture is None else picture.time(self._viewer),
            series=series,
        )
