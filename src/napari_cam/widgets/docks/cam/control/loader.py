"""Networks as they are loaded, and their layers as they are listed for the image at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cam.widgets.networks import layers_of_image, load_network
from napari_cam.widgets.threads.worker import Failure, Runner

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.docks.cam.state import CamState
    from napari_cam.widgets.docks.cam.views.network_step import NetworkStep
    from napari_cam.widgets.docks.settings import Settings


class NetworkLoader:
    """Loads one network at a time; the wish of the moment counts."""

    def __init__(self, state: CamState, step: NetworkStep) -> None:
        self._state = state
        self._step = step
        self._loading = Runner()
        self._listing = Runner()
        self._listed: object = None  # for which network and image the layers are listed

    @property
    def loading(self) -> bool:
        """Whether a network is on its way."""
        return self._loading.running

    def load(self, source: str, architecture: str | None, settings: Settings) -> None:
        """Load the network of a file, or the sample."""
        self._state.set_network(None, "The network is being loaded; this takes a moment.")
        self._step.show_loading()
        device, precision = settings.device, settings.precision
        self._loading.start(
            lambda: load_network(source, architecture, device, precision),
            self._state.set_network,
            self._on_loaded,
        )

    def _on_loaded(self, failure: Failure | None) -> None:
        if failure is not None:
            self._state.set_network(None, failure.sentence)

    def list_layers(self, volume: Volume | None, axis: str | int | None) -> None:
        """List the target layers with the sizes that their maps have for this image."""
        self._listing.drop()
        network = self._state.network
        if network is None or volume is None or not network.layers:
            return
        shape = (volume.values.shape, volume.spacing)
        if (network, axis, shape) == self._listed:
            return
        self._listed = (network, axis, shape)
        self._listing.start(
            lambda: layers_of_image(network.model, volume, axis),
            self._step.show_layers,
            lambda _failure: None,  # a run will tell why
        )

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._loading.drop()
        self._listing.drop()
