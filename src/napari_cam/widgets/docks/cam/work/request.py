"""What is asked for, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_cam.normalize import Normalize
from napari_cam.widgets.networks import SAMPLE

# What stands for an image, labels or a heatmap that were opened from no file.
SCRIPT_IMAGE, SCRIPT_LABELS = "image.nii.gz", "labels.nii.gz"
SCRIPT_HEATMAP = "heatmap.nii.gz"


@dataclass(frozen=True, eq=False)
class PixelSet:
    """The pixels of one label of a labels layer.

    Attributes
    ----------
    labels
        (z, y, x) on the image's grid, as they were when they were asked for.
    number
        Which label.
    path
        File they were read from, None where they were not.
    """

    labels: NDArray[Any]
    number: int
    path: str | None = None


@dataclass(frozen=True)
class Request:
    """Everything that decides what a heatmap shows, but for the voxels.

    Attributes
    ----------
    model
        "sample", "sample:segmentation" or the path of a model file.
    architecture
        What weights without a card belong to.
    methods
        Names of methods.
    class_id
        Class by name or index, None for the predicted one.
    region
        Whose pixels' score a segmentation network explains: text such as "all" or "point:3,40,50",
        or labels; None for where the class is predicted.
    layers
        Target layers; empty for the network's default.
    axis
        Across which axis slices lie, None for what the card says.
    normalize
        What is stretched to [0, 1].
    device, precision
        Where and how precisely the network runs.
    image
        Path the image was read from, None where it was not.
    time
        Time point of a series.
    series
        Which series of a DICOM folder that holds several.
    heatmap
        Path of a heatmap that was opened in place of being made; "" where it has none.
    """

    model: str = SAMPLE
    architecture: str | None = None
    methods: tuple[str, ...] = ("gradcam",)
    class_id: str | int | None = None
    region: str | PixelSet | None = None
    layers: tuple[str, ...] = ()
    axis: str | int | None = None
    normalize: Normalize = "unit"
    device: str = "auto"
    precision: str = "auto"
    image: str | None = None
    time: int | None = None
    series: int | None = None
    heatmap: str | None = None
