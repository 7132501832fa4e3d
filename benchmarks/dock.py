"""What the dock costs in napari's window: how long it stands still, and how soon it answers.

A timer of 10 ms runs in the window's thread; the largest gap between two of its ticks is how long
nothing could be clicked. "Cold" is the first run of a process: each repeat is one process. Other
programs on the machine only ever make figures worse, so that the best repeat stands beside the
median. Needs a display (``xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/dock.py``).

Run: ``python benchmarks/dock.py [--repeats 5]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

SHAPE, SPACING = (54, 256, 256), (3.0, 0.5, 0.75)
OPENING = """
import sys, time
import napari
viewer = napari.Viewer(show=True)
start = time.perf_counter()
import npe2
manifest = npe2.PluginManifest.from_distribution("napari-cam")
spent = time.perf_counter() - start
print(spent, "torch" in sys.modules, "napari_cam.widgets.docks.cam" in sys.modules)
"""


class Window:
    """A viewer with a large volume and the dock, and what its timer sees."""

    def __init__(self) -> None:
        import napari
        from napari.layers import Layer
        from qtpy.QtWidgets import QApplication

        from napari_cam.sample.phantom import phantom
        from napari_cam.widgets.docks.cam.dock import CamDock
        from napari_cam.widgets.layers.image_layers import volume_to_layer

        self.viewer = napari.Viewer(show=True)
        made = phantom(7, shape=SHAPE, spacing=SPACING)
        volume, self.truth = made.volume, made.damage > 0.5
        self.viewer.add_layer(Layer.create(*volume_to_layer(volume, "fillet")))
        self.application: Any = QApplication.instance()
        self.volume = volume
        self.until(lambda: False, seconds=1.0)
        self.seconds: dict[str, float] = {}
        start = time.perf_counter()
        self.dock = CamDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="CAM")
        self.seconds["dock: constructed"] = time.perf_counter() - start
        self.until(lambda: False, seconds=0.05)  # drawn for the first time
        with self.gap("gap: torch and the network are loaded"):
            self.until(lambda: self.dock.state.network is not None)
        self.until(lambda: False, seconds=0.5)

    def until(self, done: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let the window live until `done`."""
        end = time.perf_counter() + seconds
        while not done() and time.perf_counter() < end:
            self.application.processEvents()
            time.sleep(0.001)

    @contextmanager
    def gap(self, name: str) -> Iterator[None]:
        """Note the largest gap of the timer."""
        from qtpy.QtCore import QTimer

        stamps = [time.perf_counter()]
        timer = QTimer()
        timer.setInterval(10)
        timer.timeout.connect(lambda: stamps.append(time.perf_counter()))
        timer.start()
        yield
        self.until(lambda: False, seconds=0.3)
        timer.stop()
        gaps = [after - before for before, after in pairwise(stamps)]
        self.seconds[name] = max(gaps)

    def click(self, name: str, button: Any) -> None:
        """Run to the end, and note the largest gap."""
        with self.gap(f"gap: {name}"):
            button.click()
            self.until(lambda: not self.dock.explainer.running)

    def first_slice(self) -> None:
        """Note how long the first slice takes from the click until it is drawn."""
        from napari_cam.widgets.docks.cam.control.explainer import Explainer

        shown = "Grad-CAM: predicted"
        names = [layer.name for layer in self.viewer.layers]
        if shown in names:
            self.viewer.layers.remove(shown)
            self.until(lambda: False, seconds=0.3)
        assert isinstance(self.dock.explainer, Explainer)
        start = time.perf_counter()
        self.dock.heatmap_step.run.click()
        self.until(lambda: shown in self.viewer.layers and self.viewer.layers[shown].visible)
        self.viewer.screenshot(canvas_only=True, flash=False)
        self.seconds["first slice drawn after Run"] = time.perf_counter() - start
        self.until(lambda: not self.dock.explainer.running)
        self.until(lambda: False, seconds=0.3)

    def forward(self) -> None:
        """Note what one forward pass of one slice takes, the network warm."""
        import torch

        network: Any = self.dock.state.network
        model = network.model
        batch = torch.from_numpy(model.card.bind(self.volume).batch([27]))
        times = []
        for _ in range(10):
            start = time.perf_counter()
            with torch.no_grad():
                model.module(batch)
            times.append(time.perf_counter() - start)
        self.seconds["one forward pass"] = min(times)

    def slider(self) -> None:
        """Note what one move of the slider takes until the slice's labels have changed."""
        self.dock.mask_step.make.click()
        self.until(lambda: bool(self.dock.state.masks))
        times = []
        for step in range(20):
            start = time.perf_counter()
            self.dock.mask_step.cut.setValue(0.2 + step / 40)
            times.append(time.perf_counter() - start)
            self.application.processEvents()
        self.seconds["slider: labels of the slice (median of 20)"] = statistics.median(times)
        with self.gap("gap: slider at rest, whole volume cut"):
            self.dock.mask_step.cut.setValue(0.33)
            self.until(lambda: self.dock.state.masks[0].due is None)

    def slider_beside_a_reference(self) -> None:
        """Note what the slider takes with a reference, clean-up and other rules."""
        step, layer = self.dock.mask_step, self.viewer.layers["fillet"]
        truth = self.truth.astype("uint8")
        place = {name: getattr(layer, name) for name in ("scale", "translate", "units")}
        self.viewer.add_labels(truth, name="truth", **place)
        step.reference.list.box.setCurrentIndex(1)
        self.until(lambda: "n/a" not in step.figures.shown("whole")[3:] and self.measured())
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("fixed", lambda: None),
            ("fixed, cleaned slice by slice", self.clean),
            ("quantile of each slice, cleaned", lambda: self.rule("quantile")),
            ("local Otsu, cleaned", lambda: self.rule("local-otsu")),
        )
        for name, prepare in steps:
            prepare()
            self.until(self.measured)
            self.moves(name)

    def measured(self) -> bool:
        """Whether the figures of the whole volume stand there."""
        return "…" not in self.dock.mask_step.figures.shown("whole")

    def rule(self, word: str) -> None:
        """Choose a rule."""
        self.dock.mask_step.rule.setCurrentIndex(self.dock.mask_step.rule.findData(word))

    def clean(self) -> None:
        """Open by 1 mm, fill holes and drop pieces below 10 mm2, slice by slice."""
        box = self.dock.mask_step.cleanup
        box.per.setCurrentIndex(1)
        box.opening.setValue(1.0)
        box.holes.setChecked(True)
        box.smallest.setValue(10.0)

    def moves(self, name: str) -> None:
        """Note what the slice takes at once, and the whole volume after the last move."""
        step = self.dock.mask_step
        low, high = step.cut.minimum(), step.cut.maximum()
        times = []
        for move in range(20):
            start = time.perf_counter()
            step.cut.setValue(low + (high - low) * (0.2 + move / 40))
            times.append(time.perf_counter() - start)
            assert "…" not in step.figures.shown("slice")
            self.application.processEvents()
        self.seconds[f"slider beside a reference: slice and its overlap, {name}"] = (
            statistics.median(times)
        )
        rests = []
        for move in range(5):
            step.cut.setValue(low + (high - low) * (0.3 + move / 40))
            start = time.perf_counter()
            assert not self.measured()
            self.until(self.measured)
            rests.append(time.perf_counter() - start)
        self.seconds[f"whole volume: figures after the last move, {name}"] = statistics.median(
            rests
        )


