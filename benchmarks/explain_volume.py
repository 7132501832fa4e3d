"""What a whole explanation costs beside the network's own passes over the same slices.

A 54 x 256 x 256 volume of 12-bit integers, ResNet-18 at 224 x 224 with ImageNet's preparation,
random weights. Printed: seconds of each part and their ratio to the bare no-grad passes.

Run: ``python benchmarks/explain_volume.py [--device cuda] [--repeats 5]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torchvision

import napari_cam as nc
from napari_cam.cams.build_heatmaps import build_heatmaps
from napari_cam.cams.explained_units import ExplainedUnits
from napari_cam.cams.plan import RunOptions, plan_explanation

METHODS = ("gradcam", "hirescam", "layercam")


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of `work`."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print one Markdown row per part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    values = np.random.default_rng(0).integers(0, 4096, (54, 256, 256)).astype(np.uint16)
    volume = nc.Volume.from_array(values, spacing=(1.0, 0.24, 0.24))
    net = torchvision.models.resnet18(weights=None).eval()
    model = nc.wrap_model(net, preparation=nc.Preparation.imagenet())
    plan = plan_explanation(model, volume, METHODS, 0, options=RunOptions(device=options.device))
    parts: list[ExplainedUnits] = list(plan.run())
    on_device = net.to(options.device)
    prepared = torch.from_numpy(plan.prepared.batch(plan.units)).to(options.device)
    batches = torch.split(prepared, 8)

    def forward() -> float:
        with torch.no_grad():
            return sum(float(on_device(batch).sum()) for batch in batches)

    jobs: dict[str, Callable[[], object]] = {
        "bare forward passes": forward,
        "prepare 54 slices": lambda: plan.prepared.batch(plan.units),
        "run: prepare, forward, three methods": lambda: list(plan.run()),
        "build three heatmaps on the volume's grid": lambda: build_heatmaps(plan, parts),
        "Otsu masks of the three": lambda: list(
            nc.binarize(build_heatmaps(plan, parts), nc.Otsu()).values()
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    base = min(times["bare forward passes"])
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads\n")
    print("| part | fastest (s) | share of the bare passes |\n|---|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {min(taken):.3f} | {min(taken) / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
