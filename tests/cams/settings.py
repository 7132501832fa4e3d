"""Every method, with as few repetitions as a test needs."""

from __future__ import annotations

from napari_cam.cams.methods.input_gradients import SmoothGrad, SmoothGradCAMPlusPlus
from napari_cam.cams.methods.perturbation import RISE, Occlusion
from napari_cam.cams.methods.score import ISCAM, SSCAM
from napari_cam.cams.methods.table import METHODS

SMALL = dict(METHODS) | {
    "smoothgradcam++": SmoothGradCAMPlusPlus(samples=4),
    "sscam": SSCAM(samples=3),
    "iscam": ISCAM(steps=3),
    "smoothgrad": SmoothGrad(samples=5),
    "occlusion": Occlusion(window=4, stride=2),
    "rise": RISE(masks=24, cells=3),
}
assert len(SMALL) == len(METHODS)

TASKS = ("classification", "segmentation")


def names_for(task: str) -> list[str]:
    """Return the methods that a task has: CAM needs global average pooling."""
    return [name for name in METHODS if task == "classification" or name != "cam"]
