"""The picture of docs/seeds_dock.md: the dock with three methods' heatmaps of the sample.

Needs a display (``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/images/seeds_dock.py``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

from napari_cam.widgets.threads.beside_opengl import load_triton_apart  # noqa: E402

load_triton_apart()

import napari  # noqa: E402
from napari.layers import Layer  # noqa: E402
from PIL import Image  # noqa: E402
from qtpy.QtTest import QTest  # noqa: E402

import napari_cam as nc  # noqa: E402
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer  # noqa: E402


def wait(until: Callable[[], object], seconds: float = 60.0) -> None:
    """Let the window work until something holds."""
    for _ in range(int(seconds * 20)):
        if until():
            QTest.qWait(500)
            return
        QTest.qWait(50)
    raise SystemExit("A step took too long.")


def main() -> None:
    """Make seeds of three heatmaps and take the brush."""
    volume = nc.load_sample_volume()
    maps = nc.explain(
        nc.load_sample_model(),
        volume,
        methods=["gradcam", "layercam", "eigencam"],
        targets=nc.ClassScore("damaged"),
    )
    viewer = napari.Viewer()
    viewer.window.resize(1400, 950)
    viewer.open_sample("napari-cam", "volume")
    image = viewer.layers[0]
    for heatmap in maps.values():
        title = nc.METHODS[heatmap.provenance["method"]["name"]].title
        layer = Layer.create(*heatmap_to_layer(heatmap, image, f"{title}: damaged"))
        layer.visible = False
        viewer.add_layer(layer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "Seeds")

    def rest() -> None:
        wait(lambda: not dock.busy)

    def take(name: str, top: object) -> None:
        QTest.qWait(200)
        place = top.mapTo(dock.scroll_area.widget(), top.rect().topLeft())  # type: ignore[attr-defined]
        dock.scroll_area.verticalScrollBar().setValue(place.y() - 8)
        QTest.qWait(800)
        shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        shot.quantize(256).save(HERE / f"{name}.png", optimize=True)

    viewer.dims.set_current_step(0, 12)
    viewer.reset_view()
    dock.seeds_step.preview.click()
    rest()
    dock.seeds_step.commit.click()
    rest()
    dock.review_step.radius.setValue(1.5)
    dock.review_step.paint.click()
    take("seeds_dock", dock.seeds_step.classes)
    viewer.close()


if __name__ == "__main__":
    main()
