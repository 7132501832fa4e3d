"""Opening napari from the command line, where there is napari and a display."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

_QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def no_window_because() -> str | None:
    """Return why no window can be opened here, None where one can."""
    if find_spec("napari") is None or not any(find_spec(binding) for binding in _QT):
        return "napari is not installed; install it with: pip install 'napari-cam[all]'"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not shown:
        return "there is no display"
    return None


def open_window(command: str, **arguments: Any) -> None:
    """Run one of the plugin's commands, by its name in the manifest."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    manager.commands.get(f"napari-cam.{command}")(**arguments)
