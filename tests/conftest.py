"""Fixtures of all rooms: where the shared real data lies, and napari without a display."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from napari_cam.widgets.threads.beside_opengl import load_triton_apart

# napari's test fixtures reset its preferences: they must not be those of the person testing. It
# reads this when it is first asked for a setting.
_PREFERENCES = tempfile.TemporaryDirectory(prefix="napari_cam_preferences_")
os.environ["NAPARI_CONFIG"] = str(Path(_PREFERENCES.name) / "settings.yaml")

_DISPLAY = sys.platform != "linux" or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)
_XVFB = (
    shutil.which("Xvfb") is not None
    and importlib.util.find_spec("pytest_xvfb") is not None
    and "no:xvfb" not in " ".join(sys.argv)
)
NO_GL = not (_DISPLAY or _XVFB)


def pytest_configure(config: pytest.Config) -> None:
    """Let napari run where nothing can be drawn, and torch where software draws."""
    load_triton_apart()
    if NO_GL and importlib.util.find_spec("napari") is not None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        _answer_for_gl()


def _answer_for_gl() -> None:
    """Answer napari's two questions to OpenGL, which Qt's offscreen platform does not have."""
    answers = {"get_gl_extensions": lambda: "", "get_max_texture_sizes": lambda: (16384, 2048)}
    for name in ("utils.gl", "layers.base", "layers.image", "layers.labels", "canvas"):
        module = importlib.import_module(f"napari._vispy.{name}")
        for question, answer in answers.items():
            if hasattr(module, question):
                setattr(module, question, answer)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without quick tests unread with ``-m quick``: to import them takes longest."""
    if config.option.markexpr != "quick":
        return None
    files = collection_path.rglob("test_*.py") if collection_path.is_dir() else [collection_path]
    return (
        not any("pytest.mark.quick" in file.read_text(encoding="utf-8") for file in files) or None
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a canvas that draws where there is none."""
    if not NO_GL:
        return
    skip = pytest.mark.skip(reason="nothing can be drawn: no display, and no Xvfb")
    for item in items:
        if "gl" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and weights, which is no part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NAPARI_CAM_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data: set NAPARI_CAM_TEST_DATA to its folder")
    return folder
