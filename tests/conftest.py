"""Fixtures of all rooms: where the shared real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and weights, which is no part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NAPARI_CAM_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data: set NAPARI_CAM_TEST_DATA to its folder")
    return folder
