"""What the scripts that take the pictures share: a window of their own, heatmaps, and patience."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = Path(tempfile.mkdtemp())
os.environ["NAPARI_CONFIG"] = str(FOLDER / "settings.yaml")  # the user's own stay as they are

from napari_cam.widgets.threads.beside_opengl import load_triton_apart  # noqa: E402

load_triton_apart()

import napari  # noqa: E402
from napari.layers import Layer  # noqa: E402
from PIL import Image  # noqa: E402
from qtpy.QtTest import QTest  # noqa: E402

import napari_cam as nc  # noqa: E402
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer  # noqa: E402


def open_viewer(width: int, height: int) -> Any:
    """Open a window of this size in pixels."""
    viewer = napari.Viewer()
    viewer.window.resize(width, height)
    return viewer


def wait(until: Callable[[], object], seconds: float = 120.0) -> None:
    """Let the window work until something holds."""
    for _ in range(int(seconds * 20)):
        if until():
            QTest.qWait(500)
            return
        QTest.qWait(50)
    raise SystemExit("A step took too long.")


def add_heatmaps(viewer: Any) -> None:
    """Add three methods' heatmaps of the sample, whose image is the first layer."""
    maps = nc.explain(
        nc.load_sample_model(),
        nc.load_sample_volume(),
        methods=["gradcam", "layercam", "eigencam"],
        targets=nc.ClassScore("damaged"),
    )
    for heatmap in maps.values():
        title = nc.METHODS[heatmap.provenance["method"]["name"]].title
        layer = Layer.create(*heatmap_to_layer(heatmap, viewer.layers[0], f"{title}: damaged"))
        layer.visible = False
        viewer.add_layer(layer)


def scroll_to(dock: Any, widget: Any, above: int = 8) -> None:
    """Bring a widget to the top of its dock."""
    QTest.qWait(200)
    place = widget.mapTo(dock.scroll_area.widget(), widget.rect().topLeft())
    dock.scroll_area.verticalScrollBar().setValue(place.y() - above)
    QTest.qWait(800)


def save(viewer: Any, path: Path, method: Image.Quantize | None = None) -> None:
    """Save a picture of the whole window in 256 colours, chosen by a `method` of Pillow."""
    shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    shot.quantize(256, method=method).save(path, optimize=True)
