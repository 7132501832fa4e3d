"""What the user set on napari's Preferences page."""

from __future__ import annotations

from dataclasses import dataclass

PLUGIN = "napari-cam"


@dataclass(frozen=True)
class Settings:
    """Preferences of the dock.

    Attributes
    ----------
    device, precision
        Where and how precisely networks run, as in :func:`napari_cam.explain`.
    method
        Method that is ticked when the dock opens.
    model_folder
        Folder in which the file chooser begins; empty for the last one used.
    """

    device: str = "auto"
    precision: str = "auto"
    method: str = "gradcam"
    model_folder: str = ""


def read_settings() -> Settings:
    """Return the preferences, the defaults where this napari keeps none for plugins."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before napari 0.9
        return Settings()
    try:
        stored = get_plugin_settings(PLUGIN)
    except KeyError:  # the dock is used without the installed manifest
        return Settings()
    return Settings(
        device=str(stored.compute.device),
        precision=str(stored.compute.precision),
        method=str(stored.compute.method),
        model_folder=str(stored.compute.model_folder),
    )
