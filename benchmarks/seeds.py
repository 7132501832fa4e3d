"""Are seeds right, and how long does a commit take? On phantoms whose truth is known.

The seeds of "damaged" from the sample network's Grad-CAM (slice by slice, as for looking) in
unseen volumes, every fourth of them healthy. Intervals come from drawing whole volumes anew.

Run: ``python benchmarks/seeds.py [--volumes 32]``
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.cams.explain import explain_one
from napari_cam.grid import Grid
from napari_cam.labels.classes import BACKGROUND, FIRST_CLASS, UNLABELLED, LabelClasses
from napari_cam.labels.seeds.commit import commit
from napari_cam.labels.seeds.hand_edits import ProgramState
from napari_cam.labels.seeds.making import make_seeds
from napari_cam.labels.seeds.refine import refine
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import DAMAGED_ABOVE, TEST
from napari_cam.statistics.bootstrap import pooled_ratio
from napari_cam.volumes.volume import Volume

CHOICES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "`foreground=` the tissue": {"foreground": True},
    "`gate=False`": {"gate": False},
    '`normalize="unit"`': {"normalize": "unit"},
    '`gate=False, normalize="unit"`': {"gate": False, "normalize": "unit"},
    "`high=0.4`": {"high": 0.4},
    "`high=0.8`": {"high": 0.8},
    "`low=0.1`": {"low": 0.1},
}
SHAPE = (54, 256, 256)
REPEATS = 5


def measure(volumes: int) -> None:
    """Print how often seeds are right, by what was chosen."""
    model = load_sample_model()
    counted: dict[str, list[list[int]]] = {name: [] for name in CHOICES}
    for one in TEST.phantoms(volumes):
        heatmap = explain_one(model, one.volume, "gradcam", "damaged")
        truth = one.damage > DAMAGED_ABOVE
        for name, choice in CHOICES.items():
            given = {**choice, "foreground": one.tissue} if "foreground" in choice else choice
            labels = make_seeds(heatmap, **given).labels
            seeded, background = labels == FIRST_CLASS, labels == BACKGROUND
            sets = (
                *(seeded & truth, seeded, truth, background & truth),
                *(background & ~truth, background),
                labels == UNLABELLED,
                np.ones_like(truth),
            )
            counted[name].append([int(each.sum()) for each in sets])
    titles = ("damage seeds right", "damage seeded", "damage taken for background")
    print(f"| | {' | '.join(titles)} | background right | unlabelled |")
    print("|---|---|---|---|---|---|")
    for name, rows in counted.items():
        hit, seeded, truth, lost, rejected, background, unsaid, every = np.array(rows).T
        pairs = (
            (hit, seeded),
            (hit, truth),
            (lost, truth),
            (rejected, background),
            (unsaid, every),
        )
        print(f"| {name} | {' | '.join(_percent(*pair) for pair in pairs)} |")


def _percent(part: NDArray[Any], whole: NDArray[Any]) -> str:
    share, low, high = (100 * each for each in pooled_ratio(part, whole))
    return f"{share:.1f} % ({low:.1f} to {high:.1f})"


def _median(job: Callable[[], object]) -> str:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        job()
        times.append(time.perf_counter() - started)
    return f"{1000 * float(np.median(times)):.0f} ms"


def clock() -> None:
    """Print what editing costs on 54 x 256 x 256 voxels."""
    field = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    field = ndimage.gaussian_filter(field, (1, 8, 8))
    field /= field.std()
    grid = Grid.plain(SHAPE, (3.0, 0.8, 0.8), "mm")
    proposal = np.where(field > 1.5, 2, np.where(field < 0.8, 1, 0)).astype(np.uint8)
    labels, nowhere = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, bool)
    step = commit(labels, proposal, "replace", nowhere, nowhere)
    state = ProgramState.start(labels)
    state = state.committed(step)
    step.apply(labels)
    record = state.to_json()
    volume = Volume(field, grid)
    seeds = Seeds(proposal, LabelClasses.of_seeds(["a"]), grid)
    jobs: dict[str, Callable[[], object]] = {
        "commit": lambda: commit(np.zeros_like(labels), proposal, "replace", nowhere, nowhere),
        "touched": lambda: state.touched(labels),
        "record written": state.to_json,
        "record read": lambda: ProgramState.from_json(record),
        "random walker, slice by slice": lambda: refine(volume, seeds),
    }
    for name, job in jobs.items():
        print(f"{name}: {_median(job)}")
    print(f"record: {len(json.dumps(record)) / 1000:.0f} kB for {len(step)} voxels")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=32)
    measure(parser.parse_args().volumes)
    clock()


if __name__ == "__main__":
    main()
