"""Files of the dock's heatmaps and masks, and the same job as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.errors import VolumeError
from napari_cam.volumes.writing import write_volume
from napari_cam.widgets.docks.cam.state import DockState, Made, MadeMask
from napari_cam.widgets.docks.cam.work.as_text import as_command, as_python
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.records import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

Savable = Made | MadeMask


def savable(state: DockState) -> list[tuple[str, Savable]]:
    """Return what can be saved, with titles: heatmaps, then masks, the latest last."""
    masks = [(_mask_title(mask), mask) for mask in state.masks]
    return [*((f"heatmap {made.title}", made) for made in state.made), *masks]


def _mask_title(mask: MadeMask) -> str:
    layer = mask.layer()
    return "mask" if layer is None else str(layer.name)


def file_name(item: Savable) -> str:
    """Return a name to propose: what it is, never whose image it is."""
    made, kind = (item.made, "mask") if isinstance(item, MadeMask) else (item, "heatmap")
    words = [kind, *made.result.parts]
    return "_".join(re.sub(r"[^\w.+-]+", "-", word).strip("-") for word in words) + ".nii.gz"


def writing_job(item: Savable, path: Path, overwrite: bool) -> Callable[[], Iterator[Path]]:
    """Return the job that writes a heatmap or mask; layers are read here, in the window's thread.

    Raises
    ------
    VolumeError
        Where the layer is gone.
    """
    values: Any
    if isinstance(item, Made):
        values, provenance, volume = item.result.heatmap, None, item.volume
    else:
        layer = item.layer()
        if layer is None:
            raise VolumeError("The mask was removed from the viewer; make it again in step 4.")
        # As it is now, painted voxels included; a copy, as painting may go on.
        values = np.array(layer_to_volume(layer).values)
        provenance = {**recorded(layer.metadata[FACTS]), "edited_by_hand": item.edited}
        volume = item.made.volume

    def write() -> Iterator[Path]:
        yield write_volume(path, values, like=volume, provenance=provenance, overwrite=overwrite)

    return write


def as_text(item: Savable, kind: str) -> str:
    """Return the script ("python") or command lines that make `item` again."""
    made, mask = (item.made, item.request) if isinstance(item, MadeMask) else (item, None)
    return (as_python if kind == "python" else as_command)(made.request, mask)
