"""What the dock "CAM reports" costs in napari's window.

A table of 100 000 rows: filled, sorted, filtered. A click on a row of a report on 54 x 256 x 256:
until the masks that were compared are in the layer. For comparison Qt's own proxy sorts the same
table. Needs a display
(``xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/reports_dock.py``).

Run: ``python benchmarks/reports_dock.py [--repeats 5]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SHAPE, SPACING = (54, 256, 256), (3.0, 0.5, 0.75)
ROWS = 100_000


class Times:
    """Figures by name."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def take(self, name: str, work: Callable[[], object]) -> None:
        """Note how long `work` takes."""
        began = time.perf_counter()
        work()
        self.found.setdefault(name, []).append(time.perf_counter() - began)

    def show(self) -> None:
        """Print best and median in milliseconds."""
        for name, seconds in self.found.items():
            best, middle = min(seconds), statistics.median(seconds)
            print(f"{name:<58}{1000 * best:8.0f}{1000 * middle:8.0f}")


def rows() -> Any:
    """Return a table as large as that of a small cohort."""
    import pandas as pd

    from napari_cam.reports.page.tables import tidy

    rng = np.random.default_rng(0)
    metrics = ["iou_foreground", "dice_foreground", "precision", "recall", "specificity"]
    return tidy(
        pd.DataFrame(
            {
                "level": "unit",
                "subject": "1",
                "unit": rng.integers(0, 300, ROWS),
                "method_a": rng.choice(["gradcam", "layercam", "eigencam"], ROWS),
                "backbone_a": rng.choice(["resnet18", "vgg16", "densenet121"], ROWS),
                "threshold_a": rng.choice([f"fixed(0.{n})" for n in range(1, 10)], ROWS),
                "metric": rng.choice(metrics, ROWS),
                "value": rng.random(ROWS),
            }
        )
    )


def tables(repeats: int, times: Times) -> None:
    """Fill, sort and filter the table, and sort it by Qt's proxy once."""
    from qtpy.QtCore import QSortFilterProxyModel, Qt
    from qtpy.QtWidgets import QApplication, QTableView

    from napari_cam.widgets.docks.reports.views.table_model import RowsModel
    from napari_cam.widgets.docks.reports.views.table_pane import TablePane
    from napari_cam.widgets.docks.reports.work.tabulating import columns_of

    application: Any = QApplication.instance()
    table = rows()
    pane = TablePane()
    pane.resize(1000, 400)
    pane.show()
    up, down = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder

    def fill() -> None:
        pane.show_columns(columns_of(table), {})
        application.processEvents()

    def sort(key: str, order: Any) -> None:
        place = next(n for n, each in enumerate(pane.model.columns) if each.key == key)
        pane.view.sortByColumn(place, order)
        application.processEvents()

    for _ in range(repeats):
        times.take(f"table: {ROWS} rows filled", fill)
        times.take("table: sorted by value", lambda: sort("value", down))
        times.take("table: sorted by map", lambda: sort("map", up))
        times.take("table: filtered by metric", lambda: pane.choose("metric", "precision"))
        times.take("table: filter taken off", lambda: pane.choose("metric", None))
    model, proxy, view = RowsModel(), QSortFilterProxyModel(), QTableView()
    model.show_columns(columns_of(table), {})
    proxy.setSourceModel(model)
    view.setModel(proxy)
    times.take("for comparison: Qt's proxy sorts by value", lambda: proxy.sort(5, down))


def clicks(repeats: int, times: Times) -> None:
    """Make a report in the dock and click rows of it."""
    import napari
    from napari.layers import Layer
    from qtpy.QtWidgets import QApplication
    from scipy.ndimage import zoom

    from napari_cam.sample.phantom import phantom
    from napari_cam.widgets.docks.reports.dock import ReportsDock
    from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
    from napari_cam.widgets.layers.image_layers import volume_to_layer
    from napari_cam.widgets.layers.result_layer import as_heatmap

    viewer = napari.Viewer(show=True)
    application: Any = QApplication.instance()
    made = phantom(7, shape=SHAPE, spacing=SPACING)
    volume, units = made.volume, SHAPE[0]
    image = Layer.create(*volume_to_layer(volume, "fillet"))
    viewer.add_layer(image)
    rng = np.random.default_rng(0)
    ones = np.ones(units, np.float32)
    for number in range(3):
        coarse = rng.random((units, 10, 10), np.float32)
        values = zoom(coarse, (1, 25.6, 25.6), order=1).clip(0, 1)
        whole = as_heatmap(values, volume.grid, {"target": "damaged", "method": f"map {number}"})
        heatmap = replace(
            whole,
            raw_min=0 * ones,
            raw_max=ones,
            valid=ones > 0,
            class_index=np.ones(units, np.int64),
            predicted_index=np.ones(units, np.int64),
            score=ones,
            unit_axis=0,
        )
        layer = Layer.create(*heatmap_to_layer(heatmap, image, f"map {number}"))
        layer.visible = False
        viewer.add_layer(layer)
    damage = (made.damage > 0.5).astype(np.uint8)
    viewer.add_layer(Layer.create(*mask_to_layer(damage, image, "truth")))
    dock = ReportsDock(viewer)
    viewer.window.add_dock_widget(dock, name="CAM reports", area="bottom")

    def rest() -> None:
        while dock.busy:
            application.processEvents()
            time.sleep(0.0005)
        application.processEvents()

    def click(row: int) -> None:
        dock.result.table.view.setCurrentIndex(dock.result.table.model.index(row, 0))
        rest()

    dock.choose.reference.list.box.setCurrentText("truth")
    for kind, name in enumerate(("overlap", "agreement")):
        dock.choose.kind.setCurrentIndex(kind)
        dock.choose.run.click()
        rest()
        click(0)  # makes the layer
        for row in range(1, 1 + repeats):
            times.take(f"{name}: click on a row until its masks are shown", lambda: click(row))  # noqa: B023
    viewer.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
    import napari

    napari.Viewer(show=False).close()
    times = Times()
    tables(repeats, times)
    clicks(repeats, times)
    print(f"{'milliseconds':<58}{'best':>8}{'median':>8}")
    times.show()


if __name__ == "__main__":
    main()
