"""What is asked for, as plain values, and the same as a script or as commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

SAMPLE = "sample"
SCRIPT_IMAGE = "image.nii.gz"  # stands for an image that was opened from no file


@dataclass(frozen=True)
class Request:
    """Everything that decides what a heatmap shows, but for the voxels.

    Attributes
    ----------
    model
        "sample" or the path of a model file.
    architecture
        What weights without a card belong to.
    methods
        Names of methods.
    class_id
        Class by name or index, None for the predicted one.
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
    """

    model: str = SAMPLE
    architecture: str | None = None
    methods: tuple[str, ...] = ("gradcam",)
    class_id: str | int | None = None
    layers: tuple[str, ...] = ()
    axis: str | int | None = None
    normalize: str = "unit"
    device: str = "auto"
    precision: str = "auto"
    image: str | None = None
    time: int | None = None


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
    gated = mask is not None and mask.gate
    lines = [
        *_imports(request, gated),
        "",
        *_loading(request),
        "",
        "maps = nc.explain(",
        "    model,",
    ]
    lines += ["    volume,", f"    methods={list(request.methods)!r},"]
    lines += [f"    {name}={value!r}," for name, value in _arguments(request).items()]
    lines.append(")")
    if mask is not None and mask.gate:
        lines += [
            "for key, heatmap in maps.items():",
            "    chosen = heatmap.predicted_index == heatmap.class_index",
            "    gate = np.broadcast_to(heatmap.per_unit(chosen), heatmap.values.shape)",
            f"    cut = {{'rule': {mask.rule!r}, 'strict': {mask.strict}}}",
            "    masks = nc.binarize(heatmap, **cut, foreground=gate)",
        ]
    elif mask is not None:
        lines.append(f"masks = nc.binarize(maps, {mask.rule!r}, strict={mask.strict})")
    return "\n".join(lines) + "\n"


def _imports(request: Request, gated: bool) -> list[str]:
    turned = request.axis is not None
    lines = ["from dataclasses import replace", ""] if turned else []
    lines += ["import numpy as np", ""] if gated else []
    lines.append("import napari_cam as nc")
    return lines + (["from napari_cam.models.steps import Slices"] if turned else [])


def _loading(request: Request) -> list[str]:
    if request.model == SAMPLE:
        lines = ["model = nc.load_sample_model()"]
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
    time = f', axis4="time", time={request.time}' if request.time is not None else ""
    path = request.image or SCRIPT_IMAGE
    return [*lines, f"volume = nc.read_volume({path!r}{time})"]


def _arguments(request: Request) -> dict[str, Any]:
    """Return the arguments of explain that differ from its defaults."""
    given = {
        "targets": request.class_id,
        "layers": list(request.layers) or None,
        "normalize": request.normalize,
        "device": request.device,
        "precision": request.precision,
    }
    usual = {"targets": None, "layers": None, "normalize": "unit"}
    return {name: value for name, value in given.items() if value != usual.get(name, "auto")}


def as_command(request: Request, mask: MaskRequest | None = None) -> str:
    """Return the command lines that make the same heatmap and mask files."""
    words = ["napari-cam", "explain", request.image or SCRIPT_IMAGE, "--model", request.model]
    if request.architecture:
        words += ["--architecture", request.architecture]
    words += [word for name in request.methods for word in ("--method", name)]
    if request.class_id is not None:
        words += ["--class", str(request.class_id)]
    words += [word for name in request.layers for word in ("--layer", name)]
    for option, value, usual in (
        ("--normalize", request.normalize, "unit"),
        ("--device", request.device, "auto"),
        ("--precision", request.precision, "auto"),
    ):
        words += [option, value] if value != usual else []
    if request.time is not None:
        words += ["--axis4", "time", "--time", str(request.time)]
    if request.axis is not None:
        # The slices' axis is part of the preparation, which the heatmap's own JSON file holds.
        words += ["--preparation", "heatmap.json"]
    lines = [shlex.join([*words, "--out", "heatmaps"])]
    if mask is not None:
        at_least = "" if mask.strict else " --at-least"
        lines.append(
            f"napari-cam mask heatmaps/heatmap_*.nii.gz --rule {mask.rule}{at_least} --out masks"
        )
        if mask.gate:
            lines.append("# The gate by predicted class is not among the commands: copy as Python.")
    return "\n".join(lines) + "\n"
