"""What gradient CAMs cost beside the forward pass they need anyway, here and elsewhere.

Prints, for each network, the ratio of computing raw CAMs to a plain float32 no-grad forward pass
of the same batch as a user would call it: by the folded copy, by the network as it is, and by other
libraries that are installed. All take turns in one process, so that a busy machine slows all
alike; the ratio of the fastest runs and the median of paired ratios are shown.

Run: ``python benchmarks/gradient_methods.py [--device cuda] [--repeats 15] [--networks resnet18]``
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from napari_cam.cams.keys import as_layers
from napari_cam.cams.methods.base import Evidence
from napari_cam.cams.methods.gradient import EigenCAM
from napari_cam.cams.methods.table import as_methods
from napari_cam.cams.raw import compute
from napari_cam.cams.targets.region_score import RegionScore, bind_inputs
from napari_cam.cams.targets.scores import ClassScore, Target
from napari_cam.models.architectures.unet import UNet

SIX = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigengradcam")
Job = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A network, the shape of its batch, what is explained, and the layer (None: its default)."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    target: Target
    layer: str | None = None


def _torchvision(name: str) -> Case:
    return Case(
        name,
        lambda: torchvision.models.get_model(name, weights=None),
        (8, 3, 224, 224),
        ClassScore(0),
    )


CASES = (
    *map(_torchvision, ("resnet18", "resnet50", "vgg16", "densenet121")),
    Case("r3d_18", torchvision.models.video.r3d_18, (1, 3, 16, 112, 112), ClassScore(0)),
    Case("unet", lambda: UNet(4), (2, 1, 256, 256), RegionScore(1, "all"), "bottleneck"),
    Case(
        "unet 3D",
        lambda: UNet(2, 1, 3, widths=(16, 32, 64)),
        (1, 1, 48, 64, 64),
        RegionScore(1, "all"),
    ),
)


def seconds(work: Job, device: torch.device) -> float:
    """Return the wall time of `work`, finished on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def jobs_of(net: nn.Module, batch: Tensor, case: Case) -> dict[str, Job]:
    """Return the jobs of one network by name, the plain forward pass first."""
    layers = as_layers(case.layer, None, net, batch)

    def forward() -> Tensor:
        with torch.no_grad():
            output: Tensor = net(batch)
        return output

    def cams(methods: str | tuple[str, ...], optimize: bool) -> Job:
        wanted = as_methods(methods)
        bound = bind_inputs([case.target], batch.shape)
        return lambda: compute(
            net, batch, wanted, [case.target], layers, optimize=optimize, bound=bound
        )

    jobs: dict[str, Job] = {
        "forward": forward,
        "Grad-CAM": cams("gradcam", True),
        "HiResCAM": cams("hirescam", True),
        "six methods": cams(SIX, True),
        "Grad-CAM, plain path": cams("gradcam", False),
        "six methods, plain path": cams(SIX, False),
    }
    if isinstance(case.target, ClassScore) and batch.ndim == 4:
        # DenseNet's own last maps are no module's output; others are given its last block.
        name = str(layers[0]) if str(layers[0]) != "pooling-input" else "features"
        jobs |= dict(_peers(net, batch, name))
    return jobs


def _peers(net: nn.Module, batch: Tensor, name: str) -> Iterator[tuple[str, Job]]:
    """Yield Grad-CAM by every other library that is installed."""
    layer = net.get_submodule(name)
    if importlib.util.find_spec("captum"):
        from captum.attr import LayerGradCam

        captum = LayerGradCam(net, layer)
        yield "Grad-CAM, captum", lambda: captum.attribute(batch, target=0)
    if importlib.util.find_spec("torchcam"):
        from torchcam.methods import GradCAM as TorchCam

        def torchcam() -> object:
            with TorchCam(net, target_layer=layer) as extractor:
                return extractor(0, net(batch.clone().requires_grad_()))

        yield "Grad-CAM, torchcam", torchcam
    if importlib.util.find_spec("pytorch_grad_cam"):
        from pytorch_grad_cam import GradCAM as Jacobs
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def jacobs() -> object:
            with Jacobs(net, [layer]) as extractor:
                return extractor(batch, [ClassifierOutputTarget(0)] * len(batch))

        yield "Grad-CAM, pytorch-grad-cam", jacobs
    if importlib.util.find_spec("monai"):
        from monai.visualize.class_activation_maps import GradCAM as Monai

        def monai() -> object:
            extractor = Monai(net, name)
            try:
                return extractor(batch, class_idx=0)
            finally:  # it leaves its hooks behind
                for part in net.modules():
                    part._forward_hooks.clear()  # noqa: SLF001
                    part._backward_hooks.clear()  # noqa: SLF001

        yield "Grad-CAM, MONAI", monai


def measure(jobs: dict[str, Job], device: torch.device, repeats: int) -> dict[str, list[float]]:
    """Return seconds per run of each job, the jobs taking turns; those that fail have none."""
    times: dict[str, list[float]] = {}
    for name, job in jobs.items():  # warms caches up
        try:
            job()
            times[name] = []
        except RuntimeError as error:
            print(f"{name} fails: {str(error).splitlines()[0][:120]}", file=sys.stderr)
    for _ in range(repeats):
        for name, taken in times.items():
            taken.append(seconds(jobs[name], device))
    return times


def eigen_seconds() -> float:
    """Return the fastest Eigen-CAM of one map of 32 channels and 16 x 24 x 24 places."""
    activations = torch.randn(1, 32, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    method = EigenCAM()
    return min(
        seconds(lambda: method.raw(Evidence(activations)), torch.device("cpu")) for _ in range(50)
    )


def growth() -> Iterator[tuple[str, float]]:
    """Yield what six formulas cost by themselves as maps get more channels, images and places."""
    wanted = as_methods(SIX)
    for shape in (
        (8, 128, 14, 14),
        (8, 512, 14, 14),
        (8, 2048, 14, 14),
        (32, 512, 14, 14),
        (1, 64, 16, 16, 16),
        (1, 64, 32, 32, 32),
        (1, 64, 64, 64, 64),
    ):
        generator = torch.Generator().manual_seed(0)
        A, G = (torch.randn(shape, generator=generator) for _ in range(2))
        evidence = Evidence(A, G)

        def work(evidence: Evidence = evidence) -> object:
            return [method.raw(evidence) for method in wanted]

        taken = min(seconds(work, torch.device("cpu")) for _ in range(7))
        yield " x ".join(map(str, shape)), 1000 * taken


def main() -> None:
    """Measure every network and print one Markdown row per job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--networks", nargs="*", default=[case.name for case in CASES])
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, "
          f"{options.repeats} turns\n")  # fmt: skip
    print(f"Eigen-CAM of 32 x 16 x 24 x 24: {1000 * eigen_seconds():.2f} ms\n")
    print("| network | job | fastest (s) | fastest runs | median of pairs |\n|---|---|---|---|---|")
    for case in CASES:
        if case.name not in options.networks:
            continue
        net = case.build().eval().to(device)
        times = measure(
            jobs_of(net, torch.randn(case.shape, device=device), case), device, options.repeats
        )
        for job, taken in times.items():
            paired = [a / b for a, b in zip(taken, times["forward"], strict=True)]
            ratio = min(taken) / min(times["forward"])
            print(f"| {case.name} | {job} | {min(taken):.3f} | {ratio:.2f} | "
                  f"{statistics.median(paired):.2f} |", flush=True)  # fmt: skip
    print("\n| maps | six formulas (ms) |\n|---|---|")
    for shape, milliseconds in growth():
        print(f"| {shape} | {milliseconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
