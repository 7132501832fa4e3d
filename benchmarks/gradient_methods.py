"""What gradient CAMs cost beside the forward pass they need anyway.

Prints, for each network, the ratio of computing raw CAMs to a plain float32 no-grad forward pass
of the same batch as a user would call it. Both alternate in one process, so that a busy machine
slows both alike; the ratio of the fastest runs and the median of paired ratios are shown.

Run: ``python benchmarks/gradient_methods.py [--device cuda] [--repeats 15]``
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from napari_cam.cams.raw import raw_cams

NETWORKS = ("resnet18", "resnet50", "vgg16", "densenet121")
SIX = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigengradcam")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the wall time of `work`, finished on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(net: nn.Module, batch: Tensor, repeats: int) -> dict[str, list[float]]:
    """Return seconds per run of each job, the jobs taking turns."""

    def forward() -> Tensor:
        with torch.no_grad():
            output: Tensor = net(batch)
        return output

    jobs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "gradcam": lambda: raw_cams(net, batch, "gradcam", 0),
        "six methods": lambda: raw_cams(net, batch, SIX, 0),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 2):
        for name, job in jobs.items():
            taken = seconds(job, batch.device)
            if turn >= 2:  # the first turns warm caches up
                times[name].append(taken)
    return times


def main() -> None:
    """Measure every network and print one Markdown row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, "
          f"batch {options.batch} x 3 x 224 x 224, {options.repeats} turns\n")  # fmt: skip
    print("| network | forward (s) | Grad-CAM, fastest | median | six methods, fastest | median |")
    print("|---|---|---|---|---|---|")
    for name in NETWORKS:
        net = torchvision.models.get_model(name, weights=None).eval().to(device)
        batch = torch.randn(options.batch, 3, 224, 224, device=device)
        times = measure(net, batch, options.repeats)
        cells = [f"{min(times['forward']):.3f}"]
        for job in ("gradcam", "six methods"):
            paired = [a / b for a, b in zip(times[job], times["forward"], strict=True)]
            cells.append(f"{min(times[job]) / min(times['forward']):.3f}")
            cells.append(f"{statistics.median(paired):.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
