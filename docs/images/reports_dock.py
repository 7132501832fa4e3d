"""The picture of docs/reports_dock.md: three methods' heatmaps of the sample beside the truth.

Needs a display (``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/images/reports_dock.py``).
With ``--all FOLDER`` every page of the dock is written there, to be looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image
from qtpy.QtTest import QTest
from window import HERE, add_heatmaps, open_viewer, save, wait


def open_all() -> tuple[Any, Any]:
    """Open a viewer with the sample, three heatmaps and the dock."""
    viewer = open_viewer(1500, 960)
    viewer.open_sample("napari-cam", "truth")
    viewer.layers[1].visible = False
    add_heatmaps(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "CAM reports")
    QTest.qWait(800)
    return viewer, dock


def look_at(dock: Any, number: int) -> None:
    """Click the first row of a slice."""
    table = dock.result.table
    for row in range(table.model.rowCount()):
        cells = [table.model.data(table.model.index(row, n)) for n in range(3)]
        if str(number) in cells:
            table.view.setCurrentIndex(table.model.index(row, 0))
            break
    wait(lambda: not dock.busy)


def main(folder: Path | None) -> None:
    """Make reports and look at a slice."""
    viewer, dock = open_all()

    def take(name: str, where: Path | None) -> None:
        QTest.qWait(700)
        if where is not None:
            save(viewer, where / f"{name}.png", Image.Quantize.MAXCOVERAGE)

    def make(kind: str) -> None:
        box = dock.choose.kind
        box.setCurrentIndex(next(n for n in range(box.count()) if box.itemData(n) == kind))
        dock.choose.run.click()
        wait(lambda: not dock.busy)

    def pages(name: str) -> None:
        for number in range(dock.result.tabs.count()):
            dock.result.tabs.setCurrentIndex(number)
            take(f"{name}_{dock.result.tabs.tabText(number).lower()}", folder)
        dock.result.tabs.setCurrentIndex(0)

    take("empty", folder)
    dock.choose.reference.list.box.setCurrentIndex(1)
    make("overlap")
    look_at(dock, 12)
    viewer.reset_view()
    take("reports_dock", HERE)
    if folder is not None:
        pages("overlap")
        make("agreement")
        look_at(dock, 12)
        pages("agreement")
        dock.choose.network.network.setCurrentIndex(1)
        dock.choose.network.units.setValue(2)
        make("faithfulness")
        pages("faithfulness")
        viewer.theme = "light"
        make("agreement")
        dock.result.tabs.setCurrentIndex(1)
        take("light_matrix", folder)
        dock.result.tabs.setCurrentIndex(2)
        take("light_curves", folder)
        holder = dock.parent()
        while not hasattr(holder, "setFloating"):
            holder = holder.parent()
        holder.setFloating(True)
        holder.resize(1200, 640)
        QTest.qWait(500)
        dock.grab().save(str(folder / "floating.png"))
        holder.resize(460, 900)
        QTest.qWait(500)
        dock.grab().save(str(folder / "narrow.png"))
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", type=Path)
    main(parser.parse_args().all)
