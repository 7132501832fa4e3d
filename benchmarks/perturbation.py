"""What Ablation-CAM and Score-CAM cost beside other libraries, in time and in memory.

All libraries explain the same image with the same network in one process, taking turns, so that a
busy machine slows all alike. Peak memory is measured in a process of its own for each library:
what the process grew by beyond one plain forward pass. Libraries that are not installed are left
out.

Run: ``python benchmarks/perturbation.py [--repeats 3] [--network resnet18]``
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

Job = Callable[[nn.Module, Tensor], object]


def ours(name: str) -> Job:
    """Return a job of this project."""

    def job(net: nn.Module, image: Tensor) -> object:
        from napari_cam.cams.methods.table import as_methods
        from napari_cam.cams.raw import compute
        from napari_cam.cams.targets.scores import ClassScore
        from napari_cam.models.hooks import LayerRef

        # As `explain` runs it.
        asked = ([ClassScore(0)], [LayerRef("layer4")])
        return compute(net, image, as_methods(name), *asked, optimize=True)

    return job


def grad_cam(name: str) -> Job:
    """Return a job of pytorch-grad-cam."""

    def job(net: nn.Module, image: Tensor) -> object:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        with (
            contextlib.redirect_stderr(io.StringIO()),  # its progress bar
            getattr(pytorch_grad_cam, name)(model=net, target_layers=[net.layer4]) as method,
        ):
            return method(input_tensor=image, targets=[ClassifierOutputTarget(0)])

    return job


def torchcam(net: nn.Module, image: Tensor) -> object:
    """Score-CAM of torchcam."""
    from torchcam.methods import ScoreCAM

    with ScoreCAM(net, "layer4") as method, torch.no_grad():
        return method(0, net(image))


JOBS: dict[str, dict[str, Job]] = {
    "Ablation-CAM": {
        "napari-cam": ours("ablationcam"),
        "pytorch-grad-cam": grad_cam("AblationCAM"),
    },
    "Score-CAM": {
        "napari-cam": ours("scorecam"),
        "pytorch-grad-cam": grad_cam("ScoreCAM"),
        "torchcam": torchcam,
    },
}
PACKAGES = {"pytorch-grad-cam": "pytorch_grad_cam", "torchcam": "torchcam"}


def installed(library: str) -> bool:
    """Whether a library is there."""
    package = PACKAGES.get(library, "napari_cam")
    return importlib.util.find_spec(package) is not None


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of `work`."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def subject(network: str) -> tuple[nn.Module, Tensor]:
    """Return a network with random weights and an image."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(network, weights=None).eval()
    return net, torch.randn(1, 3, 224, 224)


def grown(network: str, method: str, library: str) -> float:
    """Return by how many MB a fresh process grows beyond a forward pass."""
    done = subprocess.run(
        [sys.executable, __file__, "--network", network, "--peak", method, library],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def peak(network: str, method: str, library: str) -> None:
    """Print by how many MB this process grows while `library` computes `method`."""
    net, image = subject(network)
    # Whatever is loaded on first use is no memory of the method.
    importlib.import_module(PACKAGES.get(library, "napari_cam.cams.raw"))
    with torch.no_grad():
        net(image)
    before = high_water()
    JOBS[method][library](net, image)
    print(high_water() - before)


def high_water() -> float:
    """Return the most memory in MB that this process ever held (Linux).

    What getrusage tells is inherited from the process that started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Measure and print one Markdown row for each method and library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--method", choices=list(JOBS))
    parser.add_argument("--peak", nargs=2, metavar=("METHOD", "LIBRARY"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.peak:
        peak(options.network, *options.peak)
        return
    net, image = subject(options.network)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.network}, "
          f"1 x 3 x 224 x 224, layer4, fastest of {options.repeats} turns\n")  # fmt: skip
    print("| method | library | seconds | times napari-cam's | extra memory (MB) |")
    print("|---|---|---|---|---|")
    for method, jobs in JOBS.items():
        if options.method not in (None, method):
            continue
        there = {library: job for library, job in jobs.items() if installed(library)}
        times: dict[str, list[float]] = {library: [] for library in there}
        for _ in range(options.repeats):
            for library, job in there.items():
                times[library].append(seconds(lambda job=job: job(net, image)))  # type: ignore[misc]
        for library in there:
            ratio = min(times[library]) / min(times["napari-cam"])
            memory = grown(options.network, method, library)
            print(f"| {method} | {library} | {min(times[library]):.3f} | {ratio:.2f} "
                  f"| {memory:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
