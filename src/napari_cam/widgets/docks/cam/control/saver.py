"""What step 5 does: files are written, scripts and commands copied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.volumes.writing import write_volume
from napari_cam.widgets.docks.cam.state import CamState, ShownHeatmap, ShownMask
from napari_cam.widgets.docks.cam.work.as_text import as_command, as_python
from napari_cam.widgets.docks.saver import Saver
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import FACTS
from napari_cam.widgets.layers.records import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cam.widgets.docks.cam.control.masker import Masker
    from napari_cam.widgets.docks.cam.views.save_step import SaveStep

Savable = ShownHeatmap | ShownMask


class ResultSaver(Saver):
    """Writes and copies the result that is chosen in step 5."""

    def __init__(self, state: CamState, masker: Masker, step: SaveStep) -> None:
        super().__init__(step.show_done)
        self._state = state
        self._masker = masker
        self._step = step
        step.save_wanted.connect(self.save_as)
        step.copy_wanted.connect(self.copy)

    def show(self, missing: str) -> None:
        """List what can be saved, or say what is missing."""
        self._step.show_results([title for title, _ in savable(self._state)], missing)

    def _chosen(self) -> Savable | None:
        items = savable(self._state)
        index = self._step.result.currentIndex()
        item = items[index][1] if 0 <= index < len(items) else None
        if isinstance(item, ShownMask):
            self._masker.finish(item)
        return item

    def save_as(self) -> None:
        """Ask where, and write the chosen result there."""
        item = self._chosen()
        asked = None if item is None else self._step.ask_path(file_name(item))
        if item is None or asked is None:
            return
        self.failed.emit("")
        try:
            job = writing_job(item, *asked)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        self._write(job)

    def _written(self, path: Path) -> str:
        return f"Written: {path}, with its .json beside it."

    def copy(self, kind: str) -> None:
        """Put the chosen result's script or command lines on the clipboard."""
        item = self._chosen()
        clipboard = QApplication.clipboard()
        if item is not None and clipboard is not None:
            clipboard.setText(as_text(item, kind))
            what = "script" if kind == "python" else "command lines"
            self._step.show_done(f"The {what} that make this again are on the clipboard.")


def savable(state: CamState) -> list[tuple[str, Savable]]:
    """Return what can be saved, with titles: heatmaps, then masks, the latest last."""
    masks = [(_mask_title(mask), mask) for mask in state.masks]
    return [*((f"heatmap {shown.title}", shown) for shown in state.heatmaps), *masks]


def _mask_title(mask: ShownMask) -> str:
    layer = mask.layer()
    return "mask" if layer is None else str(layer.name)


def file_name(item: Savable) -> str:
    """Return a name to propose: what it is, never whose image it is."""
    shown, kind = (item.cut_from, "mask") if isinstance(item, ShownMask) else (item, "heatmap")
    words = [kind, *shown.result.parts]
    return "_".join(re.sub(r"[^\w.+-]+", "-", word).strip("-") for word in words) + ".nii.gz"


def writing_job(item: Savable, path: Path, overwrite: bool) -> Callable[[], Iterator[Path]]:
    """Return the job that writes a heatmap or mask; layers are read here, in the window's thread.

    Raises
    ------
    VolumeError
        Where the layer is gone.
    """
    values: Any
    if isinstance(item, ShownHeatmap):
        values, provenance, volume = item.result.heatmap, None, item.volume
    else:
        layer = item.layer()
        if layer is None:
            raise VolumeError("The mask was removed from the viewer; make it again in step 4.")
        # As it is now, painted voxels included; a copy, as painting may go on.
        values = np.array(layer_to_volume(layer).values)
        provenance = {**recorded(layer.metadata[FACTS]), "edited_by_hand": item.edited}
        volume = item.cut_from.volume

    def write() -> Iterator[Path]:
        yield write_volume(path, values, like=volume, provenance=provenance, overwrite=overwrite)

    return write


def as_text(item: Savable, kind: str) -> str:
    """Return the script ("python") or command lines that make `item` again."""
    shown, mask = (item.cut_from, item.request) if isinstance(item, ShownMask) else (item, None)
    return (as_python if kind == "python" else as_command)(shown.request, mask)
