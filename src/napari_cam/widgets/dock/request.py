"""What is asked for, as plain values, and the same as a script or as commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

SAMPLE, SAMPLE_SEGMENTATION = "sample", "sample:segmentation"
SAMPLES = (SAMPLE, SAMPLE_SEGMENTATION)
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
    normalize: str = "unit"
    device: str = "auto"
    precision: str = "auto"
    image: str | None = None
    time: int | None = None
    series: int | None = None
    heatmap: str | None = None


@dataclass(frozen=True)
class MaskRequest:
    """How a heatmap is cut.

    Attributes
    ----------
    rule
        Text of the rule: "fixed:0.5", "otsu:volume".
    strict
        Whether a pixel must exceed the cut.
    gate
        Whether slices with another predicted class stay empty.
    """

    rule: str = "fixed:0.5"
    strict: bool = True
    gate: bool = False


def as_python(request: Request, mask: MaskRequest | None = None) -> str:
    """Return a script that makes the same heatmaps and, where one is asked for, masks."""
    if request.heatmap is not None:
        path = request.heatmap or SCRIPT_HEATMAP
        made = [f"heatmap, volume = read_heatmap({path!r})", "maps = {'opened': heatmap}"]
    else:
        made = [
            *_loading(request),
            "",
            "maps = nc.explain(",
            "    model,",
            "    volume,",
            f"    methods={list(request.methods)!r},",
            *(f"    {name}={value}," for name, value in _arguments(request).items()),
            ")",
        ]
    lines = [*_imports(request, mask), "", *made]
    if mask is not None and mask.gate:
        lines += [
            "for key, heatmap in maps.items():",
            "    gate = where_predicted(heatmap)",
            f"    cut = {{'rule': {mask.rule!r}, 'strict': {mask.strict}}}",
            "    masks = nc.binarize(heatmap, **cut, foreground=gate)",
        ]
    elif mask is not None:
        lines.append(f"masks = nc.binarize(maps, {mask.rule!r}, strict={mask.strict})")
    return "\n".join(lines) + "\n"


def _imports(request: Request, mask: MaskRequest | None) -> list[str]:
    opened = request.heatmap is not None
    turned = request.axis is not None and not opened
    lines = ["from dataclasses import replace", ""] if turned else []
    lines.append("import napari_cam as nc")
    if isinstance(request.region, PixelSet) and not opened:
        lines.append("from napari_cam.cams.regions import Labelled")
    if mask is not None and mask.gate:
        lines.append("from napari_cam.masks.gate import where_predicted")
    if turned:
        lines.append("from napari_cam.models.steps import Slices")
    if opened:
        lines.append("from napari_cam.volumes.heatmap_files import read_heatmap")
    return lines


def _loading(request: Request) -> list[str]:
    if request.model in SAMPLES:
        task = "" if request.model == SAMPLE else "'segmentation'"
        lines = [f"model = nc.load_sample_model({task})"]
    else:
        more = f", architecture={request.architecture!r}" if request.architecture else ""
        lines = [f"model = nc.load_model({request.model!r}{more})"]
    if request.axis is not None:
        lines += [
            f"slices = Slices({request.axis!r})",
            "steps = model.card.preparation.steps",
            "steps = [slices if isinstance(step, Slices) else step for step in steps]",
            "card = replace(model.card, preparation=nc.Preparation(tuple(steps)))",
            "model = replace(model, card=card)",
        ]
    more = f', axis4="time", time={request.time}' if request.time is not None else ""
    more += f", series={request.series}" if request.series is not None else ""
    path = request.image or SCRIPT_IMAGE
    lines.append(f"volume = nc.read_volume({path!r}{more})")
    if isinstance(request.region, PixelSet):
        labels = request.region.path or SCRIPT_LABELS
        lines += [
            f"labels = nc.read_volume({labels!r}).values",
            f"region = Labelled(labels, {request.region.number})",
        ]
    return lines


def _arguments(request: Request) -> dict[str, str]:
    """Return the arguments of explain that differ from its defaults, as they are written."""
    given = {
        "targets": request.class_id,
        "layers": list(request.layers) or None,
        "normalize": request.normalize,
        "device": request.device,
        "precision": request.precision,
    }
    usual = {"targets": None, "layers": None, "normalize": "unit"}
    words = {n: repr(value) for n, value in given.items() if value != usual.get(n, "auto")}
    if request.region is not None:
        region = "region" if isinstance(request.region, PixelSet) else repr(request.region)
        words["targets"] = f"nc.RegionScore({request.class_id!r}, {region})"
    return words


def as_command(request: Request, mask: MaskRequest | None = None) -> str:
    """Return the command lines that make the same heatmap and mask files."""
    if request.heatmap is None:
        lines, files = [_explain_command(request)], "heatmaps/heatmap_*.nii.gz"
    else:
        lines, files = [], shlex.quote(request.heatmap or SCRIPT_HEATMAP)
        if mask is None:
            lines.append(f"# {files} was opened; the JSON file beside it says how it was made.")
    if mask is not None:
        more = ("" if mask.strict else " --at-least") + (" --gate" if mask.gate else "")
        lines.append(f"napari-cam mask {files} --rule {mask.rule}{more} --out masks")
    return "\n".join(lines) + "\n"


def _explain_command(request: Request) -> str:
    words = ["napari-cam", "explain", request.image or SCRIPT_IMAGE, "--model", request.model]
    if request.architecture:
        words += ["--architecture", request.architecture]
    words += [word for name in request.methods for word in ("--method", name)]
    if request.class_id is not None:
        words += ["--class", str(request.class_id)]
    if isinstance(request.region, PixelSet):
        words += ["--region", f"{request.region.path or SCRIPT_LABELS}:{request.region.number}"]
    elif request.region is not None:
        words += ["--region", request.region]
    words += [word for name in request.layers for word in ("--layer", name)]
    for option, value, usual in (
        ("--normalize", request.normalize, "unit"),
        ("--device", request.device, "auto"),
        ("--precision", request.precision, "auto"),
    ):
        words += [option, value] if value != usual else []
    if request.time is not None:
        words += ["--axis4", "time", "--time", str(request.time)]
    if request.series is not None:
        words += ["--series", str(request.series)]
    if request.axis is not None:
        # The slices' axis is part of the preparation, which the heatmap's own JSON file holds.
        words += ["--preparation", "heatmap.json"]
    return shlex.join([*words, "--out", "heatmaps"])
