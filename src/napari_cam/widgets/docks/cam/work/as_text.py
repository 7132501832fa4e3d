"""What is asked for as a script, or as command lines, that give the same."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from napari_cam.widgets.docks.cam.work.request import (
    SCRIPT_HEATMAP,
    SCRIPT_IMAGE,
    SCRIPT_LABELS,
    PixelSet,
    Request,
)
from napari_cam.widgets.layers.cutting import MaskRequest
from napari_cam.widgets.layers.foregrounds import LabelSet, Tissue
from napari_cam.widgets.networks import SAMPLE, SAMPLES

if TYPE_CHECKING:
    from napari_cam.masks.cleanup import Cleanup


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
    if mask is not None:
        lines += _mask_lines(mask, opened=request.heatmap is not None)
    return "\n".join(lines) + "\n"


def _imports(request: Request, mask: MaskRequest | None) -> list[str]:
    opened = request.heatmap is not None
    turned = request.axis is not None and not opened
    lines = ["from dataclasses import replace", ""] if turned else []
    lines.append("import napari_cam as nc")
    if isinstance(request.region, PixelSet) and not opened:
        lines.append("from napari_cam.cams.targets.regions import Labelled")
    if mask is not None:
        lines += _mask_imports(mask)
    if turned:
        lines.append("from napari_cam.models.preparation.steps import Slices")
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
        lines.append(f"napari-cam mask {files} {shlex.join(_mask_options(mask))} --out masks")
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


def _mask_imports(mask: MaskRequest) -> list[str]:
    """Return what the lines of `_mask_lines` import beside napari_cam."""
    return ["from napari_cam.heatmap import where_predicted"] if mask.gate else []


def _mask_lines(mask: MaskRequest, opened: bool) -> list[str]:
    """Return the lines that cut `maps` into `masks`.

    Parameters
    ----------
    mask
        How.
    opened
        Whether `volume` is the heatmap itself, whose image is still to be read.
    """
    lines, limit = _foreground_lines(mask, opened)
    if mask.gate:
        limit = "where_predicted(heatmap)" + (f" & {limit}" if limit else "")
        lines.append(f"gates = {{key: {limit} for key, heatmap in maps.items()}}")
        limit = "gates"
    words = [repr(mask.rule), f"strict={mask.strict}"]
    if limit:
        words.append(f"foreground={limit}")
    if mask.cleanup:
        given = ", ".join(f"{name}={value!r}" for name, value in _chosen(mask.cleanup).items())
        lines.append(f"cleanup = nc.Cleanup({given})")
        words.append("cleanup=cleanup")
    return [*lines, f"masks = nc.binarize(maps, {', '.join(words)})"]


def _foreground_lines(mask: MaskRequest, opened: bool) -> tuple[list[str], str]:
    """Return the lines that find the foreground, and its name; "" for none."""
    limit = mask.foreground
    if isinstance(limit, LabelSet):
        path = limit.path or SCRIPT_LABELS
        return [f"foreground = nc.read_volume({path!r}).values != 0"], "foreground"
    if isinstance(limit, Tissue):
        path = limit.image.source.path or SCRIPT_IMAGE
        image = f"nc.read_volume({path!r})" if opened else "volume"
        return [f"foreground = nc.foreground({image}, {limit.method!r})"], "foreground"
    return [], ""


def _mask_options(mask: MaskRequest) -> list[str]:
    """Return the words of a command that say how to cut."""
    words = ["--rule", mask.rule, *([] if mask.strict else ["--at-least"])]
    limit = mask.foreground
    if isinstance(limit, LabelSet):
        words += ["--foreground", limit.path or SCRIPT_LABELS]
    elif isinstance(limit, Tissue):
        image = limit.image.source.path or SCRIPT_IMAGE
        words += ["--foreground", limit.method, "--image", image]
    if mask.gate:
        words.append("--gate")
    if mask.cleanup:
        for name, value in _chosen(mask.cleanup).items():
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return words


def _chosen(cleanup: Cleanup) -> dict[str, Any]:
    """Return the parameters of a clean-up that differ from doing nothing."""
    given = {each.name: getattr(cleanup, each.name) for each in fields(cleanup) if each.init}
    usual = {each.name: each.default for each in fields(cleanup)}
    return {name: value for name, value in given.items() if value != usual[name]}
