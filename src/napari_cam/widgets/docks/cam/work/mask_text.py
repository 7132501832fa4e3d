"""How a heatmap is cut, as the lines of a script or the options of a command."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from napari_cam.widgets.docks.cam.work.request import SCRIPT_IMAGE, SCRIPT_LABELS
from napari_cam.widgets.layers.cutting import MaskRequest
from napari_cam.widgets.layers.foregrounds import LabelSet, Tissue

if TYPE_CHECKING:
    from napari_cam.masks.cleanup import Cleanup


def mask_imports(mask: MaskRequest) -> list[str]:
    """Return what the lines of `mask_lines` import beside napari_cam."""
    return ["from napari_cam.heatmap import where_predicted"] if mask.gate else []


def mask_lines(mask: MaskRequest, opened: bool) -> list[str]:
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


def mask_options(mask: MaskRequest) -> list[str]:
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
