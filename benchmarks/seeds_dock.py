"""What the dock "Seeds" costs in napari's window, on a volume of 54 x 256 x 256.

Times are from a move of a control until the labels have changed; a timer of 10 ms says how long
nothing could be clicked meanwhile. Beside the time stands the work of all threads (CPU), which
other programs on the machine change less. Needs a display
(``xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/seeds_dock.py``).

Run: ``python benchmarks/seeds_dock.py [--repeats 5]``
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SHAPE, SPACING = (54, 256, 256), (3.0, 0.5, 0.75)


class Window:
    """A viewer with a large image, three heatmaps and the dock."""

    def __init__(self) -> None:
        import napari
        from napari.layers import Layer
        from qtpy.QtCore import QTimer
        from qtpy.QtWidgets import QApplication
        from scipy.ndimage import zoom

        from napari_cam.sample.phantom import phantom
        from napari_cam.widgets.docks.seeds.dock import SeedsDock
        from napari_cam.widgets.layers.derived_layers import heatmap_to_layer
        from napari_cam.widgets.layers.image_layers import volume_to_layer
        from napari_cam.widgets.layers.result_layer import as_heatmap

        self.viewer = napari.Viewer(show=True)
        self.application: Any = QApplication.instance()
        volume = phantom(7, shape=SHAPE, spacing=SPACING).volume
        image = Layer.create(*volume_to_layer(volume, "fillet"))
        self.viewer.add_layer(image)
        rng = np.random.default_rng(0)
        units = SHAPE[0]
        for number in range(3):
            # As smooth as a heatmap of a network with a stride of 32.
            coarse = rng.random((units, 10, 10), np.float32)
            values = zoom(coarse, (1, 25.6, 25.6), order=1).clip(0, 1)
            whole = as_heatmap(values, volume.grid, {"target": "damaged", "method": "random"})
            ones = np.ones(units, np.float32)
            heatmap = replace(
                whole,
                raw_min=0 * ones,
                raw_max=ones * np.linspace(1, 2, units, dtype=np.float32),
                valid=ones > 0,
                class_index=np.ones(units, np.int64),
                predicted_index=np.ones(units, np.int64),
                score=ones,
                unit_axis=0,
            )
            layer = Layer.create(*heatmap_to_layer(heatmap, image, f"map {number}"))
            layer.visible = False
            self.viewer.add_layer(layer)
        self.dock = SeedsDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Seeds")
        self.viewer.dims.set_current_step(0, 27)
        self.stamps = [time.perf_counter()]
        self.timer = QTimer()
        self.timer.setInterval(10)
        self.timer.timeout.connect(lambda: self.stamps.append(time.perf_counter()))
        self.timer.start()
        self.found: dict[str, list[tuple[float, float]]] = {}
        self.live(0.5)

    def live(self, seconds: float) -> None:
        """Let the window live."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.application.processEvents()
            time.sleep(0.001)

    def rest(self) -> None:
        """Wait until the dock has nothing left to do."""
        while self.dock.busy:
            self.application.processEvents()
            time.sleep(0.0005)

    def note(self, name: str, seconds: float, work: float = math.nan) -> None:
        """Keep a figure, and how much work it was."""
        self.found.setdefault(name, []).append((seconds, work))

    def at_once(self, name: str, move: Callable[[], object]) -> None:
        """Note how long the call takes that changes the slice on screen, and the largest gap."""
        self.stamps = [time.perf_counter()]
        start = _now()
        move()
        self.note(f"{name}: slice on screen", *_since(start))
        self.rest()
        self.note(f"{name}: whole volume, 60 ms of rest included", *_since(start))
        self.live(0.1)
        gaps = [after - before for before, after in pairwise(self.stamps)]
        self.note(f"{name}: largest gap", max(gaps))

    def commit(self, name: str) -> None:
        """Note the whole of a commit, and that part of it in which the window stands still."""
        self.stamps = [time.perf_counter()]
        start = _now()
        self.dock.seeds_step.commit.click()
        self.rest()
        self.note(f"{name}: from click to labels", *_since(start))
        self.live(0.1)
        gaps = [after - before for before, after in pairwise(self.stamps)]
        self.note(f"{name}: largest gap", max(gaps))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def measure(repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds of everything, and of its work, a list each."""
    window = Window()
    dock = window.dock
    for layer in dock.ensemble_step.members.layers:
        dock.ensemble_step.members.tick(layer)
    for row, operator in ((0, "or"), (3, "largest"), (4, "majority")):
        dock.ensemble_step.operator.setCurrentIndex(row)
        dock.ensemble_step.make.click()
        window.rest()
        window.viewer.layers["ensemble"].visible = True
        for number in range(repeats):
            cut = 0.3 + number / 50
            window.at_once(
                f"ensemble '{operator}' of 3",
                lambda cut=cut: dock.ensemble_step.rule.cut.setValue(cut),  # type: ignore[misc]
            )
    window.viewer.layers["ensemble"].visible = False
    dock.seeds_step.preview.click()
    window.rest()
    for number in range(repeats):
        cut = 0.5 + number / 50
        window.at_once(
            "seeds of 3 heatmaps",
            lambda cut=cut: dock.seeds_step.high.setValue(cut),  # type: ignore[misc]
        )
    for number in range(repeats):
        dock.seeds_step.high.setValue(0.4 + 0.1 * (number % 2))
        window.rest()
        window.commit("commit")
    seeds = dock.state.seeds
    layer = None if seeds is None else seeds.layer
    if seeds is None or layer is None:
        raise SystemExit("No seeds were committed.")
    for number in range(repeats):
        layer.selected_label = 2
        start = _now()
        layer.paint((27, 100 + number, 100), 2)
        window.note("a dab of the brush, its voxels noted as a person's", *_since(start))
        start = _now()
        seeds.write_record()
        window.note("the record for saving", *_since(start))
    return window.found


def main() -> None:
    """Measure and print one Markdown row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
    found = measure(options.repeats)
    print("| what | best (ms) | median (ms) | least work (ms) |\n|---|---|---|---|")
    for name, pairs in found.items():
        seconds, work = ([each[place] * 1e3 for each in pairs] for place in (0, 1))
        least = f"{min(work):.0f}" if math.isfinite(min(work)) else ""
        print(f"| {name} | {min(seconds):.0f} | {statistics.median(seconds):.0f} | {least} |")
    os._exit(0)  # Qt need not be taken down in order


if __name__ == "__main__":
    main()
