"""A real network and real photographs: CAMs beside maps that know nothing of the network.

SqueezeNet trained on ImageNet, over the photographs that come with scikit-image, each explained for
the class that the network predicts. Deletion, insertion and ROAD beside all floors, whatever comes
out; the photographs have no outlines, so nothing is said of where the maps lie.

Run: ``python benchmarks/faithfulness.py WEIGHTS`` with SqueezeNet 1.0's weights in torchvision's
names, or without for torchvision's own.
"""

from __future__ import annotations

import argparse
import time

from skimage import data

import napari_cam as nc

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera")
METHODS = ("gradcam", "layercam", "eigencam")
LAYER = "features"  # the default layer holds the class scores themselves: methods coincide there


def photographs() -> dict[str, nc.Volume]:
    """Return the photographs by name."""
    found = {}
    for name in PHOTOGRAPHS:
        pixels = getattr(data, name)()
        if pixels.ndim == 2:
            pixels = pixels[..., None].repeat(3, axis=-1)
        found[name] = nc.Volume.from_array(pixels, channel_axis=-1)
    return found


def main() -> None:
    """Print the tables of the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?")
    given = parser.parse_args()
    model = (
        nc.load_model("imagenet:squeezenet1_0")
        if given.weights is None
        else nc.load_model(
            given.weights,
            architecture="squeezenet1_0",
            preparation=nc.Preparation.imagenet(),
        )
    )
    volumes = photographs()
    cases = []
    for name, volume in volumes.items():
        maps = {
            (key.method.name, "squeezenet1_0"): heatmap
            for key, heatmap in nc.explain(model, volume, METHODS, layers=LAYER).items()
        }
        cases.append(nc.Case(maps, subject=name, image=volume))
    began = time.perf_counter()
    report = nc.faithfulness_report(cases, model, random_networks=2)
    print(report.summary())
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