def measure_window() -> None:
    """Print the seconds of one process as JSON."""
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
    window = Window()
    step = window.dock.heatmap_step
    window.click("first preview of the process (a new layer)", step.preview)
    window.click("preview again", step.preview)
    window.click("first run", step.run)
    window.click("run again", step.run)
    window.first_slice()
    window.forward()
    window.slider()
    window.slider_beside_a_reference()
    print(json.dumps(window.seconds), flush=True)
    os._exit(0)  # Qt need not be taken down in order


def measure_opening() -> dict[str, float]:
    """Return what napari spends on this plugin when it opens; it must not load torch."""
    config = {**os.environ, "NAPARI_CONFIG": str(Path(tempfile.mkdtemp()) / "settings.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", OPENING], env=config, capture_output=True, check=True, text=True
    )
    seconds, torch, dock = done.stdout.split()[-3:]
    if torch == "True" or dock == "True":
        raise SystemExit("Opening napari loaded torch or the dock.")
    return {"opening napari: this plugin's manifest": float(seconds)}


def main() -> None:
    """Measure and print one Markdown row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        measure_window()
    found: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        done = subprocess.run(
            [sys.executable, __file__, "--once"], capture_output=True, check=True, text=True
        )
        for name, value in (json.loads(done.stdout.splitlines()[-1]) | measure_opening()).items():
            found.setdefault(name, []).append(value)
    print("| what | best (ms) | median (ms) |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {min(values) * 1e3:.0f} | {statistics.median(values) * 1e3:.0f} |")


if __name__ == "__main__":
    main()
