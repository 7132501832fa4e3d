"""Fixtures of the docks: napari without a window knows no plugins until it is told to look."""

from __future__ import annotations

import pytest
from npe2 import PluginManager


@pytest.fixture(scope="session", autouse=True)
def _known_plugins() -> None:
    """Let napari find this plugin by its manifest, as it does when it starts."""
    PluginManager.instance().discover(include_npe1=False)
